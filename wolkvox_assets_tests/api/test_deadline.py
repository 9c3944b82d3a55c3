"""The total deadline of a request, against a server that lets each part of an answer drip for ever."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from pydantic import SecretStr

from wolkvox_assets.api import RetryPolicy, TimedOut, TooSlow, Transient, WolkvoxClient, client
from wolkvox_assets.api.token_lock import TokenLock
from wolkvox_assets.windows import one

WINDOW = one(datetime(2026, 11, 16, 8, 5))
TOKEN = SecretStr("a-token-of-the-deadline-tests")
EMPTY_MEMBER = bytes.fromhex("1f8b08000000000000030300000000000000000000")[:20]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

LATE = (TimedOut, TooSlow)  # a head that was cut may pass for a whole one


def drip(beginning: bytes, again: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(beginning)
        while True:
            connection.sendall(again)
            time.sleep(0.02)

    return answer


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65536)
                    answer(connection)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


@pytest.mark.parametrize(
    ("beginning", "again", "error"),
    [
        (b"", b"H", TimedOut),
        (b"HTTP/1.1 200 ", b"x", LATE),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", TimedOut),
        (HEAD + b"X-Long: ", b"x", LATE),
        (HEAD, b"X-Many: 1\r\n", Transient),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;extension=", b"x", TooSlow),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", TooSlow),
        (HEAD + b"Content-Length: 100000\r\n\r\n{", b" ", TooSlow),
        (HEAD + b"Connection: close\r\n\r\n{", b" ", TooSlow),
        (HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n", EMPTY_MEMBER, TooSlow),
    ],
    ids=[
        "nothing",
        "status",
        "continue",
        "header",
        "headers",
        "extension",
        "chunks",
        "body",
        "to the end",
        "gzip",
    ],
)
def test_the_deadline_holds_whatever_drips(
    beginning: bytes,
    again: bytes,
    error: type[Exception] | tuple[type[Exception], ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.7)
    threads = threading.active_count()
    with server(drip(beginning, again)) as url:
        began = time.monotonic()
        with (
            WolkvoxClient(
                operation="main", server="0013", token=TOKEN, base_url=url, retry=RetryPolicy(attempts=1)
            ) as asking,
            pytest.raises(error),
        ):
            asking.agent_9(WINDOW)
        assert time.monotonic() - began < 3
        with TokenLock(TOKEN, "main").held():  # nobody else waits
            assert time.monotonic() - began < 4
    assert threading.active_count() <= threads


def test_a_kept_connection_is_watched_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.7)
    body = b'{"code": 200, "error": null, "msg": "0 records were found", "data": []}'

    def answer(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        connection.recv(65536)
        drip(HEAD, b"X")(connection)

    with server(answer) as url:
        began = time.monotonic()
        with WolkvoxClient(
            operation="main", server="0013", token=TOKEN, base_url=url, retry=RetryPolicy(attempts=1)
        ) as asking:
            assert asking.agent_9(WINDOW).rows == ()
            with pytest.raises(LATE):
                asking.agent_9(WINDOW)
        assert time.monotonic() - began < 4


def test_an_answer_has_longer_than_the_api_itself_gives_a_request() -> None:
    assert client.ANSWER_SECONDS > client.READ_SECONDS > 60
