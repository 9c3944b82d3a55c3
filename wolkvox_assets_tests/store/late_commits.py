"""A proxy before Postgres that cuts all connections in the middle of a commit, and hands the COMMIT on later: what a
pooler that dies, or a standby that is slow to answer, does to a change."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress


class LateCommits:
    """Listens at `port` of 127.0.0.1. Once it is `armed`, the next commit to a lake's catalog comes so many `seconds`
    after all connections were cut (`done`), and none is cut after that."""

    def __init__(self, host: str, port: str, seconds: float) -> None:
        self._host, self._server_port, self._seconds = host, port, seconds
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.armed = False
        self.done = threading.Event()
        self._start(self._accept)

    def close(self) -> None:
        self._cut(None)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for each in (self._listener, *self._sockets):
            each.close()

    def _start(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = self._connected()
                self._sockets += [client, server]
                self._start(self._copy, client, server)
                self._start(self._copy, server, client)

    def _connected(self) -> socket.socket:
        if not self._host.startswith("/"):
            return socket.create_connection((self._host, int(self._server_port)))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{self._host}/.s.PGSQL.{self._server_port}")
        return server

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        writes = False
        with suppress(OSError):
            while data := source.recv(1 << 20):
                writes |= self.armed and b"INSERT INTO" in data and b"ducklake_snapshot" in data
                if self.armed and writes and b"COMMIT" in data:
                    self.armed = False
                    self._cut(target)
                    time.sleep(self._seconds)
                    target.sendall(data)
                    self.done.set()
                    time.sleep(1)  # until it is carried out
                    break
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def _cut(self, but: socket.socket | None) -> None:
        for each in list(self._sockets):
            if each is not but:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
