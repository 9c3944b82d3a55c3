"""Replacing windows: rows and log together, and the same tables whatever the order or repetition."""

import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wolkvox_assets.report.clocks import Moment, boot, moment, uptime_ns
from wolkvox_assets.report.measures import Usage
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import WINDOW, one
from wolkvox_assets.store import Store
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.windows import Checked, Replaced, WindowContent, verify_windows
from wolkvox_assets_tests.lakes import BOTH
from wolkvox_assets_tests.store.tables import (
    DAY,
    FETCHED,
    agent_9,
    content,
    query,
    replace_windows,
    tables,
    window,
)

STORES = BOTH
ANA, BEA = "Ana Núñez", "Bea O'Brien"


def put(store: Store, *windows: WindowContent, operation: str = "main", run_id: str = "run") -> None:
    with store.transaction() as con:
        replace_windows(agent_9(con, operation), windows, run_id=run_id)


def rows(store: Store, operation: str = "main") -> list[tuple[object, ...]]:
    return query(
        store,
        "SELECT window_start, agent_name, hold_mute_count, hold_seconds, mute_seconds, total_seconds"
        f" FROM agent_9_windows WHERE operation = '{operation}' ORDER BY ALL",
    )


def log(store: Store, operation: str = "main") -> list[tuple[object, ...]]:
    return query(
        store,
        "SELECT window_start, agents, source, run_id FROM agent_9_window_log"
        f" WHERE operation = '{operation}' ORDER BY ALL",
    )


def test_every_column_is_filled(store: Store) -> None:
    start = datetime(2026, 11, 16, 22, 55)
    fetched = datetime(2026, 11, 17, 1, 30, 15, 250, tzinfo=timezone(timedelta(hours=-5)))
    put(
        store,
        WindowContent(
            start,
            datetime(2026, 11, 17, 3, 55, tzinfo=UTC),
            {ANA: Usage(3, 40, 50, 91)},
            "derived",
            fetched,
            Moment(boot(), 1),
        ),
        operation="north",
        run_id="r1",
    )
    found = tables(store)
    assert found["agent_9_windows"] == [
        ("north", start, datetime(2026, 11, 17, 3, 55), date(2026, 11, 16), ANA, 3, 40, 50, 91)
    ]
    utc = datetime(2026, 11, 17, 6, 30, 15, 250)
    assert found["agent_9_window_log"] == [("north", start, date(2026, 11, 16), 1, "derived", utc, utc, "r1")]


def test_agents_that_vanish_from_an_answer_vanish(store: Store) -> None:
    put(store, content(window(0), {ANA: Usage(1, 2, 3, 5), BEA: Usage(1, 1, 1, 2)}))
    put(store, content(window(0), {BEA: Usage(7, 8, 9, 17)}), run_id="later")
    assert rows(store) == [(window(0), BEA, 7, 8, 9, 17)]
    assert log(store) == [(window(0), 1, "asked", "later")]


def test_an_empty_answer_replaces_and_is_known(store: Store) -> None:
    put(store, content(window(0), {ANA: Usage(1, 2, 3, 5)}), content(window(1), {ANA: Usage(1, 2, 3, 5)}))
    put(store, content(window(0), source="empty_range"))
    assert [row[0] for row in rows(store)] == [window(1)]
    assert log(store) == [(window(0), 0, "empty_range", "run"), (window(1), 1, "asked", "run")]


def test_only_empty_answers_need_no_rows(store: Store) -> None:
    put(store, *(content(window(n)) for n in range(12)))
    assert rows(store) == []
    assert [entry[:2] for entry in log(store)] == [(window(n), 0) for n in range(12)]


def test_windows_in_between_stay(store: Store) -> None:
    put(store, *(content(window(n), {ANA: Usage(1, n, 0, n)}) for n in range(10)))
    put(store, content(window(2), {ANA: Usage(9, 9, 9, 18)}), content(window(7)))
    assert [(row[0], row[2]) for row in rows(store)] == [
        (window(n), 9 if n == 2 else 1) for n in range(10) if n != 7
    ]
    assert [entry[0] for entry in log(store)] == [window(n) for n in range(10)]


def test_other_operations_are_not_touched(store: Store) -> None:
    put(store, content(window(0), {ANA: Usage(1, 2, 3, 5)}), operation="north")
    put(store, content(window(0), {ANA: Usage(4, 5, 6, 11)}), operation="south")
    put(store, content(window(0)), operation="south")
    assert rows(store, "north") == [(window(0), ANA, 1, 2, 3, 5)]
    assert log(store, "north") == [(window(0), 1, "asked", "run")]
    assert rows(store, "south") == []


def test_of_two_contents_for_one_window_the_later_counts(store: Store) -> None:
    put(store, content(window(0), {ANA: Usage(1, 2, 3, 5)}), content(window(0), {BEA: Usage(4, 4, 4, 8)}))
    assert rows(store) == [(window(0), BEA, 4, 4, 4, 8)]
    assert log(store) == [(window(0), 1, "asked", "run")]


def test_both_passes_of_a_window_are_one(store: Store) -> None:
    put(store, content(window(0), {ANA: Usage(1, 2, 3, 5)}))
    put(store, content(window(0).replace(fold=1), {ANA: Usage(4, 4, 4, 8)}))
    assert rows(store) == [(window(0), ANA, 4, 4, 4, 8)]
    assert len(log(store)) == 1


def test_nothing_to_replace_changes_nothing(store: Store) -> None:
    put(store, content(window(0), {ANA: Usage(1, 2, 3, 5)}))
    before = tables(store)
    put(store)
    assert tables(store) == before


def test_names_are_kept_as_they_are(store: Store) -> None:
    names = ["ANA NÚÑEZ", "Ana Núñez", "O'Hara; DROP TABLE x", "名前", "null", "NaN", "1", "a" * 500]
    put(store, content(window(0), {name: Usage(1, 1, 1, 2) for name in names}))
    assert sorted(str(row[1]) for row in rows(store)) == sorted(names)
    assert log(store)[0][1] == len(names)


def test_the_largest_numbers_fit(store: Store) -> None:
    most = 2**31 - 1
    put(store, content(window(0), {ANA: Usage(most, most, 0, most)}))
    assert rows(store) == [(window(0), ANA, most, most, 0, most)]


# Clocks that are wrong


def test_a_moment_of_the_future_keeps_no_answer_out(store: Store) -> None:
    ahead = datetime.now(UTC) + timedelta(days=30)
    put(store, content(window(0), fetched_at=ahead)._replace(moment=moment()))
    put(store, content(window(0), {ANA: Usage(1, 2, 3, 5)})._replace(moment=moment()))
    assert rows(store) == [(window(0), ANA, 1, 2, 3, 5)]
    assert query(store, "SELECT fetched_at, verified_at FROM agent_9_window_log") == [
        (FETCHED.replace(tzinfo=None),) * 2
    ]


def test_a_clock_set_back_makes_no_answer_older(store: Store) -> None:
    """Two runs have asked for one window; the clock was set back in between."""
    older = content(window(0), fetched_at=FETCHED + timedelta(hours=6))._replace(moment=moment())
    newer = content(window(0), {ANA: Usage(1, 2, 3, 5)})._replace(moment=moment())
    for first, second in ((older, newer), (newer, older)):
        put(store, first)
        put(store, second)
        assert rows(store) == [(window(0), ANA, 1, 2, 3, 5)]


def test_an_answer_that_is_not_stored_is_told(store: Store) -> None:
    had_first = moment()
    put(store, content(window(0), {ANA: Usage(1, 2, 3, 5)})._replace(moment=moment()))
    with store.transaction() as con:
        late = [content(window(n))._replace(moment=had_first) for n in (0, 1)]
        assert replace_windows(agent_9(con), late, run_id="run") == Replaced([], [window(0)])
    assert rows(store) == [(window(0), ANA, 1, 2, 3, 5)]
    assert [entry[0] for entry in log(store)] == [window(0), window(1)]


def test_an_answer_from_before_the_machine_was_started_is_older(store: Store) -> None:
    put(store, content(window(0), {ANA: Usage(1, 2, 3, 5)})._replace(moment=moment()))
    with store.transaction() as con:
        con.execute("UPDATE agent_9_answer_order SET boot = 'another'")
    put(store, content(window(0), {BEA: Usage(1, 2, 3, 5)})._replace(moment=Moment(boot(), 1)))
    assert rows(store) == [(window(0), BEA, 1, 2, 3, 5)]


def test_an_uptime_that_is_still_to_come_keeps_no_answer_out(store: Store) -> None:
    put(store, content(window(0))._replace(moment=Moment(boot(), uptime_ns() + 10**15)))
    put(store, content(window(0), {BEA: Usage(1, 2, 3, 5)})._replace(moment=moment()))
    assert rows(store) == [(window(0), BEA, 1, 2, 3, 5)]


def test_the_later_request_counts_on_whichever_machine_it_was_made(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machines that share a lake count their requests together, and have been up for different times."""
    older = content(window(0))._replace(moment=Moment("count", 10**9))
    newer = content(window(0), {ANA: Usage(1, 2, 3, 5)})._replace(moment=Moment("count", 2 * 10**9))
    put(store, newer)
    monkeypatch.setattr("wolkvox_assets.store.windows.boot", lambda: "another machine's")
    with store.transaction() as con:
        assert replace_windows(agent_9(con), [older], run_id="run").superseded == [window(0)]
    assert rows(store) == [(window(0), ANA, 1, 2, 3, 5)]
    # Of one batch, each window by its own clock.
    other = content(window(1))._replace(moment=Moment("count, made anew", 1))
    with store.transaction() as con:
        assert replace_windows(agent_9(con), [older, other], run_id="run").superseded == [window(0)]
    again = content(window(0), {BEA: Usage(1, 2, 3, 5)})._replace(moment=Moment("count, made anew", 10**9))
    put(store, again)
    assert rows(store) == [(window(0), BEA, 1, 2, 3, 5)]


def test_verifying_puts_moments_of_the_future_right(store: Store) -> None:
    ahead = datetime.now(UTC) + timedelta(days=30)
    put(store, content(window(0), fetched_at=ahead))
    with store.transaction() as con:
        verify_windows(con, AGENT_9, {"main": Checked(one(window(0)), FETCHED)})
    assert query(store, "SELECT fetched_at, verified_at FROM agent_9_window_log") == [
        (FETCHED.replace(tzinfo=None),) * 2
    ]


# Any order, any split, any repetition

_USAGE = st.builds(Usage, *[st.integers(0, 3600)] * 4)
_AGENTS = st.dictionaries(st.sampled_from([ANA, BEA, "Zoë"]), _USAGE, max_size=3)
_CONTENTS = st.builds(
    lambda number, agents, source, seconds: content(
        DAY + number * WINDOW, agents, source=source, fetched_at=FETCHED + timedelta(seconds=seconds)
    ),
    st.integers(284, 291),  # over a midnight
    _AGENTS,
    st.sampled_from(["asked", "derived", "empty_range"]),
    st.integers(0, 1000),
)


@st.composite
def _splits(draw: st.DrawFn, of: Sequence[WindowContent]) -> list[list[WindowContent]]:
    """These, in order, cut into a few transactions."""
    cuts = sorted(draw(st.lists(st.integers(0, len(of)), max_size=3)))
    return [list(of[a:b]) for a, b in zip([0, *cuts], [*cuts, len(of)], strict=True)]


def expected(windows: Sequence[WindowContent]) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """What is to stand in the two tables when these came in this order."""
    last = {w.window_start: w for w in windows}
    row_table: list[tuple[object, ...]] = []
    log_table: list[tuple[object, ...]] = []
    for start, w in last.items():
        fetched = w.fetched_at.replace(tzinfo=None)
        log_table.append(("main", start, start.date(), len(w.agents), w.source, fetched, fetched, "run"))
        row_table.extend(
            ("main", start, start + timedelta(hours=5), start.date(), name, *usage)
            for name, usage in w.agents.items()
        )
    return sorted(row_table, key=repr), sorted(log_table, key=repr)


def fresh(data_dir: Path) -> Store:
    shutil.rmtree(data_dir, ignore_errors=True)
    return FileStore(data_dir)


@given(st.data())
@settings(max_examples=10)
def test_the_later_content_of_a_window_wins_however_it_is_split(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    store = fresh(tmp_path_factory.getbasetemp() / "splits")
    sequence = data.draw(st.lists(_CONTENTS, max_size=12))
    for batch in data.draw(_splits(sequence)):
        put(store, *batch)
    found = tables(store)
    in_time = sorted(sequence, key=lambda content: content.fetched_at)  # of equals, the later given
    assert (found["agent_9_windows"], found["agent_9_window_log"]) == expected(in_time)


@given(st.data())
@settings(max_examples=10)
def test_any_order_and_any_repetition_give_the_same_tables(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    store = fresh(tmp_path_factory.getbasetemp() / "orders")
    truth = data.draw(st.lists(_CONTENTS, max_size=8, unique_by=lambda w: w.window_start))
    again = data.draw(st.lists(st.sampled_from(truth), max_size=6)) if truth else []
    for batch in data.draw(_splits(data.draw(st.permutations([*truth, *again])))):
        put(store, *batch)
    found = tables(store)
    assert (found["agent_9_windows"], found["agent_9_window_log"]) == expected(truth)
