"""What Dagster has no public name for.

What belongs here: imports from `dagster._core`, each with what is lost where it is gone. What doesn't: our storage
class (`storage.py`), which is Dagster's own with seven changes.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
from sqlalchemy import func, select

_RUNS_AT_A_TIME = 500
_OBSERVATION = dg.DagsterEventType.ASSET_OBSERVATION.value


def report_planned(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, asset: dg.AssetKey, partition: str
) -> None:
    """Tell that this run was to materialise the partition. If the run then fails, Dagster shows it as failed.

    Dagster does so by itself for runs of partitions; a tick finds out only while it runs which windows it is for.
    Without it, a failed tick shows in the list of runs only.
    """
    try:
        from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent
    except ImportError:
        return
    planned = DagsterEvent.build_asset_materialization_planned_event(
        context.run.job_name,
        context.op_execution_context.op.name
        if isinstance(context, dg.AssetExecutionContext)
        else context.op.name,
        AssetMaterializationPlannedData(asset, partition=partition),
    )
    context.instance.report_dagster_event(planned, context.run.run_id)


def log_together(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, marks: Sequence[dg.AssetMaterialization]
) -> None:
    """As `context.log_event` for each of them, but handed to the storage together, which may store them so.

    Without it, each costs milliseconds: noticeable where a run marks thousands of windows.
    """
    try:
        from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata, generate_event_batch_id
    except ImportError:
        for mark in marks:
            context.log_event(mark)
        return
    batch: str = generate_event_batch_id()  # type: ignore[no-untyped-call]  # Dagster's
    step = context.get_step_execution_context()
    for place, mark in enumerate(marks, 1):
        DagsterEvent.asset_materialization(
            step, mark, DagsterEventBatchMetadata(batch, is_end=place == len(marks))
        )


def report_evaluations(
    instance: dg.DagsterInstance, run: dg.DagsterRun, evaluations: Sequence[dg.AssetCheckEvaluation]
) -> None:
    """Report what checks found in this run, handed to the storage together, and without all that an event says of a
    step: half as large.

    Without it, they are reported without the run, and each costs milliseconds: 17 of them for each operation, every
    five minutes.
    """
    try:
        from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata, generate_event_batch_id
    except ImportError:
        for evaluation in evaluations:
            instance.report_runless_asset_event(evaluation)
        return
    batch: str = generate_event_batch_id()  # type: ignore[no-untyped-call]  # Dagster's
    for place, evaluation in enumerate(evaluations, 1):
        said = "passed" if evaluation.passed else f"did not pass. {evaluation.description}"
        event = DagsterEvent(
            dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
            run.job_name,
            event_specific_data=evaluation,
            message=f"Check {evaluation.check_name} of {evaluation.asset_key.to_user_string()} {said}",
        )
        together = DagsterEventBatchMetadata(batch, is_end=place == len(evaluations))
        instance.report_dagster_event(event, run.run_id, logging.DEBUG, together)


def not_passed(instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey]) -> set[dg.AssetCheckKey]:
    """Those of these checks that did not pass when they were last evaluated, or never were.

    Without it, the evaluations themselves are read: 0.3 ms each.
    """
    try:
        from dagster._core.storage.event_log import SqlEventLogStorage
        from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
    except ImportError:
        return _not_passed(instance, checks)
    storage, rows = instance.event_log_storage, AssetCheckExecutionsTable.c
    if not isinstance(storage, SqlEventLogStorage):
        return _not_passed(instance, checks)
    assets = {check.asset_key.to_string(): check.asset_key for check in checks}
    last = (
        select(func.max(rows.id))
        .where(rows.asset_key.in_(assets), rows.execution_status.in_(("SUCCEEDED", "FAILED")))
        .group_by(rows.asset_key, rows.check_name)
    )
    passed = select(rows.asset_key, rows.check_name).where(
        rows.id.in_(last), rows.execution_status == "SUCCEEDED"
    )
    with storage.index_connection() as con:
        found = {dg.AssetCheckKey(assets[asset], name) for asset, name in con.execute(passed)}
    return set(checks) - found


def _not_passed(instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey]) -> set[dg.AssetCheckKey]:
    last = last_evaluations(instance, checks)
    return {check for check in checks if (told := last.get(check)) is None or not told.passed}


def last_evaluations(
    instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, dg.AssetCheckEvaluation]:
    """What was last found by each of these checks, where it was ever evaluated. What is only planned says nothing."""
    storage = instance.event_log_storage
    found = storage.get_latest_asset_check_execution_by_key(checks)
    planned = [check for check, record in found.items() if record.status.value == "PLANNED"]
    summaries = storage.get_asset_check_summary_records(planned)
    done = {check: record for check, record in found.items() if check not in planned}
    done |= {
        check: record
        for check, summary in summaries.items()
        if (record := summary.last_completed_check_execution_record) is not None
    }
    return {check: record.evaluation for check, record in done.items() if record.evaluation is not None}


def has_records(home: Path) -> bool:
    """Whether the instance of this DAGSTER_HOME has stored anything. Opening one makes files where there are none;
    without this name, `doctor` would make them. A database is not asked.
    """
    try:
        from dagster._core.instance.ref import InstanceRef
    except ImportError:
        return True
    storage = InstanceRef.from_dir(str(home)).storage_data
    folder = storage.config_dict.get("base_dir") if storage else None
    return Path(folder, "schedules").is_dir() if isinstance(folder, str) else True


def stores_as_dagster_does(instance: dg.DagsterInstance) -> bool:
    """Whether its events are in Dagster's own SQLite files. Without the name, nobody is told what that costs."""
    try:
        from dagster._core.storage.event_log import SqliteEventLogStorage
    except ImportError:
        return False
    return type(instance.event_log_storage) is SqliteEventLogStorage


def delete_log(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Delete what a run has logged and observed. The run itself stays, and so do its marks and checks. Returns whether
    that could be done: without it, logs are kept, and the disk fills up.
    """
    try:
        from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
        from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
    except ImportError:
        return False
    storage, events = instance.event_log_storage, SqlEventLogStorageTable.c
    if not isinstance(storage, SqlEventLogStorage):
        return False
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    if isinstance(storage, SqliteEventLogStorage):  # a file for each run; marks are in `index.db` as well
        for ending in ("", "-wal", "-shm"):
            Path(storage.path_for_shard(run_id) + ending).unlink(missing_ok=True)
    with storage.index_connection() as con:
        con.execute(
            SqlEventLogStorageTable.delete().where(
                events.run_id == run_id,
                events.asset_key.is_(None) | (events.dagster_event_type == _OBSERVATION),
            )
        )
    return True


def delete_evaluations(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> None:
    """Delete what checks found in these runs, but for the last evaluation of each check. Without it, they are kept."""
    try:
        from dagster._core.storage.event_log import SqlEventLogStorage
        from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
    except ImportError:
        return
    storage, found = instance.event_log_storage, AssetCheckExecutionsTable.c
    if not isinstance(storage, SqlEventLogStorage):
        return
    last = select(func.max(found.id)).group_by(found.asset_key, found.check_name)
    # Each statement reads the whole table, which has no index for it.
    for at in range(0, len(run_ids), _RUNS_AT_A_TIME):
        these = found.run_id.in_(run_ids[at : at + _RUNS_AT_A_TIME])
        with storage.index_connection() as con:
            con.execute(AssetCheckExecutionsTable.delete().where(these, found.id.not_in(last)))
