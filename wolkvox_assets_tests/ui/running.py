"""The whole product as `make dev` runs it, with a loaded history: for tests and pictures of Dagster's UI.

What belongs here: starting it, and ending it. What doesn't: the browser (`browser.py`), what is looked at.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import requests

from wolkvox_assets.report.windows import WallClock
from wolkvox_assets.simulator import Simulator
from wolkvox_assets_tests.project import QUICK_DAEMON, ROOT

BOGOTA = "America/Bogota"
_STARTS_WITHIN_SECONDS = 90
# All that `make dev` runs, of one report, as in the tests: what stands on the pages is counted.
_OF_AGENT_9 = """
from wolkvox_assets.report.reports import AGENT_9, REPORTS

REPORTS[:] = [AGENT_9]

from wolkvox_assets.definitions import defs
"""


@dataclass(frozen=True)
class Running:
    """`url`: of Dagster's UI. `day`: a finished day (wall clock) that is loaded, and the first of the history."""

    url: str
    folder: Path
    simulator: Simulator
    day: date


def last_closed_day(zone: str = BOGOTA) -> date:
    """The newest day whose windows have all settled, with some minutes to spare."""
    return WallClock(zone).now(datetime.now(UTC) - timedelta(minutes=70)).date() - timedelta(days=1)


@contextmanager
def running(folder: Path, simulator: Simulator, day: date, zone: str = BOGOTA) -> Iterator[Running]:
    """The UI, the daemon with all that starts by itself, and all windows from `day` on, loaded by one run."""
    settings = {
        "WOLKVOX_BASE_URL": simulator.url,
        "WOLKVOX_SERVER": "0013",
        "WOLKVOX_TOKEN": simulator.token,
        "WOLKVOX_TIMEZONE": zone,
        "WOLKVOX_START": f"{day}",
        "WOLKVOX_OWNERS": "reports@example.com",
        "WOLKVOX_TAGS": "centre=bogota",
    }
    environment = _environment(folder, settings)
    with ExitStack() as stack:
        # Not by a tick, which stops when the next one is due.
        load = ["-m", "dagster", "asset", "materialize", "--select", "main/agent_9_windows"]
        load += ["--partition-range", f"{day}T00:00...{_newest_window(zone)}", "-m", "of_agent_9"]
        loading = stack.enter_context(_process(folder, "load", load, environment))
        url = stack.enter_context(serving(folder, settings))
        if loading.wait(_STARTS_WITHIN_SECONDS):
            raise AssertionError(f"nothing was loaded:\n{(folder / 'load.log').read_text()[-3000:]}")
        # Only now: it would load the same at the same time.
        daemon = ["-c", QUICK_DAEMON, "run", "-w", "workspace.yaml"]
        stack.enter_context(_process(folder, "daemon", daemon, environment))
        wait_for(url, folder)
        yield Running(url, folder, simulator, day)


@contextmanager
def serving(folder: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """The UI alone, in this folder; its address, where it answers before long."""
    port = _free_port()
    serve = ["-m", "dagster_webserver", "-p", f"{port}", "-w", "workspace.yaml"]
    with _process(folder, "webserver", serve, _environment(folder, settings)):
        yield f"http://127.0.0.1:{port}"


def _environment(folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    shutil.copyfile(ROOT / "dagster.yaml", folder / "dagster.yaml")
    workspace = (ROOT / "workspace.yaml").read_text()
    (folder / "workspace.yaml").write_text(workspace.replace("wolkvox_assets.definitions", "of_agent_9"))
    (folder / "of_agent_9.py").write_text(_OF_AGENT_9)
    ours = ("WOLKVOX_", "DAGSTER_")
    others = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**others, **settings, "DAGSTER_HOME": str(folder)}


def _newest_window(zone: str) -> str:
    """The key of the last that is over."""
    now = WallClock(zone).now(datetime.now(UTC))
    return f"{now - timedelta(minutes=now.minute % 5 + 5):%Y-%m-%dT%H:%M}"


@contextmanager
def _process(
    folder: Path, name: str, arguments: Sequence[str], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Python in a session of its own, with all that it starts; ended in the end."""
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_as_a_child_of_ours,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _as_a_child_of_ours() -> None:
    """Default handlers, which a background shell takes away; and gone when the tests are, even if killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def wait_for(url: str, folder: Path, *, daemon: bool = True) -> None:
    """Until it answers, and its daemon is alive, if it has one: before that the UI rightly shows a warning."""
    query = "{ instance { daemonHealth { allDaemonStatuses { healthy required } } } }"
    end = time.monotonic() + _STARTS_WITHIN_SECONDS
    while time.monotonic() < end:
        try:
            said = requests.post(f"{url}/graphql", json={"query": query}, timeout=10).json()
            daemons = said["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
            if not daemon or all(one["healthy"] for one in daemons if one["required"]):
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.2)
    logs = "\n".join(log.read_text()[-3000:] for log in folder.glob("*.log"))
    raise AssertionError(f"the UI did not come up:\n{logs}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
