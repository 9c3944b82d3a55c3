"""The two DuckDB files: who may write when, and how a change reaches readers.

What belongs here: opening, locking, committing, and when a file is made, corrected or published.
What doesn't: whether a file can be trusted (`integrity.py`), how it is replaced (`replacing.py`), what stands
in the tables (`windows.py`, `requests.py`, `daily.py`).

`store.duckdb` is the pipeline's own. Writers take turns with a lock file, because DuckDB lets one
process in and turns the others away at once. After each transaction the file is closed (which
checkpoints it) and a whole copy of it put in the place of `wolkvox.duckdb`: readers keep the copy they opened for as
long as they like, hold nobody up, and never see half a change. Neither file is used or copied unless every byte of it
was looked at: a damaged store is restored from the published file, an altered published file from the store.
"""

import filecmp
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from wolkvox_assets.report.clocks import lately
from wolkvox_assets.store import examine, origin, replacing
from wolkvox_assets.store.disk import keep_private, locks_tried, make_folder, require_locks
from wolkvox_assets.store.errors import StoreBusy, StoreError, StoreFull, explained, in_use, stoppable
from wolkvox_assets.store.face import Finding, T
from wolkvox_assets.store.integrity import (
    Checkpoint,
    Contents,
    Damaged,
    Refused,
    close,
    contents,
    cut_short,
    inspect,
    inspect_once,
    log_of,
    open_to_read,
    read_already,
    recall,
    remember,
    state_of,
)
from wolkvox_assets.store.versions import VERSION

logger = logging.getLogger(__name__)

PUBLISHED = "wolkvox.duckdb"
"""What everybody reads, in the data folder."""

# A writer holds the lock for a fraction of a second (a whole copy of 321 MB takes 0.4 s); minutes of waiting
# mean that something is wrong with the machine, and a person should hear of it.
_LOCK_PATIENCE_SECONDS = 600.0
# For a program of somebody's that has opened store.duckdb itself for a moment.
_OPEN_PATIENCE_SECONDS = 30.0


# When it has swollen: see `FileStore.tidy`.
_SWOLLEN = 1.1
_REST_BETWEEN_REWRITES = timedelta(days=1)

_ONE_READER_A_PROCESS = threading.RLock()


class FileStore:
    """The pipeline's DuckDB file and its published copy, in one folder.

    `data_dir` is made when the first change is stored.
    """

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir
        self.own = data_dir / "store.duckdb"
        self.published = data_dir / PUBLISHED
        self.lock = data_dir / "store.duckdb.lock"

    @property
    def where(self) -> str:
        return str(self.published)

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection whose changes are committed and published together at the end, or not at all.

        Waits for its turn. An exception inside rolls everything back. After `StoreError` the caller
        can't know whether the change was committed (a disk that fills up at the last moment): it must
        be repeated, and repeating is harmless.
        """
        with self.turn():
            with self._explained("looking at the files"):
                before = self._make_sound()
            try:
                with self._explained("storing a change"):
                    con = self._open()
                    try:
                        con.execute("BEGIN")
                        yield con
                        con.execute("COMMIT")
                    finally:
                        # Without COMMIT this rolls back; with it, it checkpoints. Always, or the file stays locked.
                        con.close()
            except StoreFull:
                replacing.drop_spare(self.published)
                raise
            with self._explained("publishing a change that is committed in store.duckdb"):
                self._publish(before)

    def change(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """See `Store`. Nothing goes away here that comes back."""
        with self.transaction() as con:
            return work(con)

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """A read-only connection to the published file, or None where nothing was published yet.

        What is read is all that is committed, and whole: where the published file is not (a run was killed
        between its commit and its copy, or somebody wrote in it), that is corrected first. One thread of a process
        at a time: DuckDB gives a second connection to the same path the file that the first has open, also
        when it was replaced since. A reading within a reading opens nothing.
        """
        with _ONE_READER_A_PROCESS, stoppable():
            with self._explained("looking for the files"):
                there = self.own.exists() or self.published.exists()
            if not there:
                yield None
                return
            con = read_already(self.published) or self._open_current() or self._mended()
            try:
                yield con
            except duckdb.Error as error:
                close(con)
                self._mend_if_damaged(error)
                raise
            finally:
                close(con)

    @contextmanager
    def looking(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """As `reading`, and repairs nothing: None also where the published file can't be read as it is."""
        with _ONE_READER_A_PROCESS, stoppable():
            con = self._open_readable() if self._is_whole(self.published) else None
            try:
                yield con
            finally:
                if con is not None:
                    close(con)

    def tidy(self) -> bool:
        """Writes the store anew where it has swollen: call it when there is nothing else to do. Returns whether.

        Many small changes leave room in a file that nothing uses, and that is published with it. Nothing is done while
        somebody else writes. What goes wrong is told, and leaves all as it was.
        """
        try:
            if not self._has_swollen():
                return False
            with self.turn(0), self._explained("writing the store anew"):
                self._make_sound()
                self._checkpoint()
                replacing.drop_spare(self.published)  # none of its blocks will be as they should
                replacing.compact(self.own)
                self._publish(None)
        except StoreBusy:
            return False
        except StoreError as error:
            logger.warning("%s", error)
            return False
        return True

    def findings(self) -> Iterator[Finding]:
        """See `examine`."""
        return examine.findings(self)

    def _has_swollen(self) -> bool:
        """Whether it is larger by a tenth than when it was last written anew, a day ago or longer. So it is never
        larger by much more than it would be if it were written anew now, and each time a tenth is won, or was added.
        """
        with self.reading() as con:
            if con is None:
                return False
            last = con.execute(
                "SELECT rewritten_at, bytes FROM store_rewrites ORDER BY rowid DESC LIMIT 1"
            ).fetchone()
        if last is None:
            return True
        rests = lately(last[0].replace(tzinfo=UTC), datetime.now(UTC), _REST_BETWEEN_REWRITES)
        return bool(not rests and self.own.stat().st_size > _SWOLLEN * last[1])

    @contextmanager
    def turn(self, patience_seconds: float | None = None) -> Iterator[None]:
        """Holds the lock between our own processes. Raises `StoreBusy` after a while."""
        patience = _LOCK_PATIENCE_SECONDS if patience_seconds is None else patience_seconds
        # Where there are no locks, a file that merely exists is no substitute: it outlives who made it.
        lock = FileLock(self.lock, mode=0o600, fallback_to_soft=False)
        with self._explained("taking the store's lock"):
            make_folder(self.folder)
            locks_tried(self.folder.absolute())
            try:
                lock.acquire(timeout=patience, poll_interval=0.02)
            except Timeout:
                raise StoreBusy(
                    f"waited {patience:.0f} s for {lock.lock_file}, which another process of this "
                    "pipeline holds. Nothing of this change was stored. Look for a run that hangs, stop it, "
                    "and repeat; the lock of a process that has ended never blocks."
                ) from None
            except (OSError, NotImplementedError):
                require_locks(self.folder)
                raise
        try:
            yield
        finally:
            lock.release()

    def in_step(self) -> bool:
        """Whether the published file is the copy that was made of the store as it is now."""
        try:
            own, published = self.own.stat(), self.published.stat()
        except OSError:  # not there, or not to be reached: who repairs it says why
            return False
        if log_of(self.own).exists() or log_of(self.published).exists():
            return False
        return (own.st_size, own.st_mtime_ns) == (published.st_size, published.st_mtime_ns)

    def require_ours(self) -> None:
        """Raises `Damaged` where somebody else put a store there that is not what is published (`origin.py`).

        With the turn, and with a store that was looked at.
        """
        if origin.is_ours(self.own):
            return
        try:
            inspect(self.published)
        except (Damaged, Refused, duckdb.Error):
            return  # nothing to compare it with
        filecmp.clear_cache()  # it goes by size and time, which a copy can have too
        if log_of(self.own).exists() or not filecmp.cmp(self.own, self.published, shallow=False):
            raise Damaged(
                f"{self.own.name} was not left by a run, and is not what {self.published.name} holds: it may be "
                "older, or copied while a run wrote in it"
            )

    # Below: only with the turn, and with the store closed. Reading the file of an open DuckDB database in the
    # same process drops its lock without a word when the descriptor is closed.

    def _make_sound(self) -> Checkpoint | None:
        """Leaves a store that can be trusted, of this release's version, or raises and leaves all as it is.

        Returns where it stands, if all of it was looked at as it is now.
        """
        if not self.in_step():
            self._refuse_newer()
        known, checkpoint = recall(self.own)
        if known:
            return checkpoint  # all of it was looked at when it was published, and nobody wrote in it since
        replacing.clear(self.own)
        found = self._look()
        if found is None:
            replacing.create(self.own)
            return None
        keep_private(self.own)
        keep_private(log_of(self.own))
        if found.current:
            return found.checkpoint
        self._checkpoint()
        if found.version < VERSION:
            replacing.upgrade(self.own, found.version)
        else:
            replacing.with_schema(self._open(), found.version)
        return None

    def _look(self) -> Contents | None:
        """What the store holds, restored from the published file where it must be; None where neither exists."""
        try:
            found = _patiently(lambda: inspect(self.own))
            self._miss_nothing(found)
            self.require_ours()
        except Damaged as fault:
            if not (self.own.exists() or self.published.exists()):
                return None
            self._restore(f"{fault}")
            return inspect(self.own)
        return found

    def _miss_nothing(self, found: Contents) -> None:
        """A table that the store lacks is a new one, unless it was published before."""
        if not found.missing:
            return
        try:
            lost = found.missing - inspect(self.published).missing
        except (Damaged, Refused, duckdb.Error):
            return
        if lost:
            raise Damaged(f"{self.own.name} lacks {', '.join(sorted(lost))}")

    def _restore(self, fault: str) -> None:
        try:
            replacing.restore(self.own, self.published, fault)
        except Damaged as also:
            # A copy of it was looked at.
            why = str(also).replace(replacing.new_name(self.own).name, self.published.name)
            raise StoreError(
                f"{self.folder}: {fault}, and it can't be restored: {why}. "
                "Nothing was overwritten. Put a backup of one of the two files back in its place; or move both "
                "away, and everything is requested again."
            ) from also

    def _refuse_newer(self) -> None:
        """Raises `Refused` where the published file is of a newer release."""
        if not self.published.is_file():
            return
        try:
            con = duckdb.connect(self.published, read_only=True)
        except duckdb.Error:
            return  # somebody has it open for writing, or it is none of ours
        try:
            contents(con, self.published)
        except Damaged:
            return
        finally:
            con.close()

    def _publish(self, before: Checkpoint | None) -> None:
        """`before`: where the store stood when it was looked at."""
        self._checkpoint()
        state = state_of(self.own)
        found = replacing.publish(self.own, self.published, before)
        origin.left(self.own)
        if found.current:
            remember(self.own, state, found.checkpoint)

    def _checkpoint(self) -> None:
        if log_of(self.own).exists():
            # Committed, but not in the file: a killed run left it so, or close() could not checkpoint, of
            # which it says nothing. CHECKPOINT does.
            con = self._open()
            try:
                con.execute("CHECKPOINT")
            finally:
                con.close()

    def _open(self) -> duckdb.DuckDBPyConnection:
        origin.about_to_change(self.own)
        return _patiently(lambda: duckdb.connect(self.own, config=replacing.CONFIG))

    # Reading

    @staticmethod
    def _is_whole(file: Path) -> bool:
        try:
            inspect(file)
        except (Damaged, Refused, duckdb.Error):
            return False
        return True

    def _open_current(self) -> duckdb.DuckDBPyConnection | None:
        """The published file, where it is what the store holds now; else None."""
        return self._open_readable() if self.in_step() else None

    def _open_readable(self) -> duckdb.DuckDBPyConnection | None:
        try:
            con = open_to_read(self.published)
        except duckdb.Error:
            return None
        try:
            if contents(con, self.published).current:
                if cut_short(con, self.published):
                    close(con)
                    inspect_once(self.published)
                    con = open_to_read(self.published)
                return con
        except (Damaged, Refused, duckdb.Error):
            pass
        close(con)
        return None

    def _mended(self) -> duckdb.DuckDBPyConnection:
        """The published file, once it is what the store holds."""
        with self.turn(), self._explained("publishing the store anew"):
            con = self._open_current()  # another process may have done it meanwhile
            if con is None:
                self._publish(self._make_sound())
                con = self._open_readable()
            if con is None:
                inspect(self.published)  # says why
        if con is None:
            raise StoreError(f"{self.published} was published anew and still can't be read. Repeat the run.")
        return con

    def _mend_if_damaged(self, error: duckdb.Error) -> None:
        try:
            inspect(self.published)
        except (Refused, duckdb.Error):
            return  # not what the reader's error is about
        except Damaged as fault:
            with self.turn(), self._explained("publishing the store anew"):
                self._publish(self._make_sound())
            raise StoreError(f"{fault}: it was replaced from {self.own.name}. Repeat the run.") from error

    def _explained(self, doing: str) -> AbstractContextManager[None]:
        return explained(doing, self.folder, _OPEN_PATIENCE_SECONDS)


def _patiently(look: Callable[[], T]) -> T:
    # Our lock keeps our own processes apart; this patience is for a stranger who has the file open.
    for attempt in Retrying(
        retry=retry_if_exception(in_use),
        stop=stop_after_delay(_OPEN_PATIENCE_SECONDS),
        wait=wait_random_exponential(multiplier=0.05, max=1),
        reraise=True,
    ):
        with attempt:
            return look()
    raise AssertionError("unreachable: tenacity returns or raises")
