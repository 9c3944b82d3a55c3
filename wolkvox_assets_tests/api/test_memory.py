"""What an answer takes of memory, whatever a server sends: measured at a process that asks a real server."""

import gzip
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cache
from itertools import chain, repeat

import pytest

from wolkvox_assets.api import body as bodies
from wolkvox_assets.api.body import SMALL, TooHeavy, weigh
from wolkvox_assets.api.reply import BODY_KEPT

MB = 1_000_000
MOST_MB = 800
ROW = b'{"agent_name":"%s","count":"1","hold_time":"00:00:01","mute_time":"00:00:01","total_time":"00:00:02"}'


def rows(name: str, last: str) -> Iterator[bytes]:
    """As many as an answer can have."""
    yield b'{"code":"200","error":null,"msg":"59999 records were found","data":['
    for first in range(0, 59_900, 100):
        yield b",".join(ROW % f"{n} {name}".encode() for n in range(first, first + 100)) + b","
    yield b",".join(ROW % f"{n} {last}".encode() for n in range(59_900, 59_999)) + b"]}"


def many(what: bytes, millions: int) -> Iterator[bytes]:
    return chain([b'{"code":200,"data":['], repeat(what * (MB // len(what)), millions), [b'""]}'])


ANSWERS = {
    "rows": (rows("x" * 4000, "x" * 4000 + "😀"), "identity", "", 59_999),
    "zeros": (many(b"0,", 10), "identity", "AnswerTooLarge", 0),
    "empty lists": (many(b"[],", 10), "gzip", "AnswerTooLarge", 0),
    "one text": (
        chain([b'{"code":200,"msg":"'], repeat(b"x" * MB, 10), [b'"}']),
        "gzip",
        "AnswerTooLarge",
        0,
    ),
    "bomb": (many(b"x", 3000), "gzip", "AnswerTooLarge", 0),
    "bomb in a bomb": (many(b"x", 3000), "gzip, gzip", "ServerFault", 0),
}


@cache
def packed(piece: bytes, times: int) -> bytes:
    """A gzip member of its own."""
    for _ in range(times):
        piece = gzip.compress(piece, 1)
    return piece


def serve(listening: socket.socket) -> None:
    for pieces, encoding, _, _ in ANSWERS.values():
        connection, _ = listening.accept()
        times = encoding.count("gzip")
        with connection:
            connection.recv(65536)
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n")
                connection.sendall(b"Content-Encoding: %s\r\n\r\n" % encoding.encode())
                for piece in pieces:
                    sent = packed(piece, times) if times else piece
                    connection.sendall(b"%x\r\n%b\r\n" % (len(sent), sent))
                connection.sendall(b"0\r\n\r\n")
            except OSError:
                continue  # it has seen enough


def test_no_answer_takes_more_than_its_share() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=serve, args=(listening,), daemon=True)
        serving.start()
        done = subprocess.run(
            [
                *(sys.executable, "-m", "wolkvox_assets_tests.api.large_answers"),
                *(f"http://127.0.0.1:{listening.getsockname()[1]}", *ANSWERS),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        serving.join(5)
    packed.cache_clear()
    found = [json.loads(line) for line in done.stdout.splitlines()]
    print(*found, sep="\n")
    assert [told["name"] for told in found] == list(ANSWERS)
    for told in found:
        _, _, error, records = ANSWERS[told["name"]]
        assert (told["error"].split(":")[0], told["rows"]) == (error, records), told
        assert told["peak_mb"] < MOST_MB, told
        assert told["kept"] == (0 if "," in ANSWERS[told["name"]][1] else BODY_KEPT), told
        assert len(told["error"]) < 1000


@pytest.mark.parametrize(
    "text",
    [
        b'"' + b'\\"' * SMALL,  # never closed
        b'"' + b"x" * (SMALL + 1) + b'"',
        b'"' + b"\\u00f1" * SMALL + b'"',
        b'"\\',
    ],
)
def test_a_text_that_is_too_long_is_seen_at_once(text: bytes) -> None:
    padding = b" " * SMALL
    if len(text) < SMALL:
        return weigh(padding + text)
    with pytest.raises(TooHeavy, match="text of more than"):
        weigh(padding + text)
    return None


@pytest.mark.parametrize(
    ("wide", "factor"), [("ñ", 1), (r"\u00f1", 1), ("漢", 2), (r"\u6f22", 2), ("😀", 4), (r"\ud83d\ude00", 4)]
)
def test_one_wide_character_widens_its_text_and_no_other(
    wide: str, factor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '"%s"' % ("x" * (SMALL // 2) + wide)
    body = f'["{"x" * (SMALL - 2)}", {text}, {text}]'.encode()
    size = len(body) + (factor - 1) * 2 * (len(text.encode()))
    monkeypatch.setattr(bodies, "MEMORY", size + 1000)
    weigh(body)
    monkeypatch.setattr(bodies, "MEMORY", size - 1000)
    with pytest.raises(TooHeavy, match="or more to read"):
        weigh(body)


def test_as_many_rows_as_there_can_be_are_no_burden() -> None:
    """Whether PHP writes the accents as they are or not."""
    for name in (r"Jos\u00e9 Nu\u00f1ez, {jefe}", "José Nuñez, [jefe]"):
        weigh(b",".join([ROW % name.encode()] * 60_000))
