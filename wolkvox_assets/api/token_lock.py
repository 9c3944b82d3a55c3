"""The lock between processes: whoever holds it may send one request with the token.

What belongs here: where the lock lies, and taking it. What doesn't: threads of one process that share a
client (`client.py` has a lock for them), and Dagster's pools.

It has two lanes. Whoever is urgent takes the urgent lane and then the lock. Whoever is patient takes the lock only
while nobody is in the urgent lane, and looks once more when it has it: so an urgent request waits for the one that is
in flight and for no other, however many patient processes there are.

Both are the operating system's (`flock`), so a process that dies gives them back, however it dies. They lie in the
machine's temporary directory (or, where that name is taken, in the user's home), not in the project's, so that two
projects, DAGSTER_HOMEs or data directories that use one token share them. They do not reach over to another machine,
container, user or TMPDIR: there the server's refusal (`TooManyAtOnce`) is all there is.
"""

import hashlib
import logging
import os
import pwd
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import SecretStr

from wolkvox_assets.api.errors import LockUnusable

logger = logging.getLogger(__name__)

# The gap between two requests of a busy holder is about a millisecond: who polls seldom never finds it.
POLL_SECONDS = 0.01
SAY_SO_AFTER_SECONDS = 30.0

# Not secret: it only keeps our digests from being those of anyone else's table.
_SALT = b"wolkvox-assets token lock"
_ROUNDS = 20_000  # about 10 ms: a run for forty operations has forty tokens


class TokenLock:
    """The lock of one token. Makes its directory when it is first taken.

    `waiting_for`: who waits, in log lines (the operation's name). `sleep` (seconds): how to wait; what it raises
    ends the waiting. `urgent`: by the urgent lane.
    """

    def __init__(
        self,
        token: SecretStr,
        waiting_for: str,
        sleep: Callable[[float], None] = time.sleep,
        *,
        urgent: bool = False,
    ) -> None:
        # A plain digest could be checked against guessed tokens quickly; this one cannot.
        digest = hashlib.pbkdf2_hmac("sha256", token.get_secret_value().encode(), _SALT, _ROUNDS)
        self._name = digest.hex()[:32]
        self._waiting_for, self._sleep, self._urgent = waiting_for, sleep, urgent

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds the lock. Waits as long as it takes, and says so every 30 s.

        Raises `LockUnusable` where the directory or a file cannot be used or trusted.
        """
        directory = _directory()
        with ExitStack() as taken:
            # New objects each time: one that was made before a fork does not work after it.
            lane = FileLock(directory / f"{self._name}.urgent")
            lock = FileLock(directory / f"{self._name}.lock")
            if self._urgent:
                self._wait_for(taken, lambda: _taken(lane), lane)
                self._wait_for(taken, lambda: _taken(lock), lock)
            else:
                self._wait_for(taken, lambda: _free(lane) and _taken(lock) and _free(lane), lock)
            yield

    def _wait_for(self, taken: ExitStack, attempt: Callable[[], bool], lock: FileLock) -> None:
        """Repeats `attempt` to take `lock` until it is true; `taken` then lets go of it in the end."""
        began = said = time.monotonic()
        while True:
            try:
                with ExitStack() as attempted:
                    attempted.callback(lock.release)
                    if attempt():
                        taken.push(attempted.pop_all())
                        return
            except OSError as error:
                raise LockUnusable(f"{lock.lock_file}: {error}.") from error
            if time.monotonic() - said >= SAY_SO_AFTER_SECONDS:
                said = time.monotonic()
                logger.info(
                    "Operation %r has waited %.0f s for its turn: another process uses the token (lock %s).",
                    self._waiting_for,
                    said - began,
                    lock.lock_file,
                )
            self._sleep(POLL_SECONDS)


def _taken(lock: FileLock) -> bool:
    """Whether it could be taken just now."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    # Cleaners of temporary directories remove files nobody touched for days, also locked ones; then the next
    # process would lock another file of the same name.
    os.utime(lock.lock_file)
    return True


def _free(lane: FileLock) -> bool:
    """Whether nobody is in it."""
    if not _taken(lane):
        return False
    lane.release()
    return True


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
            f"used either ({error}). Set TMPDIR to a folder of your own, for all that uses this token."
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
        raise LockUnusable(f"{path} is not a directory (a link does not count). Remove it: it is made anew.")
    if found.st_uid != os.getuid():
        raise LockUnusable(f"{path} belongs to user {found.st_uid}, not to us ({os.getuid()}).")
    if found.st_mode & 0o022:
        raise LockUnusable(
            f"{path} can be written to by others (mode {stat.S_IMODE(found.st_mode):o}). Remove it: it is made anew."
        )
    return path
