"""What Dagster has no public name for.

What belongs here: imports from `dagster._core`, each with what is lost where it is gone. What doesn't: our storage
class (`storage.py`), which is Dagster's own with six changes.
"""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg

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
