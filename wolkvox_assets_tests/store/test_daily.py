"""The daily totals, against a computation in plain Python that shares nothing with the SQL."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wolkvox_assets.report.measures import Usage, add_up, in_all
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import WallClock
from wolkvox_assets.store import Store
from wolkvox_assets.store.daily import DayStatus, rebuild_days, row_counts
from wolkvox_assets.store.schema import schema
from wolkvox_assets.store.windows import WindowContent
from wolkvox_assets_tests.lakes import BOTH
from wolkvox_assets_tests.store.tables import FETCHED, agent_9, content, replace_windows, tables

STORES = BOTH
ANA, BEA, ZOE = "Ana Núñez", "Bea", "Zoë"
DAY = date(2026, 11, 16)
DAYS = [DAY + timedelta(days=n) for n in range(3)]
MOST = 2**31 - 1
NOW = datetime(2027, 1, 1, tzinfo=UTC)

Row = tuple[object, ...]
Agents = Mapping[str, Usage]


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """Tables in memory, for properties of the SQL; files are used below."""
    connection = duckdb.connect()
    connection.execute(schema())
    yield connection
    connection.close()


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute)


# In plain Python


def agent_days(windows: Mapping[datetime, WindowContent]) -> list[Row]:
    totals: dict[tuple[date, str], list[tuple[datetime, Usage]]] = {}
    for start, w in windows.items():
        for name, usage in w.agents.items():
            totals.setdefault((start.date(), name), []).append((start, usage))
    return sorted(
        (
            "main",
            day,
            name,
            *(sum(usage[n] for _, usage in uses) for n in range(4)),
            len(uses),
            min(start for start, _ in uses),
            max(start for start, _ in uses),
        )
        for (day, name), uses in totals.items()
    )


def _any_row(windows: Mapping[datetime, WindowContent]) -> bool:
    """As long as there was none, nothing is complete: a report that the server lacks looks just so."""
    return any(w.agents for w in windows.values())


def operation_days(windows: Mapping[datetime, WindowContent], expected: Mapping[date, int]) -> list[Row]:
    found: list[Row] = []
    for day in sorted(expected):
        known = {start: w for start, w in windows.items() if start.date() == day}
        if not known:
            continue
        uses = [usage for w in known.values() for usage in w.agents.values()]
        seconds = {
            start: sum(usage[-1] for usage in w.agents.values()) for start, w in known.items() if w.agents
        }
        busiest = min((s for s in seconds if seconds[s] == max(seconds.values())), default=None)
        found.append(
            (
                "main",
                day,
                len({name for w in known.values() for name in w.agents}),
                *(sum(usage[n] for usage in uses) for n in range(4)),
                busiest,
                len(known),
                expected[day],
                len(known) == expected[day] and _any_row(windows),
                min(w.fetched_at.replace(tzinfo=None) for w in known.values()),
            )
        )
    return found


# Few windows, few names and few numbers, so that ties and repeated names are common.
_NUMBER = st.sampled_from([0, 1, 30, MOST])
_WINDOWS = st.dictionaries(
    st.sampled_from([at(day, hour, minute) for day in DAYS for hour in (0, 12, 23) for minute in (0, 55)]),
    st.dictionaries(st.sampled_from([ANA, BEA, ZOE]), st.builds(Usage, *[_NUMBER] * 4), max_size=3),
)
_FETCHED = st.integers(0, 3).map(lambda n: FETCHED + timedelta(minutes=n))


@given(data=st.data(), agents=_WINDOWS, expected=st.lists(st.integers(0, 7), min_size=3, max_size=3))
@settings(max_examples=20)
def test_the_totals_are_those_of_plain_python(
    con: duckdb.DuckDBPyConnection, data: st.DataObject, agents: dict[datetime, Agents], expected: list[int]
) -> None:
    windows = {start: content(start, used, fetched_at=data.draw(_FETCHED)) for start, used in agents.items()}
    per_day = dict(zip(DAYS, expected, strict=True))
    con.execute("BEGIN")
    try:
        replace_windows(agent_9(con), windows.values(), run_id="run")
        status = rebuild_days(agent_9(con), per_day, NOW)
        found_agents = con.execute("FROM agent_hold_mute_daily ORDER BY ALL").fetchall()
        found_days = con.execute("FROM operation_hold_mute_daily ORDER BY ALL").fetchall()
        counted = row_counts(agent_9(con))
    finally:
        con.execute("ROLLBACK")
    assert sorted(found_agents) == agent_days(windows)
    assert found_days == operation_days(windows, per_day)
    assert counted == (sum(len(w.agents) for w in windows.values()), len(found_agents), len(found_days))
    of_day = {day: [w for w in windows.values() if w.window_start.date() == day] for day in DAYS}
    assert status == {
        day: DayStatus(
            len({name for w in known for name in w.agents}),
            len(known),
            per_day[day],
            len(known) == per_day[day] and _any_row(windows),
            in_all(add_up(w.agents for w in known)) or AGENT_9.nothing,
            verified_at=min(w.fetched_at for w in known).replace(tzinfo=None),
        )
        for day, known in of_day.items()
        if known
    }


# Told apart, on files

Put = Callable[..., None]


@pytest.fixture
def put(store: Store) -> Put:
    def put(
        *windows: WindowContent,
        operation: str = "main",
        days: Mapping[date, int] | None = None,
    ) -> None:
        """Store these and rebuild these days."""
        expected = days if days is not None else {DAY: 288}
        with store.transaction() as con:
            replace_windows(agent_9(con, operation), windows, run_id="run")
            rebuild_days(agent_9(con, operation), expected, NOW)

    return put


def operation_rows(store: Store) -> list[Row]:
    return tables(store)["operation_hold_mute_daily"]


def test_a_day_without_any_use_has_a_row_and_no_agents(store: Store, put: Put) -> None:
    put(content(at(DAY, 8)), content(at(DAY, 9)), days={DAY: 288})
    fetched = FETCHED.replace(tzinfo=None)
    assert operation_rows(store) == [("main", DAY, 0, 0, 0, 0, 0, None, 2, 288, False, fetched)]
    assert tables(store)["agent_hold_mute_daily"] == []


def test_a_day_of_which_no_window_is_known_has_no_row(store: Store, put: Put) -> None:
    put(content(at(DAYS[0], 8)), content(at(DAYS[2], 8)), days=dict.fromkeys(DAYS, 288))
    assert [row[1] for row in operation_rows(store)] == [DAYS[0], DAYS[2]]


def test_of_windows_with_as_many_seconds_the_earliest_is_the_busiest(store: Store, put: Put) -> None:
    put(
        content(at(DAY, 12), {ANA: Usage(1, 0, 0, 60)}),
        content(at(DAY, 8), {ANA: Usage(1, 0, 0, 20), BEA: Usage(1, 0, 0, 40)}),
        content(at(DAY, 7), {ZOE: Usage(99, 59, 59, 59)}),
    )
    (row,) = operation_rows(store)
    assert row[7] == at(DAY, 8)


def test_a_day_is_verified_as_long_ago_as_its_oldest_window(store: Store, put: Put) -> None:
    put(
        content(at(DAY, 8), fetched_at=FETCHED + timedelta(hours=1)),
        content(at(DAY, 9), fetched_at=FETCHED),
        content(at(DAY, 10), fetched_at=FETCHED + timedelta(hours=2)),
    )
    (row,) = operation_rows(store)
    assert row[11] == FETCHED.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("zone", "day", "windows"),
    [
        ("America/Bogota", date(2026, 9, 6), 288),
        ("America/Santiago", date(2026, 4, 4), 288),
        ("America/Santiago", date(2026, 9, 6), 276),
        ("Europe/Madrid", date(2026, 3, 29), 276),
        ("Europe/Madrid", date(2026, 10, 25), 288),
    ],
)
def test_a_day_is_complete_when_its_wall_clock_has_no_more(
    store: Store, put: Put, zone: str, day: date, windows: int
) -> None:
    wall = WallClock(zone).windows_of_day(day)
    all_of_them = [content(start, {ANA: Usage(1, 2, 3, 5)}) for start in wall]
    put(*all_of_them[:-1], days={day: len(wall)})
    (row,) = operation_rows(store)
    assert row[8:11] == (windows - 1, windows, False)
    put(*all_of_them, days={day: len(wall)})
    (row,) = operation_rows(store)
    assert row[2:11] == (
        *(1, windows, 2 * windows, 3 * windows, 5 * windows),
        *(wall[0], windows, windows, True),
    )


def test_the_totals_follow_the_windows(store: Store, put: Put) -> None:
    put(content(at(DAY, 8), {ANA: Usage(1, 2, 3, 5), BEA: Usage(1, 1, 1, 2)}))
    put(content(at(DAY, 8), {BEA: Usage(4, 4, 4, 8)}))
    found = tables(store)
    assert found["agent_hold_mute_daily"] == [("main", DAY, BEA, 4, 4, 4, 8, 1, at(DAY, 8), at(DAY, 8))]
    assert operation_rows(store)[0][2:7] == (1, 4, 4, 4, 8)


@pytest.mark.in_files
def test_other_days_and_other_operations_are_not_touched(store: Store, put: Put) -> None:
    use = {ANA: Usage(1, 2, 3, 5)}
    put(*(content(at(day, 8), use) for day in DAYS), operation="north", days=dict.fromkeys(DAYS, 288))
    put(*(content(at(day, 8), use) for day in DAYS), operation="south", days=dict.fromkeys(DAYS, 288))
    before = tables(store)
    # The windows of all days change; only one day of one operation is rebuilt.
    put(*(content(at(day, 8)) for day in DAYS), operation="north", days={DAYS[1]: 288})
    after = tables(store)
    gone = [row for row in before["agent_hold_mute_daily"] if row not in after["agent_hold_mute_daily"]]
    assert [row[:2] for row in gone] == [("north", DAYS[1])]
    changed = set(after["operation_hold_mute_daily"]) - set(before["operation_hold_mute_daily"])
    assert [row[:7] for row in changed] == [("north", DAYS[1], 0, 0, 0, 0, 0)]
    assert len(after["operation_hold_mute_daily"]) == 6


@pytest.mark.in_files
def test_rebuilding_again_changes_nothing(store: Store, put: Put) -> None:
    windows = [content(at(day, 8), {ANA: Usage(1, 2, 3, 5)}) for day in DAYS]
    states = []
    for _ in range(3):
        put(*windows, days=dict.fromkeys(DAYS, 288))
        states.append(tables(store))
    assert all(a == b for a, b in pairwise(states))


def test_no_days_no_glance(store: Store) -> None:
    with store.transaction() as con:
        assert rebuild_days(agent_9(con), {DAY: 288}, NOW) == {}
