"""What can go wrong with the files, in words for the person who reads them."""

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EDQUOT, ENOSPC, EPERM, EROFS
from pathlib import Path

import duckdb

from wolkvox_assets.store.disk import LocksUnusable, NotReplaceable, require_locks
from wolkvox_assets.store.integrity import Damaged, Refused


class StoreError(Exception):
    """A change could not be stored or published. The message says what was kept and what to do."""


class StoreBusy(StoreError):
    """Somebody else has the store open, or the lock on it, and kept it."""


class StoreFull(StoreError):
    """No room on the disk."""


def in_use(error: BaseException) -> bool:
    """Whether another program has the file open. Raises `LocksUnusable` where it only looks so to DuckDB."""
    if not (isinstance(error, duckdb.IOException) and "Could not set lock on file" in str(error)):
        return False
    # DuckDB says the same where the file system has no locks at all.
    named = str(error).split('"')
    require_locks(Path(named[1]).parent if len(named) > 1 else Path())
    return True


@contextmanager
def stoppable() -> Iterator[None]:
    """Raises what the handler of a signal has raised during a query: who stops a run is not told of a failure.

    DuckDB puts an error of its own in its place.
    """
    try:
        yield
    except RuntimeError as error:
        stopped = error.__cause__
        if stopped is None or isinstance(stopped, Exception):
            raise
        raise stopped from None


@contextmanager
def explained(doing: str, folder: Path, patience_seconds: float) -> Iterator[None]:
    """Turns what DuckDB or the system raises inside into a `StoreError`."""
    try:
        with stoppable():
            yield
    except (duckdb.Error, OSError, LocksUnusable, NotReplaceable, Damaged, Refused) as error:
        raise _explained(error, doing, folder, patience_seconds) from error


def _explained(error: BaseException, doing: str, folder: Path, patience_seconds: float) -> StoreError:
    try:
        busy = in_use(error)
    except LocksUnusable as locks:
        error, busy = locks, False
    if isinstance(error, LocksUnusable | Refused):
        return StoreError(f"{doing}: {error} Nothing was changed.")
    if busy:
        return StoreBusy(
            f"{doing}: a file in {folder} is open in another program, which kept it for "
            f"{patience_seconds:.0f} s. Nothing of this change was stored; what was stored before is "
            f"intact. Close that program, and read {folder / 'wolkvox.duckdb'} instead: it can stay open. ({error})"
        )
    if disk_full(error):
        # The published file may be a link to another disk; a copy names both files.
        copied_to = getattr(error, "filename2", None)
        full = Path(copied_to).parent if copied_to else folder
        return StoreFull(
            f"{doing}: no room left on the disk of {full}. What was committed before is intact and "
            "wolkvox.duckdb is as it was. Make room (both files together, and once more the size "
            f"of the larger) and repeat the run: repeating is harmless. ({error})"
        )
    if isinstance(error, NotReplaceable):
        return StoreError(
            f"{doing}: {error} What was committed is intact, and the published file is as it was. Then repeat the run."
        )
    if isinstance(error, OSError) and error.errno in {EACCES, EPERM, EROFS}:
        return StoreError(
            f"{doing}: this user may not write there ({error}). What was committed before is intact. Change mode or "
            f"owner of {folder} and of what lies in it, mount it for writing, or set WOLKVOX_DATA_DIR; then repeat "
            "the run."
        )
    if isinstance(error, Damaged):
        return StoreError(
            f"{doing} in {folder} failed: what was written can't be trusted: {error}. It was not put in place. "
            "Repeat the run, repeating is harmless; if this continues, check the disk."
        )
    return StoreError(
        f"{doing} in {folder} failed: {error}. What was committed before is intact; "
        "repeat the run, repeating is harmless."
    )


def disk_full(error: BaseException) -> bool:
    """Whether there was no room, as the system says it or DuckDB."""
    if isinstance(error, OSError):
        return error.errno in {ENOSPC, EDQUOT}
    text = str(error)
    return (
        "No space left on device" in text or "Disk quota exceeded" in text or "disk is full" in text.lower()
    )
