"""The client against a real server: what it sends, what each reply becomes, and exactly how often it asks."""

import gzip
import json
import logging
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from pydantic import SecretStr

from wolkvox_assets.api import (
    AnswerTooLarge,
    AnswerUnreadable,
    CertificateRefused,
    ConnectionFailed,
    NotFound,
    Quota,
    QuotaUsedUp,
    RangeRefused,
    RedirectRefused,
    RequestRecord,
    RetryPolicy,
    RowsMissing,
    ServerFault,
    SettingsRefused,
    TokenRefused,
    TooManyAtOnce,
    TooSlow,
    Transient,
    Unavailable,
    UnexpectedStatus,
    WolkvoxClient,
    WolkvoxError,
    client,
)
from wolkvox_assets.api.reply import BODY_KEPT
from wolkvox_assets.report.measures import Usage
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import Range, one
from wolkvox_assets_tests.api.conftest import TOKEN, MakeClient
from wolkvox_assets_tests.api.scripted import FakeTime, Reply, ScriptedServer, answer, refusal, row
from wolkvox_assets_tests.api.test_errors import PUBLISHED

WINDOW = one(datetime(2026, 11, 16, 8, 5))
ANA = {"Ana": Usage(2, 30, 12, 42)}
GOOD = answer(row())
FAULT = Reply(502, b"<html><body>Bad Gateway</body></html>")


# --- what is sent ---


def test_one_question(server: ScriptedServer, make_client: MakeClient) -> None:
    server.script = [GOOD]
    assert make_client().report(AGENT_9, WINDOW).agents == ANA
    (seen,) = server.seen
    url = urlsplit(seen.path)
    assert url.path == "/api/v2/reports_manager.php"
    assert parse_qs(url.query) == {
        "api": ["agent_9"],
        "date_ini": ["20261116080500"],
        "date_end": ["20261116080959"],
    }
    assert seen.headers.get_all("wolkvox-token") == [TOKEN]
    assert seen.headers["wolkvox_server"] == "0013"
    assert seen.headers["Authorization"] is None
    # To a cache on the way, what two tokens ask looks the same, and so does what one asks today and tomorrow.
    assert seen.headers["Cache-Control"] == "no-cache, no-store"


def test_the_quota(server: ScriptedServer, make_client: MakeClient) -> None:
    quota = {
        "token_limit": "5000",
        "token_use_today": "1",
        "all_token_today": "2",
        "available_consumption_options": "x",
    }
    server.script = [answer(quota)]
    assert make_client().token_info() == Quota(5000, 1, 2)
    assert server.seen[0].path == "/api/v2/information.php?api=token_info"


def test_each_request_has_a_connection_of_its_own(server: ScriptedServer, make_client: MakeClient) -> None:
    server.script = [GOOD, refusal(404, "Validate dates entered"), refusal(403, "backup"), GOOD]
    asking = make_client()
    for _ in range(10):
        asking.report(AGENT_9, WINDOW)
    assert len({seen.connection for seen in server.seen}) == len(server.seen) == 11
    assert {seen.headers["Connection"] for seen in server.seen} == {"close"}


def test_a_password_in_netrc_is_not_sent(
    server: ScriptedServer, make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ana password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.script = [GOOD]
    make_client().report(AGENT_9, WINDOW)
    assert server.seen[0].headers["Authorization"] is None


def test_a_stand_in_is_asked_without_the_proxy_of_the_environment(
    server: ScriptedServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.script = [GOOD]
    assert make_client(retry=RetryPolicy(attempts=1)).report(AGENT_9, WINDOW).agents == ANA


def test_a_range_of_31_days_is_asked_and_one_more_second_is_not(
    server: ScriptedServer, make_client: MakeClient
) -> None:
    server.script = [GOOD]
    start = datetime(2026, 1, 1)
    make_client().report(AGENT_9, Range(start, start + timedelta(days=31)))
    for wrong in (
        Range(start, start + timedelta(days=31, seconds=1)),
        Range(start, start),
        Range(start, start - timedelta(minutes=5)),
        Range(start.replace(tzinfo=UTC), start.replace(tzinfo=UTC) + timedelta(minutes=5)),
    ):
        with pytest.raises(RangeRefused, match="'north'") as caught:
            make_client().report(AGENT_9, wrong)
        assert isinstance(caught.value, ValueError)
    assert len(server.seen) == 1


# --- each row of the error table, by status and inside a 200 ---


@pytest.mark.parametrize("inside_200", [False, True])
@pytest.mark.parametrize(("status", "msg", "outcome"), [p for p in PUBLISHED if not 200 <= p[0] <= 299])
def test_each_row_of_the_table(
    status: int,
    msg: str,
    outcome: type[WolkvoxError] | None,
    inside_200: bool,
    server: ScriptedServer,
    make_client: MakeClient,
) -> None:
    server.script = [refusal(status, msg, inside_200=inside_200)]
    asking = make_client(retry=RetryPolicy(attempts=4))
    if outcome is None:
        found = asking.report(AGENT_9, WINDOW)
        assert (found.agents, found.records, found.notes) == ({}, 0, ())
        assert len(server.seen) == 1
        return
    with pytest.raises(outcome) as caught:
        asking.report(AGENT_9, WINDOW)
    assert type(caught.value) is outcome
    assert len(server.seen) == (4 if issubclass(outcome, Transient) else 1)
    assert caught.value.status == (200 if inside_200 else status)
    assert caught.value.code == str(status)
    assert caught.value.msg == msg
    for part in ("'north'", "agent_9", "2026-11-16 08:05", "2026-11-16 08:09:59", msg):
        assert part in str(caught.value)


def with_error(error: object, *rows: object, msg: object = "OK", code: object = 200) -> Reply:
    return Reply(body=json.dumps({"code": code, "error": error, "msg": msg, "data": list(rows)}).encode())


@pytest.mark.parametrize("error", [None, False, 0, "", " ", [], {}, "null", " NULL ", "False", "none", " - "])
def test_an_error_that_is_none_is_none(
    error: object, server: ScriptedServer, make_client: MakeClient
) -> None:
    server.script = [with_error(error), with_error(error, row(), code="200")]
    asking = make_client()
    assert asking.report(AGENT_9, WINDOW).agents == {}
    assert asking.report(AGENT_9, WINDOW).agents == ANA


@pytest.mark.parametrize("rows", [[], [row()]])
@pytest.mark.parametrize("code", [200, "200"])
@pytest.mark.parametrize(
    ("error", "msg", "outcome"),
    [
        ("INTERNAL SERVER ERROR", "OK", ServerFault),
        ("INTERNAL SERVER ERROR", "0 records were found", ServerFault),
        ("INTERNAL SERVER ERROR", None, ServerFault),
        ("INTERNAL SERVER ERROR", "Validate dates entered", ServerFault),
        ("0", "OK", ServerFault),
        (1, "OK", ServerFault),
        (True, "OK", ServerFault),
        ({"code": 500}, "OK", ServerFault),
        (["x"], "OK", ServerFault),
        ("false positive", "OK", ServerFault),
        ("TOKEN LIMIT EXCEEDED", "OK", QuotaUsedUp),
        ("FORBIDDEN", " token  limit exceeded", QuotaUsedUp),
        ("please validate token.", None, TokenRefused),
        ("FORBIDDEN", "EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS PER TOKEN (2)", TooManyAtOnce),
    ],
)
def test_an_error_beside_code_200_is_an_error(
    error: object,
    msg: object,
    outcome: type[WolkvoxError],
    code: object,
    rows: list[object],
    server: ScriptedServer,
    make_client: MakeClient,
) -> None:
    server.script = [with_error(error, *rows, msg=msg, code=code)]
    with pytest.raises(outcome, match="reports an error inside a 200") as caught:
        make_client(retry=RetryPolicy(attempts=2)).report(AGENT_9, WINDOW)
    assert type(caught.value) is outcome
    assert len(server.seen) == (2 if issubclass(outcome, Transient) else 1)
    if isinstance(error, str):
        assert repr(error) in str(caught.value)


@pytest.mark.parametrize("error", ["NOT FOUND", "Validate dates entered"])
def test_nothing_in_the_range_may_be_called_an_error(
    error: str, server: ScriptedServer, make_client: MakeClient
) -> None:
    said = {"error": error, "msg": "Validate dates entered"}
    server.script = [
        Reply(404, json.dumps({"code": "404", **said}).encode()),
        Reply(200, json.dumps({"code": "404", **said}).encode()),
        Reply(200, json.dumps({"code": "200", **said}).encode()),
        with_error(error, row(), msg="Validate dates entered"),
    ]
    asking = make_client(retry=RetryPolicy(attempts=1))
    for _ in range(3):
        assert asking.report(AGENT_9, WINDOW).agents == {}
    with pytest.raises(ServerFault, match="inside a 200"):
        asking.report(AGENT_9, WINDOW)


@pytest.mark.parametrize("status", [404, 200])
def test_rows_beside_the_word_for_nothing_are_not_passed_over(
    status: int, server: ScriptedServer, make_client: MakeClient
) -> None:
    body = {"code": "404", "msg": "Validate dates entered", "data": [row()]}
    server.script = [Reply(status, json.dumps(body).encode())]
    with pytest.raises(AnswerUnreadable, match="this range is empty, but has rows"):
        make_client(retry=RetryPolicy(attempts=1)).report(AGENT_9, WINDOW)


def test_an_error_beside_the_quota_is_no_quota(server: ScriptedServer, make_client: MakeClient) -> None:
    quota = {"token_limit": "5000", "token_use_today": "1", "all_token_today": "2"}
    server.script = [with_error("INTERNAL", quota)]
    with pytest.raises(ServerFault, match="'INTERNAL'"):
        make_client(retry=RetryPolicy(attempts=1)).token_info()


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 500, 502])
def test_a_web_page_is_the_servers_fault_whatever_its_status(
    status: int, server: ScriptedServer, make_client: MakeClient
) -> None:
    server.script = [Reply(status, b" \n<!DOCTYPE html><html>PLEASE VALIDATE TOKEN</html>"), GOOD]
    assert make_client().report(AGENT_9, WINDOW).agents == ANA
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (Reply(403, b""), Unavailable),
        (Reply(403, b"[]"), Unavailable),
        (Reply(403, '{"code": "403", "msg": "Operación"}'.encode("latin-1")), Unavailable),
        (Reply(403, b'{"code": "403", "msg": "PLEASE VALID'), ServerFault),
        (Reply(403, b"PLEASE VALIDATE TOKEN"), TokenRefused),
        (Reply(401, b""), UnexpectedStatus),
        (Reply(404, b""), ServerFault),
        (Reply(404, b"not found"), ServerFault),
        (Reply(404, b'{"code": "404", "msg": "Validate dat'), ServerFault),
        (Reply(404, b'{"msg": "other"}'), NotFound),
        (Reply(200, b""), ServerFault),
        (Reply(200, b"OK"), ServerFault),
        (Reply(200, GOOD.body[:-5]), ServerFault),
        (Reply(200, GOOD.body[:60] + "ñ".encode()[:1]), ServerFault),
        (Reply(200, b"[]"), AnswerUnreadable),
        (Reply(200, b"{}"), AnswerUnreadable),
        (Reply(200, b'{"code": true, "data": []}'), AnswerUnreadable),
        (Reply(200, b'{"code": 200}'), AnswerUnreadable),
        (Reply(200, b'{"code": 200, "data": null}'), AnswerUnreadable),
        (Reply(200, b'{"code": 200, "data": {}}'), AnswerUnreadable),
        (Reply(200, b'{"code": NaN, "data": []}'), AnswerUnreadable),
        (Reply(200, b'{"code": ' + b"9" * 5000 + b"}"), AnswerUnreadable),
        (Reply(200, b"[" * 100_000 + b"]" * 100_000), AnswerUnreadable),
        (Reply(200, '{"code": 200, "data": [], "x": "ñ"}'.encode("latin-1")), AnswerUnreadable),
        (Reply(200, b'{"code": 302, "data": []}'), UnexpectedStatus),
        (Reply(206, GOOD.body), UnexpectedStatus),
        (Reply(204, b""), UnexpectedStatus),
        (Reply(304, b""), UnexpectedStatus),
        (Reply(200, GOOD.body, {"Content-Encoding": "gzip"}), ServerFault),
        (Reply(200, GOOD.body, {"Content-Encoding": "br"}), ServerFault),
        (Reply(200, GOOD.body, {"Content-Encoding": "zstd"}), ServerFault),
        (Reply(200, gzip.compress(GOOD.body), {"Content-Encoding": "gzip, gzip"}), ServerFault),
        (Reply(200, gzip.compress(GOOD.body)), ServerFault),
        (Reply(200, gzip.compress(GOOD.body)[:-20], {"Content-Encoding": "gzip"}), ServerFault),
        (Reply(200, GOOD.body, {"Content-Length": "10"}), ServerFault),
        (Reply(200, GOOD.body.decode().encode("utf-16")), ServerFault),
        (Reply(200, GOOD.body.replace(b'"count"', b'"count": "1", "count"')), AnswerUnreadable),
        (Reply(200, b'{"code": 403, "msg": "PLEASE VALIDATE TOKEN", ' + GOOD.body[1:]), AnswerUnreadable),
        (Reply(raw=b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n"), ConnectionFailed),
        (Reply(raw=b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 200 + b"\r\n"), ConnectionFailed),
        (answer(row(), row("Beto"), msg="3 records were found"), RowsMissing),
        # Out of a cache: of yesterday, or another token's.
        (Reply(200, GOOD.body, {"Age": "86400"}), ServerFault),
    ],
)
def test_what_other_bodies_become(
    reply: Reply, outcome: type[WolkvoxError], server: ScriptedServer, make_client: MakeClient
) -> None:
    server.script = [reply]
    with pytest.raises(outcome) as caught:
        make_client(retry=RetryPolicy(attempts=2)).report(AGENT_9, WINDOW)
    assert type(caught.value) is outcome
    assert len(server.seen) == (2 if issubclass(outcome, Transient) else 1)


def test_a_row_that_is_wrong_is_named_with_operation_and_range(
    server: ScriptedServer, make_client: MakeClient
) -> None:
    server.script = [answer(row(), row("Beto", hold="-00:00:05"))]
    with pytest.raises(AnswerUnreadable) as caught:
        make_client().report(AGENT_9, WINDOW)
    for part in (
        "'north'",
        "2026-11-16 08:05",
        "2026-11-16 08:09:59",
        "'Beto'",
        "'hold_time'",
        "'-00:00:05'",
    ):
        assert part in str(caught.value)
    assert len(server.seen) == 1


def test_an_empty_range_is_no_quota(server: ScriptedServer, make_client: MakeClient) -> None:
    server.script = [refusal(404, "Validate dates entered")]
    with pytest.raises(AnswerUnreadable):
        make_client().token_info()


def test_code_as_a_number_and_an_empty_list(server: ScriptedServer, make_client: MakeClient) -> None:
    server.script = [answer(code=200)]
    assert make_client().report(AGENT_9, WINDOW).agents == {}


def test_a_byte_order_mark_and_stray_blanks(server: ScriptedServer, make_client: MakeClient) -> None:
    body = json.dumps(
        {"code": " 200 ", "msg": " 1 records were found", "data": [row(" Ana ", " 2 ")]}
    ).encode()
    server.script = [Reply(body=b"\xef\xbb\xbf \r\n" + body + b"\n")]
    assert make_client().report(AGENT_9, WINDOW).agents == ANA


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Encoding": "UTF-8"},
        {"Content-Encoding": " Identity "},
        {"Content-Type": "text/html; charset=iso-8859-1"},
        {"Date": "Mon, 99 Foo 2026 99:99:99 XYZ"},
        {"Date": "Mon, 01 Jan 1901 00:00:00 +2300"},
        {"Date": "Fri, 31 Dec 9999 23:59:59 -2300"},
        {"Date": "Mon, 16 Nov 2026 12:00:00 +99999999999999999999"},
        {"Date": "9" * 5000},
        {"Date": ", ,"},
        {"Retry-After": "9" * 5000},
        {"Age": "0"},
        {"Age": "-1"},
        {"Age": "old"},
    ],
)
def test_headers_that_mean_nothing_change_nothing(
    headers: dict[str, str], server: ScriptedServer, make_client: MakeClient
) -> None:
    records: list[RequestRecord] = []
    server.script = [Reply(body=GOOD.body, headers=headers)]
    assert make_client(on_request=records.append).report(AGENT_9, WINDOW).agents == ANA
    assert records[0].server_time is None


def test_an_answer_out_of_a_cache_does_not_say_what_time_it_is(
    server: ScriptedServer, make_client: MakeClient
) -> None:
    """This machine's clock would seem to be a day ahead."""
    date = {"Date": "Mon, 16 Nov 2026 12:00:00 GMT"}
    records: list[RequestRecord] = []
    server.script = [Reply(200, GOOD.body, date | {"Age": "86400"}), Reply(200, GOOD.body, date)]
    assert make_client(on_request=records.append).report(AGENT_9, WINDOW).agents == ANA
    assert [record.server_time for record in records] == [None, datetime(2026, 11, 16, 12, tzinfo=UTC)]


def test_an_age_that_is_no_more_than_the_request_took_is_of_no_cache(
    server: ScriptedServer, make_client: MakeClient
) -> None:
    """A proxy may count from the first byte that it got, and wait for the last."""
    server.script = [Reply(200, GOOD.body, {"Age": "1"})]
    each_look_a_second_later = partial(next, count())
    assert make_client(clock=each_look_a_second_later).report(AGENT_9, WINDOW).agents == ANA
    assert len(server.seen) == 1


def test_unknown_columns_are_noted_once(server: ScriptedServer, make_client: MakeClient) -> None:
    server.script = [answer(row() | {"skill": "1"}), answer(row() | {"skill": "1", "site": "2"})]
    asking = make_client()
    notes = [asking.report(AGENT_9, WINDOW).notes for _ in range(3)]
    assert [["skill" in n.text for n in ns] for ns in notes] == [[True], [False], []]


# --- redirects ---


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("body", [b"", b"<html>moved</html>"])
def test_a_redirect_is_never_followed(
    status: int, body: bytes, server: ScriptedServer, make_client: MakeClient
) -> None:
    with ScriptedServer([GOOD]) as elsewhere:
        server.script = [Reply(status, body, {"Location": f"{elsewhere.url}/?{TOKEN}"}), GOOD]
        with pytest.raises(RedirectRefused, match="http://127") as caught:
            make_client().report(AGENT_9, WINDOW)
        assert len(server.seen) == 1
        assert elsewhere.seen == []
        assert TOKEN not in str(caught.value)


def test_a_redirect_whose_body_stops_is_not_asked_again(
    server: ScriptedServer, make_client: MakeClient
) -> None:
    server.script = [Reply(raw=b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 99\r\n\r\nmo")]
    with pytest.raises(RedirectRefused):
        make_client().report(AGENT_9, WINDOW)
    assert len(server.seen) == 1


@pytest.mark.parametrize("location", ["http://[::1", "http://", "https://:0:0/", "\xff\xfe"])
def test_a_redirect_to_nowhere_is_a_redirect(
    location: str, server: ScriptedServer, make_client: MakeClient
) -> None:
    """requests looks at the next address even when told not to follow, and stumbles over it."""
    server.script = [Reply(302, b"", {"Location": location})]
    with pytest.raises(RedirectRefused):
        make_client().report(AGENT_9, WINDOW)
    assert len(server.seen) == 1


# --- trouble on the line ---

CUT_OFF = [
    Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + GOOD.body),
    Reply(raw=b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + GOOD.body[:-9]),
    Reply(
        raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(GOOD.body), GOOD.body)
    ),
    Reply(
        raw=b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
        + gzip.compress(GOOD.body)[:40]
    ),
    Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\nnot gzip"),
]


@pytest.mark.parametrize("reply", CUT_OFF)
def test_a_cut_off_answer_is_asked_again(
    reply: Reply, server: ScriptedServer, make_client: MakeClient
) -> None:
    server.script = [reply]
    with pytest.raises(ServerFault) as caught:
        make_client(retry=RetryPolicy(attempts=3)).report(AGENT_9, WINDOW)
    assert caught.value.attempts == 3
    assert len(server.seen) == 3


@pytest.mark.parametrize("reply", [Reply(reset=True), Reply(raw=b""), Reply(raw=b"garbage\r\n\r\n")])
def test_no_answer_is_asked_again_and_then_says_allow_list(
    reply: Reply, server: ScriptedServer, make_client: MakeClient
) -> None:
    server.script = [reply, reply, GOOD]
    assert make_client().report(AGENT_9, WINDOW).agents == ANA
    assert len(server.seen) == 3
    server.script = [reply]
    with pytest.raises(ConnectionFailed, match="allow-list") as caught:
        make_client(retry=RetryPolicy(attempts=3)).report(AGENT_9, WINDOW)
    assert "Tried 3 times" in str(caught.value)
    assert caught.value.status is None
    assert len(server.seen) == 6


def test_nobody_listens(make_client: MakeClient) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        asking = make_client(
            base_url=f"http://127.0.0.1:{taken.getsockname()[1]}", retry=RetryPolicy(attempts=2)
        )
        with pytest.raises(ConnectionFailed, match="refused"):
            asking.report(AGENT_9, WINDOW)


def test_a_server_that_says_nothing_is_given_up(
    server: ScriptedServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "READ_SECONDS", 0.05)
    server.script = [Reply(delay=0.3)]
    with pytest.raises(ConnectionFailed, match="timed out"):
        make_client(retry=RetryPolicy(attempts=1)).report(AGENT_9, WINDOW)


def test_compressed_answers_are_read(server: ScriptedServer, make_client: MakeClient) -> None:
    server.script = [Reply(body=gzip.compress(GOOD.body), headers={"Content-Encoding": "gzip"})]
    assert make_client().report(AGENT_9, WINDOW).agents == ANA


def test_an_answer_over_the_cap_is_given_up_at_once(
    server: ScriptedServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_ANSWER_BYTES", 100_000)
    # 10 MB that fit into 10 kB: it is the unpacked size that counts.
    bomb = gzip.compress(b'{"code": 200, "data": ["' + b"x" * 10_000_000)
    server.script = [Reply(body=bomb, headers={"Content-Encoding": "gzip"})]
    records: list[RequestRecord] = []
    with pytest.raises(AnswerTooLarge, match="shorter range"):
        make_client(on_request=records.append).report(AGENT_9, WINDOW)
    assert len(server.seen) == len(records) == 1
    assert len(records[0].body or "") == BODY_KEPT


def test_an_answer_of_exactly_the_cap_is_taken(
    server: ScriptedServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_ANSWER_BYTES", len(GOOD.body))
    server.script = [GOOD]
    assert make_client().report(AGENT_9, WINDOW).agents == ANA


@pytest.fixture
def https_server(tmp_path: Path) -> Iterator[ScriptedServer]:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ScriptedServer([GOOD]) as running:
        running._http.socket = context.wrap_socket(running._http.socket, server_side=True)
        yield running


def test_a_certificate_nobody_vouches_for_is_refused(
    https_server: ScriptedServer, make_client: MakeClient
) -> None:
    address = https_server.url.replace("http:", "https:")
    with pytest.raises(CertificateRefused, match="certificate") as caught:
        make_client(base_url=address).report(AGENT_9, WINDOW)
    assert caught.value.attempts == 1
    assert https_server.seen == []


def test_a_certificate_named_in_the_environment_counts(
    https_server: ScriptedServer, make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))
    address = https_server.url.replace("http:", "https:")
    assert make_client(base_url=address).report(AGENT_9, WINDOW).agents == ANA


# --- asking again ---


def test_the_waits_double_with_full_jitter_up_to_a_limit(
    server: ScriptedServer, make_client: MakeClient, time: FakeTime
) -> None:
    server.script = [FAULT]
    jitters = iter([1.0, 0.5, 0.0, 1.0, 1.0, 1.0, 0.5, 1.0])
    policy = RetryPolicy(attempts=8, first_wait=1, longest_wait=10)
    with pytest.raises(ServerFault, match="Tried 8 times over 35 s"):
        make_client(retry=policy, jitter=lambda: next(jitters)).report(AGENT_9, WINDOW)
    assert time.slept == [1, 1, 0, 8, 10, 10, 5]
    assert len(server.seen) == 8


def test_the_default_patience(server: ScriptedServer, make_client: MakeClient, time: FakeTime) -> None:
    server.script = [FAULT]
    with pytest.raises(ServerFault) as caught:
        make_client().report(AGENT_9, WINDOW)
    assert len(server.seen) == caught.value.attempts == 20
    assert time.slept == [0.25 * 2**n for n in range(7)] + [30.0] * 12


def test_the_deadline_is_a_total(server: ScriptedServer, make_client: MakeClient, time: FakeTime) -> None:
    server.script = [FAULT]
    policy = RetryPolicy(attempts=1000, deadline_seconds=100, first_wait=30, longest_wait=30)
    with pytest.raises(ServerFault) as caught:
        make_client(retry=policy).report(AGENT_9, WINDOW)
    assert time.slept == [30, 30, 30]  # a fourth would end after the deadline
    assert len(server.seen) == 4
    assert caught.value.seconds == 90


@pytest.mark.parametrize(("deadline", "timeout"), [(900, (5, 65)), (20, (5, 20)), (3, (3, 3)), (0.1, (1, 1))])
def test_no_attempt_waits_past_the_deadline(
    deadline: float,
    timeout: tuple[float, float],
    server: ScriptedServer,
    make_client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.script = [GOOD]
    asking = make_client(retry=RetryPolicy(deadline_seconds=deadline))
    timeouts: list[object] = []
    send = asking._session.send

    def spying(request: requests.PreparedRequest, **settings: Any) -> requests.Response:
        timeouts.append(settings["timeout"])
        return send(request, **settings)

    monkeypatch.setattr(asking._session, "send", spying)
    asking.report(AGENT_9, WINDOW)
    assert timeouts == [timeout]


@pytest.mark.parametrize(
    ("header", "waited"),
    [("17", 17.0), ("Mon, 16 Nov 2026 12:01:30 GMT", 90.0), ("9999", 300.0), ("0", 1.0), ("nonsense", 1.0)],
)
@pytest.mark.parametrize("status", [403, 429, 503])
def test_retry_after_is_heeded_and_capped(
    status: int, header: str, waited: float, server: ScriptedServer, make_client: MakeClient, time: FakeTime
) -> None:
    server.script = [refusal(status, "later", headers={"Retry-After": header}), GOOD]
    make_client(retry=RetryPolicy(first_wait=1)).report(AGENT_9, WINDOW)
    assert time.slept == [waited]
    assert len(server.seen) == 2


def test_retry_after_does_not_pass_the_deadline(
    server: ScriptedServer, make_client: MakeClient, time: FakeTime
) -> None:
    server.script = [refusal(503, "later", headers={"Retry-After": "200"})]
    with pytest.raises(ServerFault) as caught:
        make_client(retry=RetryPolicy(deadline_seconds=150)).report(AGENT_9, WINDOW)
    assert (time.slept, len(server.seen), caught.value.retry_after) == ([], 1, 200)


def test_an_unpublished_403_is_counted_by_kind(server: ScriptedServer, make_client: MakeClient) -> None:
    busy, odd = (
        refusal(403, "EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS PER TOKEN (2)"),
        refusal(403, "copia"),
    )
    server.script = [busy] * 9 + [odd, odd, busy, odd, FAULT, odd]
    with pytest.raises(Unavailable, match="copia") as caught:
        make_client().report(AGENT_9, WINDOW)
    assert len(server.seen) == caught.value.attempts == 9 + 6 + 2  # the script's last reply goes on


def test_rows_that_are_always_missing_are_reported_after_a_few_tries(
    server: ScriptedServer, make_client: MakeClient
) -> None:
    server.script = [answer(row(), msg="3 records were found")]
    with pytest.raises(RowsMissing, match="It has 1 of 3"):
        make_client().report(AGENT_9, WINDOW)
    assert len(server.seen) == 6


@pytest.mark.parametrize(("days", "tries"), [(31, 2), (2, 2), (1, 20)])
def test_a_long_range_that_is_not_answered_in_time_is_not_asked_for_long(
    days: int, tries: int, server: ScriptedServer, make_client: MakeClient
) -> None:
    """A shorter one may be; a short one is asked as often as anything."""
    server.script = [Reply(504, b"<html>Gateway Time-out</html>")]
    with pytest.raises(TooSlow):
        make_client().report(AGENT_9, Range(WINDOW.start, WINDOW.start + timedelta(days=days)))
    assert len(server.seen) == tries


def test_token_info_is_given_up_sooner(server: ScriptedServer, make_client: MakeClient) -> None:
    """It is advice: a report can be had without it."""
    for fault, tries in ((refusal(403, "copia"), 2), (FAULT, 3)):
        server.script, before = [fault], len(server.seen)
        with pytest.raises(Transient):
            make_client().token_info()
        assert len(server.seen) - before == tries


def test_maintenance_that_ends(server: ScriptedServer, make_client: MakeClient) -> None:
    server.script = [refusal(403, "copia")] * 5 + [GOOD]
    assert make_client().report(AGENT_9, WINDOW).agents == ANA
    assert len(server.seen) == 6


def test_someone_else_uses_the_token(server: ScriptedServer, make_client: MakeClient) -> None:
    server.script = [refusal(403, "EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS PER TOKEN (2)")]
    with pytest.raises(TooManyAtOnce):
        make_client().report(AGENT_9, WINDOW)
    assert len(server.seen) == 20


def test_what_asking_again_cannot_help_ends_it_also_later(
    server: ScriptedServer, make_client: MakeClient, time: FakeTime
) -> None:
    server.script = [FAULT, FAULT, refusal(403, "TOKEN LIMIT EXCEEDED"), GOOD]
    with pytest.raises(QuotaUsedUp, match="Tried 3 times"):
        make_client().report(AGENT_9, WINDOW)
    assert len(server.seen) == 3


def test_each_retry_is_one_line_in_the_log(
    server: ScriptedServer, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    server.script = [FAULT, refusal(403, "copia"), GOOD]
    with caplog.at_level(logging.INFO):
        make_client().report(AGENT_9, WINDOW)
    first, second = (r for r in caplog.records if r.name.startswith("wolkvox_assets"))
    assert first.levelno == second.levelno == logging.WARNING
    for part in ("'north'", "2026-11-16 08:05", "HTTP 502", "0.2 s", "attempt 1 of 20"):
        assert part in first.getMessage()
    assert "copia" in second.getMessage()


# --- records ---


def test_each_request_is_told(server: ScriptedServer, make_client: MakeClient, time: FakeTime) -> None:
    records: list[RequestRecord] = []
    server.script = [
        Reply(reset=True),
        FAULT,
        CUT_OFF[0],
        refusal(403, "copia", inside_200=True),
        answer(row(), row("Total")),
    ]
    make_client(on_request=records.append).report(AGENT_9, WINDOW)
    assert [(r.http_status, r.code, r.records) for r in records] == [
        (None, None, None),
        (502, None, None),
        (200, None, None),
        (200, "403", None),
        (200, "200", 2),
    ]
    for record in records:
        assert (record.api, record.date_ini, record.date_end) == (
            "agent_9",
            "20261116080500",
            "20261116080959",
        )
        assert record.requested_at.tzinfo is UTC
        assert record.seconds >= 0
    assert records[0].body is None
    assert "reset" in (records[0].msg or "").lower()
    assert records[1].body == FAULT.body.decode()
    assert "cut off" in (records[2].msg or "")
    assert (records[2].body or "").startswith('{"code"')
    assert records[3].msg == "copia"
    assert records[4].body == server.script[4].body.decode()
    assert records[1].requested_at - records[0].requested_at == timedelta(seconds=0.25)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (with_error("TOKEN LIMIT EXCEEDED", msg="OK"), "TOKEN LIMIT EXCEEDED: OK"),
        (with_error("INTERNAL", msg=None), "INTERNAL"),
        (
            Reply(403, b"Token limit exceeded, come back tomorrow."),
            "Token limit exceeded, come back tomorrow.",
        ),
        (Reply(403, b"<html>TOKEN LIMIT EXCEEDED</html>"), None),
        (Reply(403, b'{"code": "403", "msg": "TOKEN LIMIT EXCEEDED"'), None),
        (Reply(502, b"<html>Bad Gateway</html>"), None),
        (answer(row(), msg="1 records were found"), "1 records were found"),
    ],
)
def test_what_the_server_said_is_told_wherever_it_said_it(
    reply: Reply, said: str | None, server: ScriptedServer, make_client: MakeClient
) -> None:
    records: list[RequestRecord] = []
    server.script = [reply]
    with suppress(WolkvoxError):
        make_client(on_request=records.append, retry=RetryPolicy(attempts=1)).report(AGENT_9, WINDOW)
    assert [record.msg for record in records] == [said]


def test_a_refused_answer_is_told_too(server: ScriptedServer, make_client: MakeClient) -> None:
    records: list[RequestRecord] = []
    server.script = [answer(row(count="-1"))]
    with pytest.raises(AnswerUnreadable):
        make_client(on_request=records.append).report(AGENT_9, WINDOW)
    assert [(r.records, r.body) for r in records] == [(1, server.script[0].body.decode())]


def test_token_info_has_no_dates(server: ScriptedServer, make_client: MakeClient) -> None:
    records: list[RequestRecord] = []
    server.script = [refusal(403, "PLEASE VALIDATE TOKEN")]
    with pytest.raises(TokenRefused):
        make_client(on_request=records.append).token_info()
    assert [(r.api, r.date_ini, r.date_end) for r in records] == [("token_info", None, None)]


def test_bytes_that_are_no_text_are_told_as_far_as_possible(
    server: ScriptedServer, make_client: MakeClient
) -> None:
    records: list[RequestRecord] = []
    server.script = [Reply(403, b'{"msg": "operaci\xf3n"}')]
    with pytest.raises(Unavailable):
        make_client(on_request=records.append, retry=RetryPolicy(attempts=1)).report(AGENT_9, WINDOW)
    assert records[0].body == '{"msg": "operaci\ufffdn"}'


def test_what_on_request_raises_is_not_swallowed(server: ScriptedServer, make_client: MakeClient) -> None:
    def full_disk(record: RequestRecord) -> None:
        raise OSError("disk full")

    server.script = [GOOD]
    asking = make_client(on_request=full_disk)
    for _ in range(2):  # and it leaves no lock behind
        with pytest.raises(OSError, match="disk full"):
            asking.report(AGENT_9, WINDOW)


# --- settings ---


@pytest.mark.parametrize(
    "server_code",
    ["", "13", "00013", "0013 ", "001a", "0013\n", "٠٠١٣", "0013.evil.com/", "@evil.com#", "-013"],
)
def test_a_server_code_is_four_digits(server_code: str, make_client: MakeClient) -> None:
    with pytest.raises(SettingsRefused, match="four digits"):
        make_client(server=server_code, base_url=None)


def test_the_address_is_built_from_the_server_code(make_client: MakeClient) -> None:
    assert "'https://wv0013.wolkvox.com'" in repr(make_client(base_url=None))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "127.0.0.1:80",
            "ftp://host",
            "file:///etc/passwd",
            "http://",
            "http:///x",
            "http://host:99999",
        ),
        *("http://user:hunter2@host", "http://hunter2@host", "http://host?hunter2=1", "http://host#hunter2"),
        *("http://ho st", "http://host\n", "http://[::1", "http://host:port", "http://host\\@evil"),
    ],
)
def test_a_base_url_is_http_or_https_and_nothing_more(url: str, make_client: MakeClient) -> None:
    with pytest.raises(SettingsRefused, match="base URL") as caught:
        make_client(base_url=url)
    assert "hunter2" not in str(caught.value)


def test_a_base_url_may_have_a_path(server: ScriptedServer, make_client: MakeClient) -> None:
    server.script = [GOOD]
    make_client(base_url=f"{server.url}/north/").report(AGENT_9, WINDOW)
    assert server.seen[0].path.startswith("/north/api/v2/reports_manager.php?")


@pytest.mark.parametrize(
    "token", ["", " ", "hush hush", "hush\n", "\thush", "hush\r\nX: y", "hushñ", "hush\x00", "hush\x7f"]
)
def test_a_token_that_no_header_can_hold(token: str, make_client: MakeClient) -> None:
    with pytest.raises(SettingsRefused, match="token") as caught:
        make_client(token=SecretStr(token))
    assert "hush" not in str(caught.value)


# --- one at a time ---


def test_threads_take_turns(server: ScriptedServer, make_client: MakeClient) -> None:
    server.script = [Reply(body=GOOD.body, delay=0.005)]
    asking, same_token = make_client(), make_client()
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: (asking, same_token)[n % 2].report(AGENT_9, WINDOW).agents, range(40))
        )
    assert answers == [ANA] * 40
    assert server.most_in_flight == 1


def test_without_the_lock_the_same_server_sees_several_at_once(
    server: ScriptedServer, make_client: MakeClient
) -> None:
    """The oracle of the test above can fail."""
    server.script = [Reply(body=GOOD.body, delay=0.05)]
    clients = [make_client(token=SecretStr(f"another-token-{n}")) for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda c: c.report(AGENT_9, WINDOW), clients))
    assert server.most_in_flight > 1


def test_nobody_is_kept_waiting_while_a_client_waits(
    server: ScriptedServer, make_client: MakeClient, time: FakeTime
) -> None:
    """The lock is held for one request: between two attempts another client gets its turn."""
    server.script = [FAULT, GOOD]
    other = make_client()
    done: list[Any] = []

    def ask_the_other() -> None:
        thread = threading.Thread(target=lambda: done.append(other.report(AGENT_9, WINDOW).agents))
        thread.start()
        thread.join(5)

    time.on_sleep = ask_the_other
    assert make_client().report(AGENT_9, WINDOW).agents == ANA
    assert done == [ANA]


def test_a_client_closes_and_opens_again(server: ScriptedServer, make_client: MakeClient) -> None:
    server.script = [GOOD]
    with make_client() as asking:
        assert isinstance(asking, WolkvoxClient)
        asking.report(AGENT_9, WINDOW)
    assert asking.report(AGENT_9, WINDOW).agents == ANA


@pytest.mark.parametrize(
    "fault",
    [refusal(500, "x"), Reply(), Reply(body=b"<html></html>"), Reply(reset=True), refusal(403, "backup")],
    ids=["500", "empty body", "web page", "reset", "unknown 403"],
)
def test_asked_briefly_a_fault_is_heard_soon_and_a_collision_is_waited_for(
    server: ScriptedServer, make_client: MakeClient, fault: Reply
) -> None:
    collision = refusal(403, "EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS PER TOKEN (2)")
    server.script = [fault, collision, collision, collision, collision, fault, fault, answer(row())]
    range_ = Range(datetime(2026, 11, 16, 12), datetime(2026, 11, 16, 12, 5))
    with pytest.raises(Transient):
        make_client().report(AGENT_9, range_, requests=3)
    assert len(server.seen) == 7
