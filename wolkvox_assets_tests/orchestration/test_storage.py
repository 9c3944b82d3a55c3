"""What Dagster's SQLite files hold, and that Dagster reads of them what it would of its own."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from alembic.script import Script

from wolkvox_assets.orchestration.instance import internals as dagster_internals
from wolkvox_assets.orchestration.instance.packing import unpack
from wolkvox_assets_tests.project import instance_in

KEY = dg.AssetKey(["main", "windows"])
MARKS = 310  # more than Dagster hands over at once
PARTITION = "dagster/partition/number"  # a tag of which Dagster keeps an index
SAID = "Ñandú: 'quoted' \"text\""


@dg.op
def mark(context: dg.OpExecutionContext) -> None:
    context.log.info(SAID)
    dagster_internals.log_together(
        context,
        [
            dg.AssetMaterialization(KEY, partition=f"{n}", metadata={"number": n}, tags={PARTITION: f"{n}"})
            for n in range(MARKS)
        ],
    )


@dg.job
def marks() -> None:
    mark()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with instance_in(tmp_path / "dagster") as instance:
        yield instance


@pytest.fixture
def run_id(instance: dg.DagsterInstance) -> str:
    return marks.execute_in_process(instance=instance).run_id


def read(instance: dg.DagsterInstance, run_id: str) -> None:
    """Everything that the UI asks for is there."""
    assert SAID in [entry.user_message for entry in instance.all_logs(run_id)]
    newest = instance.fetch_materializations(KEY, limit=2).records
    assert [(mark.partition_key, mark.run_id) for mark in newest] == [
        (f"{MARKS - n}", run_id) for n in (1, 2)
    ]
    last = instance.get_latest_materialization_event(KEY)
    assert last is not None
    assert last.asset_materialization is not None
    assert last.asset_materialization.metadata == {"number": dg.IntMetadataValue(MARKS - 1)}
    assert instance.get_materialized_partitions(KEY) == {f"{n}" for n in range(MARKS)}
    tagged = instance.event_log_storage.get_event_tags_for_asset(KEY, filter_event_id=newest[0].storage_id)
    assert tagged[0][PARTITION] == f"{MARKS - 1}"
    (step,) = instance.get_run_step_stats(run_id)
    assert len(step.materialization_events) == MARKS


def stored(instance: dg.DagsterInstance, run_id: str) -> Iterator[sqlite3.Connection]:
    for name in (run_id, "index"):
        with closing(sqlite3.connect(instance.event_log_storage.path_for_shard(name))) as con:  # type: ignore[attr-defined]
            yield con


def test_events_are_packed(instance: dg.DagsterInstance, run_id: str) -> None:
    read(instance, run_id)
    for con in stored(instance, run_id):
        ((kind, bytes_each),) = con.execute(
            "SELECT typeof(event), AVG(length(event)) FROM event_logs GROUP BY 1"
        ).fetchall()
        assert kind == "blob"
        assert bytes_each < 300  # 1,500 as text


def test_what_was_packed_once_can_always_be_read() -> None:
    """What the words are left out with is part of the format."""
    packed = bytes.fromhex("78bb670f0ac623b56882fa0eddbe82c4e46cf0ce0185a2d49cd4c4e2540543a55a00c6e61f95")
    assert unpack(packed) == (
        '{"__class__": "EventLogEntry", "dagster_event": null, "user_message": "packed in release 1"}'
    )


def test_events_that_an_earlier_release_stored_as_text_are_read(
    instance: dg.DagsterInstance, run_id: str
) -> None:
    for con in stored(instance, run_id):
        con.create_function("unpack", 1, unpack)
        con.execute("UPDATE event_logs SET event = unpack(event) WHERE id % 2 = 0")
        con.commit()
    read(instance, run_id)


def test_a_runs_small_file_is_enough_to_migrate_and_to_delete_it(
    instance: dg.DagsterInstance, run_id: str
) -> None:
    instance.event_log_storage.upgrade()
    read(instance, run_id)
    instance.delete_run(run_id)
    assert not instance.get_materialized_partitions(KEY)
    assert not instance.all_logs(run_id)


def test_migrations_are_read_once(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sensor has an instance of its own for each look."""
    before = instance.event_log_storage.alembic_version()
    assert before is not None
    assert before[0] == before[1]

    def read(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Script, "_from_path", read)
    with dg.DagsterInstance.from_ref(instance.get_ref()) as another:
        assert another.event_log_storage.alembic_version() == before


def test_where_dagsters_private_names_are_gone_all_is_stored_and_read(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slower, and old logs are kept."""
    passed, failed, never = (dg.AssetCheckKey(KEY, name) for name in ("passed", "failed", "never"))

    @dg.op
    def work(context: dg.OpExecutionContext) -> None:
        with monkeypatch.context() as gone:
            for name in ("events.DagsterEventBatchMetadata", "events.AssetMaterializationPlannedData"):
                gone.delattr(f"dagster._core.{name}")
            gone.delattr("dagster._core.storage.event_log.SqlEventLogStorage")
            dagster_internals.report_planned(context, KEY, "0")
            marks = [dg.AssetMaterialization(KEY, partition=f"{n}") for n in range(3)]
            dagster_internals.log_together(context, marks)
            evaluations = [
                dg.AssetCheckEvaluation(KEY, check.name, passed=check is passed, metadata={})
                for check in (passed, failed)
            ]
            dagster_internals.report_evaluations(context.instance, context.run, evaluations)
            assert dagster_internals.not_passed(context.instance, [passed, failed, never]) == {
                failed: evaluations[1],
                never: None,
            }
            tomorrow = datetime.now(UTC) + timedelta(days=1)
            assert dagster_internals.delete_logs(context.instance, tomorrow, {}) == 0

    @dg.job
    def alone() -> None:
        work()

    run_id = alone.execute_in_process(instance=instance).run_id
    assert instance.get_materialized_partitions(KEY) == {"0", "1", "2"}
    assert instance.all_logs(run_id)
    # With them, the same.
    assert dagster_internals.not_passed(instance, [passed, failed, never]).keys() == {failed, never}


def test_where_dagsters_names_of_partitions_are_gone_the_storage_is_there() -> None:
    """Pages of a long history are slow."""
    without = (
        "import dagster, dagster._utils.cronstring as cron; del cron.get_fixed_minute_interval\n"
        "from wolkvox_assets.orchestration.instance import storage\n"
        "keys = dagster.TimeWindowPartitionsDefinition.get_partition_keys\n"
        "assert 'wolkvox' not in keys.__module__, keys.__module__\n"
        "storage.SqliteStorage"
    )
    subprocess.run([sys.executable, "-c", without], check=True)
