"""Dagster's SQLite storage with what its own lacks: a lock while it makes its files, an ear for SIGTERM, events that
are stored together, checks of a run without a row for each partition, small files, migrations that are read once, and
runs that show that they live from their first moment.

What doesn't belong here: anything about what is stored. Dagster has no public name for its SQLite storage, whose files
these are; but its own class can't read the events in them, which are packed (`packing.py`).

Two commands that are started at one time on an unused DAGSTER_HOME both find no tables and both make them; one
of them ends in a traceback ("table runs already exists"). And before a run begins, Dagster notes each of its
partitions, for minutes where the range is long, and all that while it only remembers a SIGTERM or Ctrl-C.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, closing
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster._core.storage import sql as dagster_sql
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData, serialize_value
from filelock import FileLock
from sqlalchemy import Connection, bindparam, func, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from wolkvox_assets.orchestration.instance import dead_runs
from wolkvox_assets.orchestration.instance.packing import pack_events

try:
    from wolkvox_assets.orchestration.instance.partition_keys import tell_quickly
except ImportError:  # the UI's pages of a long history are slow then

    def tell_quickly() -> None:
        """Nothing can be told."""


try:
    from dagster._utils.interrupts import check_captured_interrupt
except ImportError:  # a SIGTERM then waits until the run has begun

    def check_captured_interrupt() -> bool:
        return False


pack_events()
tell_quickly()

_PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
_CHECK_PLANNED = dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
_CHECKED = dg.DagsterEventType.ASSET_CHECK_EVALUATION
_PASSED = "SUCCEEDED"
_TOGETHER = {_PLANNED, _CHECK_PLANNED, dg.DagsterEventType.ASSET_MATERIALIZATION}


# Dagster makes 28 tables and indexes for each run, with a page of 4,096 bytes each: 115 KB. A run's file needs its
# events, an index for finding those of a type, and a table that is looked for when a run is deleted.
_PAGE_BYTES = 1024
_RUN_TABLES: tuple[ExecutableDDLElement, ...] = (
    CreateTable(SqlEventLogStorageTable, if_not_exists=True),
    CreateTable(AssetEventTagsTable, if_not_exists=True),
    *(
        CreateIndex(index, if_not_exists=True)
        for index in SqlEventLogStorageTable.indexes
        if index.name == "idx_event_type"
    ),
)


class _MigrationsReadOnce(ScriptDirectory):
    """Dagster's migrations. Each storage of an instance asks which is the newest, and each look of a sensor has an
    instance of its own: reading 90 files three times was two thirds of what making one took (66 ms).
    """

    _read: ClassVar[dict[str | None, ScriptDirectory]] = {}

    @classmethod
    def from_config(cls, config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in cls._read:
            cls._read[place] = super().from_config(config)
        return cls._read[place]


dagster_sql.ScriptDirectory = _MigrationsReadOnce  # type: ignore[attr-defined]  # with one method of its own


# What `_store_evaluations` has stored of a check, and that it was planned in this run; not what a person has executed,
# nor what failed.
_CHECKS = AssetCheckExecutionsTable.c
_PASSED_BEFORE = AssetCheckExecutionsTable.delete().where(
    _CHECKS.asset_key == bindparam("asset"),
    _CHECKS.check_name == bindparam("check"),
    (_CHECKS.execution_status == _PASSED) & _CHECKS.evaluation_event_storage_id.is_(None)
    | (_CHECKS.execution_status == "PLANNED") & (_CHECKS.run_id == bindparam("run")),
)


def _of_the_whole(event: dg.EventLogEntry) -> dg.EventLogEntry:
    """That a check is planned, without partitions: none of ours has any.

    In a run of partitions, Dagster names these all the same, and would keep a row for each of them and each check that
    no evaluation ever fills: of a month 100,000, and hundreds of lines in a check's history that say nothing.
    """
    if event.dagster_event_type is not _CHECK_PLANNED:
        return event
    told = event.get_dagster_event()
    planned = told.asset_check_planned_data
    whole = type(planned)(asset_key=planned.asset_key, check_name=planned.check_name)
    return event._replace(dagster_event=told._replace(event_specific_data=whole))


class _EventLog(SqliteEventLogStorage):
    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Plans and marks of partitions, in one transaction for each of the two files: 0.3 ms each. Dagster's own
        takes two transactions for each, and 17 ms: a backfill of a month was planned in minutes.
        """
        events = [_of_the_whole(event) for event in events]
        run_id = events[0].run_id
        if all(e.dagster_event_type is _CHECKED for e in events):
            self._store_evaluations(events)
            return
        if any(e.dagster_event_type not in _TOGETHER or e.run_id != run_id for e in events):
            super().store_event_batch(events)
            return
        self._end_if_unwanted(events[0])
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(run_id) as con:
            con.execute(SqlEventLogStorageTable.insert(), rows)
        with self.index_transaction() as con:
            con.execute(SqlEventLogStorageTable.insert(), rows)
            # Nobody else can write meanwhile, so their ids follow each other.
            last_id: int = con.execute(select(func.max(SqlEventLogStorageTable.c.id))).scalar_one()
            numbered = list(zip(events, range(last_id - len(rows) + 1, last_id + 1), strict=True))
            checks = [(e, number) for e, number in numbered if e.dagster_event_type is _CHECK_PLANNED]
            of_assets = [(e, number) for e, number in numbered if e.dagster_event_type is not _CHECK_PLANNED]
            self._store_asset_event_tags(con, [e for e, _ in of_assets], [number for _, number in of_assets])
            # What is kept of an asset is its last event of each type.
            last = {
                (event.dagster_event_type, event.get_dagster_event().asset_key): (event, number)
                for event, number in of_assets
            }
            for event, number in last.values():
                self._store_asset_event(con, event, number)
            if checks:
                planned = [
                    self._of_check(event, event.get_dagster_event().asset_check_planned_data, "PLANNED")
                    | {"evaluation_event_storage_id": number}
                    for event, number in checks
                ]
                con.execute(AssetCheckExecutionsTable.insert(), planned)
        self._hold_open(run_id)

    def _of_check(self, event: dg.EventLogEntry, data: Any, status: str) -> dict[str, Any]:
        """A row of Dagster's table of checks."""
        return {
            "asset_key": data.asset_key.to_string(),
            "check_name": data.check_name,
            "run_id": event.run_id,
            "execution_status": status,
            "evaluation_event": serialize_value(event),
            "evaluation_event_timestamp": self._event_insert_timestamp(event),  # type: ignore[no-untyped-call]  # Dagster's
        }

    def _store_evaluations(self, events: Sequence[dg.EventLogEntry]) -> None:
        """What checks found. Those that passed stand in the table of checks alone, which is what Dagster reads, and not
        among the events of the run and of all runs: 17 of them every five minutes would take three times the room, and
        10 ms each. Of each check the last stays: that it passed before, too, is no news, and 10 KB every five minutes.
        """
        found = [(event, event.get_dagster_event().asset_check_evaluation_data) for event in events]
        super().store_event_batch([event for event, data in found if not data.passed])
        passed = [self._of_check(event, data, _PASSED) for event, data in found if data.passed]
        if not passed:
            return
        places = [{"asset": p["asset_key"], "check": p["check_name"], "run": p["run_id"]} for p in passed]
        with self.index_transaction() as con:
            con.execute(_PASSED_BEFORE, places)
            con.execute(AssetCheckExecutionsTable.insert(), passed)

    def store_event(self, event: dg.EventLogEntry) -> None:
        event = _of_the_whole(event)
        self._end_if_unwanted(event)
        if event.dagster_event_type is dg.DagsterEventType.RUN_START:
            # Before it counts as started: killed in between, it would look as if it lived for ever.
            dead_runs.show_alive(self._instance, event.run_id)
        super().store_event(event)
        self._hold_open(event.run_id)

    def run_connection(self, run_id: str | None = None) -> AbstractContextManager[Connection]:
        file = Path(self.path_for_shard(run_id or ""))
        if not file.exists():
            self._make(file)
        connected: AbstractContextManager[Connection] = super().run_connection(run_id)
        return connected

    @cached_property
    def supports_asset_checks(self) -> bool:
        # Dagster looks whether the table is there before each evaluation, with a connection of its own: 6 ms.
        return bool(super().supports_asset_checks)

    def _make(self, file: Path) -> None:
        """Another process may be making it as well: then what there is stays as it is."""
        with self.index_connection() as con:
            version = con.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            for table in _RUN_TABLES:
                connection.execute(str(table.compile(dialect=sqlite.dialect())))
            # Where it stands is for `dagster instance migrate`.
            connection.execute(
                "CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL)"
            )
            connection.execute(
                "INSERT INTO alembic_version SELECT ? WHERE NOT EXISTS (SELECT * FROM alembic_version)",
                [version],
            )
            connection.execute("COMMIT")

    def _end_if_unwanted(self, event: dg.EventLogEntry) -> None:
        """Raises `DagsterExecutionInterruptedError` where the run that is being prepared is not wanted any more.

        Nothing but the plan of a run can be dropped so: all other events are told, whatever was heard.
        """
        if event.dagster_event_type is _PLANNED and check_captured_interrupt():
            raise dg.DagsterExecutionInterruptedError

    def _hold_open(self, run_id: str) -> None:
        """Hold an idle connection to each of the two files that a run's events are written to.

        Dagster connects anew for each event, and whoever closes SQLite's last connection has to write its log into
        the file: marking a partition took 18 ms, and 12 ms with a connection held.
        """
        if self._held is None or self._held[0] != run_id:
            held = [
                sqlite3.connect(self.path_for_shard(shard), check_same_thread=False)
                for shard in ("index", run_id)
            ]
            for connection in held:
                connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            self._let_go()
            self._held = run_id, held

    def _let_go(self) -> None:
        for connection in self._held[1] if self._held else ():
            connection.close()
        self._held = None

    def dispose(self) -> None:
        # Whoever closes last writes SQLite's log into the file; without that both would be kept, and the log is larger.
        self._let_go()
        super().dispose()

    _held: tuple[str, list[sqlite3.Connection]] | None = None


class SqliteStorage(DagsterSqliteStorage):
    """`base_dir`: the folder, made where it is not there, for this user only: what runs logged stands in it."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> "SqliteStorage":
        folder = Path(config_value["base_dir"])
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        with FileLock(folder / "storage.lock"):
            return cls.from_local(inst_data=inst_data, **config_value)

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = _EventLog(str(Path(base_dir, "history", "runs")) + "/")
