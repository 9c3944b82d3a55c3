"""A day that is loaded and sound, and for each check a fault that can be put in."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest

from wolkvox_assets.simulator import Centre, Simulator
from wolkvox_assets_tests.project import Project

DAY = date(2026, 11, 18)  # a Wednesday
NOW = datetime(2026, 11, 19, 9, 30, tzinfo=UTC)
"""04:30 in Bogota on the day after: it has closed, and was to be verified an hour and a half ago."""


def _row(number: int) -> str:
    """One of the rows: faults of different checks are put into different ones, so that all can be there at once."""
    order = "ORDER BY window_start, agent_name"
    return f"rowid = (SELECT rowid FROM agent_9_windows WHERE agent_name <> 'techcon' {order} LIMIT 1 OFFSET {number})"


def _quiet(minute: int) -> str:
    """A window in which nobody used anything."""
    return f"window_start = '2026-11-18 02:{minute:02}'"


def _answer(number: int) -> str:
    """One of the latest answers with rows, for a part of the day."""
    return (
        "rowid = (SELECT rowid FROM api_requests WHERE api = 'agent_9' AND records > 0 AND date_end NOT LIKE '%235959'"
        f" ORDER BY rowid DESC LIMIT 1 OFFSET {number})"
    )


_SUMS = {"agent_hold_mute_daily/equals_its_windows", "operation_hold_mute_daily/equals_its_windows"}

FAULTS: dict[str, tuple[str, set[str]]] = {
    # The check of which it is a fault: SQL, and the checks that must see it as well.
    "agent_9_windows/rows_match_the_window_log": (
        f"UPDATE agent_9_window_log SET agents = 1 WHERE {_quiet(0)}",
        set(),
    ),
    "agent_9_windows/no_negative_numbers": (
        f"UPDATE agent_9_windows SET hold_seconds = -1, total_seconds = mute_seconds - 1 WHERE {_row(0)}",
        _SUMS,
    ),
    "agent_9_windows/nothing_of_the_future": (
        f"UPDATE agent_9_window_log SET verified_at = '2026-11-20' WHERE {_quiet(5)}",
        set(),
    ),
    "agent_9_windows/total_is_hold_plus_mute": (
        f"UPDATE agent_9_windows SET total_seconds = total_seconds + 1 WHERE {_row(1)}",
        _SUMS,
    ),
    "agent_9_windows/plausible_numbers": (
        f"UPDATE agent_9_windows SET mute_seconds = 90000, total_seconds = 90000 + hold_seconds WHERE {_row(2)}",
        _SUMS,
    ),
    "agent_9_windows/answers_as_described": (
        f"""UPDATE api_requests SET body = replace(body, '"mute_time"', '"mute"') WHERE {_answer(0)}""",
        set(),
    ),
    "agent_9_windows/no_merged_names": (
        f"UPDATE api_requests SET body = regexp_replace(body, '(\\{{[^{{}}]*\\}})\\]', '\\1, \\1]') WHERE {_answer(1)}",
        set(),
    ),
    "agent_9_windows/answers_add_up": (
        "INSERT INTO additivity_proofs VALUES ('main', '2026-11-19 09:00', FALSE, 'made up', '')",
        set(),
    ),
    "agent_9_windows/quota_reserve_kept": (
        "INSERT INTO quota_readings VALUES ('main', '2026-11-19 09:30', 12000, 9601, '')",
        set(),
    ),
    "agent_hold_mute_daily/equals_its_windows": (
        (
            "UPDATE agent_hold_mute_daily SET last_window = '2026-11-18 23:55' WHERE agent_name ="
            " (SELECT MIN(agent_name) FROM agent_hold_mute_daily)"
        ),
        set(),
    ),
    "agent_hold_mute_daily/equals_the_api_answer": (
        (
            f"UPDATE agent_9_windows SET hold_mute_count = hold_mute_count + 1 WHERE {_row(3)};"
            " UPDATE agent_hold_mute_daily AS d SET hold_mute_count = (SELECT SUM(hold_mute_count)"
            "  FROM agent_9_windows AS w WHERE w.agent_name = d.agent_name AND w.local_date = d.local_date);"
            " UPDATE operation_hold_mute_daily SET hold_mute_count = hold_mute_count + 1"
            "  WHERE local_date = '2026-11-18'"
        ),
        set(),
    ),
    "operation_hold_mute_daily/equals_its_windows": (
        "UPDATE operation_hold_mute_daily SET total_seconds = total_seconds + 1 WHERE local_date = '2026-11-18'",
        {"operation_hold_mute_daily/equals_its_agents"},
    ),
    "operation_hold_mute_daily/equals_its_agents": (
        "UPDATE operation_hold_mute_daily SET agents = agents + 1 WHERE local_date = '2026-11-18'",
        set(),
    ),
    "operation_hold_mute_daily/closed_days_are_whole": (
        # It can't be had: else the next tick does it.
        (
            f"UPDATE agent_9_window_log SET verified_at = '2026-11-18 12:00' WHERE {_quiet(10)};"
            " UPDATE operation_hold_mute_daily SET verified_at = '2026-11-18 12:00' WHERE local_date = '2026-11-18';"
            " INSERT INTO agent_9_left_out VALUES ('main', '2026-11-18 02:10', 7, '2026-11-19 09:30', 'made up')"
        ),
        set(),
    ),
    "agent_9_windows/one_row_per_window_and_agent": (
        f"INSERT INTO agent_9_windows FROM agent_9_windows WHERE {_row(4)}",
        _SUMS,
    ),
    "agent_9_windows/no_total_row_among_agents": (
        (
            "INSERT INTO agent_9_windows SELECT operation, window_start, window_start_utc, local_date, 'techcon',"
            " SUM(hold_mute_count), SUM(hold_seconds), SUM(mute_seconds), SUM(total_seconds)"
            " FROM agent_9_windows GROUP BY ALL HAVING COUNT(*) > 1"
        ),
        {"agent_9_windows/rows_match_the_window_log", *_SUMS},
    ),
}


def take_out(con: duckdb.DuckDBPyConnection, loaded: Path) -> None:
    """All of these faults."""
    con.execute(f"ATTACH '{loaded / 'wolkvox.duckdb'}' AS sound (READ_ONLY)")
    for table in (
        "agent_9_windows",
        "agent_9_window_log",
        "agent_hold_mute_daily",
        "operation_hold_mute_daily",
    ):
        con.execute(f"DELETE FROM {table} WHERE local_date = '{DAY}'")
        con.execute(f"INSERT INTO {table} FROM sound.{table}")
    for table in ("api_requests", "additivity_proofs", "quota_readings", "agent_9_left_out"):
        con.execute(f"DELETE FROM {table}")
        con.execute(f"INSERT INTO {table} FROM sound.{table}")


class Loaded(NamedTuple):
    """A data folder with this day in it, and the server that it came from."""

    folder: Path
    simulator: Simulator


@pytest.fixture(scope="session")
def loaded_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """Nothing is to be changed in it: copy it."""
    folder = tmp_path_factory.mktemp("loaded")
    with pytest.MonkeyPatch.context() as patch, Simulator(Centre(12)) as simulator:
        patch.chdir(folder)
        midnight = datetime.combine(DAY, datetime.min.time())
        # An hour of use, and answers that are known to add up: a tenth of the requests.
        simulator.centre.silence(midnight, midnight + timedelta(hours=9))
        simulator.centre.silence(midnight + timedelta(hours=10), midnight + timedelta(hours=24, seconds=-1))
        project = Project(folder, simulator, DAY)
        with project.store.transaction() as con:
            con.execute(
                "INSERT INTO additivity_proofs VALUES ('main', '2026-11-19 08:00', TRUE, 'made up', '')"
            )
        whole = (f"{DAY}T00:00", f"{DAY}T23:55")
        result = project.materialize("agent_9_windows", patch, partition_range=whole, now=lambda: NOW)
        assert result.success
        yield Loaded(project.store.folder, simulator)
