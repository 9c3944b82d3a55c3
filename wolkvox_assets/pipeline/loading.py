"""From what threads fetch to the published file: committed in batches, and told.

What belongs here: the threads, the pace of commits, and that nothing fetched is lost when something breaks. What
doesn't: asking (`fetching.py`), what a commit is (`commit.py`), telling Dagster (`orchestration/`).

Fetching has threads of its own because what follows it, committing and marking, would double the time of a day of
windows if it were done in turn.
"""

import queue
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple

from wolkvox_assets.pipeline.commit import Batch, Handed, commit
from wolkvox_assets.report.clocks import Clocks
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store, StoreError

# A commit takes a while, above all where the whole file is copied: a twentieth of the time at most goes into it, but
# nobody waits longer than 15 s.
_SHORTEST_PACE_SECONDS = 2.0
_LONGEST_PACE_SECONDS = 15.0
_PACE_PER_COMMIT = 20.0
_MOST_WAITING = 1000  # fetched and not yet taken over

# A request that is on its way when the run is stopped; the API gives up on one after 60 s. One whose answer drips may
# take 120, for which nobody who stops a run waits: the process ends, and its connection with it. The thread asks
# nothing after it.
_REQUEST_PATIENCE_SECONDS = 70.0

# While this thread computes (totals, marks), a fetching one waits so long for its turn after each system call, of which
# a request takes dozens. With the 5 ms that are usual, a request took 37 to 64 ms of them; with this, 11 to 18.
_SWITCH_SECONDS = 0.0005


class _Stopped(BaseException):
    """The consumer has gone: end the thread. No `Exception`, so that nothing on the way takes it for a fault."""


class _Item(NamedTuple):
    operation: Operation
    clocks: Clocks
    content: object


class _Ended(NamedTuple):
    """A thread has ended. `error`: what it raised."""

    error: BaseException | None


class Handover:
    """What a fetching thread can do with its consumer."""

    def __init__(self) -> None:
        self.items: queue.SimpleQueue[_Item | _Ended | threading.Event] = queue.SimpleQueue()
        self.stopped = threading.Event()
        self._settling: set[threading.Event] = set()

    def put(self, operation: Operation, clocks: Clocks, content: object) -> None:
        """Hand over what `Batch.add` takes. Waits while too much is waiting: memory must not grow."""
        while self.items.qsize() > _MOST_WAITING:
            self.wait(0.05)
        self.items.put(_Item(operation, clocks, content))

    def settle(self) -> None:
        """Come back when all that was handed over is committed and published."""
        committed = threading.Event()
        self._settling.add(committed)
        self.items.put(committed)
        self.wait(0)  # `stop` may have come before it was added
        # No looking now and then: of two hundred threads that would take half a core.
        committed.wait()
        self._settling.discard(committed)
        self.wait(0)

    def stop(self) -> None:
        """From the consumer: each thread ends with what it does next."""
        self.stopped.set()
        for waiting in tuple(self._settling):
            waiting.set()

    def wait(self, seconds: float) -> None:
        """Sleep; ends the thread when the run is stopped."""
        if self.stopped.wait(seconds):
            raise _Stopped


Fetcher = Callable[[Handover], None]
"""What a thread does."""


def load(store: Store, run_id: str, fetchers: Sequence[Fetcher]) -> Generator[dict[str, Batch], None, None]:
    """Run each of the fetchers in a thread, and yield what each commit stored and published, by operation
    (`Operation.label`).

    What was fetched before an error is committed and yielded first, then the error is raised: what a fetcher raised,
    or `StoreError`. Close the generator (`contextlib.closing`) to stop early. A commit for which a fetcher has waited
    is yielded also where there was nothing to store. At its end, when nothing is left to do, the store is tidied.
    """
    handover = Handover()
    threads = [threading.Thread(target=_run, args=(fetcher, handover), daemon=True) for fetcher in fetchers]
    sys.setswitchinterval(_SWITCH_SECONDS)
    for thread in threads:
        thread.start()
    loading = _Loading(store, run_id, handover)
    try:
        yield from loading.commits(len(threads))
        store.tidy()
    except StoreError:
        raise  # what could not be stored a moment ago cannot be now: the run is to be repeated
    except BaseException:
        # Stopped from outside (a terminated run): what was fetched so far is kept all the same.
        _stop(threads, handover)
        loading.commit_the_rest()
        raise
    finally:
        _stop(threads, handover)


def _run(fetcher: Fetcher, handover: Handover) -> None:
    try:
        fetcher(handover)
    except _Stopped:
        return
    except BaseException as error:  # noqa: BLE001  # handed over whole, raised by the consumer
        handover.items.put(_Ended(error))
    else:
        handover.items.put(_Ended(None))


def _stop(threads: Sequence[threading.Thread], handover: Handover) -> None:
    handover.stop()
    until = time.monotonic() + _REQUEST_PATIENCE_SECONDS
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


class _Loading:
    """What was handed over and is not committed yet, and when it will be."""

    def __init__(self, store: Store, run_id: str, handover: Handover) -> None:
        self._store, self._run_id, self._handover = store, run_id, handover
        self._pending: dict[str, Handed] = {}
        self._began = time.monotonic()
        self._pace = _SHORTEST_PACE_SECONDS

    def commits(self, running: int) -> Iterator[dict[str, Batch]]:
        """Until so many threads have ended; then raises the first error that one of them ended with."""
        errors: list[BaseException] = []
        waiting: list[threading.Event] = []
        due = self._began + self._pace
        while running:
            match self._next(due):
                case _Item() as item:
                    self._add(item)
                case _Ended(error=error):
                    running -= 1
                    errors += [error] if error is not None else []
                case threading.Event() as committed:
                    waiting.append(committed)
            # What has arrived meanwhile goes along: a commit costs hardly more for forty operations than for one.
            wanted = bool(waiting) and self._handover.items.empty()
            if wanted or not running or self._must_be_stored() or time.monotonic() >= due:
                stored = self._commit()
                if stored or waiting:
                    yield stored
                while waiting:
                    waiting.pop().set()
                due = time.monotonic() + self._pace
        for error in errors:
            raise error

    def commit_the_rest(self) -> None:
        while not self._handover.items.empty():
            if isinstance(item := self._handover.items.get_nowait(), _Item):
                self._add(item)
        self._commit()

    def _next(self, due: float) -> "_Item | _Ended | threading.Event | None":
        """What came next, or None where nothing came in time (monotonic seconds)."""
        try:
            return self._handover.items.get(timeout=max(0.0, due - time.monotonic()))
        except queue.Empty:
            return None

    def _add(self, item: _Item) -> None:
        name = item.operation.label
        if name not in self._pending:
            self._pending[name] = Handed(item.operation, item.clocks, Batch())
        self._pending[name].batch.add(item.content)

    def _must_be_stored(self) -> bool:
        return any(handed.batch.must_be_stored for handed in self._pending.values())

    def _commit(self) -> dict[str, Batch]:
        if not self._pending:
            return {}
        # Emptied only when it is stored: a run that is stopped in between repeats it, harmlessly.
        began = time.monotonic()
        stored = dict(
            zip(self._pending, commit(self._store, list(self._pending.values()), self._run_id), strict=True)
        )
        self._pending = {}
        now = time.monotonic()
        self._pace = _pace(now - began, now - self._began)
        return stored


def _pace(took: float, elapsed: float) -> float:
    """Seconds to the next commit, after one that took so long, in a run that is so old."""
    # A short run commits often, so that little is left to do at its end.
    wanted = min(took * _PACE_PER_COMMIT, elapsed / 4)
    return min(max(wanted, _SHORTEST_PACE_SECONDS), _LONGEST_PACE_SECONDS)
