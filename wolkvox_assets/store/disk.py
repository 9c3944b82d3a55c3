"""What the file system can do, and who may read a file."""

import fcntl
import logging
import os
import re
import shutil
import stat
import tempfile
import threading
from contextlib import suppress
from errno import ENOTDIR
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)


# How long a lock that nobody holds may take.
_LOCK_SECONDS = 1.5


class LocksUnusable(Exception):
    """The file system of the data folder has no working locks."""


class NotReplaceable(Exception):
    """No other file can take the name of this one. Says why and what to do."""


def require_locks(folder: Path) -> None:
    """Tries both kinds of lock on a nameless file in `folder`: the pipeline's (flock) and DuckDB's (fcntl).

    Raises `LocksUnusable`, with the file system and what to do.
    """
    faults: list[OSError] = []
    with tempfile.TemporaryFile(dir=folder) as file:
        # A lock can hang within the system, where nothing reaches it: then the thread stays, and ends with the process.
        trial = threading.Thread(target=_try_locks, args=(file.fileno(), faults), daemon=True)
        trial.start()
        trial.join(_LOCK_SECONDS)
        if trial.is_alive():
            faults.append(TimeoutError(f"no answer within {_LOCK_SECONDS:.1f} s"))
    if faults:
        where = folder.absolute()
        raise LocksUnusable(
            f"the file system of {where} ({file_system(where)}) has no working file locks ({faults[0]}). "
            "Without them two programs could write at once. Set WOLKVOX_DATA_DIR to a folder on a local "
            "disk, and move the files there."
        ) from faults[0]


def _try_locks(descriptor: int, faults: list[OSError]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        faults.append(error)


@cache
def locks_tried(folder: Path) -> None:
    """`require_locks`, once in a process: what a file system can do stays."""
    require_locks(folder)


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


def target_of(file: Path) -> Path:
    """Where a name leads to, over links. Raises `NotReplaceable` where they lead in a circle."""
    try:
        target = file.resolve()
    except RuntimeError:  # before Python 3.13; it is a link to itself from then on
        target = file
    if target.is_symlink():
        raise NotReplaceable(f"{file} is a link that leads in a circle. Remove it.")
    return target


def obstacle(file: Path) -> str:
    """Why this user can't put another file in the place of `file`, and what to do; empty where nothing is known."""
    try:
        target = target_of(file)
    except NotReplaceable as error:
        return str(error)
    folder = target.parent
    if is_mount(target):
        return f"{target} is a mount of its own, and can't be replaced. Mount its folder instead."
    if target.is_dir():
        return f"{target} is a folder. Move it away."
    if not folder.exists():
        return f"{file} is a link into {folder}, which is not there. Make that folder, or remove the link."
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"this user cannot write in {folder}. Change its mode or owner, or mount it for writing."
    sticky = folder.stat().st_mode & stat.S_ISVTX
    if sticky and target.exists() and os.geteuid() not in {0, folder.stat().st_uid, target.stat().st_uid}:
        return f"{target} is another user's, in a folder where only that user may replace it. Move it away."
    return ""


def nearest(folder: Path) -> Path:
    """This folder, or what it is to be made in. A link that leads nowhere counts as there: nothing is made in it."""
    return next(path for path in (folder, *folder.parents) if path.exists() or path.is_symlink())


def make_folder(folder: Path) -> None:
    """Makes `folder`, and what it lies in, for this user; its group may read, whatever the umask."""
    for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        try:
            missing.mkdir(mode=0o750)
        except FileExistsError:
            continue  # another process was quicker
        missing.chmod(0o750)
    if not folder.is_dir():
        raise NotADirectoryError(ENOTDIR, "it is no folder", str(folder))


def make_empty(file: Path) -> None:
    """Makes `file` anew, for its owner only: nobody else may look while it is written."""
    file.unlink(missing_ok=True)
    os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def same_access(new: Path, old: Path, mode: int | None = None) -> None:
    """Lets the same people at `new` as at `old`, which it is to replace: owner, group, mode, access lists.

    `mode`: what it gets where there is no `old`. As root its owner and group are the folder's then.
    """
    there = old.exists()
    model = (old if there else old.parent).stat()
    if there or os.geteuid() == 0:
        _give(new, model)
    if not there:
        if mode is not None:
            new.chmod(mode)
        return
    if new.stat().st_gid == model.st_gid:
        shutil.copystat(old, new)
    else:
        # The rights of its group are not to become those of another.
        new.chmod(stat.S_IMODE(model.st_mode) & ~0o070)
    if lost := access_lost(new.stat(), model):
        logger.warning("%s: %s", old, lost)


def access_lost(found: os.stat_result, model: os.stat_result) -> str:
    """Who can no longer get at a file that has owner and group of `found` in place of those of `model`; or nothing."""
    lost = []
    if found.st_uid != model.st_uid and model.st_mode & stat.S_IRWXU:
        lost.append(
            f"it belongs to user {model.st_uid}, and only root could keep that: its owner becomes user "
            f"{found.st_uid}, and user {model.st_uid} keeps only what its group or everybody may do"
        )
    if found.st_gid != model.st_gid and model.st_mode & stat.S_IRWXG:
        lost.append(
            f"its group {model.st_gid} can't be kept by this user, who is not in it, and its members can no longer "
            "read it. Add this user to that group, then give the file back to the group (chgrp), with mode 640"
        )
    return "; ".join(lost)


def _give(new: Path, model: os.stat_result) -> None:
    """Owner and group of `model`, as far as this user may."""
    for owner, group in ((model.st_uid, model.st_gid), (-1, model.st_gid)):
        found = new.stat()
        if owner not in {-1, found.st_uid} or group != found.st_gid:
            with suppress(PermissionError):
                os.chown(new, owner, group)


def keep_private(file: Path) -> None:
    """Takes the rights of all others from a file of ours, if it is there."""
    with suppress(FileNotFoundError):
        found = file.stat()
        if found.st_mode & 0o077 and os.geteuid() in {0, found.st_uid}:
            file.chmod(stat.S_IMODE(found.st_mode) & 0o700)


def flush(path: Path) -> None:
    """Waits until a file, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
