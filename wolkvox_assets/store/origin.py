"""Whether `store.duckdb` is the file that our own processes left there.

What belongs here: the note beside it that tells. What doesn't: what follows from it (`files.py`).

A copy that was made while a run stored something consists of blocks of several commits. Each is whole, so its checksum
tells nothing, and the numbers are wrong. An older store that was put back is whole, and older than what readers had.
Neither is the file of the note; and the published file is always a whole copy, made under another name.

Not told: after a change that was begun and not published, a copy whose file got the inode number of the first, or that
was written into it.
"""

from contextlib import suppress
from pathlib import Path

from wolkvox_assets.store.disk import flush, make_empty


def about_to_change(own: Path, file: Path | None = None) -> None:
    """From now on `own` may be ahead of the published file. `file`: what takes its place, if another one does.

    The note reaches the disk before the change does: else, after a power cut, what is committed would count as put
    there by somebody else.
    """
    if _note(own, f"{(file or own).stat().st_ino}"):
        flush(_file(own))


def left(own: Path) -> None:
    """It is published as it is now. Where that can't be noted, it is compared with the published file."""
    with suppress(OSError):
        found = own.stat()
        _note(own, f"{found.st_ino} {found.st_mtime_ns}")


def is_ours(own: Path) -> bool:
    """Whether nobody else put it there or wrote in it, as far as that is noted."""
    found = own.stat()
    noted = _noted(own).split()
    # A copy over the same file has another time: that of now, or of when it was begun. Not the time of change of the
    # inode: whoever makes a backup by a second name, or changes the mode, sets that and leaves the content.
    at_last = [f"{found.st_ino}", f"{found.st_mtime_ns}"]
    return noted in (at_last[:1], at_last)


def _note(own: Path, text: str) -> bool:
    """Returns whether something else was noted before."""
    if _noted(own) == text:
        return False
    make_empty(_file(own))
    _file(own).write_text(text)
    return True


def _noted(own: Path) -> str:
    try:
        return _file(own).read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _file(own: Path) -> Path:
    return own.with_name(f"{own.name}.origin")
