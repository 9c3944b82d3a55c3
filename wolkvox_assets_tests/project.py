"""The project as a person uses it, pointed at a simulator: for tests from end to end.

What belongs here: running it, and reading back what it stored. What doesn't: assertions.
"""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import dagster as dg
import duckdb
import psycopg2
import pytest

from wolkvox_assets.definitions import build_definitions
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.report.measures import Usage
from wolkvox_assets.report.windows import WINDOW, WallClock
from wolkvox_assets.settings import load_settings
from wolkvox_assets.simulator import Simulator
from wolkvox_assets.store import Store

ROOT = Path(__file__).parents[1]
POSTGRES = "127.0.0.1:5432"
Row = tuple[datetime, str, int, int, int, int]


def utc_now() -> datetime:
    return datetime.now(UTC)


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
    storage = {
        "module": "wolkvox_assets.orchestration.instance.storage",
        "class": "SqliteStorage",
        "config": {"base_dir": str(home)},
    }
    return dg.DagsterInstance.local_temp(str(home), overrides={"storage": {"custom": storage}})


@contextmanager
def postgres_database() -> Iterator[str]:
    """The address of a database of its own, for Dagster's storage."""
    name = f"wolkvox_{uuid.uuid4().hex}"
    try:
        server = psycopg2.connect(f"postgresql://postgres@{POSTGRES}/postgres", connect_timeout=3)
    except psycopg2.OperationalError as error:
        missing_tool(f"no Postgres at {POSTGRES}: {error}")
    server.autocommit = True
    server.cursor().execute(f"CREATE DATABASE {name}")
    try:
        yield f"postgresql+psycopg2://postgres@{POSTGRES}/{name}"
    finally:
        server.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
        server.close()


def missing_tool(words: str) -> NoReturn:
    """A test that needs what this machine does not have is skipped, and fails where all has to be there."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(words)


@dataclass
class Project:
    """A data folder, a DAGSTER_HOME and the settings that point to a simulator."""

    folder: Path
    simulator: Simulator
    start: date
    timezone: str = "America/Bogota"
    _commands: int = 0

    @property
    def home(self) -> Path:
        home = self.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / "dagster.yaml", home / "dagster.yaml")
        return home

    @property
    def store(self) -> Store:
        return Store(self.folder / "data")

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
        """`dagster asset materialize`, started."""
        home = home or self.home
        partitions = ["--partition", partition] if partition else ["--partition-range", partition_range]
        command = ["dagster", "asset", "materialize", "--select", select, *partitions]
        # Into a file: the processes that Dagster starts for its logs outlive a killed run by a moment, and
        # would keep a pipe open.
        self._commands += 1
        output = self.folder / f"command-{self._commands}.log"
        with output.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", *command, "-m", "wolkvox_assets.definitions"],
                env={**os.environ, **self.settings, "DAGSTER_HOME": str(home)},
                cwd=home,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        return Command(process, output)

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
        return dg.materialize(
            list(definitions.assets or []),  # type: ignore[arg-type]  # never the cacheable kind
            selection=[dg.AssetKey(["main", asset])],
            resources=definitions.resources,
            partition_key=partition or None,
            tags=tags,
            instance=instance,
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

    process: subprocess.Popen[bytes]
    log: Path

    def finish(self, *, expect: int = 0, timeout: float = 120) -> str:
        """What it printed, once it has ended as expected."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"it did not end within {timeout} s:\n{self.log.read_text()[-5000:]}"
            ) from None
        output = self.log.read_text()
        assert code == expect, output
        return output

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()


def files_below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
