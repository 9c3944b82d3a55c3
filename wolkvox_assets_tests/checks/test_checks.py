"""Each check on a real file: it sees its fault, and no other does; and it passes again without it."""

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from wolkvox_assets.checks import (
    EVERYTHING,
    Beside,
    Look,
    Result,
    Scope,
    Severity,
    checks_of,
    evaluate,
    newest_of,
    touched_by,
)
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.settings import Operation
from wolkvox_assets_tests.checks.conftest import DAY, FAULTS, NOW, Loaded
from wolkvox_assets_tests.project import ROOT

CHECKS, NEWEST = checks_of(AGENT_9), newest_of(AGENT_9)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def file(
    loaded_once: Loaded, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    copied = shutil.copy(loaded_once.folder / "wolkvox.duckdb", tmp_path_factory.mktemp("copied"))
    with duckdb.connect(copied) as con:
        yield con


@pytest.fixture
def con(file: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """What a test does to it is taken back."""
    file.execute("BEGIN")
    yield file
    file.execute("ROLLBACK")


def operation(con: duckdb.DuckDBPyConnection) -> Operation:
    """As it was when the day was loaded: what is known of a quota is known of an address."""
    [(address,)] = con.execute("SELECT address FROM operation_sources").fetchall()
    return Operation(server="0013", start=DAY, base_url=address)


def name(result: Result) -> str:
    return f"{result.check.asset}/{result.check.name}"


def failed(
    con: duckdb.DuckDBPyConnection, now: datetime = NOW, scope: Scope | None = None
) -> dict[str, Result]:
    """Those that did not pass, by name; all but the one about the newest window."""
    checks = [check for check in CHECKS if check is not NEWEST]
    results = evaluate(Look(con, operation(con), now, scope or Scope()), checks)
    return {name(result): result for result in results if not result.passed}


def newest(con: duckdb.DuckDBPyConnection, now: datetime, fresh_minutes: int = 15) -> Result:
    set_so = operation(con).model_copy(update={"fresh_minutes": fresh_minutes})
    [result] = evaluate(Look(con, set_so, now), [NEWEST])
    return result


def test_a_loaded_day_is_sound(con: duckdb.DuckDBPyConnection) -> None:
    assert failed(con) == {}


def test_the_page_tells_of_each_check_whether_it_blocks() -> None:
    table = (ROOT / "docs" / "checks.md").read_text("utf-8")
    told = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \| (yes|no|warning) \|", table, re.MULTILINE))
    assert told == {
        check.name: "yes" if check.blocking else "no" if check.severity is Severity.ERROR else "warning"
        for check in CHECKS
    }


def test_each_check_has_its_fault() -> None:
    assert {f"{check.asset}/{check.name}" for check in CHECKS} == {*FAULTS, f"{NEWEST.asset}/{NEWEST.name}"}


@pytest.mark.parametrize("check", FAULTS)
def test_operations_that_are_looked_at_together_are_told_apart(
    con: duckdb.DuckDBPyConnection, check: str
) -> None:
    """One with the same day, sound but where the fault goes by the day alone, and one with another day."""
    main = operation(con)
    for table in (
        "agent_9_windows",
        "agent_9_window_log",
        "agent_hold_mute_daily",
        "operation_hold_mute_daily",
    ):
        con.execute(f"INSERT INTO {table} SELECT * REPLACE ('second' AS operation) FROM {table}")
    con.execute(FAULTS[check][0])
    asked = {
        main: EVERYTHING,
        main.model_copy(update={"name": "second"}): touched_by("another", [DAY]),
        main.model_copy(update={"name": "empty"}): touched_by("another", [DAY + timedelta(days=1)]),
    }
    alone, together = (
        [Look(con, one, NOW, scope) for one, scope in asked.items()] for _ in ("alone", "together")
    )
    Beside(together)
    found = [evaluate(look, CHECKS) for look in together]
    assert found == [evaluate(look, CHECKS) for look in alone]
    assert check in {name(result) for results in found for result in results if not result.passed}


@pytest.mark.parametrize("check", FAULTS)
def test_a_fault_is_seen_where_it_is_and_by_nobody_else(con: duckdb.DuckDBPyConnection, check: str) -> None:
    sql, others = FAULTS[check]
    con.execute(sql)
    found = failed(con)
    assert found.keys() == {check, *others}
    result = found[check]
    assert result.severity is result.check.severity
    assert result.words is not None
    assert result.check.wrong in result.words
    assert result.check.remedy in result.words
    assert len(result.cases.first) == min(result.cases.number, 10) > 0
    assert all(len(row) == len(result.cases.columns) for row in result.cases.first)


def test_ten_cases_are_shown_and_all_are_counted(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("UPDATE agent_9_windows SET total_seconds = total_seconds + 1")
    result = failed(con)["agent_9_windows/total_is_hold_plus_mute"]
    [(rows,)] = con.execute("SELECT COUNT(*) FROM agent_9_windows").fetchall()
    assert (result.cases.number, len(result.cases.first)) == (rows, 10)
    assert f"({rows} cases)" in str(result.words)


def test_all_faults_at_once_are_seen(con: duckdb.DuckDBPyConnection) -> None:
    for sql, _ in FAULTS.values():
        con.execute(sql)
    assert failed(con).keys() == FAULTS.keys()


@pytest.mark.parametrize(
    "sql", ["windows_known = 287", "complete = FALSE", "verified_at = '2026-11-19 09:31'"]
)
def test_a_day_that_says_else_of_its_windows_is_seen(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    con.execute(f"UPDATE operation_hold_mute_daily SET {sql}")
    assert failed(con).keys() - {"operation_hold_mute_daily/closed_days_are_whole"} == {
        "operation_hold_mute_daily/equals_its_windows"
    }


def test_a_run_that_touched_no_day_has_nothing_to_see(con: duckdb.DuckDBPyConnection) -> None:
    for check in ("agent_9_windows/no_negative_numbers", "agent_hold_mute_daily/equals_the_api_answer"):
        con.execute(FAULTS[check][0])
    assert failed(con, scope=touched_by("no such run", [])) == {}


@pytest.mark.parametrize("check", FAULTS)
def test_a_scope_without_the_day_shows_nothing_of_it(con: duckdb.DuckDBPyConnection, check: str) -> None:
    """But for what is not of a day, and what is of all of them."""
    con.execute(FAULTS[check][0])
    tomorrow = DAY + timedelta(days=1)
    of_no_day = {
        "agent_9_windows/nothing_of_the_future",
        "agent_9_windows/answers_add_up",
        "agent_9_windows/quota_reserve_kept",
        "operation_hold_mute_daily/closed_days_are_whole",
    }
    found = failed(con, scope=Scope(tomorrow, tomorrow, "no such run"))
    assert found.keys() == {check, *FAULTS[check][1]} & of_no_day


@pytest.mark.parametrize(
    ("sql", "cases"),
    [
        # Uses are counted as a whole: a window can have more seconds than it lasts.
        ("UPDATE agent_9_windows SET hold_seconds = 3600, mute_seconds = 0, hold_mute_count = 1", 0),
        ("UPDATE agent_9_windows SET hold_seconds = 3601, mute_seconds = 0, hold_mute_count = 1", 1),
        ("UPDATE agent_9_windows SET hold_mute_count = 300", 0),
        ("UPDATE agent_9_windows SET hold_mute_count = 301", 1),
        ("UPDATE agent_9_windows SET hold_mute_count = 0, hold_seconds = 1", 1),
    ],
)
def test_what_can_be_believed(con: duckdb.DuckDBPyConnection, sql: str, cases: int) -> None:
    con.execute(f"{sql} WHERE rowid = (SELECT MIN(rowid) FROM agent_9_windows)")
    found = failed(con)
    assert ("agent_9_windows/plausible_numbers" in found) == bool(cases)


TOTAL = (
    "INSERT INTO agent_9_windows SELECT operation, window_start, window_start_utc, local_date, '{}',"
    " SUM(hold_mute_count), SUM(hold_seconds), SUM(mute_seconds), SUM(total_seconds) FROM agent_9_windows"
    " GROUP BY ALL HAVING COUNT(*) > 1 LIMIT 1"
)
RENAMED = (
    "UPDATE agent_9_windows SET agent_name = '{}' WHERE agent_name ="
    " (SELECT MIN(agent_name) FROM agent_9_windows)"
)
OF_THE_DAY = "date_ini LIKE '%000000' AND date_end LIKE '%235959'"


@pytest.mark.parametrize(
    ("sql", "seen"),
    [
        (TOTAL.format("Total general"), True),
        (TOTAL.format("Ana"), False),  # chance, in one window
        (RENAMED.format("General"), False),  # a person
    ],
)
def test_a_total_row_is_told_from_a_person(con: duckdb.DuckDBPyConnection, sql: str, seen: bool) -> None:
    con.execute(sql)
    assert ("agent_9_windows/no_total_row_among_agents" in failed(con)) is seen


def test_a_column_that_nobody_described_is_told(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("""UPDATE api_requests SET body = replace(body, '"count"', '"mood": "1", "count"')""")
    [*_, (_, words)] = failed(con)["agent_9_windows/answers_as_described"].cases.first
    assert "'mood'" in str(words)


def test_windows_that_are_not_over_are_of_the_future(con: duckdb.DuckDBPyConnection) -> None:
    before = datetime(2026, 11, 19, 4, 58, tzinfo=UTC)  # 23:58 in Bogota
    con.execute(
        "UPDATE agent_9_window_log SET fetched_at = '2026-11-19 04:50', verified_at = '2026-11-19 04:50'"
    )
    [case] = failed(con, before)["agent_9_windows/nothing_of_the_future"].cases.first
    assert case[0] == datetime(2026, 11, 18, 23, 55)


@pytest.mark.parametrize(
    ("minutes", "fresh", "severity"),
    [
        (0, 15, None),
        (14, 15, None),
        (15, 15, Severity.WARN),
        (29, 15, Severity.WARN),
        (30, 15, Severity.ERROR),
        (59, 60, None),
        (60, 60, Severity.WARN),
        (120, 60, Severity.ERROR),
    ],
)
def test_the_newest_window_gets_old(
    con: duckdb.DuckDBPyConnection, minutes: int, fresh: int, severity: Severity | None
) -> None:
    con.execute("UPDATE agent_9_window_log SET fetched_at = '2026-11-19 04:50'")
    result = newest(con, datetime(2026, 11, 19, 5, tzinfo=UTC) + minutes * MINUTE, fresh)
    assert (None if result.passed else result.severity) == severity


def test_the_newest_window_is_the_newest_that_is_known(con: duckdb.DuckDBPyConnection) -> None:
    """One that was stored by a clock that was ahead is not; nor is there one where nothing is stored."""
    con.execute("UPDATE agent_9_window_log SET fetched_at = '2026-11-19 04:50'")
    now = datetime(2026, 11, 19, 5, 10, tzinfo=UTC)
    assert newest(con, now).passed
    con.execute(
        "UPDATE agent_9_window_log SET fetched_at = '2026-11-20' WHERE window_start >= '2026-11-18 23:50'"
    )
    assert not newest(con, now).passed
    con.execute("DELETE FROM agent_9_window_log")
    assert newest(con, now).severity is Severity.WARN


def test_history_that_is_not_loaded_yet_is_a_warning_and_a_hole_in_a_day_an_error(
    con: duckdb.DuckDBPyConnection,
) -> None:
    check = "operation_hold_mute_daily/closed_days_are_whole"
    later = NOW + timedelta(days=2)
    result = failed(con, later)[check]
    assert (result.cases.number, result.severity) == (2, Severity.WARN)
    con.execute("DELETE FROM agent_9_window_log WHERE window_start = '2026-11-18 02:00'")
    con.execute(
        "UPDATE operation_hold_mute_daily SET windows_known = 287, complete = FALSE WHERE operation = 'main'"
    )
    result = failed(con, later)[check]
    assert (result.cases.number, result.severity) == (3, Severity.ERROR)
    assert result.cases.first[0][:3] == (DAY, 287, 288)  # first what others may have built on


def test_a_day_is_due_three_hours_after_midnight(con: duckdb.DuckDBPyConnection) -> None:
    check = "operation_hold_mute_daily/closed_days_are_whole"
    con.execute("UPDATE operation_hold_mute_daily SET verified_at = '2026-11-19 05:30'")
    due = datetime(2026, 11, 19, 8, tzinfo=UTC)  # 03:00 in Bogota
    assert check not in failed(con, due - MINUTE)
    assert failed(con, due)[check].cases.first[0][0] == DAY
    con.execute("UPDATE operation_hold_mute_daily SET verified_at = '2026-11-19 06:00'")
    assert check not in failed(con, due)


def test_a_correction_makes_the_answer_from_before_it_worthless(con: duckdb.DuckDBPyConnection) -> None:
    check = "agent_hold_mute_daily/equals_the_api_answer"
    con.execute(FAULTS[check][0])
    assert check in failed(con)
    con.execute(
        "INSERT INTO agent_9_corrections"
        " VALUES ('main', '2026-11-18 10:00', 'Ana', '2026-11-19 10:00', 'hold_seconds', 0, 1)"
    )
    assert check not in failed(con)


def test_where_answers_do_not_add_up_another_answer_for_the_day_is_a_warning(
    con: duckdb.DuckDBPyConnection,
) -> None:
    check = "agent_hold_mute_daily/equals_the_api_answer"
    con.execute(FAULTS[check][0])
    assert failed(con)[check].severity is Severity.ERROR
    con.execute(FAULTS["agent_9_windows/answers_add_up"][0])
    assert failed(con)[check].severity is Severity.WARN


def test_an_empty_answer_for_a_day_is_an_answer_and_one_that_was_cut_is_none(
    con: duckdb.DuckDBPyConnection,
) -> None:
    check = "agent_hold_mute_daily/equals_the_api_answer"
    con.execute(
        "INSERT INTO api_requests SELECT * REPLACE (404 AS http_status, '404' AS code, 'Validate dates entered' AS msg,"
        f" NULL AS records) FROM api_requests WHERE {OF_THE_DAY}"
    )
    [(agents,)] = con.execute("SELECT COUNT(*) FROM agent_hold_mute_daily").fetchall()
    assert failed(con)[check].cases.number == agents
    con.execute(f"UPDATE api_requests SET msg = 'no such page' WHERE http_status = 404 AND {OF_THE_DAY}")
    assert check not in failed(con)
    con.execute(
        "INSERT INTO api_requests SELECT * REPLACE (body[:100] AS body) FROM api_requests"
        f" WHERE {OF_THE_DAY} AND http_status = 200"
    )
    assert check not in failed(con)
