"""The project as a person uses it, pointed at a simulator: for tests from end to end.

What belongs here: running it, and reading back what it stored. What doesn't: assertions.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import duckdb
import pytest

from wolkvox_assets.definitions import build_definitions
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.report.measures import Usage
from wolkvox_assets.report.windows import WINDOW, WallClock
from wolkvox_assets.settings import load_settings
from wolkvox_assets.simulator import Simulator
from wolkvox_assets.store.files import FileStore
from wolkvox_assets_tests import forked

ROOT = Path(__file__).parents[1]
# As Python: `dagster-daemon`, which looks at backfills every 2 s in place of 30, and starts its code server anew, for
# 4 s of CPU, every ten minutes in place of each. All else is as it is.
QUICK_DAEMON = (
    "from dagster._daemon import controller; controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 2;"
    "controller.RELOAD_WORKSPACE_INTERVAL = 600;"
    "from dagster._daemon.cli import main; main()"
)
Row = tuple[datetime, str, int, int, int, int]


def utc_now() -> datetime:
    return datetime.now(UTC)


def zone_at(hour: int) -> str:
    """A time zone in which it is this hour of the day now: how much of today there is to load depends on it."""
    behind = (datetime.now(UTC).hour - hour + 11) % 24 - 11
    return f"Etc/GMT{behind:+d}"


def had_use_before(con: duckdb.DuckDBPyConnection, operation: str) -> None:
    """As if some answer had had a row once: with the first one ever, all that was known as empty is asked again."""
    con.execute(
        "INSERT INTO agent_9_corrections"
        " VALUES ($operation, '2020-01-01', 'Ana', '2020-01-02', 'hold_mute_count', 1, 0)",
        {"operation": operation},
    )


def instance_in(home: Path) -> dg.DagsterInstance:
    """A Dagster instance on disk, with the storage that our `dagster.yaml` names."""
    home.mkdir()
    for name, content in _unused_instance().items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(content)
    return _opened(home)


def _opened(home: Path) -> dg.DagsterInstance:
    storage = {
        "module": "wolkvox_assets.orchestration.instance.storage",
        "class": "SqliteStorage",
        "config": {"base_dir": str(home)},
    }
    return dg.DagsterInstance.local_temp(str(home), overrides={"storage": {"custom": storage}})


@cache
def _unused_instance() -> dict[Path, bytes]:
    """The files that Dagster makes for itself: that takes 0.13 s of CPU each time, copying them a tenth."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        with _opened(home) as instance:
            instance.get_materialized_partitions(dg.AssetKey("none"))
        return {file.relative_to(home): file.read_bytes() for file in files_below(home)}


@dataclass
class Project:
    """A data folder, a DAGSTER_HOME and the settings that point to a simulator."""

    folder: Path
    simulator: Simulator
    start: date
    timezone: str = "America/Bogota"
    _commands: int = 0
    _instances: int = 0

    @property
    def home(self) -> Path:
        home = self.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():  # or a process that has just started would read half of it
            shutil.copyfile(ROOT / "dagster.yaml", home / "dagster.yaml")
        return home

    @property
    def store(self) -> FileStore:
        return FileStore(self.folder / "data")

    @property
    def settings(self) -> dict[str, str]:
        return {
            "WOLKVOX_BASE_URL": self.simulator.url,
            "WOLKVOX_SERVER": "0013",
            "WOLKVOX_TOKEN": self.simulator.token,
            "WOLKVOX_TIMEZONE": self.timezone,
            "WOLKVOX_START": f"{self.start}",
            "WOLKVOX_DATA_DIR": str(self.folder / "data"),
        }

    # As a person does: the command line, in a process of its own

    def command(
        self, select: str, *, partition: str = "", partition_range: str = "", home: Path | None = None
    ) -> "Command":
        """`dagster asset materialize`, started: forked, or it would take as long with importing as with the rest."""
        home = home or self.home
        partitions = ["--partition", partition] if partition else ["--partition-range", partition_range]
        command = [
            "asset",
            "materialize",
            "--select",
            select,
            *partitions,
            "-m",
            "wolkvox_assets.definitions",
        ]
        # Into a file: the processes that Dagster starts for its logs outlive a killed run by a moment, and
        # would keep a pipe open.
        self._commands += 1
        output = self.folder / f"command-{self._commands}.log"
        environment = {**os.environ, **self.settings, "DAGSTER_HOME": str(home)}
        return Command(forked.start(forked.Order(command, environment, home, output)), output)

    # The same in this process: seconds faster

    def materialize(
        self,
        asset: str,
        monkeypatch: pytest.MonkeyPatch,
        *,
        partition: str = "",
        partition_range: tuple[str, str] | None = None,
        instance: dg.DagsterInstance | None = None,
        run_config: Mapping[str, object] | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> dg.ExecuteInProcessResult:
        for name, value in self.settings.items():
            monkeypatch.setenv(name, value)
        definitions = build_definitions(CodeLocation(load_settings(), now))
        tags = (
            {
                "dagster/asset_partition_range_start": partition_range[0],
                "dagster/asset_partition_range_end": partition_range[1],
            }
            if partition_range
            else {}
        )
        # Dagster's own in memory takes 3 ms for each mark of a window.
        self._instances += 1
        fresh = self.folder / f"instance-{self._instances}"
        with nullcontext(instance) if instance else instance_in(fresh) as used:
            return dg.materialize(
                list(definitions.assets or []),  # type: ignore[arg-type]  # never the cacheable kind
                selection=[dg.AssetKey(["main", asset])],
                resources=definitions.resources,
                partition_key=partition or None,
                tags=tags,
                instance=used,
                run_config=run_config,
                raise_on_error=False,
            )

    # What came of it

    @contextmanager
    def sql(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The published file, as anyone reads it."""
        con = duckdb.connect(self.store.published, read_only=True)
        try:
            yield con
        finally:
            con.close()

    def query(self, sql: str) -> list[tuple[object, ...]]:
        with self.sql() as con:
            return con.execute(sql).fetchall()

    def rows(self) -> list[Row]:
        with self.sql() as con:
            return con.execute(
                "SELECT window_start, agent_name, hold_mute_count, hold_seconds, mute_seconds, total_seconds"
                " FROM agent_9_windows ORDER BY window_start, agent_name"
            ).fetchall()

    def known(self) -> list[datetime]:
        """The known windows, in order; a window that were known twice would stand there twice."""
        with self.sql() as con:
            return [
                row[0]
                for row in con.execute("SELECT window_start FROM agent_9_window_log ORDER BY 1").fetchall()
            ]

    def true_rows(self, windows: Iterable[datetime]) -> list[Row]:
        """What the server itself says of each of these windows."""
        return [
            (window, agent, *usage)
            for window in windows
            for agent, usage in sorted(self.true_usage(window, window + WINDOW).items())
        ]

    def true_usage(self, start: datetime, end: datetime) -> dict[str, Usage]:
        return self.simulator.truth(start, end - timedelta(seconds=1))

    def windows_of(self, day: date) -> list[datetime]:
        return WallClock(self.timezone).windows_of_day(day)


@dataclass
class Command:
    """A command line that was started."""

    process: ForkServerProcess
    log: Path

    @property
    def runs(self) -> bool:
        return self.process.is_alive()

    def ended(self, timeout: float = 120) -> int:
        """Its exit code."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.kill()
            raise AssertionError(f"it did not end within {timeout} s:\n{self.log.read_text()[-5000:]}")
        return self.process.exitcode

    def finish(self, *, expect: int = 0, timeout: float = 120) -> str:
        """What it printed, once it has ended as expected."""
        code = self.ended(timeout)
        output = self.log.read_text()
        assert code == expect, output
        return output

    def stop(self) -> None:
        """SIGTERM."""
        self.process.terminate()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.join()


def files_below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
