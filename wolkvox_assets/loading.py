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
from datetime import datetime

from wolkvox_assets.api import Answer, Quota, RequestRecord, WolkvoxClient
from wolkvox_assets.api import Note as AnswerNote
from wolkvox_assets.clocks import Clocks, uptime_ns
from wolkvox_assets.commit import Batch, Checked, commit
from wolkvox_assets.quota import QuotaGuard, ReserveReached, seen_by
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store, StoreError
from wolkvox_assets.store.additivity import Verdict
from wolkvox_assets.store.agent_9 import WindowContent
from wolkvox_assets.store.quota_readings import QuotaReading
from wolkvox_assets.store.sources import claim_before_asking
from wolkvox_assets.store.total_rows import key_of
from wolkvox_assets.sync import (
    Ask,
    AskBriefly,
    Audited,
    Discard,
    Known,
    KnownEmpty,
    LeftOut,
    Note,
    Proof,
    Source,
    Step,
    Verified,
)
from wolkvox_assets.total_row import AnswerInDoubt, Judge
from wolkvox_assets.usage import Agents
from wolkvox_assets.windows import WINDOW, Range

# A commit copies the whole file: a twentieth of the time at most goes into it, but nobody waits longer
# than 15 s, nor does a batch grow past a day of windows.
_SHORTEST_PACE_SECONDS = 2.0
_LONGEST_PACE_SECONDS = 15.0
_PACE_PER_COMMIT = 20.0
_MOST_WAITING = 1000  # fetched and not yet taken over

# A request that is on its way when the run is stopped; the API gives up on one after 60 s. The thread asks
# nothing after it, so a run that ends earlier leaves nothing behind but that.
_REQUEST_PATIENCE_SECONDS = 70.0

OpenClient = Callable[
    [Callable[[RequestRecord], None], Callable[[float], None]], AbstractContextManager[WolkvoxClient]
]
"""Opens a client, given where to report each request and how to wait between two tries."""

Plan = Callable[[Ask, AskBriefly], Iterator[Step]]
"""Yields what it comes to know, given a way to ask, and one with little patience."""


def load(
    operation: Operation,
    plan: Plan,
    *,
    windows: int,
    open_client: OpenClient,
    store: Store,
    run_id: str,
    clocks: Clocks,
    judge: Judge,
    live: int = 0,
    gate: threading.Event | None = None,
) -> Generator[Batch, None, None]:
    """Carry out `plan`, which is for so many `windows`, and yield each batch once it is committed and published.

    What was fetched before an error is committed and yielded first, then the error is raised: whatever the
    client raises (`WolkvoxError`), `ReserveReached`, `NotOverYet`, or `StoreError`; of these `OtherSource` before
    anything was asked, where what is stored of the operation came from elsewhere. Close the generator
    (`contextlib.closing`) to stop early. `clocks`: tell the time, and hear the server's. `judge`: tells the agents of
    an answer; what it can't tell yet raises `AnswerInDoubt` from `Ask`. `live`: how many operations' live windows come
    first, where the day's quota gets scarce. `gate`: no question is begun while it is not set.
    """
    remark = claim_before_asking(store, operation.name, operation.source)
    if remark is not None:
        yield Batch(remarks=[Note(remark)])
    batch, pace = Batch(), _SHORTEST_PACE_SECONDS
    began = time.monotonic()
    due = began + pace

    with store.reading() as con:
        seen = seen_by(con, operation, clocks.here())
    guard = QuotaGuard(
        operation.clock,
        operation.quota_reserve,
        seen,
        windows=windows,
        live=live,
        now=clocks.here,
    )
    fetching = _Fetching(operation, plan, open_client, guard, clocks, gate, judge)
    try:
        while not fetching.has_ended():
            item = fetching.next(wait_until=due)
            if item is not None:
                batch.add(item)
            if fetching.has_ended() or batch.must_be_stored or time.monotonic() >= due:
                if batch:
                    # Emptied only when it is stored: a run that is stopped in between repeats it, harmlessly.
                    took = commit(store, operation, batch, run_id, clocks.now())
                    finished, batch = batch, Batch()
                    pace = _pace(took, time.monotonic() - began)
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
            commit(store, operation, batch, run_id, clocks.now())
        raise
    finally:
        fetching.stop()


def _pace(took: float, elapsed: float) -> float:
    """Seconds to the next commit, after one that took so long, in a run that is so old."""
    # A short run commits often, so that little is left to do at its end.
    wanted = min(took * _PACE_PER_COMMIT, elapsed / 4)
    return min(max(wanted, _SHORTEST_PACE_SECONDS), _LONGEST_PACE_SECONDS)


class _Stopped(BaseException):
    """The consumer has gone: end the thread. No `Exception`, so that nothing on the way takes it for a fault."""


class _Fetching:
    """The thread that asks. `next` and `rest` hand over what it came to know, in order."""

    def __init__(
        self,
        operation: Operation,
        plan: Plan,
        open_client: OpenClient,
        guard: QuotaGuard,
        clocks: Clocks,
        gate: threading.Event | None,
        judge: Judge,
    ) -> None:
        self._items: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._end = object()
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._operation, self._plan, self._open_client = operation, plan, open_client
        self._guard, self._clocks, self._gate, self._judge = guard, clocks, gate, judge
        self._client: WolkvoxClient | None = None
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
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join(_REQUEST_PATIENCE_SECONDS)

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
            with self._open_client(self._record, self._wait) as self._client:
                for step in self._plan(self._ask, self._ask_briefly):
                    self._take(step)
        except _Stopped:
            return
        except BaseException as error:  # noqa: BLE001  # handed over whole, raised by the consumer
            self._error = error
        self._items.put(self._end)

    def _ask_briefly(self, asked: Range, requests: int) -> Agents:
        return self._ask(asked, requests)

    def _ask(self, asked: Range, requests: int | None = None) -> Agents:
        self._wait(0)
        while self._gate is not None and not self._gate.wait(0.1):
            self._wait(0)
        self._check_quota()
        assert self._client is not None  # noqa: S101  # a plan asks while it is carried out
        answer: Answer = self._client.agent_9(asked, requests=requests)
        self._clocks.must_be_over(self._operation.clock.end_utc(asked.end - WINDOW))
        for note in answer.notes:
            self._put((asked, note))
        return self._agents(asked, answer)

    def _agents(self, asked: Range, answer: Answer) -> Agents:
        try:
            agents, remarks = self._judge.agents_of(key_of(asked), answer.rows)
        except AnswerInDoubt as doubt:
            raise AnswerInDoubt(f"operation {self._operation.name!r}, agent_9, {asked}: {doubt}") from None
        finally:
            while self._judge.new:
                self._put(self._judge.new.pop(0))
        for remark in remarks:
            self._put((asked, AnswerNote(remark.kind, remark.text)))
        return agents

    def _check_quota(self) -> None:
        try:
            reading = self._guard.check(self._token_info)
        except ReserveReached as stop:
            self._put_reading(stop.new)
            raise
        self._put_reading(reading)
        warning = self._guard.warning()
        if warning is not None:
            self._put(Note(f"operation {self._operation.name}: {warning}", warning=True))

    def _put_reading(self, reading: QuotaReading | None) -> None:
        if reading is not None:
            self._put(reading)

    def _token_info(self) -> Quota:
        assert self._client is not None  # noqa: S101  # only asked on the way to a request
        return self._client.token_info()

    def _record(self, request: RequestRecord) -> None:
        self._guard.spent()
        self._clocks.heard(request.server_time, request.requested_at)
        self._items.put(request)

    def _take(self, step: Step) -> None:
        match step:
            case Known(window=window, agents=agents, source=source):
                self._put(self._content(window, agents, source))
            case KnownEmpty(range=stretch, source=source):
                for window in stretch.windows():
                    self._put(self._content(window, {}, source))
            case Verified(range=stretch, asked=asked):
                self._put(Checked(stretch, self._clocks.now(), asked))
            case Discard() | LeftOut():
                self._put(step)
            case Proof(holds=holds, evidence=evidence):
                self._put(Verdict(self._clocks.now(), holds, evidence))
            case Audited(range=stretch, windows=windows, derived=derived, seed=seed):
                self._put(
                    Note(
                        f"{stretch}: {len(windows)} of {derived} derived windows were asked as well, and agree "
                        f"(seed {seed})"
                    )
                )
            case Note():
                self._put(step)

    def _content(self, window: datetime, agents: Agents, source: Source) -> WindowContent:
        start_utc = self._operation.clock.start_utc(window)
        return WindowContent(window, start_utc, agents, str(source), self._clocks.now(), uptime_ns())
