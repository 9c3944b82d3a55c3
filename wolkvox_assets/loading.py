"""From requests to the published file: fetch in a thread, commit in batches, tell what was committed.

What belongs here: the pace of commits, and that nothing fetched is lost when something breaks. What
doesn't: which requests to make (`sync/`), how one is made (`api/`), what a commit is (`store/`), and
telling Dagster (`assets/`).

Fetching has a thread of its own because what follows it, committing and marking, costs about 16 ms a
window in Dagster's event log: done in turn it would double the time of a day of windows.
"""

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from wolkvox_assets.api import Answer, RequestRecord, WolkvoxClient
from wolkvox_assets.api import Note as AnswerNote
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store, StoreError
from wolkvox_assets.store.agent_9 import WindowContent, replace_windows
from wolkvox_assets.store.requests import record_requests
from wolkvox_assets.sync import Ask, Known, Step
from wolkvox_assets.usage import Agents
from wolkvox_assets.windows import Range

# A commit copies the whole file: a twentieth of the time at most goes into it, but nobody waits longer
# than 15 s, nor does a batch grow past a day of windows.
_SHORTEST_PACE_SECONDS = 2.0
_LONGEST_PACE_SECONDS = 15.0
_PACE_PER_COMMIT = 20.0
_MOST_WINDOWS = 288
_MOST_WAITING = 1000  # fetched and not yet taken over

# A request that is on its way when the run is stopped; the client gives up on one after 120 s.
_LONGEST_REQUEST_SECONDS = 125.0

OpenClient = Callable[
    [Callable[[RequestRecord], None], Callable[[float], None]], AbstractContextManager[WolkvoxClient]
]
"""Opens a client, given where to report each request and how to wait between two tries."""

Plan = Callable[[Ask], Iterator[Step]]
"""Yields what it comes to know, given a way to ask."""


@dataclass
class Batch:
    """What one commit stored: everything in it is in the published file."""

    windows: list[WindowContent] = field(default_factory=list)
    requests: list[RequestRecord] = field(default_factory=list)
    notes: list[tuple[Range, AnswerNote]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.windows or self.requests)

    def add(self, item: object) -> None:
        match item:
            case WindowContent():
                self.windows.append(item)
            case RequestRecord():
                self.requests.append(item)
            case (Range() as asked, AnswerNote() as note):
                self.notes.append((asked, note))
            case _:
                raise TypeError(f"nothing is known of {type(item).__name__} here")

    @property
    def full(self) -> bool:
        return len(self.windows) >= _MOST_WINDOWS


def load(
    operation: Operation, plan: Plan, *, open_client: OpenClient, store: Store, run_id: str
) -> Generator[Batch, None, None]:
    """Carry out `plan` and yield each batch once it is committed and published.

    What was fetched before an error is committed and yielded first, then the error is raised: whatever the
    client raises (`WolkvoxError`), or `StoreError`. Close the generator (`contextlib.closing`) to stop early.
    """
    batch, pace = Batch(), _SHORTEST_PACE_SECONDS
    due = time.monotonic() + pace

    def commit(finished: Batch) -> float:
        began = time.monotonic()
        with store.transaction() as con:
            replace_windows(con, operation.name, finished.windows, run_id=run_id)
            record_requests(con, operation.name, finished.requests, run_id=run_id)
        return time.monotonic() - began

    fetching = _Fetching(operation, plan, open_client)
    try:
        while not fetching.has_ended():
            item = fetching.next(wait_until=due)
            if item is not None:
                batch.add(item)
            if fetching.has_ended() or batch.full or time.monotonic() >= due:
                if batch:
                    finished, batch = batch, Batch()
                    took = commit(finished)
                    pace = min(max(took * _PACE_PER_COMMIT, _SHORTEST_PACE_SECONDS), _LONGEST_PACE_SECONDS)
                    yield finished
                due = time.monotonic() + pace
        fetching.raise_its_error()
    except StoreError:
        raise  # what could not be stored a moment ago can't be now: the run is to be repeated
    except BaseException:
        # Stopped from outside (a terminated run): what was fetched so far is kept all the same.
        fetching.stop()
        for item in fetching.rest():
            batch.add(item)
        if batch:
            commit(batch)
        raise
    finally:
        fetching.stop()


class _Stopped(BaseException):
    """The consumer has gone: end the thread. No `Exception`, so that nothing on the way takes it for a fault."""


class _Fetching:
    """The thread that asks. `next` and `rest` hand over what it came to know, in order."""

    def __init__(self, operation: Operation, plan: Plan, open_client: OpenClient) -> None:
        self._items: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._end = object()
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._operation, self._plan, self._open_client = operation, plan, open_client
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=f"fetch {operation.name}", daemon=True)
        self._thread.start()

    def next(self, *, wait_until: float) -> object | None:
        """What came next, or None where nothing came in time (monotonic seconds) or it has ended."""
        try:
            item = self._items.get(timeout=max(0.0, wait_until - time.monotonic()))
        except queue.Empty:
            return None
        self._ended = item is self._end
        return None if self._ended else item

    def has_ended(self) -> bool:
        """Whether all has been handed over."""
        return self._ended

    def rest(self) -> Iterator[object]:
        """What is left after `stop`."""
        while not self._items.empty():
            item = self._items.get_nowait()
            if item is not self._end:
                yield item

    def raise_its_error(self) -> None:
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(_LONGEST_REQUEST_SECONDS)

    def _put(self, item: object) -> None:
        # When commits are slower than the API, memory must not grow.
        while self._items.qsize() > _MOST_WAITING:
            self._wait(0.05)
        self._items.put(item)

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _Stopped

    def _run(self) -> None:
        try:
            with self._open_client(self._items.put, self._wait) as client:
                for step in self._plan(lambda asked: self._ask(client, asked)):
                    self._take(step)
        except _Stopped:
            return
        except BaseException as error:  # noqa: BLE001  # handed over whole, raised by the consumer
            self._error = error
        self._items.put(self._end)

    def _ask(self, client: WolkvoxClient, asked: Range) -> Agents:
        answer: Answer = client.agent_9(asked)
        for note in answer.notes:
            self._put((asked, note))
        return answer.agents

    def _take(self, step: Step) -> None:
        match step:
            case Known(window=window, agents=agents, source=source):
                start_utc = self._operation.clock.start_utc(window)
                self._put(WindowContent(window, start_utc, agents, str(source), datetime.now(UTC)))
            case _:
                raise TypeError(f"nothing is known of the step {type(step).__name__} here")
