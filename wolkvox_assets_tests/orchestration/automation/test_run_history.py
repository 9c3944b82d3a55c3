"""What ticks have logged is deleted after a while, and what they stored and marked stays: on SQLite and on Postgres."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from wolkvox_assets.orchestration.automation.run_history import PRUNE
from wolkvox_assets.orchestration.partitions import windows_key
from wolkvox_assets.report.windows import WINDOW, Range
from wolkvox_assets.simulator import Simulator
from wolkvox_assets_tests.lakes import dagster_database
from wolkvox_assets_tests.orchestration.automation.conftest import DAY, LIVE, Location, located, noon
from wolkvox_assets_tests.project import files_below, utc_now


@contextmanager
def on_postgres(home: Path) -> Iterator[dg.DagsterInstance]:
    """As the README says, in a database of its own."""
    home.mkdir()
    with dagster_database() as url:
        overrides = {"storage": {"postgres": {"postgres_url": url}}}
        with dg.DagsterInstance.local_temp(str(home), overrides=overrides) as instance:
            yield instance


@pytest.fixture(params=["sqlite", "postgres"])
def ticked(
    request: pytest.FixtureRequest, tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Location]:
    """A tick has done its work, and a person's run as well."""
    with ExitStack() as stack:
        location = stack.enter_context(located(tmp_path, simulator, noon().date(), monkeypatch))
        if request.param == "postgres":
            location = replace(location, instance=stack.enter_context(on_postgres(tmp_path / "on_postgres")))
            location.reload()
        assert location.live().success
        yield location


def prune(location: Location, after: timedelta) -> str:
    location.now = utc_now() + after
    result = location.definitions.resolve_job_def(PRUNE).execute_in_process(instance=location.instance)
    return "\n".join(entry.user_message for entry in location.instance.all_logs(result.run_id))


def logged(location: Location) -> dict[str, int]:
    """How much each run has logged, by its job."""
    return {run.job_name: len(location.instance.all_logs(run.run_id)) for run in location.instance.get_runs()}


def test_logs_of_old_ticks_go_and_runs_and_marks_stay(ticked: Location) -> None:
    instance, windows = ticked.instance, windows_key(ticked.operation)
    marked = instance.get_materialized_partitions(windows)
    assert len(marked) > 100
    by_hand = instance.create_run_for_job(ticked.definitions.resolve_implicit_global_asset_job_def())
    instance.report_run_failed(by_hand)
    before = logged(ticked)
    assert before[LIVE] > len(marked)
    assert "Deleted: the logs of 0 ticks" in prune(ticked, 13 * DAY)
    assert logged(ticked)[LIVE] == before[LIVE]
    assert "Deleted: the logs of 2 ticks" in prune(
        ticked, 15 * DAY
    )  # the tick, and the run that found nothing to delete
    after = logged(ticked)
    assert after[LIVE] <= (0 if instance.event_log_storage.is_run_sharded else before[LIVE] - 10)
    assert after["__ASSET_JOB"] == before["__ASSET_JOB"]
    assert instance.get_materialized_partitions(windows) == marked
    assert ticked.project.rows()
    live = [run for run in instance.get_runs() if run.job_name == LIVE]
    assert [run.status for run in live] == [dg.DagsterRunStatus.SUCCESS]
    record = instance.get_latest_materialization_event(windows)
    assert record is not None
    assert record.run_id == live[0].run_id


def test_a_tick_leaves_a_small_file_and_nothing_beside_it(location: Location) -> None:
    location.fill(Range(location.recent_from, location.live_from))
    assert location.live().success
    location.now += WINDOW
    result = location.live()  # for one window
    assert result.success
    location.instance.dispose()
    files = [file for file in files_below(location.project.folder / "dagster") if result.run_id in str(file)]
    (log,) = (file for file in files if ".db" in file.name)
    assert log.suffix == ".db"
    assert log.stat().st_size < 12_000
