"""The two DuckDB files: who may write when, and how a change reaches readers.

What belongs here: opening, locking, committing, publishing, and telling a person when that fails.
What doesn't: what stands in the tables (`agent_9.py`, `requests.py`, `daily.py`).

`store.duckdb` is the pipeline's own. Writers take turns with a lock file, because DuckDB lets one
process in and turns the others away at once. After each transaction the file is closed (which
checkpoints it) and copied whole to `wolkvox.duckdb`: readers keep the copy they opened for as long as
they like, hold nobody up, and never see half a change.
"""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

# Files that both DuckDB 1.5 and 2.0 read and write.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {"storage_compatibility_version": "v1.5.0"}

# A writer holds the lock for a fraction of a second (a copy of 321 MB takes 0.4 s); minutes of waiting
# mean that something is wrong with the machine, and a person should hear of it.
_LOCK_PATIENCE_SECONDS = 600.0
# For a program of somebody's that has opened store.duckdb itself for a moment.
_OPEN_PATIENCE_SECONDS = 30.0


_ONE_READER_A_PROCESS = threading.RLock()


class StoreError(Exception):
    """A change could not be stored or published. The message says what was kept and what to do."""


class StoreBusy(StoreError):
    """Somebody else has the store open, or the lock on it, and kept it."""


class StoreFull(StoreError):
    """No room on the disk."""


class Store:
    """The pipeline's DuckDB file and its published copy, in one folder.

    `data_dir` is made when the first change is stored.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir
        self._own = data_dir / "store.duckdb"
        self.published = data_dir / "wolkvox.duckdb"

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection whose changes are committed and published together at the end, or not at all.

        Waits for its turn. An exception inside rolls everything back. After `StoreError` the caller
        can't know whether the change was committed (a disk that fills up at the last moment): it must
        be repeated, and repeating is harmless.
        """
        with self._turn():
            with self._explained("storing a change"):
                con = self._open()
                try:
                    con.execute("BEGIN")
                    con.execute(_schema())
                    yield con
                    con.execute("COMMIT")
                finally:
                    # Without COMMIT this rolls back; with it, it checkpoints. Always, or the file stays locked.
                    con.close()
            with self._explained("publishing a change that is committed in store.duckdb"):
                self._publish()

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """A read-only connection to the published file, or None where nothing was published yet.

        A run that was killed between its commit and its copy left the published file behind; that is
        mended first, so what is read is all that is committed. One thread of a process at a time: DuckDB gives
        a second connection to the same path the file that the first has open, also when it was replaced since.
        """
        with _ONE_READER_A_PROCESS:
            yield from self._reading()

    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        if self._behind():
            with self._turn(), self._explained("publishing a change that is committed in store.duckdb"):
                if self._behind():
                    self._publish()
        if not self.published.exists():
            yield None
            return
        con = self._open_published()
        try:
            yield con
        finally:
            con.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        lock = FileLock(self._folder / "store.duckdb.lock")
        with self._explained("taking the store's lock"):
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            self._folder.mkdir(mode=0o750, exist_ok=True)
            try:
                lock.acquire(timeout=_LOCK_PATIENCE_SECONDS, poll_interval=0.02)
            except Timeout:
                raise StoreBusy(
                    f"waited {_LOCK_PATIENCE_SECONDS:.0f} s for {lock.lock_file}, which another process of this "
                    "pipeline holds. Nothing of this change was stored. Look for a run that hangs, stop it, "
                    "and repeat; the lock of a process that has ended never blocks."
                ) from None
        try:
            yield
        finally:
            lock.release()

    def _open(self) -> duckdb.DuckDBPyConnection:
        # Our lock keeps our own processes apart; this patience is for a stranger's glance into the file.
        for attempt in Retrying(
            retry=retry_if_exception(_in_use),
            stop=stop_after_delay(_OPEN_PATIENCE_SECONDS),
            wait=wait_random_exponential(multiplier=0.05, max=1),
            reraise=True,
        ):
            with attempt:
                return duckdb.connect(self._own, config=_CONFIG)
        raise AssertionError("unreachable: tenacity returns or raises")

    def _open_published(self) -> duckdb.DuckDBPyConnection:
        try:
            return duckdb.connect(self.published, read_only=True)
        except duckdb.IOException:
            # Somebody has opened it for writing, or has left a log beside it. They keep what they have; a
            # fresh copy in its place is open to everyone.
            with self._turn(), self._explained("publishing the store anew"):
                self._publish()
                return duckdb.connect(self.published, read_only=True)

    def _behind(self) -> bool:
        if not self._own.exists():
            return False
        if not self.published.exists() or _wal(self._own).exists():
            return True
        return self._own.stat().st_mtime_ns > self.published.stat().st_mtime_ns

    def _publish(self) -> None:
        # Only ever with the store closed: reading the file of an open DuckDB database in the same
        # process drops its lock without a word when the descriptor is closed.
        if _wal(self._own).exists():
            # Committed, but not in the file: a killed run left it so, or close() could not checkpoint, of
            # which it says nothing. CHECKPOINT does.
            con = self._open()
            try:
                con.execute("CHECKPOINT")
            finally:
                con.close()
        new = self._folder / ".wolkvox.duckdb.new"
        try:
            shutil.copyfile(self._own, new)
            with new.open("rb+") as file:
                os.fsync(file.fileno())  # the name must never point to a copy that a power cut emptied
            # A reader who opened the published file for writing may have left a log that belongs to
            # the old content; DuckDB would refuse the new one beside it.
            _wal(self.published).unlink(missing_ok=True)
            new.replace(self.published)
        finally:
            new.unlink(missing_ok=True)

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (duckdb.Error, OSError) as error:
            if _in_use(error):
                raise StoreBusy(
                    f"{doing}: {self._own} is open in another program, which kept it for "
                    f"{_OPEN_PATIENCE_SECONDS:.0f} s. Nothing of this change was stored; what was stored before is "
                    f"intact. Close that program, and read {self.published} instead: it can stay open. ({error})"
                ) from error
            if _disk_full(error):
                raise StoreFull(
                    f"{doing}: no room left on the disk of {self._folder}. What was committed before is intact and "
                    f"{self.published.name} is as it was. Make room (both files together, and once more the size "
                    f"of the larger) and repeat the run: repeating is harmless. ({error})"
                ) from error
            raise StoreError(
                f"{doing} in {self._folder} failed: {error}. What was committed before is intact; "
                "repeat the run, repeating is harmless."
            ) from error


def _schema() -> str:
    return resources.files(__package__).joinpath("schema.sql").read_text("utf-8")


def _wal(file: Path) -> Path:
    return file.with_name(file.name + ".wal")


def _in_use(error: BaseException) -> bool:
    return isinstance(error, duckdb.IOException) and "Could not set lock on file" in str(error)


def _disk_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in {28, 122}  # ENOSPC, EDQUOT
    text = str(error)
    return (
        "No space left on device" in text or "Disk quota exceeded" in text or "disk is full" in text.lower()
    )
