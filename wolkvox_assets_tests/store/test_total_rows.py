"""Verdicts on the total row, and what they do to what is stored."""

from datetime import UTC, datetime, timedelta

from wolkvox_assets.api import RequestRecord
from wolkvox_assets.report.clocks import moment
from wolkvox_assets.report.measures import Usage
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.total_row import TotalRow
from wolkvox_assets.report.windows import WINDOW, Range
from wolkvox_assets.store import Store
from wolkvox_assets.store.requests import record_requests
from wolkvox_assets.store.total_rows import (
    drop_idle_total_rows,
    latest_answers,
    latest_total_row,
    record_total_row,
)
from wolkvox_assets.store.windows import WindowContent
from wolkvox_assets_tests.lakes import BOTH
from wolkvox_assets_tests.store.tables import agent_9, replace_windows

STORES = BOTH

NOW = datetime(2026, 11, 18, 15, tzinfo=UTC)
FIRST = datetime(2026, 11, 18, 10)
USED = Usage(1, 5, 0, 5)


def has(name: str | None, *, at: datetime = NOW) -> TotalRow:
    return TotalRow(at, name, "seen")


def fill(store: Store, *contents: dict[str, Usage]) -> None:
    with store.transaction() as con:
        windows = [
            WindowContent(FIRST + n * WINDOW, NOW, agents, "asked", NOW, moment())
            for n, agents in enumerate(contents)
        ]
        replace_windows(agent_9(con), windows, run_id="run")


def test_the_verdict_stored_last_counts_whatever_the_clock_said(store: Store) -> None:
    with store.transaction() as con:
        assert latest_total_row(agent_9(con)) is None
        record_total_row(agent_9(con), has("TOTAL"), run_id="1")
        record_total_row(agent_9(con), has(None, at=NOW - timedelta(days=30)), run_id="2")
        record_total_row(agent_9(con, "other"), has("ALL"), run_id="3")
        assert latest_total_row(agent_9(con)) == has(None, at=NOW - timedelta(days=30))


def test_windows_with_the_total_row_as_an_agent_are_forgotten(store: Store) -> None:
    fill(
        store,
        {"Ana": USED},
        {"Ana": USED, "Techcon": USED},
        {"Ana": AGENT_9.nothing, "techcon": AGENT_9.nothing},
    )
    with store.transaction() as con:
        assert drop_idle_total_rows(agent_9(con), has("techcon")) == {FIRST.date()}
        assert record_total_row(agent_9(con), has("techcon"), run_id="1") == [
            Range(FIRST + WINDOW, FIRST + 2 * WINDOW)
        ]
        log = con.execute("SELECT window_start, agents FROM agent_9_window_log ORDER BY 1").fetchall()
        rows = con.execute("SELECT window_start, agent_name FROM agent_9_windows ORDER BY 1").fetchall()
    assert log == [(FIRST, 1), (FIRST + 2 * WINDOW, 1)]
    assert rows == [(FIRST, "Ana"), (FIRST + 2 * WINDOW, "Ana")]


def test_what_a_wrong_verdict_left_out_is_asked_again_and_a_proved_one_spoils_nothing(
    store: Store,
) -> None:
    for decided, forgotten in ((NOW - timedelta(days=40), 0), (NOW - timedelta(hours=1), 2)):
        fill(store, {"Ana": USED}, {}, {"Beto": USED})
        with store.transaction() as con:
            record_total_row(agent_9(con), has("General", at=decided), run_id="1")
            assert sum(map(len, record_total_row(agent_9(con), has(None), run_id="2"))) == forgotten


def test_what_a_wrong_verdict_left_out_is_asked_again_also_where_a_clock_was_set_back(store: Store) -> None:
    fill(store, {"Ana": USED}, {}, {"Beto": USED})
    with store.transaction() as con:
        record_total_row(agent_9(con), has("General", at=NOW + timedelta(days=365)), run_id="1")
        assert sum(map(len, record_total_row(agent_9(con), has(None), run_id="2"))) == 2


def test_the_latest_answers_come_oldest_first_and_only_those_that_can_be_read(store: Store) -> None:
    row = '{"agent_name": "%s", "count": "1", "hold_time": "5", "mute_time": "", "total_time": "5"}'
    bodies = ['{"code": 200, "data": [' + row % name + "]}" for name in ("Ana", "Beto")]
    with store.transaction() as con:
        record_requests(
            con,
            [
                (
                    "main",
                    RequestRecord(
                        requested_at=datetime.now(UTC),
                        api="agent_9",
                        date_ini=f"2026111810{n:02}00",
                        date_end=f"2026111810{n:02}59",
                        http_status=status,
                        code="200",
                        msg=None,
                        records=records,
                        seconds=0.1,
                        body=body,
                    ),
                )
                for n, (status, records, body) in enumerate(
                    [(200, 1, bodies[0]), (404, None, "{}"), (200, 1, bodies[1][:40]), (200, 1, bodies[1])]
                )
            ],
            now=datetime.now(UTC),
            run_id="run",
        )
        assert latest_answers(agent_9(con)) == [
            ("20261118100000-20261118100059", (("Ana", USED),)),
            ("20261118100300-20261118100359", (("Beto", USED),)),
        ]
