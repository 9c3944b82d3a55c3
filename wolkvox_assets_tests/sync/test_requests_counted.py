"""How many requests each kind of range takes: the table of promises, counted by the model server.

`pytest -s` prints the numbers.
"""

from datetime import timedelta
from functools import cache
from itertools import pairwise
from random import Random

import pytest

from wolkvox_assets.report.measures import Usage, add_up
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import Range, one
from wolkvox_assets.sync import Additivity
from wolkvox_assets.sync.divide import halves
from wolkvox_assets_tests.sync.driver import no_derived, run
from wolkvox_assets_tests.sync.model import (
    DAY,
    MONDAY,
    MONTH,
    SUNDAY,
    Server,
    Store,
    Touching,
    busy,
    day_of,
    quiet,
    uses_on,
)


def told(what: str, requests: int) -> int:
    print(f"{what}: {requests} requests")
    return requests


def test_a_busy_office_day() -> None:
    store = Store()
    assert told("busy office day", run([DAY], Server(busy(DAY)), store)) <= 152
    assert len(store.audited) == 2
    assert store.sources(DAY) == {"asked", "derived", "empty_range"}


def test_a_busy_office_day_with_others_like_it_stored() -> None:
    store = Store()
    store.busy = (7, 19)
    assert told("busy office day after others", run([DAY], Server(busy(DAY)), store)) <= 149


@pytest.mark.parametrize("uses", range(1, 9))
def test_a_quiet_sunday(uses: int) -> None:
    r = day_of(SUNDAY)
    counts = [run([r], Server(quiet(r, uses, seed)), Store(), seed=seed) for seed in range(60)]
    print(
        f"Sunday with {uses} uses: {min(counts)} to {max(counts)} requests, {sum(counts) / 60:.1f} on average"
    )
    assert max(counts) <= 60


def test_an_empty_day_and_an_empty_month() -> None:
    for r in (DAY, MONTH):
        store = Store()
        assert run([r], Server({}), store) == 1
        assert store.sources(r) == {"empty_range"}
        assert not store.audited


def test_a_busy_day_around_the_clock() -> None:
    count = run([DAY], Server(busy(DAY, first_hour=0, last_hour=24)), Store())
    assert told("around the clock", count) <= 288 + 288 * 3 // 100


@pytest.mark.parametrize("r", [DAY, MONTH])
def test_known_and_unchanged_is_one_request_and_nothing_is_rewritten(r: Range) -> None:
    truth = busy(r, agents=8)
    store = Store()
    store.fill(truth, r, "derived")
    assert run([r], Server(truth), store) == 1
    assert not store.rewritten
    assert store.sources(r) == {"derived"}


def test_a_known_day_in_which_three_windows_changed() -> None:
    truth = busy(DAY, agents=5, first_hour=0, last_hour=24)
    counts = []
    for seed in range(100):
        random = Random(seed)
        changed = sorted(random.sample(list(DAY.windows()), 3))
        store = Store()
        store.fill(truth, DAY)
        now = dict(truth)
        for window in changed:
            now[window] = add_up((truth[window], {"Agente tardío": Usage(1, 30, 0, 30)}))
        counts.append(run([DAY], Server(now), store, seed=seed))
        content = store.content()
        assert [w for w in DAY.windows() if content[w] != truth[w]] == changed
    print(f"3 changed windows: {min(counts)} to {max(counts)} requests, {sum(counts) / 100:.1f} on average")
    assert max(counts) <= 38
    assert told("3 changed windows, the worst there can be, with audits", 1 + most_cuts(DAY, 3) + 3) <= 38


@cache
def most_cuts(r: Range, changed: int) -> int:
    """The most cuts that lead to this many changed windows in `r`, wherever they are."""
    if changed == 0 or len(r) == 1:
        return 0
    earlier, later = halves(r)
    return 1 + max(
        most_cuts(earlier, n) + most_cuts(later, changed - n)
        for n in range(changed + 1)
        if n <= len(earlier) and changed - n <= len(later)
    )


def test_eight_uses_wherever_they_are() -> None:
    assert told("8 uses, the worst there can be, with audits", 1 + most_cuts(DAY, 8) + 3) <= 60


def test_not_additive_costs_the_windows_and_the_failed_proof() -> None:
    for uses in (6, 2000):
        r = DAY
        store = Store()
        count = told(
            f"not additive, {uses} uses", run([r], Touching(uses_on(r, uses)), store, Additivity.UNPROVED)
        )
        assert count <= 288 + 25
        if uses == 6:
            assert count == 288
        assert no_derived(store, r)


def test_after_a_failed_proof_it_is_one_request_a_window() -> None:
    server = Touching(uses_on(DAY, 500))
    assert run([DAY], server, Store(), Additivity.FAILED) == 288
    assert all(len(r) == 1 for r in server.asked)
    assert all(later < earlier for earlier, later in pairwise(server.asked)), "newest first"


def test_the_proof_costs_at_most_thirty_requests() -> None:
    store = Store()
    count = run([DAY], Server(busy(DAY)), store, Additivity.UNPROVED)
    assert told("busy day, unproved", count) == 288 + 25
    assert [proof.holds for proof in store.proofs] == [True]


def test_a_month_unproved_is_proved_on_one_of_its_days() -> None:
    store = Store()
    weekdays = {w: a for w, a in busy(MONTH, agents=8).items() if w.weekday() < 5}
    count = told(
        "a month of office weeks, unproved", run([MONTH], Server(weekdays), store, Additivity.UNPROVED)
    )
    proved = run([MONTH], Server(weekdays), Store())
    told("the same, proved", proved)
    assert count <= proved + 145 + 30
    assert [proof.holds for proof in store.proofs] == [True]


def test_an_empty_month_unproved() -> None:
    store = Store()
    assert run([MONTH], Server({}), store, Additivity.UNPROVED) == 2
    assert not store.proofs


def test_a_month_with_one_changed_window() -> None:
    truth = busy(MONTH, agents=8)
    store = Store()
    store.fill(truth, MONTH)
    window = MONTH.start + timedelta(days=17, hours=11)
    now = {**truth, window: {"Agente tardío": Usage(1, 30, 0, 30)}}
    now[window] = add_up((truth[window], now[window]))
    assert told("month with one changed window", run([MONTH], Server(now), store)) <= 1 + 5 + 9 + 1


def test_an_empty_year_is_a_request_a_month() -> None:
    year = Range(MONTH.start, MONTH.start + timedelta(days=365))
    server = Server({})
    assert run([year], server, Store()) == 12
    assert max(len(r) for r in server.asked) <= 31 * 288


def test_rows_of_zeros_are_nothing_in_a_sum_and_rows_in_a_window() -> None:
    idle = {"Ana": AGENT_9.nothing, "José": AGENT_9.nothing}
    store = Store()
    assert run([DAY], Server(dict.fromkeys(DAY.windows(), idle)), store) == 1
    assert store.sources(DAY) == {"empty_range"}
    window = MONDAY + timedelta(hours=9)
    assert run([one(window)], Server({window: idle}), store, Additivity.FAILED) == 1
    assert store.kept[window].agents == idle
    # What is stored with such rows still equals a sum without them.
    assert run([DAY], Server({}), store) == 1
    assert store.kept[window].agents == idle


def test_one_unknown_window_in_a_known_month() -> None:
    truth = busy(MONTH, agents=3)
    store = Store()
    store.fill(truth, MONTH)
    window = MONTH.start + timedelta(days=3, hours=10, minutes=25)
    del store.kept[window]
    assert run([MONTH], Server(truth), store) <= 1 + 5 + 9 + 1
    assert set(store.rewritten) == {window}


def test_ranges_with_a_gap_are_never_asked_across_it() -> None:
    """As on the day when clocks go forward: the hour in between has no windows."""
    before = Range(DAY.start, DAY.start + timedelta(hours=2))
    after = Range(DAY.start + timedelta(hours=3), DAY.end)
    for additivity in Additivity:
        server = Server(busy(DAY, agents=5))
        store = Store()
        run([before, after], server, store, additivity)
        assert not any(r.start < after.start and r.end > before.end for r in server.asked)
        assert len(store.kept) == 276
