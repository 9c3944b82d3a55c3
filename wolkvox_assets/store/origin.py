"""Whether `store.duckdb` is the file that our own processes left there.

What belongs here: the note beside it that tells. What doesn't: what follows from it (`files.py`).

A copy that was made while a run stored something consists of blocks of several commits. Each is whole, so its checksum
tells nothing, and the numbers are wrong. An older store that was put back is whole, and older than what readers had.
Neither is the file of the note; and the published file is always a whole copy, made under another name.

Not told: after a change that was begun and not published, a copy of several commits whose file got the inode number of
the first, or that was written into it.
"""

from contextlib import suppress
from pathlib import Path

from wolkvox_assets.store.disk import flush, make_empty
from wolkvox_assets.store.integrity import layout_of

_BEGUN, _LEFT = "begun", "left"


def about_to_change(own: Path, file: Path | None = None) -> None:
    """From now on `own` may be ahead of the published file. `file`: what takes its place, if another one does.

    The note reaches the disk before the change does: else, after a power cut, what is committed would count as put
    there by somebody else. Of a change that was begun before and not published it is kept, and not put at risk.
    """
    changed = file or own
    if not _was_begun(own, changed):
        _note(own, f"{_BEGUN} {changed.stat().st_ino} {_checkpoint(changed)}")
        flush(_file(own))


def left(own: Path) -> None:
    """It is published as it is now. Where that can't be noted, it is compared with the published file."""
    with suppress(OSError):
        _note(own, _as_it_is(own))


def is_ours(own: Path) -> bool:
    """Whether nobody else put it there or wrote in it, as far as that is noted."""
    return _noted(own) == _as_it_is(own) or _was_begun(own, own)


def _as_it_is(own: Path) -> str:
    """A copy over the same file has another time: that of now, or of when it was begun. Not the time of change of the
    inode: whoever makes a backup by a second name, or changes the mode, sets that and leaves the content.
    """
    found = own.stat()
    return f"{_LEFT} {found.st_ino} {found.st_mtime_ns}"


def _was_begun(own: Path, changed: Path) -> bool:
    """Whether a change of this file is noted, and it is not older than that."""
    what, _, state = _noted(own).partition(" ")
    inode, _, checkpoint = state.partition(" ")
    return (
        what == _BEGUN
        and inode == f"{changed.stat().st_ino}"
        and checkpoint.isdecimal()
        and _checkpoint(changed) >= int(checkpoint)
    )


def _checkpoint(file: Path) -> int:
    """Each one that a file goes through adds one."""
    layout = layout_of(file)
    return 0 if layout is None else layout.checkpoint


def _note(own: Path, text: str) -> None:
    make_empty(_file(own))
    _file(own).write_text(text)


def _noted(own: Path) -> str:
    try:
        return _file(own).read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _file(own: Path) -> Path:
    return own.with_name(f"{own.name}.origin")
