"""What a tick costs for so many operations: part of `make bench`.

`make bench TICKS=1,10,40,200` measures this alone. Each tick is the job `live` as a process of its own, on a Dagster
instance with this project's `dagster.yaml`; each operation has one window that has just closed, a day of history that
is known and verified, and a token of its own. So it is the tick that comes eleven times an hour: the twelfth verifies
an hour as well, with a request for each operation.

CPU is that of the tick's processes, start and all. Memory is what all of them hold at once, at most (RSS: what they
share counts twice). Log is what Dagster's files grew by.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import duckdb
import requests

from wolkvox_assets.report.windows import WINDOW, WallClock
from wolkvox_assets.simulator import Centre, Simulator
from wolkvox_assets.simulator import Operation as Account
from wolkvox_assets.store.files import FileStore

SIZES = (1, 10, 40, 200)
LATENCIES = (0.0, 0.02)  # seconds a request
_ROUNDS, _AGENTS = 3, 12
_CLOCK = WallClock("America/Bogota")
_DELAY = timedelta(seconds=60)  # WOLKVOX_LIVE_DELAY_SECONDS
_ENDS_BEFORE = timedelta(seconds=150)  # a tick asks nothing once the next one is due
_ROOT = Path(__file__).parents[1]
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LOOK_SECONDS = 0.1

# As if all before the newest window had been asked, was empty, and had been verified just now.
_KNOWN = """
INSERT INTO agent_9_window_log
SELECT $operation, w, w::DATE, 0, 'asked', $now, $now, 'made-up'
FROM range($first::TIMESTAMP, $last::TIMESTAMP, INTERVAL 5 MINUTE) AS t(w);
INSERT INTO agent_9_corrections
VALUES ($operation, '2020-01-01', 'Ana', '2020-01-02', 'hold_mute_count', 1, 0);
"""


class Cost(NamedTuple):
    """Of one tick. `published`: seconds from its start until the last operation's window could be read."""

    cpu: float
    seconds: float
    published: float
    megabytes: float
    log_bytes: int


def _name(number: int) -> str:
    return f"op{number:03d}"


def _serve(operations: int, answer: Connection) -> None:
    accounts = [
        Account(Centre(_AGENTS, seed=n + 1, profile="around_the_clock"), tokens=(f"bench-{_name(n)}",))
        for n in range(operations)
    ]
    with Simulator(*accounts) as simulator:
        answer.send(simulator.url)
        answer.recv()


@contextmanager
def _simulator(operations: int) -> Iterator[str]:
    """The address of one, in a process of its own."""
    ours, its = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(operations, its), daemon=True)
    process.start()
    its.close()  # so that its end is heard here
    try:
        yield ours.recv()
    finally:
        ours.send("end")
        process.join(10)


class _Project:
    """A folder with so many operations, of which all is known but the newest window."""

    def __init__(self, folder: Path, url: str, operations: int) -> None:
        self._folder, self._names = folder, [_name(n) for n in range(operations)]
        folder.mkdir()
        shutil.copyfile(_ROOT / "dagster.yaml", folder / "dagster.yaml")
        start = _CLOCK.now(datetime.now(UTC)).date() - timedelta(days=1)
        (folder / "operations.toml").write_text(
            "\n".join(
                f'[operations.{name}]\nserver = "{n:04d}"\ntoken_env = "TOKEN_{name.upper()}"\n'
                f'start = {start}\nbase_url = "{url}"\n'
                for n, name in enumerate(self._names)
            )
        )
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WOLKVOX_")}
        self._environment = {
            **clean,
            **{f"TOKEN_{name.upper()}": f"bench-{name}" for name in self._names},
            "WOLKVOX_OPERATIONS": str(folder / "operations.toml"),
            "WOLKVOX_DATA_DIR": str(folder / "data"),
            "DAGSTER_HOME": str(folder),
        }
        self._store = FileStore(folder / "data")
        self._fill(datetime.combine(start, datetime.min.time()))
        self.tick()  # what is done once only: looks at the quota, checks over everything

    def _fill(self, first: datetime) -> None:
        last = self._newest() - WINDOW
        with self._store.transaction() as con:
            for name in self._names:
                values = {
                    "operation": name,
                    "first": first,
                    "last": last,
                    "now": datetime.now(UTC).replace(tzinfo=None),
                }
                for statement in _KNOWN.split(";\n")[:-1]:
                    used = {key: value for key, value in values.items() if f"${key}" in statement}
                    con.execute(statement, used)

    def tick(self) -> Cost:
        """Every operation's newest window, which is forgotten before."""
        _wait_for_a_tick_that_has_time()
        window = self._newest()
        with self._store.transaction() as con:
            for table in ("agent_9_windows", "agent_9_window_log"):
                con.execute(f"DELETE FROM {table} WHERE window_start >= ?", [window])
        log_before = _bytes_below(self._folder / ".dagster")
        began, most, published = time.perf_counter(), 0, 0.0
        with (self._folder / "tick.log").open("w") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "dagster",
                    "job",
                    "execute",
                    "-j",
                    "live",
                    "-m",
                    "wolkvox_assets.definitions",
                ],
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            seen = 0
            while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
                most = max(most, _held_by(process.pid))
                changed = self._store.published.stat().st_mtime_ns
                if not published and changed != seen:
                    seen = changed
                    if self._known(window) == len(self._names):
                        published = time.perf_counter() - began
                time.sleep(_LOOK_SECONDS)
        seconds = time.perf_counter() - began
        _, status, used = ended
        said = (self._folder / "tick.log").read_text()
        assert status == 0, said[-3000:]
        assert self._known(window) == len(self._names), said[-3000:]
        log_bytes = _bytes_below(self._folder / ".dagster") - log_before
        return Cost(used.ru_utime + used.ru_stime, seconds, published or seconds, most / 1e6, log_bytes)

    def _newest(self) -> datetime:
        """The newest window that a tick would ask now (wall clock)."""
        now = _CLOCK.now(datetime.now(UTC) - _DELAY)
        return now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0) - WINDOW

    def _known(self, window: datetime) -> int:
        with duckdb.connect(self._store.published, read_only=True) as con:
            query = "SELECT COUNT(*) FROM agent_9_window_log WHERE window_start = ?"
            [(known,)] = con.execute(query, [window]).fetchall()
        return int(known)


def _wait_for_a_tick_that_has_time() -> None:
    while True:
        now = datetime.now(UTC) - _DELAY
        left = WINDOW - (now - now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0))
        if left > _ENDS_BEFORE:
            return
        time.sleep(left.total_seconds() + 1)


def _held_by(parent: int) -> int:
    """Bytes of memory (RSS) of a process and all below it."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                status = (entry / "stat").read_text().rpartition(")")[2].split()
                below.setdefault(int(status[1]), []).append(int(entry.name))
    total, left = 0, [parent]
    while left:
        pid = left.pop()
        left += below.get(pid, [])
        with suppress(OSError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return total


def _bytes_below(folder: Path) -> int:
    found = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            found += file.stat().st_size if file.is_file() else 0
    return found


def rows(sizes: Sequence[int], folder: Path) -> list[tuple[str, ...]]:
    """A table: a line for each number of operations and each latency."""
    found: list[tuple[str, ...]] = [
        (
            "operations",
            "a request",
            "CPU",
            "each",
            "from start to end",
            "last window published",
            "memory",
            "log",
        )
    ]
    one: dict[float, float] = {}
    for operations in sizes:
        with _simulator(operations) as url:
            project = _Project(folder / f"ticks_{operations}", url, operations)
            for latency in LATENCIES:
                print(
                    f"… ticks of {operations} operations at {latency * 1000:.0f} ms",
                    file=sys.stderr,
                    flush=True,
                )
                setting = {"latency": latency}
                requests.post(f"{url}/_simulator/settings", json=setting, timeout=10).raise_for_status()
                ticks = [project.tick() for _ in range(_ROUNDS)]
                cost = Cost(*(statistics.median(column) for column in zip(*ticks, strict=True)))
                if operations == 1:
                    one[latency] = cost.cpu
                more = (cost.cpu - one[latency]) / (operations - 1) if operations > 1 and one else None
                found.append(
                    (
                        f"{operations}",
                        f"{latency * 1000:.0f} ms",
                        f"{cost.cpu:.1f} s",
                        "" if more is None else f"{more * 1000:.0f} ms",
                        f"{cost.seconds:.1f} s",
                        f"{cost.published:.1f} s",
                        f"{cost.megabytes:.0f} MB",
                        f"{cost.log_bytes / 1000:.0f} KB",
                    )
                )
    return found


def alone(sizes: Sequence[int]) -> list[tuple[str, ...]]:
    with tempfile.TemporaryDirectory(prefix="wolkvox-bench-") as folder:
        return rows(sizes, Path(folder))
