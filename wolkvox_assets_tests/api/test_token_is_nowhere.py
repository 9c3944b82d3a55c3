"""The token is in its header and nowhere else, also where the server echoes it, and also when all goes wrong."""

import html
import json
import logging
import traceback
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from wolkvox_assets.api import RequestRecord, RetryPolicy, WolkvoxError
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import one
from wolkvox_assets_tests.api.conftest import TOKEN, MakeClient
from wolkvox_assets_tests.api.scripted import Reply, ScriptedServer, answer, refusal, row

WINDOW = one(datetime(2026, 11, 16, 8, 5))
IN_JSON = json.dumps(TOKEN)[1:-1]

SPELLINGS = {
    TOKEN,
    IN_JSON,
    IN_JSON.replace("/", "\\/"),
    quote(TOKEN),
    quote(TOKEN, safe=""),
    html.escape(TOKEN),
    repr(TOKEN)[1:-1],
}

REPLIES = {
    "msg": refusal(403, f"PLEASE VALIDATE TOKEN {TOKEN}"),
    "msg, unpublished": refusal(403, f"backup {TOKEN}"),
    "msg, escaped slash": Reply(403, refusal(403, f"no: {TOKEN}").body.replace(b"/", b"\\/")),
    "msg inside a 200": refusal(403, f"PLEASE VALIDATE TOKEN {TOKEN}", inside_200=True),
    "page": Reply(502, f"<html>wolkvox-token: {html.escape(TOKEN)}</html>".encode()),
    "plain text": Reply(403, f"wolkvox-token: {TOKEN}".encode()),
    "cut off": Reply(200, f'{{"code": 200, "msg": "{IN_JSON}", "data'.encode()),
    "connection cut": Reply(
        raw=f'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{{"msg": "{IN_JSON}"'.encode()
    ),
    "no HTTP": Reply(raw=f"{TOKEN}\r\n\r\n".encode()),
    "header": Reply(raw=f"HTTP/1.1 200 OK\r\n{TOKEN}\r\nContent-Length: x{TOKEN}\r\n\r\n".encode()),
    "redirect": Reply(302, b"", {"Location": f"http://127.0.0.1:9/?t={TOKEN}&u={quote(TOKEN, safe='')}"}),
    "reset": Reply(reset=True),
    "wrong value": answer(row(hold=f"x{TOKEN}")),
    "wrong name": answer(row(name=[TOKEN])),
    "code": answer(code=TOKEN),
    "data": Reply(200, json.dumps({"code": 200, "data": TOKEN}).encode()),
    "answer": answer(row(TOKEN) | {TOKEN: TOKEN}, row(TOKEN), msg=f"1 records were found {TOKEN}"),
}


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("name", REPLIES)
def test_the_token_is_nowhere(
    name: str, server: ScriptedServer, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    server.script = [REPLIES[name]]
    records: list[RequestRecord] = []
    texts: list[str] = []
    asking = make_client(on_request=records.append, retry=RetryPolicy(attempts=3))
    with caplog.at_level(logging.DEBUG):
        try:
            texts.append(repr(asking.report(AGENT_9, WINDOW)))
        except WolkvoxError as error:
            for link in chain(error):
                assert isinstance(link, WolkvoxError), "what requests raised holds the headers"
                texts += [str(link), repr(link), repr(vars(link)), ascii(vars(link))]
            # With the values of local variables, as debuggers and error trackers show them.
            trace = traceback.TracebackException.from_exception(error, capture_locals=True)
            ours = [frame for frame in trace.stack if "wolkvox_assets/api" in frame.filename]
            assert ours
            texts += [repr(frame.locals) for frame in ours]
            texts.append("".join(traceback.format_exception(error)))
    texts += [repr(record) for record in records]
    texts += [f"{record.getMessage()} {record.args!r} {record.exc_text}" for record in caplog.records]
    texts.append(repr(asking))
    assert len(records) == len(server.seen) > 0
    for text in texts:
        for spelling in SPELLINGS:
            assert spelling not in text
    assert all(seen.headers["wolkvox-token"] == TOKEN for seen in server.seen)
    assert not any(TOKEN in seen.path or quote(TOKEN, safe="") in seen.path for seen in server.seen)


def test_the_hunt_would_find_it(server: ScriptedServer, make_client: MakeClient) -> None:
    """What is hunted for is really sent back: with another token's client, the echo stays in."""
    server.script = [REPLIES["msg"]]
    with pytest.raises(WolkvoxError) as caught:
        make_client(token=SecretStr("quite-another-token")).report(AGENT_9, WINDOW)
    assert TOKEN in (caught.value.msg or "")


def test_no_file_holds_it(server: ScriptedServer, make_client: MakeClient, tmp_path: Path) -> None:
    server.script = [answer(row())]
    make_client().report(AGENT_9, WINDOW)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert TOKEN not in path.name
        assert TOKEN.encode() not in path.read_bytes()
