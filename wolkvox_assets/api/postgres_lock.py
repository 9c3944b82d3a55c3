"""A lock in Postgres, for all machines that use it: an advisory lock, and a lease beside it.

What belongs here: the connection, its locks, the table of leases. What doesn't: what is locked, and in which order
(`token_lock.py`).

The advisory lock is let go of with the connection that holds it, whatever becomes of the process. The request that it
was held for can then still be on its way: the process may be alive and only the connection lost (or all of them, when
Postgres is restarted), and of a killed one the server goes on answering. So whoever sends a request first commits a
lease, and deletes it when the answer is there; a lease of somebody else is waited for until it is over. How long it
still lasts is asked of Postgres's clock, once, and never counts for more than the whole lease. From then on our own
monotonic clock counts. So no clock that is set back blocks anybody for ever, and one that is set ahead lets two in only
where the advisory lock was lost in the same two minutes.

A process has one connection, for all of its tokens: a connection for each would be hundreds.
"""

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal, NamedTuple, TypeVar

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812  (a class with a small initial)
from pydantic import SecretStr

from wolkvox_assets.api.errors import LockUnreachable
from wolkvox_assets.api.postgres import Trouble, this_process, trouble, words
from wolkvox_assets.report.clocks import Moment

logger = logging.getLogger(__name__)

T = TypeVar("T")

GIVE_UP_SECONDS = 60.0  # a restart of Postgres takes less
RECONNECT_SECONDS = 0.5

SPARE_SECONDS = 5.0
"""What a lease lasts longer than its request: for the way from here to Postgres and back."""

# Where the address says nothing else. A connection whose other end is gone is noticed within this time.
_CONNECTING = {
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
# A lease that is lost with Postgres's memory protects nothing. Idle is what a connection is while the API answers.
_SETTINGS = """
SET statement_timeout = '10s';
SET lock_timeout = '10s';
SET synchronous_commit = on;
SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout';
"""
# Taken one after the other: two that make the same schema at once get an error, IF NOT EXISTS or not.
_SCHEMA = """
SELECT pg_advisory_xact_lock(hashtextextended('wolkvox_assets schema', 0));
CREATE SCHEMA IF NOT EXISTS wolkvox_assets;
CREATE TABLE IF NOT EXISTS wolkvox_assets.token_leases (
    lock BIGINT PRIMARY KEY,
    holder TEXT NOT NULL,
    until TIMESTAMPTZ NOT NULL,
    seconds DOUBLE PRECISION NOT NULL
);
-- Counts all requests, on whichever machine, in their order: each as a second in nanoseconds, so that the numbers can
-- stand for moments. Should this schema be dropped and made again, the count has another name.
CREATE SEQUENCE IF NOT EXISTS wolkvox_assets.requests INCREMENT BY 1000000000;
CREATE TABLE IF NOT EXISTS wolkvox_assets.request_count (name TEXT NOT NULL);
INSERT INTO wolkvox_assets.request_count
SELECT gen_random_uuid()::text WHERE NOT EXISTS (SELECT FROM wolkvox_assets.request_count);
COMMENT ON TABLE wolkvox_assets.token_leases IS
    'A row for each request to Wolkvox that is on its way: no other with the same token is sent until it is over.';
"""
_LEASE = """
INSERT INTO wolkvox_assets.token_leases AS lease
VALUES (%(lock)s, %(holder)s, clock_timestamp() + make_interval(secs => %(seconds)s), %(seconds)s)
ON CONFLICT (lock) DO UPDATE SET holder = excluded.holder, until = excluded.until, seconds = excluded.seconds
WHERE lease.holder = %(over)s
RETURNING (SELECT name FROM wolkvox_assets.request_count), nextval('wolkvox_assets.requests')
"""
_OTHERS_LEASE = """
SELECT holder, greatest(0, least(extract(epoch FROM until - clock_timestamp()), seconds))::double precision
FROM wolkvox_assets.token_leases WHERE lock = %(lock)s
"""
_USER = """
SELECT holder, (until - make_interval(secs => seconds)) AT TIME ZONE 'UTC'
FROM wolkvox_assets.token_leases WHERE lock = %(lock)s
"""
# Not waited for until it is on the disk: a lease that comes back is over in time.
_FORGET = "DELETE FROM wolkvox_assets.token_leases WHERE holder = ANY(%(over)s)"
_RELEASE = f"""
{_FORGET};
SELECT set_config('synchronous_commit', 'off', true), pg_advisory_unlock(%(lock)s)
"""


class PostgresLock:
    """The lock of this name (hexadecimal digits that stand for the token, a dot, which of its locks).

    Raises `LockUnreachable` where Postgres has not answered for a minute, or refuses what is needed.
    """

    def __init__(self, address: SecretStr, name: str) -> None:
        digest, _, which = name.partition(".")
        # Two locks from the 128 bits that stand for the token, of 64 bits each as Postgres takes them.
        part = digest[:16] if which == "lock" else digest[16:32]
        self._key = int.from_bytes(bytes.fromhex(part), signed=True)
        self._database = _database(os.getpid(), address)
        self._session: _Session | None = None
        self._lease: str | None = None
        self._others: _OthersLease | None = None
        self._failing_since: float | None = None
        self.begun = Moment("", 0)

    @property
    def busy(self) -> str:
        if self._failing_since is not None:
            return "the lock's Postgres can't be reached"
        if self._others is not None:
            rest = max(0.0, self._others.over_at - time.monotonic())
            who = self._others.holder.rpartition(" ")[0]
            return f"a request of {who} may be on its way for another {rest:.0f} s"
        return self._tried(self._user) or "another process uses the token (lock in Postgres)"

    def _user(self, session: "_Session") -> str:
        for holder, since in session.rows(_USER, {"lock": self._key}):
            return f"{holder.rpartition(' ')[0]} uses the token, for a request since {since:%Y-%m-%d %H:%M:%S} UTC"
        return ""

    def taken(self) -> bool:
        return self._tried(self._take)

    def _take(self, session: "_Session") -> bool:
        if self._session is not session:  # what was taken by another connection went with it
            self._session = session if session.took(self._key) else None
        return self._session is not None

    def request_begins(self, seconds: float) -> bool:
        return self._tried(lambda session: self._lease_begins(session, seconds + SPARE_SECONDS))

    def _lease_begins(self, session: "_Session", seconds: float) -> bool:
        if session is not self._session:
            return False
        began = time.monotonic()
        holder = f"{this_process()} {secrets.token_hex(8)}"
        over = self._others.holder if self._others and self._others.over_at <= began else None
        wanted = {"lock": self._key, "holder": holder, "seconds": seconds, "over": over}
        self._lease = holder  # before it is known what became of the statement
        if begun := session.rows(_LEASE, wanted):
            self.begun = Moment(*begun[0])
            # One that was long on its way would be over before the request is.
            return time.monotonic() - began < SPARE_SECONDS / 2
        self._lease = None
        for other, rest in session.rows(_OTHERS_LEASE, wanted):
            if self._others is None or self._others.holder != other:
                self._others = _OthersLease(other, time.monotonic() + rest)
        return False

    def release(self) -> None:
        session, self._session = self._session, None
        lease, self._lease = self._lease, None
        if session is not None:
            self._database.release(session, self._key, lease)

    def _tried(self, action: Callable[["_Session"], T]) -> T | Literal[False]:
        """What `action` says; False while there is no connection, which is no error until it has lasted a minute."""
        try:
            with self._database.session() as session:
                if session is None:
                    return False
                done = action(session)
        except psycopg2.Error as problem:
            said, may_pass = self._database.trouble(problem)
            if self._failing_since is None:
                self._failing_since = time.monotonic()
                logger.warning("The token's lock in Postgres cannot be taken now (%s). Trying again.", said)
            lasted = time.monotonic() - self._failing_since
            if lasted >= GIVE_UP_SECONDS or not may_pass:
                raise LockUnreachable(f"{said[0].upper()}{said[1:]}.") from None
            return False
        self._failing_since = None
        return done


class _OthersLease(NamedTuple):
    """A lease that was found. `over_at`: by our monotonic clock."""

    holder: str
    over_at: float


class _Session:
    """A connection, and the locks that this process holds by it: Postgres gives them to the same connection twice."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.held: set[int] = set()
        connection.autocommit = True
        ((self._process,),) = self.rows("SELECT pg_backend_pid()")

    def rows(self, statement: str, values: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def took(self, key: int) -> bool:
        """Whether the advisory lock could be taken just now."""
        if key in self.held:
            return False
        ((process, taken),) = self.rows(
            "SELECT pg_backend_pid(), pg_try_advisory_lock(%(lock)s)", {"lock": key}
        )
        if process != self._process:
            raise LockUnreachable(
                "Something between here and Postgres changes the connection from one statement to the next, as "
                "pgbouncer does in transaction mode; locks don't work through that. Connect to Postgres directly."
            )
        if taken:
            self.held.add(key)
        return bool(taken)

    def close(self) -> None:
        self._connection.close()


class _Database:
    """The one connection of this process, made again when it breaks. Threads take turns."""

    def __init__(self, address: SecretStr) -> None:
        self._address, self._words = address, words(address, _CONNECTING)
        self._turn = threading.Lock()
        self._session: _Session | None = None
        self._not_before = 0.0
        self._over: set[str] = set()  # leases of ours whose requests have ended

    @contextmanager
    def session(self) -> Iterator[_Session | None]:
        """The connection; None shortly after it could not be had."""
        with self._turn:
            if self._session is None:
                if time.monotonic() < self._not_before:
                    yield None
                    return
                self._not_before = time.monotonic() + RECONNECT_SECONDS
                self._session = self._connected()
                self._not_before = 0.0
            try:
                yield self._session
            except BaseException:  # also an interrupt: what became of the statement is not known
                self._session.close()
                self._session = None
                raise

    def release(self, session: _Session, key: int, lease: str | None) -> None:
        """Lets go of a lock that this connection may still hold, and of its lease, by whatever connection."""
        if lease is not None:
            self._over.add(lease)
        problem = ""
        for _ in range(2):  # the first time may only show that the connection broke
            try:
                if self._released(session, key):
                    return
            except psycopg2.Error as error:
                problem = f" ({self.trouble(error).said})"
        if lease is not None:
            logger.warning(
                "The answer is there, but Postgres can't be told%s that the token is free again. It is as soon as "
                "this process reaches Postgres, or in two minutes.",
                problem,
            )

    def _released(self, session: _Session, key: int) -> bool:
        with self.session() as current:
            if current is session:
                current.rows(_RELEASE, {"over": list(self._over), "lock": key})
                current.held.discard(key)
                self._over.clear()
            elif current is not None:
                self._forget(current)
        return current is not None

    def trouble(self, problem: psycopg2.Error) -> Trouble:
        return trouble(problem, self._address)

    def _connected(self) -> _Session:
        session = _Session(psycopg2.connect(**self._words))
        session.rows(_SETTINGS)
        if session.rows("SELECT to_regclass('wolkvox_assets.token_leases')") == [(None,)]:
            session.rows(_SCHEMA)
        self._forget(session)
        return session

    def _forget(self, session: _Session) -> None:
        if self._over:
            session.rows(_FORGET, {"over": list(self._over)})
            self._over.clear()


@cache
def _database(_process: int, address: SecretStr) -> _Database:
    """This process's: a forked one must not speak by its parent's connection."""
    return _Database(address)
