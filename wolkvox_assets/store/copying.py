"""Ways to have a file twice without writing all of it anew: what the file system and its readers allow."""

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from wolkvox_assets.store.disk import file_system
from wolkvox_assets.store.integrity import Layout

_FICLONE = (
    0x40049409  # from Linux's fs.h: "this file has the blocks of that one", copied when either is written to
)
_SUM = 8  # bytes: with what a block begins

# Those whose files nobody can open without this machine's kernel knowing it: not those that are served by another
# machine, or to another one below us.
_LOCAL = frozenset({"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "tmpfs", "xfs"})


def share(source: Path, new: Path) -> bool:
    """Makes the empty file `new` a copy of `source` that shares its blocks, where the file system can do that (XFS,
    btrfs). Returns whether."""
    with source.open("rb", buffering=0) as old, new.open("r+b", buffering=0) as copy:
        try:
            fcntl.ioctl(copy, _FICLONE, old.fileno())
        except OSError:
            return False
    return True


@cache
def readers_show(folder: Path) -> bool:
    """Whether this user can see if anybody, of any user, has a file in `folder` open."""
    return hasattr(fcntl, "F_SETLEASE") and file_system(folder) in _LOCAL


@contextmanager
def _nobody_else(descriptor: int) -> Iterator[bool]:
    """Whether this descriptor, for writing, is the only one of its file, mapped ones included. As long as it lasts, who
    opens the file waits for the end."""
    try:
        # What comes when somebody waits: a signal that nobody hears, in place of one that ends the process.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # type: ignore[attr-defined,unused-ignore]  # Linux
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def bring_up_to_date(
    file: Path, source: Path, layout: Layout, may_differ: Callable[[int], bool]
) -> set[int] | None:
    """Writes the blocks of `source` to `file` that are others there. Returns their numbers; None where somebody has
    `file` open: nothing was written then.

    Blocks that `may_differ` are compared to the last byte, of the others the checksums with which they begin. Those
    alone would not do: a change can leave them as they are.
    """
    start, size = layout.start, layout.block_size
    written = set()
    with (
        source.open("rb", buffering=0) as new,
        file.open("r+b", buffering=0) as old,
        _nobody_else(old.fileno()) as alone,
    ):
        if not alone:
            return None
        length = os.fstat(new.fileno()).st_size
        os.truncate(old.fileno(), length)
        for number in range(-1, -(-(length - start) // size)):  # the headers come first, as number -1
            at, most = (start + number * size, size) if number >= 0 else (0, start)
            compared = most if number < 0 or may_differ(number) else _SUM
            if os.pread(new.fileno(), compared, at) != os.pread(old.fileno(), compared, at):
                block = memoryview(os.pread(new.fileno(), most, at))
                while block:  # where a disk fills up, part of it is written first
                    done = os.pwrite(old.fileno(), block, at)
                    block, at = block[done:], at + done
                written.add(number)
    return written
