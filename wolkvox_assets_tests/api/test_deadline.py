"""The total deadline of a request, against a server that lets each part of an answer drip for ever."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import certifi
import pytest
from pydantic import SecretStr
from urllib3 import HTTPConnectionPool, PoolManager
from urllib3.connection import HTTPConnection

from wolkvox_assets.api import (
    Access,
    Asking,
    RedirectRefused,
    RetryPolicy,
    TimedOut,
    TooSlow,
    Transient,
    WolkvoxClient,
    client,
    deadline,
)
from wolkvox_assets.api.deadline import Deadline
from wolkvox_assets.api.token_lock import TokenLock
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import one

WINDOW = one(datetime(2026, 11, 16, 8, 5))
TOKEN = SecretStr("a-token-of-the-deadline-tests")
ONCE = Asking(retry=RetryPolicy(attempts=1))
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
    with Deadline(60):  # the one thread that stays
        threads = threading.active_count()
    with server(drip(beginning, again)) as url:
        began = time.monotonic()
        with (
            WolkvoxClient(Access("main", "0013", TOKEN, url), ONCE) as asking,
            pytest.raises(error),
        ):
            asking.report(AGENT_9, WINDOW)
        assert time.monotonic() - began < 3
        with TokenLock(TOKEN, "main").held(1):  # nobody else waits
            assert time.monotonic() - began < 4
    assert threading.active_count() <= threads


@pytest.mark.parametrize("base_url", ["https", None])
def test_the_deadline_holds_before_there_is_a_request(
    base_url: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A server that drips its part of the TLS handshake; a proxy that drips its answer to CONNECT."""
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.7)
    # One authority: to load all of them takes longer than that where others work beside.
    one_certificate = tmp_path / "authority.pem"
    beginning, end, _ = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----\n")
    one_certificate.write_text(beginning + end)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(one_certificate))
    record = b"\x16\x03\x03\x40\x00"  # of a handshake, and long
    dripping = (
        drip(record, b"\x02") if base_url else drip(b"HTTP/1.1 200 Connection established\r\nX: ", b"x")
    )
    with server(dripping) as url:
        monkeypatch.setenv("HTTPS_PROXY", url)
        began = time.monotonic()
        with (
            WolkvoxClient(
                Access("main", "0013", TOKEN, url.replace("http:", "https:") if base_url else None), ONCE
            ) as asking,
            pytest.raises(TimedOut),
        ):
            asking.report(AGENT_9, WINDOW)
        assert time.monotonic() - began < 3


def test_a_redirect_that_drips_is_a_redirect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.7)
    with server(drip(b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", b" ")) as url:
        began = time.monotonic()
        with (
            WolkvoxClient(Access("main", "0013", TOKEN, url)) as asking,
            pytest.raises(RedirectRefused),
        ):
            asking.report(AGENT_9, WINDOW)
        assert time.monotonic() - began < 3


def test_connections_by_any_kind_of_proxy_are_watched_and_stay_of_their_kind() -> None:
    """As those of SOCKS, whose connections are a kind of their own."""

    class ByTunnel(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return ours

    class Pool(HTTPConnectionPool):
        ConnectionCls = ByTunnel

    ours, theirs = socket.socketpair()
    manager = PoolManager()
    manager.pool_classes_by_scheme = {"http": Pool}
    deadline._watch_pools(manager)
    deadline._watch_pools(manager)  # requests keeps a proxy's manager, and asks for it each time
    pool = manager.pool_classes_by_scheme["http"]
    assert issubclass(pool, Pool)
    with ours, theirs, Deadline(0.01):
        connection = pool("127.0.0.1")._new_conn()
        assert isinstance(connection, ByTunnel)
        assert connection._new_conn() is ours
        theirs.settimeout(5)
        assert theirs.recv(1) == b""


def test_an_answer_that_nobody_asked_for_is_never_taken_for_the_next_one() -> None:
    """Answers don't say which range they are of: one that comes late or twice would pass for another's."""
    numbers = iter(range(1, 100))

    def whole(count: int) -> bytes:
        row = b'{"agent_name":"Ana","count":%d,"hold_time":1,"mute_time":0,"total_time":1}' % count
        body = b'{"code": 200, "error": null, "msg": "1 records were found", "data": [%s]}' % row
        return HEAD + b"Connection: keep-alive\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def answer(connection: socket.socket) -> None:
        number = next(numbers)
        connection.sendall(whole(number) + (whole(77) if number % 2 else b""))
        time.sleep(0.05)  # the next request is on its way by then
        connection.sendall(whole(88))

    with (
        server(answer) as url,
        WolkvoxClient(Access("main", "0013", TOKEN, url)) as asking,
    ):
        for number in range(1, 6):
            assert asking.report(AGENT_9, WINDOW).agents["Ana"].hold_mute_count == number


def test_an_answer_has_longer_than_the_api_itself_gives_a_request() -> None:
    assert client.ANSWER_SECONDS > client.READ_SECONDS > 60


def test_a_deadline_holds_while_a_later_one_is_waited_for() -> None:
    with Deadline(60) as later:
        time.sleep(0.1)  # the watchdog sleeps now
        with Deadline(0.1) as sooner:
            until = time.monotonic() + 10
            while not sooner.is_over and time.monotonic() < until:
                time.sleep(0.01)
        assert sooner.is_over
        assert not later.is_over
