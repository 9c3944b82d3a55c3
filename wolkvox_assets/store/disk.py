"""What the file system can do, and who may read a file.

What belongs here: locks, mounts, modes and owners. What doesn't: what stands in a file.
"""

import fcntl
import logging
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

logger = logging.getLogger(__name__)


class LocksUnusable(Exception):
    """The file system of the data folder has no working locks."""


def require_locks(folder: Path) -> None:
    """Tries both kinds of lock on a nameless file in `folder`: the pipeline's (flock) and DuckDB's (fcntl).

    Raises `LocksUnusable`, with the file system and what to do.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_UN)
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            where = folder.absolute()
            raise LocksUnusable(
                f"the file system of {where} ({file_system(where)}) has no working file locks ({error}). "
                "Without them two programs could write at once. Set WOLKVOX_DATA_DIR to a folder on a local "
                "disk, and move the files there."
            ) from error


def file_system(path: Path) -> str:
    """Its type, as the system's list of mounts names it (`ext4`, `nfs4`, `cifs`); `unknown type` without one."""
    best, kind = Path(), "unknown type"
    for mount, its_kind in _mounts():
        if path.resolve().is_relative_to(mount) and len(mount.parts) >= len(best.parts):
            best, kind = mount, its_kind
    return kind


def is_mount(file: Path) -> bool:
    """Whether this very file is mounted: then no other file can take its name."""
    return any(mount == file.resolve() for mount, _ in _mounts())


def _mounts() -> list[tuple[Path, str]]:
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        before, _, after = line.partition(" - ")
        # Blanks and the like stand there as \040; all else, accents too, as it is.
        where = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), before.split()[4])
        found.append((Path(where), after.split()[0]))
    return found


def make_empty(file: Path) -> None:
    """Makes `file` anew, for its owner only: nobody else may look while it is written."""
    file.unlink(missing_ok=True)
    os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def same_access(new: Path, old: Path, mode: int | None = None) -> None:
    """Lets the same people at `new` as at `old`, which it is to replace: owner, group, mode, access lists.

    `mode`: what it gets where there is no `old`. As root the owner is kept, or is the folder's.
    """
    there = old.exists()
    model = (old if there else old.parent).stat()
    if os.geteuid() == 0:
        os.chown(new, model.st_uid, model.st_gid)
    elif there and new.stat().st_gid != model.st_gid:
        try:
            os.chown(new, -1, model.st_gid)
        except PermissionError:
            logger.warning(
                "%s belongs to group %d, which this user is not a member of: the group can't be kept, and its "
                "members can no longer read it. Add this user to the group, then change the file's group back.",
                old,
                model.st_gid,
            )
            new.chmod(stat.S_IMODE(model.st_mode) & ~0o070)
            return
    if there:
        shutil.copystat(old, new)
    elif mode is not None:
        new.chmod(mode)


def keep_private(file: Path) -> None:
    """Takes the rights of all others from a file of ours."""
    found = file.stat()
    if found.st_mode & 0o077 and found.st_uid == os.geteuid():
        file.chmod(0o600)


def flush(path: Path) -> None:
    """Waits until a file, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
