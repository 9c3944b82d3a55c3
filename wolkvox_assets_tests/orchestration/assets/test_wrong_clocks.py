"""A machine whose clock is ahead, with and without a server that tells the time: nothing lost, nothing made up."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from wolkvox_assets.report.windows import WINDOW, Range, WallClock
from wolkvox_assets.simulator import Centre, Simulator
from wolkvox_assets.store.gaps import holes
from wolkvox_assets_tests.project import Project
from wolkvox_assets_tests.store.tables import agent_9

pytestmark = pytest.mark.usefixtures("no_pages")

BOGOTA = WallClock("America/Bogota")
DIRECT: dict[str, object] = {"ops": {"main__agent_9_windows": {"config": {"direct": True}}}}


def hours_ago(hours: float) -> datetime:
    """The start of a window, on the wall clock."""
    moment = BOGOTA.now(datetime.now(UTC) - timedelta(hours=hours))
    return moment.replace(minute=moment.minute - moment.minute % 5, second=0, microsecond=0)


def keys(range_: Range) -> tuple[str, str]:
    return f"{range_.start:%Y-%m-%dT%H:%M}", f"{range_.end - WINDOW:%Y-%m-%dT%H:%M}"


@pytest.mark.parametrize("behind", [timedelta(hours=6), timedelta(hours=3, minutes=2)])
def test_what_is_not_over_by_the_servers_clock_is_not_stored_and_comes_when_it_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    instance: dg.DagsterInstance,
    capfd: pytest.CaptureFixture[str],
    behind: timedelta,
) -> None:
    centre = Centre(8, profile="around_the_clock", timezone="America/Bogota")
    server_clock = [behind]
    with Simulator(centre, clock=lambda: datetime.now(UTC) - server_clock[0]) as simulator:
        range_ = Range(hours_ago(10), hours_ago(1))
        project = Project(tmp_path, simulator, range_.start.date())

        def over_by_now() -> list[datetime]:
            return [w for w in range_.windows() if BOGOTA.end_utc(w) <= datetime.now(UTC) - behind]

        over_before = over_by_now()
        result = project.materialize(
            "agent_9_windows", monkeypatch, partition_range=keys(range_), instance=instance
        )
        assert result.success
        over = project.known()
        assert over in (over_before, over_by_now())
        assert 0 < len(over) < len(range_)
        assert project.rows() == project.true_rows(over)
        assert len(instance.get_materialized_partitions(dg.AssetKey(["main", "agent_9_windows"]))) == len(
            over
        )
        assert project.query(
            "SELECT COUNT(*) FROM agent_9_window_log WHERE fetched_at > now() - INTERVAL 2 HOUR"
        ) == [
            (0,)  # the moment is the earlier of both clocks'
        ]
        told = capfd.readouterr().err
        assert "The clocks disagree" in told
        assert f"Not over by the server's clock: {len(range_) - len(over)} of {len(range_)} windows" in told

        server_clock[0] = timedelta(0)
        assert project.materialize(
            "agent_9_windows", monkeypatch, partition_range=keys(range_), instance=instance
        ).success
        assert project.known() == list(range_.windows())
        assert project.rows() == project.true_rows(range_.windows())


@pytest.mark.parametrize(("ahead", "direct"), [(timedelta(days=30), True), (timedelta(hours=6), False)])
def test_what_was_stored_with_a_moment_of_the_future_is_asked_again_and_replaced(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    instance: dg.DagsterInstance,
    ahead: timedelta,
    direct: bool,
) -> None:
    """The server tells no time: all that was had with the clock ahead stands there, and must not win."""
    centre = Centre(8, profile="around_the_clock", timezone="America/Bogota")
    day = hours_ago(48).date()
    range_ = Range(*(datetime.combine(day, datetime.min.time()) + timedelta(hours=h) for h in (10, 12)))
    with Simulator(centre, clock=lambda: datetime.now(UTC) - timedelta(days=9)) as simulator:
        simulator.api.date_header = False
        project = Project(tmp_path, simulator, day)
        assert project.materialize(
            "agent_9_windows",
            monkeypatch,
            partition_range=keys(range_),
            instance=instance,
            now=lambda: datetime.now(UTC) + ahead,
        ).success
        assert project.rows() == []  # the server has nothing of these days yet
        assert project.query("SELECT windows_known FROM operation_hold_mute_daily") == [(24,)]

        with project.store.reading() as con:
            assert con is not None
            assert holes(agent_9(con), range_, datetime.now(UTC)) == [range_]
        simulator.api.clock = lambda: datetime.now(UTC)
        early = Range(range_.start, range_.start + WINDOW)
        assert project.materialize(
            "agent_9_windows", monkeypatch, partition=keys(early)[0], instance=instance
        ).success
        # Any commit counts the days of the future anew.
        assert project.query("SELECT windows_known FROM operation_hold_mute_daily") == [(1,)]
        assert project.materialize(
            "agent_9_windows",
            monkeypatch,
            partition_range=keys(range_),
            instance=instance,
            run_config=DIRECT if direct else None,
        ).success
        assert project.rows() == project.true_rows(range_.windows())
        assert project.query("SELECT windows_known FROM operation_hold_mute_daily") == [(24,)]
        assert project.query("SELECT COUNT(*) FROM agent_9_window_log WHERE fetched_at > now()") == [(0,)]
