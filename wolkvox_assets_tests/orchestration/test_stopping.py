"""A range that is stopped by a signal ends soon, whatever it is at.

What belongs here: SIGTERM and its bound in time. What doesn't: what is kept after a kill (`test_end_to_end.py`).
"""

import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from wolkvox_assets.simulator import Centre, Faults, Simulator
from wolkvox_assets_tests.project import Command, Project

START = date(2026, 9, 1)
BOUND_SECONDS = 10.0


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Simulator(Centre(20), faults=Faults(latency=1.0)) as simulator:
        yield Project(tmp_path, simulator, START)


def seconds_to_stop(command: Command) -> float:
    sent = time.monotonic()
    command.stop()
    command.finish(expect=1)
    return time.monotonic() - sent


def test_while_dagster_notes_the_partitions_of_the_run(project: Project) -> None:
    """Of two months, which takes it half a minute."""
    command = project.command("main/agent_9_windows", partition_range=f"{START}T00:00...2026-10-31T23:55")
    index = project.home / ".dagster" / "history" / "runs" / "index.db"
    for _ in range(600):
        time.sleep(0.1)
        if index.exists() and index.stat().st_size > 1_000_000:
            break
    assert seconds_to_stop(command) < BOUND_SECONDS
    assert project.simulator.counters.requests == 0


@pytest.mark.parametrize("after", [1, 3])
def test_in_the_middle_of_a_range(project: Project, after: int) -> None:
    command = project.command("main/agent_9_windows", partition_range=f"{START}T00:00...{START}T23:55")
    while project.simulator.counters.requests < after and command.runs:
        time.sleep(0.05)
    assert seconds_to_stop(command) < BOUND_SECONDS
