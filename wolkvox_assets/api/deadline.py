"""The total deadline of a request: it holds whatever the server does.

What belongs here: ending a connection when its time is up. What doesn't: how much time there is (`client.py`).

A timeout of requests starts anew with each byte, also within a status line, a header, a chunk's extension or a gzip
member without content. So a watchdog shuts the connection down from outside, which ends any read or write at once,
a TLS handshake's and a proxy's answer to CONNECT included. Two things come before there is a connection, and can't be
ended so: looking up a name, for which the resolver has timeouts of its own, and connecting, which takes up to
`client.CONNECT_SECONDS` for each of the name's addresses.
"""

import math
import os
import socket
import threading
import time
from contextlib import suppress
from functools import cache
from types import TracebackType
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, PoolManager

_current = threading.local()


class Deadline:
    """For the request that this thread makes within it. `seconds`: from now on."""

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self.at = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._watched: socket.socket | None = None

    def watch(self, connection: socket.socket) -> None:
        """This connection is the one to end. A copy of its descriptor: TLS takes the socket itself over."""
        with self._lock:
            self._let_go()
            self._watched = socket.socket(fileno=os.dup(connection.fileno()))
            if self.is_over:
                self._shut()

    def __enter__(self) -> Self:
        _current.deadline = self
        _watchdog(os.getpid()).add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.deadline = None
        _watchdog(os.getpid()).remove(self)
        with self._lock:
            self._let_go()

    def end(self) -> None:
        """The time is up: ends the connection."""
        with self._lock:
            self.is_over = True
            self._shut()

    def _shut(self) -> None:
        if self._watched is not None:
            with suppress(OSError):  # ended already
                self._watched.shutdown(socket.SHUT_RDWR)

    def _let_go(self) -> None:
        if self._watched is not None:
            self._watched.close()
            self._watched = None


class _Watchdog:
    """One thread for all deadlines: to start one for each request took a third of what that costs."""

    def __init__(self) -> None:
        self._deadlines: set[Deadline] = set()
        self._looks_at = -math.inf
        self._changed = threading.Condition()
        threading.Thread(target=self._look, daemon=True).start()

    def add(self, deadline: Deadline) -> None:
        with self._changed:
            self._deadlines.add(deadline)
            if deadline.at < self._looks_at:
                self._changed.notify()

    def remove(self, deadline: Deadline) -> None:
        """It has ended by now, or never will."""
        with self._changed:
            self._deadlines.discard(deadline)

    def _look(self) -> None:
        with self._changed:
            while True:
                over = {deadline for deadline in self._deadlines if deadline.at <= time.monotonic()}
                for deadline in over:
                    deadline.end()
                self._deadlines -= over
                # One that is removed meanwhile wakes nobody: at worst it is looked once more than needed.
                self._looks_at = min((deadline.at for deadline in self._deadlines), default=math.inf)
                rest = self._looks_at - time.monotonic()
                self._changed.wait(None if rest == math.inf else max(0.0, rest))


@cache
def _watchdog(_process: int) -> _Watchdog:
    """This process's: a forked one has none of its threads."""
    return _Watchdog()


class WatchedAdapter(HTTPAdapter):
    """Tells the deadline of the thread which connection its request goes by."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _watch_pools(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        _watch_pools(manager)
        return manager


def watched(session: requests.Session) -> None:
    """From now on all of its requests go by a `WatchedAdapter`; the default of no retries of its own is meant."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, WatchedAdapter())


class _Watched:
    """Mixed into a kind of connection: directly, or by one of the kinds of proxies."""

    def _new_conn(self) -> socket.socket:
        connection: socket.socket = super()._new_conn()  # type: ignore[misc]  # a mixin: the kind of connection beside it has this
        deadline: Deadline | None = getattr(_current, "deadline", None)
        if deadline is not None:
            deadline.watch(connection)
        return connection


def _watch_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {
        scheme: _watched_pool(pool) for scheme, pool in manager.pool_classes_by_scheme.items()
    }


@cache
def _watched_pool(pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
    """The same kind of pool, whose connections are watched."""
    if issubclass(pool.ConnectionCls, _Watched):
        return pool
    connection = type(f"Watched{pool.ConnectionCls.__name__}", (_Watched, pool.ConnectionCls), {})
    return type(f"Watched{pool.__name__}", (pool,), {"ConnectionCls": connection})
