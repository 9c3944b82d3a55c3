"""A run over a range of windows, in Dagster's terms: what is committed is marked and told.

What doesn't belong here: fetching and committing (`pipeline/loading.py`), the words about how far it is
(`pipeline/progress.py`), the tick (`automation/live.py`).
"""

from collections.abc import Iterable
from contextlib import closing
from datetime import date, datetime
from functools import partial

import dagster as dg

from wolkvox_assets.api import QuotaUsedUp
from wolkvox_assets.day_report.drawing import Reports
from wolkvox_assets.orchestration.checks import log_checks
from wolkvox_assets.orchestration.instance.internals import StepContext, log_together
from wolkvox_assets.orchestration.partitions import windows_key
from wolkvox_assets.orchestration.run.failures import REPORTED, as_failure
from wolkvox_assets.orchestration.run.marks import Marks
from wolkvox_assets.orchestration.run.tags import BACKFILL
from wolkvox_assets.pipeline import due_work, pauses
from wolkvox_assets.pipeline.loading import load
from wolkvox_assets.pipeline.progress import Progress, corrections_table
from wolkvox_assets.pipeline.quota import ReserveReached
from wolkvox_assets.pipeline.reconcile import Site, Task, reconcile
from wolkvox_assets.report.clocks import Clocks
from wolkvox_assets.report.plain_text import counted
from wolkvox_assets.store import StoreError
from wolkvox_assets.store.attempts import Work
from wolkvox_assets.store.daily import known_without_a_row, row_counts
from wolkvox_assets.store.tables import reading


def run_over(
    context: StepContext, site: Site, windows: Iterable[datetime], work: Work, *, direct: bool = False
) -> None:
    """Make these windows (wall clock) equal to the API's answers, and mark each, and the totals of its day, as it
    is committed.

    `direct`: each window by a request of its own. Ends without an error where the day's quota is used up, but for a
    backfill, which would count what is left as failed without a reason. Raises `dg.Failure`; what was fetched before is
    stored, marked, and in the totals.
    """
    clocks = Clocks(site.now)
    wanted = set(windows)
    ended = due_work.ended(site.operation, wanted, clocks.now())
    if len(ended) < len(wanted):
        last = max(wanted)
        context.log.warning(
            f"Not over yet: {counted(len(wanted) - len(ended), 'window')} up to {last:%Y-%m-%d %H:%M} (clocks go "
            "back, and the hour comes again). They are not requested or marked. Repeat after "
            f"{site.operation.clock.end_utc(last):%Y-%m-%d %H:%M} UTC."
        )
    if not ended:
        return
    progress = Progress(context.log, site.operation, len(ended))
    reports = Reports(site.store, site.operation, site.now, context.log)
    marks = Marks(site.operation, reports, context.instance, context.run)
    task = Task(ended, work, clocks, direct=direct)
    days: set[date] = set()
    try:
        with closing(load(site.store, site.run_id, [partial(reconcile, site, task)])) as commits:
            for stored in commits:
                for batch in stored.values():
                    log_together(context, marks.of(batch))
                    progress.tell(batch)
                    days |= batch.touched()
    except (ReserveReached, QuotaUsedUp) as stop:
        progress.stopped(site, stop)
    except Exception as error:  # whatever it is: pauses and alerts go by what is stored of it
        log_checks(context, site.store, {site.operation: days}, site.now())
        raise failure_of(context, site, work, error) from error
    finish(context, site, progress)
    log_checks(context, site.store, {site.operation: days}, site.now())
    reports.pages()
    if progress.left_to_do is None:
        pauses.remember_success(site.store, site.operation, work)
    elif BACKFILL in context.run.tags:
        raise dg.Failure(progress.left_to_do, metadata=REPORTED, allow_retries=False)


def finish(context: StepContext, site: Site, progress: Progress) -> None:
    """Say what the run found, on the asset's page."""
    report = site.operation.report
    with reading(site.store, site.operation.name, report) as tables:
        without = known_without_a_row(tables) if tables else 0
        rows = row_counts(tables).windows if tables else 0
    if without:
        context.log.warning(progress.nothing_ever(without))
    metadata: dict[str, dg.MetadataValue | int | float | str] = {
        **progress.summary(),
        "dagster/row_count": rows,
    }
    seconds = progress.seconds_to_publication(site.now())
    if seconds is not None:
        metadata["seconds_to_publication"] = seconds
    if progress.corrections:
        metadata["corrections"] = dg.MetadataValue.md(
            corrections_table(progress.corrections, report.names.corrections)
        )
    context.log_event(dg.AssetObservation(asset_key=windows_key(site.operation), metadata=metadata))


def failure_of(context: StepContext, site: Site, work: Work, error: Exception) -> dg.Failure:
    """What is to be raised for this error, which is stored for pauses and alerts, where anything can be stored."""
    reported = False
    try:
        reported = pauses.remember_failure(site, work, error)
    except StoreError as problem:
        context.log.warning(f"operation {site.operation.name}: that it failed could not be stored. {problem}")
    return as_failure(error, site.operation.name, work, reported=reported)
