"""The total deadline of a request: it holds whatever the server does.

What belongs here: ending a connection when its time is up. What doesn't: how much time there is (`client.py`).

A timeout of requests starts anew with each byte, also within a status line, a header, a chunk's extension or a gzip
member without content. So a watchdog shuts the connection down from outside, which ends any read or write at once.
Only looking up a name can't be ended so; the resolver has timeouts of its own.
"""

import os
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_current = threading.local()


class Deadline:
    """For the request that this thread makes within it. `seconds`: from now on."""

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._lock = threading.Lock()
        self._watched: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def watch(self, connection: socket.socket) -> None:
        """This connection is the one to end. A copy of its descriptor: TLS takes the socket itself over."""
        with self._lock:
            self._let_go()
            self._watched = socket.socket(fileno=os.dup(connection.fileno()))
            if self.is_over:
                self._shut()

    def __enter__(self) -> Self:
        _current.deadline = self
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.deadline = None
        self._timer.cancel()
        self._timer.join()
        with self._lock:
            self._let_go()

    def _end(self) -> None:
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


class WatchedAdapter(HTTPAdapter):
    """Tells the deadline of the thread which connection its request goes by."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def watched(session: requests.Session) -> None:
    """From now on all of its requests go by a `WatchedAdapter`; the default of no retries of its own is meant."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, WatchedAdapter())


def _watch(connection: socket.socket | None) -> None:
    deadline: Deadline | None = getattr(_current, "deadline", None)
    if deadline is not None and connection is not None:
        deadline.watch(connection)


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        connection = super()._new_conn()
        _watch(connection)
        return connection

    def request(self, *args: Any, **kwargs: Any) -> None:
        _watch(self.sock)  # a connection that was kept
        super().request(*args, **kwargs)


class _SecureConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        connection = super()._new_conn()
        _watch(connection)
        return connection

    def request(self, *args: Any, **kwargs: Any) -> None:
        _watch(self.sock)
        super().request(*args, **kwargs)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS: dict[str, Any] = {"http": _Pool, "https": _SecurePool}
