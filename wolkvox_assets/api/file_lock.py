"""A lock that is a file: the operating system's (`flock`), so a process that dies gives it back, however it dies.

What belongs here: where the file lies, and taking it. What doesn't: what is locked, and in which order
(`token_lock.py`).

The files are in the machine's temporary directory (or, if that name is taken, in the user's home), not in the
project's, so that two projects, DAGSTER_HOMEs or data directories that use one token share them. Another machine,
container, user or TMPDIR does not see them: there the server's refusal (`TooManyAtOnce`) is all there is.
"""

import os
import pwd
import stat
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

from wolkvox_assets.api.errors import LockUnusable
from wolkvox_assets.report.clocks import Moment, moment


class LockFile:
    """The lock of this name. A new object for each time it is held: one that was made before a fork does not work
    after it. Raises `LockUnusable` where its directory or file cannot be used or trusted.
    """

    def __init__(self, name: str) -> None:
        self._file = FileLock(_directory() / name)
        self.begun = Moment("", 0)

    @property
    def busy(self) -> str:
        return f"another process uses the token (lock {self._file.lock_file})"

    def taken(self) -> bool:
        if self._file.is_locked:
            return True
        try:
            self._file.acquire(timeout=0)
            # Cleaners of temporary directories remove files nobody touched for days, also locked ones; then the next
            # process would lock another file of the same name.
            os.utime(self._file.lock_file)
        except Timeout:
            return False
        except OSError as error:
            raise LockUnusable(f"{self._file.lock_file}: {error}.") from error
        return True

    def request_begins(self, seconds: float) -> bool:
        self.begun = moment()
        return True  # whoever dies takes the request along: that is all that a machine can know

    def release(self) -> None:
        self._file.release()


def _directory() -> Path:
    """`wolkvox-assets-<uid>` in the temporary directory; where another user has taken that name, the state folder
    of our home.

    All processes of a user must come to the same one, so no variable that differs between a login and cron
    (`HOME`, `XDG_RUNTIME_DIR`) has a say, and what one finds taken all find taken: only its owner can give it up.
    """
    first = Path(tempfile.gettempdir()) / f"wolkvox-assets-{os.getuid()}"
    try:
        if first.lstat().st_uid == os.getuid():
            return _checked(first)
    except FileNotFoundError:
        return _checked(first)
    except OSError as error:
        raise LockUnusable(f"{first}: {error}.") from error
    try:
        second = Path(pwd.getpwuid(os.getuid()).pw_dir) / ".local" / "state" / "wolkvox-assets"
        second.parent.mkdir(parents=True, exist_ok=True)
        return _checked(second)
    except (
        KeyError,
        OSError,
        LockUnusable,
    ) as error:  # KeyError: a user without an entry, as in some containers
        raise LockUnusable(
            f"{first} belongs to another user, who alone can remove it, and the folder in its place cannot be "
            f"used either ({error}). Set TMPDIR to a folder of your own, for everything that uses this token."
        ) from None


def _checked(path: Path) -> Path:
    """The directory, made where it is not there. Anyone may write beside it, so it is looked at closely.

    Who owns the directory decides what the lock file is: a link to any file of ours, or no lock at all.
    """
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise LockUnusable(f"{path}: {error}.") from error
    if not stat.S_ISDIR(found.st_mode):
        raise LockUnusable(
            f"{path} is not a directory (a link does not count). Remove it; it will be created again."
        )
    if found.st_uid != os.getuid():
        raise LockUnusable(f"{path} belongs to user {found.st_uid}, not to us ({os.getuid()}).")
    if found.st_mode & 0o022:
        raise LockUnusable(
            f"{path} can be written to by others (mode {stat.S_IMODE(found.st_mode):o}). Remove it; it will be "
            "created again."
        )
    return path
