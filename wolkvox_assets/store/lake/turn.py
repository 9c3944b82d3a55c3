"""Whose turn it is to store something in the lake: one commit at a time, on all machines.

What belongs here: that lock, in Postgres. What doesn't: what is stored (`store.py`).

It is held by an open transaction of Postgres (`pg_advisory_xact_lock`): it ends with the connection, and so with
the process or the machine, and a pooler between (PgBouncer) keeps it on one connection.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg2
from psycopg2.extensions import connection

from wolkvox_assets.api.postgres import connect
from wolkvox_assets.store.errors import StoreBusy
from wolkvox_assets.store.lake.place import Lake

logger = logging.getLogger(__name__)

# A commit takes a fraction of a second; minutes of waiting mean that something is wrong, and a person should hear.
PATIENCE_SECONDS = 600.0
SAY_SO_AFTER_SECONDS = 10.0

# A signal's longest wait: psycopg2 tells of it only between two calls.
_ASK_AGAIN_SECONDS = 1

# Any number that nobody else in this database uses.
_KEY = 0x776F6C6B  # "wolk"

# A machine that has lost its power says nothing: after 40 s Postgres lets go of what it held.
_TOLD = (
    "SET LOCAL tcp_keepalives_idle = 20; SET LOCAL tcp_keepalives_interval = 5; SET LOCAL tcp_keepalives_count = 4;"
    " SET LOCAL idle_in_transaction_session_timeout = 0"
)

# The holder's transaction is as old as its turn, but for the second in which it asks again.
_HOLDER = """
SELECT COALESCE(NULLIF(application_name, ''), 'somebody'), pid, xact_start AT TIME ZONE 'UTC'
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = %s AND objsubid = 1
AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND xact_start IS NOT NULL
"""
_WAITS = "Waiting for the turn to store something in the lake, for %.0f s so far: %s. It goes on by itself."

_one_thread = threading.Lock()
# By process: a forked one must not use its parent's. (psycopg2 itself keeps it from closing that.)
_open: dict[tuple[int, str], connection] = {}


class TurnLost(Exception):
    """The connection that held the lock is broken: another process may be storing something now."""


@contextmanager
def turn(lake: Lake) -> Iterator[Callable[[], None]]:
    """Holds the lock. What it yields raises `TurnLost` where it was lost meanwhile: call it just before committing.

    Raises `StoreBusy` after a while, and `psycopg2.Error` where Postgres can't be reached.
    """
    began = time.monotonic()
    one_thread = _one_thread
    if not one_thread.acquire(timeout=SAY_SO_AFTER_SECONDS):
        logger.warning(_WAITS, SAY_SO_AFTER_SECONDS, "another thread of this process has it")
        if not one_thread.acquire(timeout=max(0.0, PATIENCE_SECONDS - SAY_SO_AFTER_SECONDS)):
            raise StoreBusy(_too_long())
    try:
        con = _connection(lake)
        try:
            _lock(con, began)
            yield lambda: _still_ours(con)
        finally:
            _let_go(lake, con)
    finally:
        one_thread.release()


@contextmanager
def asking(lake: Lake) -> Iterator[connection]:
    """A connection of its own to the lake's Postgres, for questions. Raises `psycopg2.Error`."""
    con = connect(lake.postgres)
    try:
        yield con
    finally:
        con.close()


def _connection(lake: Lake) -> connection:
    """The process's, if it is still good for anything, else a new one. A transaction has begun on it."""
    address = lake.postgres.get_secret_value()
    kept = _open.get((os.getpid(), address))
    if kept is not None:
        try:
            return _told(kept)
        except psycopg2.Error:  # Postgres was started anew since, or cut it off
            _let_go(lake, kept)
    con = connect(lake.postgres)
    _open[os.getpid(), address] = con
    return _told(con)


def _told(con: connection) -> connection:
    with con.cursor() as cursor:
        cursor.execute(_TOLD)
        cursor.execute(f"SET LOCAL lock_timeout = '{_ASK_AGAIN_SECONDS}s'")
    return con


def _lock(con: connection, began: float) -> None:
    said = False
    while True:
        try:
            with con.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_KEY])
        except psycopg2.errors.LockNotAvailable:
            con.rollback()
            waited = time.monotonic() - began
            if waited > PATIENCE_SECONDS:
                raise StoreBusy(_too_long()) from None
            _told(con)
            if waited > SAY_SO_AFTER_SECONDS and not said:
                said = True
                logger.warning(_WAITS, waited, _holder(con))
        else:
            return


def _holder(con: connection) -> str:
    with con.cursor() as cursor:
        cursor.execute(_HOLDER, [_KEY])
        found = cursor.fetchall()
    for name, process, since in found:
        return f"{name} has had it since {since:%Y-%m-%d %H:%M:%S} UTC (in Postgres: process {process})"
    return "others have it in turns"


def _still_ours(con: connection) -> None:
    try:
        with con.cursor() as cursor:
            cursor.execute("SELECT 1")
    except psycopg2.Error as error:
        raise TurnLost(
            "the connection to the lake's Postgres broke, and with it the turn to store something "
            f"({' '.join(str(error).split())})"
        ) from None


def _let_go(lake: Lake, con: connection) -> None:
    try:
        con.rollback()
    except psycopg2.Error:
        _open.pop((os.getpid(), lake.postgres.get_secret_value()), None)
        with suppress(psycopg2.Error):
            con.close()


def _anew() -> None:
    global _one_thread  # a thread of the parent may have had it
    _one_thread = threading.Lock()


os.register_at_fork(after_in_child=_anew)


def _too_long() -> str:
    return (
        f"waited {PATIENCE_SECONDS:.0f} s for the turn to store something in the lake, which another process of this "
        "pipeline has. Nothing of this change was stored. Look for a run that hangs, on any machine (in Postgres: "
        "pg_locks, locktype advisory), stop it, and repeat; the lock of a process that has ended never blocks."
    )
