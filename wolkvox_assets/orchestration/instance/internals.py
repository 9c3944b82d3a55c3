"""What Dagster has no public name for.

What belongs here: imports from `dagster._core`, each with what is lost where it is gone. What doesn't: our storage
class (`storage.py`), and what it changes of Dagster's own.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg

if TYPE_CHECKING:
    from dagster._core.events import DagsterEventBatchMetadata

StepContext = dg.AssetExecutionContext | dg.OpExecutionContext

_RUNS_AT_A_TIME = 1000
_OBSERVATION = dg.DagsterEventType.ASSET_OBSERVATION.value
_ENDED = [
    dg.DagsterEventType.RUN_SUCCESS.value,
    dg.DagsterEventType.RUN_FAILURE.value,
    dg.DagsterEventType.RUN_CANCELED.value,
]


def report_planned(context: StepContext, asset: dg.AssetKey, partition: str) -> None:
    """Tell that this run was to materialise the partition. If the run then fails, Dagster shows it as failed.

    Dagster does so by itself for runs of partitions; a tick finds out only while it runs which windows it is for.
    Without it, a failed tick shows in the list of runs only.
    """
    try:
        from dagster._core.events import AssetMaterializationPlannedData
    except ImportError:
        return
    planned = dg.DagsterEvent.build_asset_materialization_planned_event(
        context.run.job_name,
        context.get_step_execution_context().step.key,
        AssetMaterializationPlannedData(asset, partition=partition),
    )
    context.instance.report_dagster_event(planned, context.run.run_id)


def log_together(context: StepContext, marks: Sequence[dg.AssetMaterialization]) -> None:
    """As `context.log_event` for each of them, but handed to the storage together.

    Each alone costs milliseconds: noticeable where a run marks thousands of windows.
    """
    step = context.get_step_execution_context()
    for mark, batch in zip(marks, _batch(len(marks)), strict=True):
        dg.DagsterEvent.asset_materialization(step, mark, batch)


def report_evaluations(
    instance: dg.DagsterInstance, run: dg.DagsterRun, evaluations: Sequence[dg.AssetCheckEvaluation]
) -> None:
    """Report what checks found in this run, handed to the storage together, and without all that an event says of a
    step: half as large. There are 17 of them for each operation, every five minutes.
    """
    # SQLite has a file for each run. Postgres refuses these events in a batch, with a traceback each time.
    batches = (
        _batch(len(evaluations)) if instance.event_log_storage.is_run_sharded else [None] * len(evaluations)
    )
    for evaluation, batch in zip(evaluations, batches, strict=True):
        said = "passed" if evaluation.passed else f"did not pass. {evaluation.description}"
        event = dg.DagsterEvent(
            dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
            run.job_name,
            event_specific_data=evaluation,
            message=f"Check {evaluation.check_name} of {evaluation.asset_key.to_user_string()} {said}",
        )
        instance.report_dagster_event(event, run.run_id, logging.DEBUG, batch)


def _batch(length: int) -> "Sequence[DagsterEventBatchMetadata | None]":
    """What to give each event of a batch along with it. Without the name, each is stored by itself."""
    try:
        from dagster._core.events import DagsterEventBatchMetadata
    except ImportError:
        return [None] * length
    batch = f"{uuid4()}"
    return [DagsterEventBatchMetadata(batch, is_end=place == length) for place in range(1, length + 1)]


def not_passed(
    instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, dg.AssetCheckEvaluation | None]:
    """Those of these checks that did not pass when they were last evaluated, and what they found; None of those that
    never were. What is only planned says nothing.
    """
    passed = _passed(instance, checks)
    asked, storage = [check for check in checks if check not in passed], instance.event_log_storage
    found = storage.get_latest_asset_check_execution_by_key(asked)
    planned = [check for check, record in found.items() if record.status.value == "PLANNED"]
    last = {check: record.evaluation for check, record in found.items()}
    for check, summary in storage.get_asset_check_summary_records(planned).items():
        record = summary.last_completed_check_execution_record
        last[check] = record.evaluation if record else None
    return {check: told for check in asked if (told := last.get(check)) is None or not told.passed}


def _passed(instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey]) -> set[dg.AssetCheckKey]:
    """Those that passed last. Where it can't be asked for, it is none: all evaluations are read, at 0.3 ms each."""
    if (sql := _sql(instance)) is None:
        return set()
    from sqlalchemy import func, select

    storage, _, executions = sql
    assets, rows = {check.asset_key.to_string(): check.asset_key for check in checks}, executions.c
    last = (
        select(func.max(rows.id))
        .where(rows.asset_key.in_(assets), rows.execution_status.in_(("SUCCEEDED", "FAILED")))
        .group_by(rows.asset_key, rows.check_name)
    )
    passed = select(rows.asset_key, rows.check_name).where(
        rows.id.in_(last), rows.execution_status == "SUCCEEDED"
    )
    with storage.index_connection() as con:
        return {dg.AssetCheckKey(assets[asset], name) for asset, name in con.execute(passed)}


def delete_logs(
    instance: dg.DagsterInstance, before: datetime, tags: Mapping[str, str | Sequence[str]]
) -> int:
    """Delete what runs with these tags that ended before (aware) have logged and observed, and what checks found in
    them but for the last evaluation of each. The runs themselves stay, and so do their marks. Returns how many there
    were: none where it can't be done. Then logs are kept, and the disk fills up.
    """
    if (sql := _sql(instance)) is None:
        return 0
    from sqlalchemy import func, select

    storage, logged, executions = sql
    events, checks = logged.c, executions.c
    # The end of a run is part of its log: of those that were deleted before it is not there any more.
    ended = select(events.run_id).where(
        events.dagster_event_type.in_(_ENDED),
        events.timestamp < before.astimezone(UTC).replace(tzinfo=None),
    )
    of_no_asset = events.asset_key.is_(None) | (events.dagster_event_type == _OBSERVATION)
    last = select(func.max(checks.id)).group_by(checks.asset_key, checks.check_name)
    with storage.index_connection() as con:
        run_ids = con.execute(ended).scalars().all()
    deleted = 0
    for at in range(0, len(run_ids), _RUNS_AT_A_TIME):
        filters = dg.RunsFilter(run_ids=run_ids[at : at + _RUNS_AT_A_TIME], tags=tags)
        old = [run.run_id for run in instance.get_runs(filters)]
        for run_id in old:
            instance.compute_log_manager.delete_logs(prefix=[run_id])
            if storage.is_run_sharded:  # SQLite has a file for each run; marks are in `index.db` as well
                for ending in ("", "-wal", "-shm"):
                    Path(storage.path_for_shard(run_id) + ending).unlink(missing_ok=True)
        with storage.index_connection() as con:
            con.execute(logged.delete().where(events.run_id.in_(old), of_no_asset))
            con.execute(executions.delete().where(checks.run_id.in_(old), checks.id.not_in(last)))
        deleted += len(old)
    return deleted


def _sql(instance: dg.DagsterInstance) -> tuple[Any, Any, Any] | None:
    """The storage of events where it is a database, and its tables of events and of what checks found; None also where
    these names are gone.
    """
    try:
        from dagster._core.storage.event_log import SqlEventLogStorage, schema
    except ImportError:
        return None
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return None
    return storage, schema.SqlEventLogStorageTable, schema.AssetCheckExecutionsTable


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
