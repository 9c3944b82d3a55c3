"""The two lanes of the token's lock, with processes: what is urgent waits for one request at most, whoever is killed.

Two oracles that know nothing of each other: what the server saw, and what the processes noted of themselves.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from wolkvox_assets_tests.api.conftest import TOKEN
from wolkvox_assets_tests.api.scripted import Reply, ScriptedServer, answer, row

# Imports once, then forks: nine interpreters would take longer to start than the test.
PROCESSES = """
import os, sys, time
from datetime import datetime, timedelta
from pydantic import SecretStr
from wolkvox_assets.api import Access, Asking, WolkvoxClient, client as module, file_lock, postgres_lock
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import one

url, log, patient = sys.argv[1], os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT), int(sys.argv[3])
urgent_times, patient_times = int(sys.argv[4]), int(sys.argv[5])
postgres = SecretStr(sys.argv[6]) if sys.argv[6:] else None
# What is killed is waited for as long as its request could last: two minutes, if it were not for this.
module.ANSWER_SECONDS, postgres_lock.SPARE_SECONDS = 0.5, 0.3
token = SecretStr(sys.stdin.readline().strip())

def note(who, what):
    os.write(log, f"{time.monotonic()} {who} {what} {os.getpid()}\\n".encode())

def work(who):
    kind = postgres_lock.PostgresLock if postgres else file_lock.LockFile
    make, take = kind.__init__, kind.taken

    def made(lock, *arguments):
        make(lock, *arguments)
        lock.which = arguments[-1].rpartition(".")[2]

    def taken(lock):
        is_taken = take(lock)
        if who == 0 and is_taken and not hasattr(lock, "noted"):
            note(who, lock.which)
            lock.noted = True
        return is_taken

    kind.__init__, kind.taken = made, taken
    window = datetime(2026, 11, 16, who)
    access = Access("north", "0013", token, url, postgres)
    with WolkvoxClient(access, Asking(urgent=who == 0)) as client:
        for _ in range(urgent_times if who == 0 else patient_times):
            client.report(AGENT_9, one(window))
            note(who, "had")
            time.sleep(0.04 if who == 0 else 0)

children = []
for who in range(patient + 1):
    child = os.fork()
    if child == 0:
        work(who)
        os._exit(0)
    children.append(child)
print(*children, flush=True)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
print(*codes, flush=True)
"""
PATIENT = 8


class Line(NamedTuple):
    at: float
    who: int
    what: str
    pid: int


def lines(log: Path) -> list[Line]:
    found = (line.split() for line in log.read_text("ascii").splitlines())
    return [Line(float(at), int(who), what, int(pid)) for at, who, what, pid in found]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture(params=["file", "postgres"])
def lies_in(request: pytest.FixtureRequest) -> list[str]:
    """Where the lock is: nothing for a file, or the address of a database."""
    return [] if request.param == "file" else [request.getfixturevalue("postgres_address")]


def started(
    server: ScriptedServer, log: Path, urgent: int, patient: int, lies_in: list[str]
) -> "subprocess.Popen[str]":
    numbers = (str(PATIENT), str(urgent), str(patient))
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESSES, server.url, str(log), *numbers, *lies_in],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    process.stdin.write(f"{TOKEN}\n")
    process.stdin.flush()
    return process


@pytest.fixture
def slow_server(server: ScriptedServer) -> ScriptedServer:
    server.script = [Reply(body=answer(row()).body, delay=0.03)]
    return server


def began(server: ScriptedServer) -> list[tuple[float, int]]:
    """When each request came to the server, and whose it was: each asks for a window of its own."""
    return [(seen.at, int(seen.path.split("date_ini=20261116")[1][:2])) for seen in server.seen]


def test_what_is_urgent_waits_for_the_request_in_flight_and_no_other(
    slow_server: ScriptedServer, log: Path, lies_in: list[str]
) -> None:
    process = started(slow_server, log, 12, 5, lies_in)
    out, _ = process.communicate(timeout=60)
    assert set(out.splitlines()[-1].split()) == {"0"}
    assert slow_server.most_in_flight == 1
    requests = began(slow_server)
    assert len(requests) == 12 + PATIENT * 5

    # From when it is in the urgent lane, before its own: the request in flight, which may have come to the server a
    # moment later.
    noted = [line for line in lines(log) if line.who == 0]
    assert [line.what for line in noted] == ["urgent", "lock", "had"] * 12
    for lane, had in zip(noted[::3], noted[2::3], strict=True):
        after = [who for at, who in requests if lane.at < at < had.at]
        assert after.count(0) == 1
        assert after.index(0) <= 1
    # The patient ones had their turns meanwhile.
    assert len([at for at, who in requests if who != 0 and at < noted[-1].at]) >= 5


def test_whoever_is_killed_leaves_nothing_locked(
    slow_server: ScriptedServer, log: Path, lies_in: list[str]
) -> None:
    process = started(slow_server, log, 10, 5, lies_in)
    assert process.stdout
    children = [int(pid) for pid in process.stdout.readline().split()]
    victims = [children[0], *random.sample(children[1:], 3)]
    for victim in random.sample(victims, len(victims)):
        time.sleep(random.uniform(0.0, 0.2))
        os.kill(victim, signal.SIGKILL)
    out, _ = process.communicate(timeout=60)
    codes = dict(zip(children, (int(code) for code in out.splitlines()[-1].split()), strict=True))
    assert {codes[pid] for pid in victims} <= {-signal.SIGKILL, 0}
    assert {code for pid, code in codes.items() if pid not in victims} == {0}
    # A killed one's request is still on its way at the server. Only the lease in Postgres knows of it.
    assert slow_server.most_in_flight <= (1 if lies_in else 2)
    had = {line.pid for line in lines(log) if line.what == "had"}
    assert set(children) - set(victims) <= had
