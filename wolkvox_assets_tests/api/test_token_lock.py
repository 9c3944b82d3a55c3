"""The lock between processes: one request at a time for a token, whoever dies, wherever it lies."""

import hashlib
import logging
import os
import pwd
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from wolkvox_assets.api import LockUnusable, token_lock
from wolkvox_assets.api.token_lock import TokenLock
from wolkvox_assets_tests.api.conftest import TOKEN, MakeClient
from wolkvox_assets_tests.api.scripted import Reply, ScriptedServer, answer, row

ASK = """
import sys
from datetime import datetime
from pydantic import SecretStr
from wolkvox_assets.api import Access, WolkvoxClient
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import one

url, token, times, postgres = sys.argv[1], sys.stdin.readline().strip(), int(sys.argv[2]), sys.argv[3:]
lock = SecretStr(postgres[0]) if postgres else None
with WolkvoxClient(Access("north", "0013", SecretStr(token), url, lock)) as client:
    for _ in range(times):
        client.report(AGENT_9, one(datetime(2026, 11, 16, 8, 5)))
"""

HOLD = """
import sys, time
from pydantic import SecretStr
from wolkvox_assets.api.token_lock import TokenLock

with TokenLock(SecretStr(sys.stdin.readline().strip()), "north").held(1):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def process(code: str, token: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A Python process that reads the token from its input; killed and reaped at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            assert started.stdin
            started.stdin.write(f"{token}\n")
            started.stdin.flush()
            yield started
        finally:
            started.kill()


def directory() -> Path:
    return Path(tempfile.gettempdir()) / f"wolkvox-assets-{os.getuid()}"


@pytest.fixture(params=["file", "postgres"])
def lies_in(request: pytest.FixtureRequest) -> list[str]:
    """Where the lock is: nothing for a file, or the address of a database."""
    return [] if request.param == "file" else [request.getfixturevalue("postgres_address")]


def test_processes_take_turns(server: ScriptedServer, lies_in: list[str]) -> None:
    server.script = [Reply(body=answer(row()).body, delay=0.005)]
    with (
        process(ASK, TOKEN, server.url, "15", *lies_in) as one,
        process(ASK, TOKEN, server.url, "15", *lies_in) as two,
        process(ASK, TOKEN, server.url, "15", *lies_in) as three,
    ):
        for each in (one, two, three):
            _, complaints = each.communicate(timeout=30)
            assert each.returncode == 0, complaints
    assert len(server.seen) == 45
    assert server.most_in_flight == 1


def test_processes_with_tokens_of_their_own_need_not_wait(server: ScriptedServer, lies_in: list[str]) -> None:
    """And so the oracle of the test above can fail."""
    # Longer than one of them may take to start after the other, on a busy machine.
    server.script = [Reply(body=answer(row()).body, delay=4)]
    with (
        process(ASK, "token-one", server.url, "1", *lies_in) as one,
        process(ASK, "token-two", server.url, "1", *lies_in) as two,
    ):
        for each in (one, two):
            _, complaints = each.communicate(timeout=30)
            assert each.returncode == 0, complaints
    assert server.most_in_flight == 2


def test_a_killed_holder_lets_go_and_waiting_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(token_lock, "SAY_SO_AFTER_SECONDS", 0.05)
    said = threading.Event()

    class Tell(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.set()

    handler = Tell()
    logging.getLogger("wolkvox_assets.api.token_lock").addHandler(handler)
    try:
        with process(HOLD, TOKEN) as holder, caplog.at_level(logging.INFO):
            assert holder.stdout
            assert holder.stdout.readline() == "held\n"
            killed_before = []

            def kill_when_it_is_said() -> None:
                assert said.wait(10)
                killed_before.append(True)
                holder.kill()

            killer = threading.Thread(target=kill_when_it_is_said)
            killer.start()
            with TokenLock(SecretStr(TOKEN), "north").held(1):
                assert killed_before, "taken while another process held it"
            killer.join()
    finally:
        logging.getLogger("wolkvox_assets.api.token_lock").removeHandler(handler)
    assert "'north' has waited" in caplog.text
    assert TOKEN not in caplog.text


def test_the_file_tells_nothing_of_the_token() -> None:
    with TokenLock(SecretStr(TOKEN), "north").held(1), TokenLock(SecretStr("token-two"), "north").held(1):
        files = list(directory().iterdir())
    assert len(files) == 4  # a lock and its urgent lane for each
    quick_to_guess = [
        hashlib.new(name, TOKEN.encode()).hexdigest()[:16] for name in ("md5", "sha1", "sha256")
    ]
    for file in files:
        assert file.read_bytes() == b""
        assert TOKEN[:4] not in file.name
        assert not any(digest in file.name for digest in quick_to_guess)
    assert directory().stat().st_mode & 0o777 == 0o700


def test_the_file_is_touched_so_that_cleaners_leave_it() -> None:
    lock = TokenLock(SecretStr(TOKEN), "north")
    with lock.held(1):
        pass
    files = list(directory().iterdir())
    for file in files:
        os.utime(file, (0, 0))
    with lock.held(1):
        pass
    assert [file for file in files if file.stat().st_mtime == 0] == []


def test_a_link_in_the_directorys_place_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    directory().symlink_to(elsewhere)
    with pytest.raises(LockUnusable, match="not a directory"), TokenLock(SecretStr(TOKEN), "north").held(1):
        pass
    assert list(elsewhere.iterdir()) == []


def test_a_file_in_the_directorys_place_is_refused() -> None:
    directory().write_text("")
    with pytest.raises(LockUnusable, match="wolkvox-assets-"), TokenLock(SecretStr(TOKEN), "north").held(1):
        pass


def test_a_directory_others_can_write_to_is_refused() -> None:
    directory().mkdir()
    directory().chmod(0o777)
    with pytest.raises(LockUnusable, match="777"), TokenLock(SecretStr(TOKEN), "north").held(1):
        pass


def somebody_else_took_the_name(monkeypatch: pytest.MonkeyPatch, our_home: Path) -> None:
    """`lstat` of our name shows another owner; the state folder is one of our own."""
    directory().mkdir(mode=0o700)
    taken, lstat = directory(), Path.lstat

    def seen(path: Path) -> os.stat_result:
        found = lstat(path)
        return os.stat_result((*found[:4], found.st_uid + 1, *found[5:])) if path == taken else found

    monkeypatch.setattr(Path, "lstat", seen)
    entry = pwd.getpwuid(os.getuid())
    monkeypatch.setattr(pwd, "getpwuid", lambda _: pwd.struct_passwd((*entry[:5], str(our_home), *entry[6:])))


def test_where_another_user_took_the_name_the_lock_lies_in_our_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    somebody_else_took_the_name(monkeypatch, tmp_path / "home")
    with TokenLock(SecretStr(TOKEN), "north").held(1):
        lie_there = (tmp_path / "home" / ".local" / "state" / "wolkvox-assets").iterdir()
        assert {file.suffix for file in lie_there} == {".lock", ".urgent"}
    assert list(directory().iterdir()) == []


def test_without_a_home_as_well_the_message_names_what_can_be_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "home").write_text("")
    somebody_else_took_the_name(monkeypatch, tmp_path / "home")
    with pytest.raises(LockUnusable, match="Set TMPDIR"), TokenLock(SecretStr(TOKEN), "north").held(1):
        pass


def test_no_lock_no_request(server: ScriptedServer, make_client: MakeClient) -> None:
    directory().write_text("")
    server.script = [answer(row())]
    with pytest.raises(LockUnusable, match="token_info"):
        make_client().token_info()
    assert server.seen == []
