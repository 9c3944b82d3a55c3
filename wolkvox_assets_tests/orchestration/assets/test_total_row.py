"""Servers that add a total row, and servers that never answer with any, as runs meet them."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from wolkvox_assets.commands import doctor
from wolkvox_assets.report.measures import by_name
from wolkvox_assets.simulator import Centre, Simulator, Use
from wolkvox_assets.simulator.answers import TotalRow
from wolkvox_assets_tests.project import Project

pytestmark = pytest.mark.usefixtures("no_pages")

DAY = date(2026, 11, 18)  # a Wednesday
BEFORE = date(2026, 11, 17)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(Centre(12)) as simulator:
        yield simulator


@pytest.fixture
def project(tmp_path: Path, simulator: Simulator) -> Project:
    return Project(tmp_path, simulator, date(2026, 11, 1))


def load(
    project: Project, monkeypatch: pytest.MonkeyPatch, first: date, last: date | None = None
) -> dg.ExecuteInProcessResult:
    return project.materialize(
        "agent_9_windows", monkeypatch, partition_range=(f"{first}T00:00", f"{last or first}T23:55")
    )


def assert_true(project: Project, *days: date) -> None:
    windows = [window for day in days for window in project.windows_of(day)]
    assert project.known() == windows
    assert project.rows() == project.true_rows(windows)


@pytest.mark.parametrize(("name", "cap"), [("TOTAL", None), ("TOTAL", 7_200), ("techcon", 7_200)])
def test_a_fresh_operation_is_loaded_in_one_run_without_its_total_row(
    project: Project, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, name: str, cap: int | None
) -> None:
    simulator.api.quirks = frozenset({"total_row"})
    # What only a busier operation's numbers come to, here by a smaller limit on both sides.
    monkeypatch.setattr("wolkvox_assets.report.total_row._UNCUT_SECONDS", 7_199)
    simulator.api.total_row = TotalRow(name, cap)
    assert load(project, monkeypatch, BEFORE, DAY).success
    assert_true(project, BEFORE, DAY)
    assert simulator.counters.requests < 2 * 288 + 40
    assert project.query("SELECT has_total_row, name FROM total_row_verdicts") == [(True, name)]
    assert project.query("SELECT complete FROM operation_hold_mute_daily") == [(True,), (True,)]

    simulator.reset_counters()
    assert load(project, monkeypatch, BEFORE, DAY).success
    assert simulator.counters.requests <= 3
    assert_true(project, BEFORE, DAY)


def test_a_server_without_one_is_asked_no_more_for_it(
    project: Project, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(project, monkeypatch, DAY).success
    assert simulator.counters.requests <= 288 + 30
    assert_true(project, DAY)
    assert project.query("SELECT has_total_row, name FROM total_row_verdicts") == [(False, None)]


def test_one_window_at_a_time_comes_to_a_verdict(
    project: Project, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator.api.quirks, simulator.api.total_row = frozenset({"total_row"}), TotalRow("techcon")
    windows = project.windows_of(DAY)[120:128]
    worked = [
        project.materialize("agent_9_windows", monkeypatch, partition=f"{window:%Y-%m-%dT%H:%M}").success
        for window in windows
    ]
    assert worked == sorted(worked)  # in doubt first, and from the verdict on not
    assert worked.count(False) in range(2, 6)
    stored = [window for window, was in zip(windows, worked, strict=True) if was]
    assert project.known() == stored
    assert project.rows() == project.true_rows(stored)


def test_what_was_stored_with_a_total_row_as_an_agent_is_asked_again(
    project: Project, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator.api.quirks, simulator.api.total_row = frozenset({"total_row"}), TotalRow("techcon")
    with monkeypatch.context() as old:  # an installation from before there were verdicts
        old.setattr(
            "wolkvox_assets.report.total_row.Judge.agents_of",
            lambda self, asked, rows: (by_name(rows), []),
        )
        assert load(project, old, DAY).success
    assert project.query("SELECT COUNT(*) FROM agent_9_windows WHERE agent_name = 'techcon'") != [(0,)]
    load(project, monkeypatch, DAY)
    assert project.query("SELECT COUNT(*) FROM agent_9_windows WHERE agent_name = 'techcon'") == [(0,)]
    assert load(project, monkeypatch, DAY).success
    assert_true(project, DAY)


def test_a_report_that_is_not_there_makes_no_day_complete(
    project: Project,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    simulator.centre.silence(*(project.windows_of(day)[0] for day in (BEFORE, date(2026, 11, 19))))
    result = load(project, monkeypatch, BEFORE, DAY)
    assert result.success
    [observed] = [event for event in result.all_events if event.event_type_value == "ASSET_OBSERVATION"]
    said = observed.asset_observation_data.asset_observation.metadata["nothing_ever"].value
    assert "no answer ever had a row: 576 known windows" in str(said)
    assert project.query("SELECT complete FROM operation_hold_mute_daily") == [(False,), (False,)]
    assert doctor.run() == 1
    assert "no answer ever had a row: 576 known windows" in capsys.readouterr().out

    # An installation from before: its days stood there complete.
    with project.store.transaction() as con:
        con.execute("UPDATE operation_hold_mute_daily SET complete = true")
    load(project, monkeypatch, DAY)
    assert project.query("SELECT complete FROM operation_hold_mute_daily") == [(False,), (False,)]

    # The first row ever.
    simulator.centre.add(Use(project.windows_of(DAY)[120], "Ana", "hold", 5))
    assert load(project, monkeypatch, DAY).success
    # What was known of the day before may have been the answers of a server without the report.
    assert project.query("SELECT local_date, complete FROM operation_hold_mute_daily") == [(DAY, True)]
    assert load(project, monkeypatch, BEFORE).success
    assert project.query("SELECT complete FROM operation_hold_mute_daily") == [(True,), (True,)]
    doctor.run()
    assert "no answer ever" not in capsys.readouterr().out
