"""Two machines that share a Postgres (for the lake, the lock and Dagster) and the lake's data, and nothing else: no
folder, no DAGSTER_HOME, no TMPDIR, as root not even the user and the host's name.

What belongs here: that together they store the truth, whatever is killed. What doesn't: the lock (`api/`), the lake
(`store/`).
"""

import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import psycopg2
import pytest
from psycopg2.extensions import parse_dsn
from pydantic import SecretStr

from wolkvox_assets.api.token_lock import TokenLock
from wolkvox_assets.report.windows import WINDOW, WallClock
from wolkvox_assets.simulator import Centre, Faults, Operation, Simulator
from wolkvox_assets.store.lake.place import Lake
from wolkvox_assets.store.lake.store import LakeStore
from wolkvox_assets_tests import machine
from wolkvox_assets_tests.postgres import Cluster
from wolkvox_assets_tests.project import ROOT

BOGOTA = WallClock("America/Bogota")
ENDS_WITHIN_SECONDS = 300.0
# Two pairs with one token each, and four with their own.
TOKENS = {f"op{n}": f"token-{letter}-{ord(letter) * 1234}" for n, letter in enumerate("aabbcdef", 1)}


class Processes:
    """Those of all machines: children of one process, since a minute would go by with importing."""

    def __init__(self) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "wolkvox_assets_tests.machine"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._running: set[int] = set()
        assert self._answer() == "ready"

    def start(self, order: machine.Order) -> int:
        process = int(self._told(order.line))
        self._running.add(process)
        return process

    def ended(self, process: int) -> int:
        """Its exit code, once it has ended."""
        self._running.discard(process)
        return int(self._told(str(process)))

    def kill(self, process: int) -> None:
        os.kill(process, signal.SIGKILL)
        self.ended(process)

    def end(self) -> None:
        for process in self._running:
            os.kill(process, signal.SIGKILL)
        assert self._parent.stdin
        assert self._parent.stdout
        self._parent.stdin.close()
        self._parent.stdout.close()
        self._parent.wait(10)

    def _told(self, line: str) -> str:
        assert self._parent.stdin
        self._parent.stdin.write(f"{line}\n")
        self._parent.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._parent.stdout
        heard, _, _ = select.select([self._parent.stdout], [], [], ENDS_WITHIN_SECONDS)
        assert heard, "a process does not come to its end"
        return self._parent.stdout.readline().strip()


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    processes.end()


# A run started by hand takes its turn op by op: only of runs from the queue does Dagster count whole ones.
DAGSTER = """
storage: {{postgres: {{postgres_url: "{url}"}}}}
concurrency: {{pools: {{default_limit: 1, granularity: op}}}}
telemetry: {{enabled: false}}
"""


def machine_in(folder: Path, tables: str, dagster: str) -> dict[str, str]:
    """A machine's own environment; its folder is made. `dagster`: the database of Dagster's records."""
    temporary = folder / "tmp"
    temporary.mkdir(parents=True)
    (folder / "operations.toml").write_text(tables)
    words = parse_dsn(dagster)
    url = f"postgresql+psycopg2://{words['user']}@/{words['dbname']}?host={words['host']}"
    (folder / "dagster.yaml").write_text(DAGSTER.format(url=url))
    return {
        "WOLKVOX_DATA_DIR": str(folder / "data"),
        "DAGSTER_HOME": str(folder),
        "TMPDIR": str(temporary),
        "HOME": str(folder),
    }


def lake_folder(folder: Path) -> Path:
    """As the documentation says, for machines with a user each."""
    lake = folder / "lake"
    lake.mkdir()
    if os.getuid() == 0:
        shutil.chown(lake, group=machine.GROUP)
    lake.chmod(0o2770)
    return lake


@pytest.fixture
def stoppable(postgres_cluster: Cluster) -> Iterator[Cluster]:
    """Runs again at the end, whatever became of the test."""
    yield postgres_cluster
    if not postgres_cluster.runs:
        postgres_cluster.start()


def asked(lake: LakeStore, sql: str) -> list[tuple[Any, ...]]:
    with lake.reading() as con:
        return con.execute(sql).fetchall() if con else []


def assert_exact(lake: LakeStore, simulator: Simulator, operation: str, wanted: list[datetime]) -> None:
    """Every window once, with what the server says of it, and totals of just that."""
    where = f"WHERE operation = '{operation}'"
    known = [at for (at,) in asked(lake, f"SELECT window_start FROM agent_9_window_log {where} ORDER BY 1")]
    assert known[: len(wanted)] == wanted
    assert len(known) == len(set(known))
    assert asked(
        lake,
        "SELECT window_start, agent_name, hold_mute_count, hold_seconds, mute_seconds, total_seconds"
        f" FROM agent_9_windows {where} ORDER BY 1, 2",
    ) == [
        (window, agent, *usage)
        for window in known
        for agent, usage in sorted(
            simulator.truth(window, window + WINDOW - timedelta(seconds=1), TOKENS[operation]).items()
        )
    ]
    totals = "SELECT agent_name, SUM({0})::BIGINT FROM {1} " + where + " GROUP BY ALL ORDER BY 1"
    assert asked(lake, totals.format("total_seconds", "agent_hold_mute_daily")) == asked(
        lake, totals.format("total_seconds", "agent_9_windows")
    )


class Work(NamedTuple):
    """`operations`: of `TOKENS`, each with so many `hours` of history. `breaks`: of Postgres."""

    operations: int
    hours: int
    kills: int
    breaks: int


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(Work(4, hours=1, kills=3, breaks=1), marks=pytest.mark.long),
        pytest.param(Work(8, hours=2, kills=12, breaks=2), marks=pytest.mark.by_hand),
    ],
    ids=["short", "long"],
)
def test_two_machines_and_whatever_is_killed(
    work: Work, tmp_path: Path, stoppable: Cluster, postgres_address: str, processes: Processes
) -> None:
    tokens = dict(list(TOKENS.items())[: work.operations])
    now = datetime.now(UTC)
    midnight = datetime.combine(BOGOTA.now(now - timedelta(days=2)).date(), datetime.min.time())
    shown = BOGOTA.start_utc(midnight) + timedelta(hours=work.hours, minutes=2)
    clock = f"{shown.isoformat()} {now.isoformat()} 10"
    served = [
        Operation(Centre(4, seed=seed, profile="around_the_clock"), tokens=[token])
        for seed, token in enumerate(dict.fromkeys(tokens.values()))
    ]
    lake = LakeStore(tmp_path, Lake(SecretStr(postgres_address), str(lake_folder(tmp_path))))
    with (
        stoppable.database() as dagster,
        Simulator(
            *served, faults=Faults(latency=0.01), simultaneous=1, clock=machine.clock(clock)
        ) as simulator,
    ):
        wanted = BOGOTA.windows_of_day(midnight.date())[: work.hours * 12]
        stop = tmp_path / "stop"
        live, loading = orders_of_both(tmp_path, simulator, lake, tokens, wanted, stop, clock, dagster)
        running = {order: processes.start(order) for order in [*live, *loading]}
        breaks_after = set(random.sample(range(work.kills), work.breaks))
        for kill in range(work.kills):
            # Somewhere in the work, however fast it goes here and now.
            enough = simulator.counters.requests + random.randint(1, 25)
            until = time.monotonic() + 5
            while simulator.counters.requests < enough and time.monotonic() < until:
                time.sleep(0.01)
            victim = random.choice(list(running))
            processes.kill(running[victim])
            running[victim] = processes.start(victim)
            if kill in breaks_after:
                stoppable.stop(random.choice([signal.SIGINT, signal.SIGQUIT]))
                stoppable.start()
        for order in (*loading, *live):
            for _ in range(work.breaks + 1):
                if code := processes.ended(running[order]):
                    # It could not write to Dagster's records, and ended: Dagster, too, would start it again.
                    running[order] = processes.start(order)
                else:
                    break
            assert code == 0, order.log.read_text()[-5000:]
            if order is loading[-1]:
                stop.touch()
        assert simulator.counters.most_in_flight == 1
        if os.getuid() == 0:
            owners = {file.stat().st_uid for file in (tmp_path / "lake").rglob("*.parquet")}
            assert owners
            assert 0 not in owners
        for name in tokens:
            assert_exact(lake, simulator, name, wanted)
        assert_no_place_is_held(tmp_path / "here")
    assert_nothing_is_held(postgres_address, tokens.values())


def orders_of_both(
    folder: Path,
    simulator: Simulator,
    lake: LakeStore,
    tokens: dict[str, str],
    wanted: list[datetime],
    stop: Path,
    clock: str,
    dagster: str,
) -> tuple[list[machine.Order], list[machine.Order]]:
    """What keeps all operations on each machine, and what loads them, of each pair with one token one here and one
    there.
    """
    tables = "\n".join(
        f'[operations.{name}]\nserver = "0013"\ntoken_env = "WOLKVOX_TOKEN_{name.upper()}"\n'
        f'start = {wanted[0]:%Y-%m-%d}\nbase_url = "{simulator.url}"\n'
        for name in tokens
    )
    shared = {
        "WOLKVOX_STORE": f"ducklake:postgres:{lake.lake.postgres.get_secret_value()}",
        "WOLKVOX_STORE_DATA": lake.lake.data,
        **{f"WOLKVOX_TOKEN_{name.upper()}": token for name, token in tokens.items()},
    }
    range_ = f"{wanted[0]:%Y-%m-%dT%H:%M}...{wanted[-1]:%Y-%m-%dT%H:%M}"
    live, loading = [], []
    for name, number, operations in (("here", 1, list(tokens)[::2]), ("there", 2, list(tokens)[1::2])):
        here = folder / name
        environment = tuple((shared | machine_in(here, tables, dagster)).items())
        user = 0
        if os.getuid() == 0:
            user = machine.GROUP + number
            for path in (here, *here.rglob("*")):
                shutil.chown(path, user, user)
        live.append(machine.Order(str(here), user, environment, clock, "live", str(stop), ()))
        loading.append(
            machine.Order(str(here), user, environment, clock, "backfill", range_, tuple(operations))
        )
    return live, loading


def assert_no_place_is_held(folder: Path) -> None:
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        storage = instance.event_log_storage
        pools = [storage.get_concurrency_info(key) for key in storage.get_concurrency_keys()]
    assert pools
    assert [pool.concurrency_key for pool in pools if pool.claimed_slots or pool.pending_steps] == []


def assert_nothing_is_held(address: str, tokens: Iterable[str]) -> None:
    with closing(psycopg2.connect(address)) as con, con.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert cursor.fetchall() == [(0,)]
    time.sleep(machine.ANSWER_SECONDS + machine.SPARE_SECONDS)  # a lease of what was killed last
    for token in set(tokens):
        began = time.monotonic()
        with TokenLock(SecretStr(token), "anybody", postgres=SecretStr(address)).held(1):
            assert time.monotonic() - began < 1
