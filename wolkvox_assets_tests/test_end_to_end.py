"""From the API to SQL by the command line of the design, in processes of its own: every quirk, every fault,
two at once, and killed.

What belongs here: what only whole processes can show. What doesn't: what one process can (`assets/`).
"""

import random
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from wolkvox_assets.report.measures import Usage
from wolkvox_assets.simulator import Centre, Operation, Simulator
from wolkvox_assets.simulator.answers import QUIRKS
from wolkvox_assets.simulator.centre import Use
from wolkvox_assets.simulator.faults import Fault
from wolkvox_assets_tests.project import ROOT, Project, files_below

DAY = date(2026, 11, 18)  # a Wednesday
WHOLE_DAY = f"{DAY}T00:00...{DAY}T23:55"
TOKEN = "a-token-that-nobody-must-see-7391"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(Operation(Centre(20), tokens=[TOKEN])) as simulator:
        yield simulator


@pytest.fixture
def project(tmp_path: Path, simulator: Simulator) -> Project:
    return Project(tmp_path, simulator, DAY)


def assert_true(project: Project, days: list[date]) -> None:
    windows = [window for day in days for window in project.windows_of(day)]
    assert project.known() == windows
    assert project.rows() == project.true_rows(windows)


def assert_well_behaved(project: Project) -> None:
    counters = project.simulator.counters
    assert counters.most_in_flight == 1
    assert counters.token_outside_header == []
    assert counters.requests_after_redirect == 0


def assert_no_token(project: Project, *texts: str) -> None:
    assert not [text for text in texts if TOKEN in text]
    seen = list(files_below(project.folder))
    assert len(seen) > 5
    assert not [path for path in seen if TOKEN.encode() in path.read_bytes()]


@pytest.mark.long
def test_a_day_with_every_quirk_and_every_fault(project: Project) -> None:
    project.simulator.api.quirks = frozenset(QUIRKS)
    # Some times each: after a fault, the client waits.
    for kind, every in (
        ("reset", 29),
        ("cut_off", 31),
        ("cut_json", 37),
        ("bad_gateway", 41),
        ("error_in_200", 43),
        ("busy_in_200", 47),
        ("forbidden", 53),
        ("html", 59),
    ):
        project.simulator.faults.add(Fault(kind, every=every))  # type: ignore[arg-type]
    output = project.command("main/agent_9_windows", partition_range=WHOLE_DAY).finish()
    assert "288 of 288 windows stored" in output
    assert "ASSET_MATERIALIZATION" not in output  # not a line on the terminal for each window
    assert_true(project, [DAY])
    assert_well_behaved(project)
    days = project.command(
        "main/agent_hold_mute_daily,main/operation_hold_mute_daily", partition=f"{DAY}"
    ).finish()
    midnight = datetime.combine(DAY, datetime.min.time())
    truth = project.true_usage(midnight, midnight + timedelta(days=1))
    stored = project.query(
        "SELECT agent_name, hold_mute_count, hold_seconds, mute_seconds, total_seconds FROM agent_hold_mute_daily"
    )
    assert {row[0]: Usage(*row[1:]) for row in stored} == truth  # type: ignore[arg-type]
    assert project.query(
        "SELECT agents, windows_known, windows_expected, complete FROM operation_hold_mute_daily"
    ) == [(len(truth), 288, 288, True)]
    # Each request that was made has its row, the failed ones too.
    made = project.query("SELECT COUNT(*) FROM api_requests")
    assert made == [(project.simulator.counters.requests,)]
    assert_no_token(project, output, days)


@pytest.mark.parametrize("homes", [1, 2])
def test_two_command_lines_at_once_over_overlapping_ranges(project: Project, homes: int) -> None:
    """Of one home, which is unused, both make Dagster's files: one at a time, or one would end in a traceback."""
    project.simulator.faults.latency = 0.01
    other = project.folder / "other_home" if homes == 2 else project.home
    other.mkdir(exist_ok=True)
    (other / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    first = project.command("main/agent_9_windows", partition_range=f"{DAY}T00:00...{DAY}T16:00")
    second = project.command("main/agent_9_windows", partition_range=f"{DAY}T08:00...{DAY}T23:55", home=other)
    try:
        first.finish()
        second.finish()
    finally:
        first.kill()
        second.kill()
    assert_true(project, [DAY])
    assert_well_behaved(project)


@pytest.mark.long
def test_killed_at_random_moments_it_keeps_whole_windows_and_a_repeat_ends_exact(project: Project) -> None:
    project.simulator.faults.latency = 0.015
    published = project.store.published
    progress = 0
    for attempt in range(3):
        command = project.command("main/agent_9_windows", partition_range=WHOLE_DAY)
        # Somewhere between the first request and the end, wherever this machine is by then.
        until = project.simulator.counters.requests + random.Random(attempt).randint(1, 280)
        while project.simulator.counters.requests < until and command.runs:
            time.sleep(0.01)
        command.kill()
        if not published.exists():
            continue
        windows = project.windows_of(DAY)
        known = project.known()
        assert set(known) <= set(windows)
        assert len(known) == len(set(known))
        assert project.rows() == project.true_rows(known)
        assert len(known) >= progress
        progress = len(known)
    assert progress > 0
    project.command("main/agent_9_windows", partition_range=WHOLE_DAY).finish()
    assert_true(project, [DAY])


def test_a_redirect_ends_the_run_and_nothing_follows_it(project: Project) -> None:
    project.simulator.faults.add(Fault("redirect", on=[5]))
    output = project.command("main/agent_9_windows", partition_range=WHOLE_DAY).finish(expect=1)
    assert project.simulator.counters.requests == 5
    assert project.simulator.counters.requests_after_redirect == 0
    assert len(project.known()) == 3  # the first request was for the quota; what was fetched is stored
    assert "operation 'main', agent_9 from 2026-11-18" in output
    assert_no_token(project, output)


def test_a_reader_who_holds_the_file_open_sees_one_state_and_stops_nobody(project: Project) -> None:
    project.command("main/agent_9_windows", partition_range=f"{DAY}T00:00...{DAY}T01:00").finish()
    with duckdb.connect(project.store.published, read_only=True) as reader:
        before = reader.execute("SELECT COUNT(*) FROM agent_9_window_log").fetchall()
        project.command("main/agent_9_windows", partition_range=WHOLE_DAY).finish()
        assert reader.execute("SELECT COUNT(*) FROM agent_9_window_log").fetchall() == before == [(13,)]
    assert_true(project, [DAY])


HOSTILE = ["![x](http://evil.example/x.png)", "<img src=x>", "a | b", "\x1b[31mred"]


def test_names_are_text_in_the_tables_of_the_ui_and_no_window_has_a_line_of_its_own_on_the_terminal(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = f"{DAY}T10:00...{DAY}T10:55"
    output = project.command("main/agent_9_windows", partition_range=hour).finish()
    for name in HOSTILE:
        project.simulator.centre.add(Use(datetime(2026, 11, 18, 10, 1), name, "hold", 30))
    output += project.command("main/agent_9_windows", partition_range=hour).finish()
    assert "ASSET_MATERIALIZATION" not in output
    assert "\x1b[31m" not in output
    monkeypatch.chdir(project.home)
    with dg.DagsterInstance.from_config(str(project.home)) as instance:
        key = dg.AssetKey(["main", "agent_9_windows"])
        assert len(instance.get_materialized_partitions(key)) == 12
        (last,) = instance.fetch_observations(key, limit=1).records
    observation = last.asset_observation
    assert observation is not None
    table = str(observation.metadata["corrections"].value)
    assert "evil" in table
    assert not set(table) & set("<>[]!\x1b")
