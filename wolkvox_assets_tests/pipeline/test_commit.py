"""A commit by clocks that are wrong, and by right ones after it: nothing made up stays, nothing true is lost.
And one of several operations."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import cast

import duckdb
import pytest

from wolkvox_assets.pipeline.commit import Batch, Handed, commit
from wolkvox_assets.report.clocks import Clocks, moment
from wolkvox_assets.report.measures import Agents, Usage
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.total_row import TotalRow
from wolkvox_assets.report.windows import WINDOW, Range
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store
from wolkvox_assets.store.schema import schema
from wolkvox_assets.store.windows import Checked, WindowContent
from wolkvox_assets.sync import Discard, LeftOut
from wolkvox_assets_tests.store.tables import query

BOGOTA = Operation(server="0013", start=date(2026, 11, 1))
YESTERDAY = datetime(2026, 11, 24)
NOW = datetime(2026, 11, 25, 6, tzinfo=UTC)  # an hour after midnight in Bogota
USES = {"Ana": Usage(1, 20, 10, 30)}


def store_them(
    store: Store,
    clocks: Clocks,
    first: datetime,
    count: int = 1,
    agents: Agents | None = None,
    *,
    run: str = "run",
) -> Batch:
    batch = Batch()
    for window in (first + n * WINDOW for n in range(count)):
        start = BOGOTA.clock.start_utc(window)
        batch.add(WindowContent(window, start, agents or {}, "asked", clocks.now(), moment()))
    (stored,) = commit(store, [Handed(BOGOTA, clocks, batch)], run)
    return stored


def clocks(off: timedelta = timedelta(), *, heard: bool = False) -> Clocks:
    """This machine's clock is off by so much; the server, if `heard`, has answered with the right time."""
    found = Clocks(now=lambda: NOW + off)
    if heard:
        found.heard(NOW, NOW + off)
    return found


def day_of(store: Store, day: datetime) -> list[tuple[object, ...]]:
    return query(
        store,
        f"SELECT windows_known, complete FROM operation_hold_mute_daily WHERE local_date = '{day.date()}'",
    )


def test_what_is_forgotten_for_a_total_row_leaves_no_totals_whatever_clock_it_was_stored_by(
    store: Store,
) -> None:
    with_total = {"Ana": Usage(1, 20, 10, 30), "TOTAL": Usage(1, 20, 10, 30)}
    store_them(store, clocks(), YESTERDAY - timedelta(days=5), agents=with_total)
    store_them(store, clocks(timedelta(days=30)), YESTERDAY - timedelta(days=4), agents=with_total)
    store_them(store, clocks(), YESTERDAY - timedelta(days=6), agents=USES)
    batch = Batch()
    batch.total_rows.append(TotalRow(NOW, "TOTAL", "seen"))
    commit(store, [Handed(BOGOTA, clocks(), batch)], "run")
    days = "SELECT local_date, agent_name, SUM(total_seconds)::BIGINT FROM {} GROUP BY ALL ORDER BY ALL"
    assert query(store, days.format("agent_hold_mute_daily")) == query(store, days.format("agent_9_windows"))


def test_windows_that_are_still_to_come_are_not_known(store: Store) -> None:
    store_them(store, clocks(timedelta(days=30)), YESTERDAY + timedelta(hours=23), 12 * 49)
    assert query(store, "SELECT COUNT(*) FROM agent_9_window_log") == [(588,)]
    store_them(store, clocks(), YESTERDAY)
    assert query(store, "SELECT MAX(window_start) FROM agent_9_window_log") == [
        (BOGOTA.clock.now(NOW) - WINDOW,)
    ]
    assert [day_of(store, YESTERDAY + timedelta(days=n)) for n in (0, 1, 2)] == [
        [(1, False)],
        [(0, False)],
        [],
    ]


@pytest.mark.parametrize("header", [False, True])
def test_uses_are_not_deleted_because_a_clock_is_behind(store: Store, *, header: bool) -> None:
    """This machine's without a `Date` from the server, or the server's: a cache's, months old."""
    store_them(store, clocks(), YESTERDAY, 288, USES)
    wrong = clocks() if header else clocks(timedelta(days=-30))
    if header:
        wrong.heard(NOW - timedelta(days=30), NOW)
    store_them(store, wrong, YESTERDAY - timedelta(days=32))
    assert query(store, "SELECT COUNT(*), COUNT(DISTINCT window_start) FROM agent_9_windows") == [(288, 288)]
    # Nor do they vanish from the totals: the day is not complete.
    assert day_of(store, YESTERDAY) == [(0, False)]
    totals = "SELECT SUM(total_seconds)::BIGINT FROM {}"
    assert query(store, totals.format("operation_hold_mute_daily")) == query(
        store, totals.format("agent_9_windows")
    )
    store_them(store, clocks(), YESTERDAY - timedelta(days=1))
    assert day_of(store, YESTERDAY) == [(288, True)]


def test_with_a_clock_that_is_behind_a_request_in_vain_makes_no_day_less_known(store: Store) -> None:
    """It has no `Date`; the answers before it had."""
    store_them(store, clocks(), YESTERDAY - timedelta(days=1), agents=USES)
    store_them(store, clocks(), YESTERDAY, 288)
    behind = clocks(timedelta(days=-30), heard=True)
    behind.heard(None, NOW - timedelta(days=30))
    store_them(store, behind, YESTERDAY - timedelta(days=32))
    assert day_of(store, YESTERDAY) == [(288, True)]


@pytest.mark.parametrize("header", [False, True])
def test_nor_are_they_replaced_without_a_correction(store: Store, *, header: bool) -> None:
    wrong = clocks() if header else clocks(timedelta(days=-30))
    if header:
        wrong.heard(NOW - timedelta(days=30), NOW)
    store_them(store, clocks(), YESTERDAY - timedelta(days=40), agents=USES)
    corrected = {c.column_name for c in store_them(store, wrong, YESTERDAY - timedelta(days=40)).corrections}
    assert "hold_mute_count" in corrected


def test_no_first_row_comes_after_a_clock_that_was_behind(store: Store) -> None:
    """By it no day is known, but that there were rows before is."""
    store_them(store, clocks(), YESTERDAY - timedelta(days=5), 288, USES, run="before")
    store_them(store, clocks(timedelta(days=-30)), YESTERDAY - timedelta(days=32), run="behind")
    assert store_them(store, clocks(), YESTERDAY, agents=USES, run="after").remarks == []
    assert day_of(store, YESTERDAY - timedelta(days=5)) == [(288, True)]


def test_where_the_server_says_so_not_even_uses_that_are_still_to_come_stay(store: Store) -> None:
    store_them(store, clocks(timedelta(days=30)), YESTERDAY + timedelta(days=2), agents=USES)
    store_them(store, clocks(heard=True), YESTERDAY)
    assert query(store, "SELECT window_start FROM agent_9_window_log") == [(YESTERDAY,)]
    assert query(store, "SELECT * FROM agent_9_windows") == []


def test_what_replaces_an_answer_of_the_future_is_no_correction(store: Store) -> None:
    store_them(store, clocks(timedelta(days=30)), YESTERDAY)
    store_them(store, clocks(), YESTERDAY, agents=USES)
    assert query(store, "SELECT COUNT(*) FROM agent_9_windows") == [(1,)]
    assert query(store, "SELECT * FROM agent_9_corrections") == []
    store_them(store, clocks(), YESTERDAY)
    assert query(store, "SELECT COUNT(*) FROM agent_9_corrections") == [(4,)]


def test_a_clock_that_is_behind_makes_no_day_less_known_where_the_server_tells_the_time(
    store: Store,
) -> None:
    store_them(store, clocks(), YESTERDAY, 288, USES)
    for off in (timedelta(hours=-3), timedelta(days=-400)):
        store_them(store, clocks(off, heard=True), YESTERDAY - timedelta(days=1))
        assert day_of(store, YESTERDAY) == [(288, True)]


def test_once_the_clock_is_right_each_day_is_told_as_it_was(store: Store) -> None:
    store_them(store, clocks(), YESTERDAY, 288, USES)
    store_them(store, clocks(timedelta(minutes=-59)), YESTERDAY, 12, USES)
    assert day_of(store, YESTERDAY) == [(12, False)]
    store_them(store, clocks(), YESTERDAY - timedelta(days=1))
    assert day_of(store, YESTERDAY) == [(288, True)]


def _remarks_after(store: Store, before: Agents, after: Agents) -> list[str]:
    """One more window comes with them, which was not known before."""
    store_them(store, clocks(), YESTERDAY, 12, before)
    return [
        remark.text for remark in store_them(store, clocks(), YESTERDAY, 13, after).remarks if remark.warning
    ]


def test_another_contact_centres_agents_replace_none_silently(store: Store) -> None:
    """With its token the server and the address are the same, so it is no other source."""
    these, others = (
        {name: Usage(1, 20, 10, 30) for name in names} for names in (["A", "B", "C"], ["D", "E"])
    )
    (warned,) = _remarks_after(store, these, others)
    assert "12 known windows" in warned
    assert (
        "the 3 agents before ('A', 'B', 'C') are no longer in the answers, which now have 'D', 'E'." in warned
    )
    assert "The old numbers are in agent_9_corrections" in warned
    # Who has set the right token and materialises the days again reads the same.
    assert "If it was another's until now, this puts them right" in warned


@pytest.mark.parametrize("after", [["A", "E", "F"], ["B", "C", "D"], ["A", "B", "C", "D", "E"], []])
def test_where_an_agent_of_before_is_left_or_nobody_is_nothing_is_said(
    store: Store, after: list[str]
) -> None:
    these, others = ({name: Usage(1, 20, 10, 30) for name in names} for names in ("ABCD", after))
    assert _remarks_after(store, these, others) == []


def test_nor_where_agents_have_changed_places(store: Store) -> None:
    these, others = ({name: Usage(1, 20, 10, 30) for name in names} for names in ("ABC", "DEF"))
    store_them(store, clocks(), YESTERDAY, agents=these)
    store_them(store, clocks(), YESTERDAY + WINDOW, agents=others)
    batch = Batch()
    for start, agents in ((YESTERDAY, others), (YESTERDAY + WINDOW, these)):
        batch.add(
            WindowContent(start, BOGOTA.clock.start_utc(start), agents, "asked", clocks().now(), moment())
        )
    (stored,) = commit(store, [Handed(BOGOTA, clocks(), batch)], "run")
    assert len(stored.corrections) == 2 * 6 * len(AGENT_9.columns)
    assert stored.remarks == []


def test_with_the_first_row_ever_earlier_days_are_asked_again(store: Store) -> None:
    """A server that lacked the report has answered like one where nobody used hold or mute."""
    store_them(store, clocks(), YESTERDAY - timedelta(days=2), 576)
    store_them(store, clocks(), YESTERDAY, run="the one with the row")
    batch = store_them(store, clocks(), YESTERDAY + WINDOW, 287, USES, run="the one with the row")
    assert [day_of(store, YESTERDAY - timedelta(days=n)) for n in (0, 1, 2)] == [[(288, True)], [], []]
    assert ["2 days before 2026-11-24" in remark.text for remark in batch.remarks] == [True]
    store_them(store, clocks(), YESTERDAY - timedelta(days=2), 576)
    batch = store_them(store, clocks(), YESTERDAY, agents=USES)
    assert [day_of(store, YESTERDAY - timedelta(days=n)) for n in (0, 1, 2)] == [[(288, True)]] * 3
    assert batch.remarks == []


def test_what_agreed_and_is_then_thrown_away_agrees_no_more() -> None:
    hour = Range(YESTERDAY, YESTERDAY + timedelta(hours=1))
    batch = Batch()
    for first in (hour, Range(hour.end, hour.end + timedelta(hours=1))):
        batch.add(Checked(first, NOW))
    batch.add(Discard((Range(YESTERDAY, YESTERDAY + WINDOW),), "made up"))
    assert [checked.agreed for checked in batch.verified] == [False, True]


# Of several operations

HOUR = Range(YESTERDAY, YESTERDAY + timedelta(hours=1))
THREE = [
    Operation(name=f"op{n}", server=f"{n:04}", token_env=f"WOLKVOX_TOKEN_{n}", start=date(2026, 11, 1))
    for n in range(3)
]
BEA = {"Bea": Usage(2, 5, 5, 10)}
AHEAD = timedelta(days=30)
TO_COME = NOW.replace(tzinfo=None)

# What each does in turn, so that no two do the same at once.
_STEPS: tuple[Callable[[Clocks], list[object]], ...] = (
    lambda at: [_content(HOUR.start - n * WINDOW, {}, at) for n in range(12)],
    lambda at: [_content(window, USES, at) for window in HOUR.windows()],
    lambda at: [_content(HOUR.start, BEA | USES, at)],
    lambda at: [Checked(HOUR, at.now()), Checked(_one(HOUR.start), at.now())],
    lambda at: [LeftOut((_one(HOUR.start),), "made up")],
    lambda at: [_content(HOUR.start + WINDOW, {}, at)],
    lambda at: [Discard((_one(HOUR.end - WINDOW),), "made up")],
)


def _one(window: datetime) -> Range:
    return Range(window, window + WINDOW)


def _content(window: datetime, agents: Agents, at: Clocks) -> WindowContent:
    return WindowContent(window, BOGOTA.clock.start_utc(window), agents, "asked", at.now(), moment())


def _handed(turn: int) -> list[Handed]:
    handed = []
    for number, operation in enumerate(THREE):
        # The clock of one was ahead at first, when it stored what was still to come.
        at = clocks(AHEAD if (number, turn) == (2, 0) else timedelta(minutes=turn))
        batch = Batch()
        if at.now() > NOW + AHEAD - WINDOW:
            batch.add(_content(TO_COME, USES, at))
        for item in _STEPS[(turn + number) % len(_STEPS)](at):
            batch.add(item)
        handed.append(Handed(operation, at, batch))
    return handed


class _InMemory:
    """No more of a store than a commit needs: files would take ten times as long."""

    def __init__(self) -> None:
        self.con = duckdb.connect()
        self.con.execute(schema())

    def change(self, work: Callable[[duckdb.DuckDBPyConnection], object]) -> object:
        return work(self.con)

    def all(self) -> dict[str, list[tuple[object, ...]]]:
        """But for moments of this very test."""
        names = self.con.execute("SELECT table_name FROM duckdb_tables() WHERE NOT temporary").fetchall()
        kept = "SELECT COLUMNS(c -> c NOT IN ('corrected_at', 'recorded_at', 'uptime_ns'))"
        return {name: self.con.execute(f"{kept} FROM {name} ORDER BY ALL").fetchall() for (name,) in names}


def test_of_several_operations_it_stores_what_one_for_each_does() -> None:
    together, each = _InMemory(), _InMemory()
    for turn in range(len(_STEPS)):
        found = commit(cast("Store", together), _handed(turn), "run")
        alone = [commit(cast("Store", each), [handed], "run") for handed in _handed(turn)]
        assert [vars(batch) | {"windows": len(batch.windows)} for batch in found] == [
            vars(batch) | {"windows": len(batch.windows)} for (batch,) in alone
        ]
    tables = together.all()
    assert tables == each.all()
    assert {name for name, rows in tables.items() if rows} >= {
        "agent_9_agreements",
        "agent_9_corrections",
        "agent_9_left_out",
        "agent_9_windows",
        "operation_hold_mute_daily",
    }


class _Counted:
    """A connection that counts what is executed."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con, self.statements = con, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._con, name)

    def execute(self, *statement: object) -> object:
        self.statements += 1
        return self._con.execute(*statement)  # type: ignore[arg-type]


def test_of_several_operations_it_takes_as_many_statements_as_of_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a lake each costs 5 to 20 ms."""
    counted, change = list[_Counted](), store.change

    def counting(work: Callable[[object], object]) -> object:
        def counting_work(con: duckdb.DuckDBPyConnection) -> object:
            counted.append(_Counted(con))
            return work(counted[-1])

        return change(counting_work)

    monkeypatch.setattr(store, "change", counting)
    for window, operations in enumerate((THREE, THREE, THREE[:1])):
        handed = []
        for operation in operations:
            batch = Batch()
            batch.add(_content(HOUR.start + window * WINDOW, USES, clocks()))
            batch.add(Checked(Range(HOUR.end, HOUR.end + WINDOW), NOW))
            handed.append(Handed(operation, clocks(), batch))
        commit(store, handed, "run")
    of_three, of_one = counted[1].statements, counted[2].statements
    assert of_three == of_one
