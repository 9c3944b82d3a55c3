"""A real HTTP server that answers by request number, and a clock that only tests move.

What belongs here: what every test of the client needs. What doesn't: anything that knows the contract; the
believable simulator is `wolkvox_assets/simulator`.
"""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Reply:
    """One scripted answer. `raw` is sent as it is, and the connection closed; `reset` only resets it."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    reset: bool = False
    delay: float = 0.0


def row(
    name: object = "Ana", count: object = "2", hold: object = "00:00:30", mute: object = "00:00:12"
) -> dict[str, object]:
    """A row of the report; its total is right for the default times."""
    return {
        "agent_name": name,
        "count": count,
        "hold_time": hold,
        "mute_time": mute,
        "total_time": "00:00:42",
    }


def answer(*rows: object, code: object = "200", msg: object = None) -> Reply:
    """A whole answer with these rows."""
    said = f"{len(rows)} records were found" if msg is None else msg
    return Reply(body=json.dumps({"code": code, "error": None, "msg": said, "data": list(rows)}).encode())


def refusal(
    status: int, msg: str, *, inside_200: bool = False, headers: dict[str, str] | None = None
) -> Reply:
    """An error as the API gives it, by HTTP status or inside a 200."""
    body = json.dumps({"code": str(status), "error": "ERROR", "msg": msg}).encode()
    return Reply(status=200 if inside_200 else status, body=body, headers=headers or {})


@dataclass(frozen=True)
class Seen:
    path: str
    headers: Message
    connection: tuple[str, int]
    at: float
    """When it came (monotonic seconds)."""


class ScriptedServer:
    """Answers the n-th request with the n-th reply of `script`; the last one goes on for ever."""

    def __init__(self, script: list[Reply] | None = None) -> None:
        self.script = script or []
        self.seen: list[Seen] = []
        self.most_in_flight = 0
        self._in_flight = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet: in two they cost 40 ms of delayed acknowledgement

            def do_GET(self) -> None:
                outer._answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a client that hangs up on a scripted misbehaviour is what the test wants

        self._http = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.002}, daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self.seen.append(Seen(handler.path, handler.headers, handler.client_address, time.monotonic()))
            reply = self.script[min(len(self.seen), len(self.script)) - 1]
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            time.sleep(reply.delay)
        finally:
            with self._lock:  # before the answer: the next request may come as soon as it is out
                self._in_flight -= 1
        if reply.reset:
            # Lingering for zero seconds makes close() send a reset.
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.close_connection = True
            handler.connection.close()
            return
        if reply.raw is not None:
            handler.wfile.write(reply.raw)
            handler.close_connection = True
            return
        handler.send_response_only(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(reply.body)


class FakeTime:
    """A clock that moves by what is slept, and by `step` each time it is read."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.step = 0.0
        self.slept: list[float] = []
        self.on_sleep: Callable[[], None] = lambda: None

    def clock(self) -> float:
        self.seconds += self.step
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds
        self.on_sleep()

    def now(self) -> datetime:
        return datetime(2026, 11, 16, 12, 0, tzinfo=UTC) + timedelta(seconds=self.seconds - 1000)
