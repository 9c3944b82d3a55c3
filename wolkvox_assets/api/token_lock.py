"""The lock between processes: whoever holds it may send one request with the token.

What belongs here: the two lanes, and waiting. What doesn't: what a lock is made of (`file_lock.py`; for several
machines `postgres_lock.py`), threads of one process that share a client (`client.py` has a lock for them), and
Dagster's pools.

It has two lanes. Whoever is urgent takes the urgent lane and then the lock. Whoever is patient takes the lock only
while nobody is in the urgent lane, and looks once more when it has it: so an urgent request waits for the one that is
in flight and for no other, however many patient processes there are.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

from pydantic import SecretStr

from wolkvox_assets.api.file_lock import LockFile
from wolkvox_assets.report.clocks import Moment

logger = logging.getLogger(__name__)

# The gap between two requests of a busy holder is about a millisecond: who polls seldom never finds it.
POLL_SECONDS = 0.01
SAY_SO_AFTER_SECONDS = 10.0
SAY_SO_AGAIN_SECONDS = 60.0

# Not secret: it only keeps our digests from being those of anyone else's table.
_SALT = b"wolkvox-assets token lock"
_ROUNDS = 20_000  # about 10 ms: a run for forty operations has forty tokens


class Lock(Protocol):
    """What processes share, one at a time. Each method raises `LockUnusable` where it cannot be used or trusted."""

    @property
    def busy(self) -> str:
        """Why it could not be had, for a log line."""

    @property
    def begun(self) -> Moment:
        """When `request_begins` was true: of two requests, on whichever machines that share it, the later has more."""

    def taken(self) -> bool:
        """Whether it is ours, be it from just now on or from before."""

    def request_begins(self, seconds: float) -> bool:
        """Whether a request may be sent now, since nobody's can be in flight; it is over after so many seconds."""

    def release(self) -> None:
        """Lets go of it, if it is ours. What goes wrong is logged: the request has been answered."""


class TokenLock:
    """The lock of one token.

    `waiting_for`: who waits, in log lines (the operation's name). `sleep` (seconds): how to wait; what it raises
    ends the waiting. `urgent`: by the urgent lane. `postgres`: the database where all machines that use the token find
    the lock, as libpq takes it; without one it is a file of this machine.
    """

    def __init__(
        self,
        token: SecretStr,
        waiting_for: str,
        sleep: Callable[[float], None] = time.sleep,
        *,
        urgent: bool = False,
        postgres: SecretStr | None = None,
    ) -> None:
        # A plain digest could be checked against guessed tokens quickly; this one cannot.
        digest = hashlib.pbkdf2_hmac("sha256", token.get_secret_value().encode(), _SALT, _ROUNDS)
        self._name = digest.hex()[:32]
        self._waiting_for, self._sleep, self._urgent = waiting_for, sleep, urgent
        self._postgres = postgres

    @contextmanager
    def held(self, seconds: float) -> Iterator[Moment]:
        """Holds the lock for one request that is over after `seconds` at most; yields when that began. Waits as long as
        it takes, and says so now and then. Raises `LockUnusable` where the lock cannot be used or trusted.
        """
        lane, lock = self._lock("urgent"), self._lock("lock")
        with ExitStack() as at_the_end:
            at_the_end.callback(lane.release)
            at_the_end.callback(lock.release)
            began = time.monotonic()
            say_so_at = began + SAY_SO_AFTER_SECONDS
            while not (_its_turn(lane, lock, urgent=self._urgent) and lock.request_begins(seconds)):
                lock.release()
                if (now := time.monotonic()) >= say_so_at:
                    say_so_at = now + SAY_SO_AGAIN_SECONDS
                    # Below a warning, Dagster's runs show nothing of it.
                    logger.warning(
                        "Operation %r has waited %.0f s for its turn to make a request: %s. It goes on by itself.",
                        self._waiting_for,
                        now - began,
                        lock.busy,
                    )
                self._sleep(POLL_SECONDS)
            yield lock.begun

    def _lock(self, which: str) -> Lock:
        if self._postgres is None:
            return LockFile(f"{self._name}.{which}")
        from wolkvox_assets.api.postgres_lock import PostgresLock  # with the extra `scale` only

        return PostgresLock(self._postgres, f"{self._name}.{which}")


def _its_turn(lane: Lock, lock: Lock, *, urgent: bool) -> bool:
    """Whether the lock is ours, and nobody goes before us."""
    if urgent:
        return lane.taken() and lock.taken()
    return _free(lane) and lock.taken() and _free(lane)


def _free(lane: Lock) -> bool:
    """Whether nobody is in it."""
    if not lane.taken():
        return False
    lane.release()
    return True
