"""How many requests a range costs, as the server counts them, and that the result is exact all the same."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from wolkvox_assets.simulator import Centre, Operation, Simulator, Use
from wolkvox_assets_tests.project import Project

pytestmark = pytest.mark.usefixtures("no_pages")

BUSY = date(2026, 11, 18)  # a Wednesday
PROVED_ON = date(2026, 11, 17)
SUNDAY = date(2026, 11, 15)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(Centre(50)) as simulator:
        yield simulator


@pytest.fixture
def project(tmp_path: Path, simulator: Simulator) -> Project:
    return Project(tmp_path, simulator, date(2026, 9, 1))


def load(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    first: date,
    last: date | None = None,
    *,
    direct: bool = False,
) -> dict[str, object]:
    """Materialise these days. Returns the run's numbers."""
    result = project.materialize(
        "agent_9_windows",
        monkeypatch,
        partition_range=(f"{first}T00:00", f"{last or first}T23:55"),
        run_config={"ops": {"main__agent_9_windows": {"config": {"direct": True}}}} if direct else None,
    )
    assert result.success
    observed = [event for event in result.all_events if event.event_type_value == "ASSET_OBSERVATION"]
    assert len(observed) == 1
    metadata = observed[0].asset_observation_data.asset_observation.metadata
    return {name: value.value for name, value in metadata.items()}


def requests(simulator: Simulator, api: str = "agent_9") -> int:
    return simulator.counters.by_api[api]


def assert_true(project: Project, first: date, last: date | None = None) -> None:
    days = [first + timedelta(days=n) for n in range(((last or first) - first).days + 1)]
    windows = [window for day in days for window in project.windows_of(day)]
    start, end = windows[0], windows[-1]
    assert [window for window in project.known() if start <= window <= end] == windows
    assert [row for row in project.rows() if start <= row[0] <= end] == project.true_rows(windows)


def sources(project: Project) -> dict[str, int]:
    return dict(
        project.query("SELECT source, COUNT(*) FROM agent_9_window_log GROUP BY source")  # type: ignore[arg-type]
    )


def test_after_the_proof_ranges_cost_what_the_design_promises(
    project: Project, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = load(project, monkeypatch, PROVED_ON)
    assert said["additivity"] == "holds"
    assert requests(simulator) <= 288 + 30
    assert_true(project, PROVED_ON)
    assert sources(project) == {"asked": 288}
    evidence = project.query("SELECT holds, evidence FROM additivity_proofs")
    assert [row[0] for row in evidence] == [True]
    assert f"{PROVED_ON}" in str(evidence[0][1])

    simulator.reset_counters()
    said = load(project, monkeypatch, BUSY)
    assert simulator.counters.requests <= 165  # token_info, where it is asked, included
    assert said["requests_made"] == simulator.counters.requests
    assert said["requests_saved"] == 288 - simulator.counters.requests
    assert said["dagster/row_count"] == project.query("SELECT COUNT(*) FROM agent_9_windows")[0][0]
    assert_true(project, BUSY)

    simulator.reset_counters()
    load(project, monkeypatch, SUNDAY)
    assert simulator.counters.requests <= 60
    assert_true(project, SUNDAY)

    simulator.centre.silence(datetime(2026, 10, 1), datetime(2026, 10, 31, 23, 59, 59))
    simulator.reset_counters()
    load(project, monkeypatch, date(2026, 10, 5))
    assert simulator.counters.requests == 1
    assert_true(project, date(2026, 10, 5))

    before = project.query("SELECT * EXCLUDE (verified_at) FROM agent_9_window_log ORDER BY window_start")
    simulator.reset_counters()
    said = load(project, monkeypatch, BUSY)
    assert simulator.counters.requests == 1
    assert said["windows_verified"] == 288
    after = project.query("SELECT * EXCLUDE (verified_at) FROM agent_9_window_log ORDER BY window_start")
    assert after == before  # nothing rewritten
    assert project.query(
        "SELECT COUNT(*) FROM agent_9_window_log WHERE verified_at > fetched_at AND local_date = '2026-11-18'"
    ) == [(288,)]

    # Three windows change: one loses a record, two get one.
    simulator.reset_counters()
    gone = simulator.centre.uses(datetime(2026, 11, 18, 9), datetime(2026, 11, 18, 9, 4, 59))[0]
    simulator.centre.remove(gone)
    late = [
        Use(datetime(2026, 11, 18, 3, 2, 1), simulator.centre.names[0], "hold", 33),
        Use(datetime(2026, 11, 18, 16, 31), simulator.centre.names[1], "mute", 7),
    ]
    simulator.centre.add(*late)
    said = load(project, monkeypatch, BUSY)
    assert simulator.counters.requests <= 40
    assert said["windows_repaired"] == 3
    assert_true(project, BUSY)
    corrected = project.query("SELECT DISTINCT window_start FROM agent_9_corrections ORDER BY 1")
    assert corrected == [
        (datetime(2026, 11, 18, 3),),
        (datetime(2026, 11, 18, 9),),
        (datetime(2026, 11, 18, 16, 30),),
    ]
    assert project.query(
        "SELECT agent_name, old_value, new_value FROM agent_9_corrections"
        " WHERE column_name = 'hold_seconds' AND window_start = '2026-11-18 03:00:00'"
    ) == [(simulator.centre.names[0], 0, 33)]


def test_an_empty_month_is_one_request(
    project: Project, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(project, monkeypatch, PROVED_ON)
    simulator.centre.silence(datetime(2026, 10, 1), datetime(2026, 10, 31, 23, 59, 59))
    simulator.reset_counters()
    # As the sensor does it: without a partition, Dagster need not note 8,928 of them before.
    config = {"ranges": [["2026-10-01T00:00", "2026-11-01T00:00"]]}
    # Marking them would take as long; what is asked and stored does not depend on it.
    monkeypatch.setattr("wolkvox_assets.orchestration.run.over_range.Marks.of", lambda *_: [])
    run_config = {"ops": {"main__agent_9_windows": {"config": config}}}
    assert project.materialize("agent_9_windows", monkeypatch, run_config=run_config).success
    assert simulator.counters.requests == 1
    assert sources(project) == {"asked": 288, "empty_range": 31 * 288}


def test_an_api_that_does_not_add_up_is_asked_directly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Simulator(Centre(50, counting="touch")) as simulator:
        project = Project(tmp_path, simulator, date(2026, 9, 1))
        said = load(project, monkeypatch, BUSY)
        assert said["additivity"] == "does not hold"
        assert requests(simulator) <= 288 + 30
        assert_true(project, BUSY)
        simulator.reset_counters()
        load(project, monkeypatch, SUNDAY)
        assert requests(simulator) == 288
        assert_true(project, SUNDAY)
        assert sources(project) == {"asked": 576}


def test_direct_asking_where_someone_wants_it(
    project: Project, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(project, monkeypatch, PROVED_ON)
    simulator.reset_counters()
    load(project, monkeypatch, SUNDAY, direct=True)
    assert requests(simulator) == 288
    assert_true(project, SUNDAY)
    assert sources(project) == {"asked": 576}


def test_the_reserve_is_never_touched_and_the_next_day_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WOLKVOX_AUTOMATION", "off")  # nothing is held back for live windows
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    with Simulator(Operation(Centre(50), daily_limit=1000), clock=lambda: now) as simulator:
        project = Project(tmp_path, simulator, date(2026, 9, 1))
        simulator.api.operations[0].spend(600, now)  # 400 left, 200 of them ours
        said = load(project, monkeypatch, BUSY)
        assert simulator.counters.requests <= 200
        assert simulator.counters.requests >= 190
        known = project.known()
        assert 180 <= len(known) < 288
        assert project.rows() == project.true_rows(known)
        assert "left to do" in str(said["left_to_do"])
        assert "tried again within the hour" in str(said["left_to_do"])
        simulator.reset_counters()
        load(project, monkeypatch, BUSY)
        assert simulator.counters.requests == 0  # nothing can have changed
        now += timedelta(days=1)
        with project.store.transaction() as con:  # a day has passed
            con.execute("UPDATE quota_readings SET read_at = read_at - INTERVAL 1 DAY")
            con.execute("UPDATE api_requests SET requested_at = requested_at - INTERVAL 1 DAY")
        load(project, monkeypatch, BUSY)
        assert_true(project, BUSY)


def test_a_used_up_quota_ends_the_run_without_a_storm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Simulator(Operation(Centre(50), daily_limit=1000)) as simulator:
        project = Project(tmp_path, simulator, date(2026, 9, 1))
        simulator.api.operations[0].spend(1000, datetime.now(UTC))
        said = load(project, monkeypatch, BUSY)
        assert simulator.counters.requests == 1
        assert "288 of 288 windows left to do" in str(said["left_to_do"])
