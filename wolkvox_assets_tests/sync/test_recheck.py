"""What was asked window by window, verified by sums while nothing is proved: few requests, and never untrue."""

from datetime import datetime, timedelta

import pytest

from wolkvox_assets.report.measures import Agents, Usage, add_up
from wolkvox_assets.report.windows import Range
from wolkvox_assets.sync import Additivity
from wolkvox_assets_tests.sync.driver import run, run_interrupted
from wolkvox_assets_tests.sync.model import (
    DAY,
    MONDAY,
    MONTH,
    Later,
    Lying,
    Server,
    Store,
    Touching,
    Truth,
    busy,
    day_of,
    quiet,
    shouting,
    truth_of,
    uses_on,
    with_late,
)

HOUR = timedelta(hours=1)


def stored(truth: Truth, r: Range = DAY, *, hours_verified: int = 0) -> Store:
    """All of it was asked, and so many hours, the oldest, were verified when they had settled."""
    store = Store()
    store.fill(truth, r)
    for window in Range(r.start, r.start + hours_verified * HOUR).windows():
        store.kept[window].verified = True
    return store


def hours_too_small(r: Range, agents: Agents) -> Agents:
    """The days add up, and the windows; the hours don't."""
    return (
        {name: usage.minus(Usage(1, 0, 0, 0)) for name, usage in agents.items()} if len(r) == 12 else agents
    )


@pytest.mark.parametrize("uses", [0, 1, 40])
def test_a_quiet_day_that_did_not_change_is_one_request_and_proves_nothing(uses: int) -> None:
    truth = quiet(DAY, uses)
    store = stored(truth)
    assert run([DAY], Server(truth), store, Additivity.UNPROVED) == 1
    assert not store.rewritten
    assert not store.proofs


def test_an_hour_that_settled_is_one_request() -> None:
    truth = busy(DAY)
    store = stored(truth)
    hour = Range(MONDAY + 9 * HOUR, MONDAY + 10 * HOUR)
    assert run([hour], Server(truth), store, Additivity.UNPROVED) == 1
    assert store.verified == set(hour.windows())


def test_a_live_day_is_a_proof_for_a_request_or_two() -> None:
    """All windows were asked, all hours but the last verified as they settled; then the day closes."""
    truth = busy(DAY)
    store = stored(truth, hours_verified=23)
    server = Server(truth)
    assert run([DAY], server, store, Additivity.UNPROVED) == 2
    assert server.asked == [DAY, Range(DAY.end - HOUR, DAY.end)]
    (proof,) = store.proofs
    assert proof.holds
    assert "288 windows" in proof.evidence
    assert "24 hours" in proof.evidence
    assert not store.rewritten


def test_hours_that_were_never_verified_are_asked_for_the_proof() -> None:
    truth = busy(DAY)
    store = stored(truth)
    assert run([DAY], Server(truth), store, Additivity.UNPROVED) == 25
    assert [proof.holds for proof in store.proofs] == [True]


def test_once_it_is_proved_older_days_are_verified_together() -> None:
    week = day_of(MONDAY, 7)
    truth = busy(week, agents=5)
    store = stored(truth, week, hours_verified=7 * 24)
    server = Server(truth)
    assert run([week], server, store, Additivity.UNPROVED) == 2
    assert server.asked == [day_of(MONDAY + timedelta(days=6)), day_of(MONDAY, 6)]


def test_a_late_record_is_found_and_nothing_else_is_touched() -> None:
    before = busy(DAY, agents=5)
    window = MONDAY + timedelta(hours=11, minutes=25)
    server = Server(with_late(before, window))
    store = stored(before, hours_verified=24)
    assert run([DAY], server, store, Additivity.UNPROVED) <= 1 + 24 + 12
    assert set(store.rewritten) == set(Range(MONDAY + 11 * HOUR, MONDAY + 12 * HOUR).windows())
    assert store.content()[window] == server.truth[window]
    assert not store.proofs


def test_where_everything_changed_it_costs_little_more_than_asking() -> None:
    week = day_of(MONDAY, 7)
    store = stored({}, week)
    server = Server(busy(week, agents=5, first_hour=0, last_hour=24))
    assert run([week], server, store, Additivity.UNPROVED) <= len(week) + 30
    assert store.content() == truth_of(server, [week])


@pytest.mark.parametrize(
    "server",
    [
        Touching(uses_on(day_of(MONDAY, 3), 700)),
        Lying(busy(day_of(MONDAY, 3)), shouting),
        Lying(busy(day_of(MONDAY, 3)), hours_too_small),
    ],
    ids=["touching", "shouting", "hours too small"],
)
def test_an_api_that_is_not_additive_is_found_out_and_everything_asked(server: Server) -> None:
    r = day_of(MONDAY, 3)
    store = stored(truth_of(server, [r]), r)
    stale = MONDAY + timedelta(hours=10)  # what only asking the window shows
    store.kept[stale].agents = {}
    count = run([r], server, store, Additivity.UNPROVED)
    assert [proof.holds for proof in store.proofs] == [False]
    assert store.sources(r) == {"asked"}
    assert count <= len(r) + 30


def test_errors_that_cancel_out_over_the_day_are_no_proof_and_are_mended() -> None:
    """The hour with the one was verified when it had settled, that with the other was not."""
    truth = busy(DAY)
    too_much, too_little = MONDAY + 8 * HOUR, MONDAY + 15 * HOUR
    store = stored(truth, hours_verified=12)
    ana = Usage(1, 10, 0, 10)
    for window in (too_much, too_little):
        truth[window] = {**truth[window], "Ana": Usage(2, 20, 0, 20)}
    store.fill(truth, DAY)
    for window in Range(DAY.start, DAY.start + 12 * HOUR).windows():
        store.kept[window].verified = True
    store.kept[too_much].agents = {**truth[too_much], "Ana": Usage(3, 30, 0, 30)}
    store.kept[too_little].agents = {**truth[too_little], "Ana": ana}
    run([DAY], Server(truth), store, Additivity.UNPROVED)
    assert not store.proofs


def test_an_hour_that_was_only_verified_with_its_day_is_asked_for_the_proof() -> None:
    truth = busy(DAY)
    store = stored(truth)
    server = Server(truth)
    server.breaks_at = 2  # right after the day
    assert run_interrupted([DAY], server, store, Additivity.UNPROVED)
    assert store.verified == set(DAY.windows())
    server.breaks_at = None
    assert run([DAY], server, store, Additivity.UNPROVED) == 25
    assert [proof.holds for proof in store.proofs] == [True]


def test_records_that_arrive_while_a_day_is_walked_through_condemn_nothing() -> None:
    before = busy(DAY, agents=5)
    first = with_late(before, MONDAY + 12 * HOUR)
    store = stored(before)
    # One in an hour that was asked by then (20 h), one in an hour that is still to come (9 h).
    server = Later(first, {6: MONDAY + 20 * HOUR, 7: MONDAY + 9 * HOUR})
    run([DAY], server, store, Additivity.UNPROVED)
    assert not store.proofs
    assert server.requests <= 160


class Arriving(Server):
    """A record arrives when an hour and the newest of its windows have been asked."""

    def __init__(self, truth: Truth, window: datetime) -> None:
        super().__init__(truth)
        self.window = window

    def __call__(self, r: Range) -> Agents:
        answer = super().__call__(r)
        if len(self.asked) == 2:
            self.truth = with_late(self.truth, self.window)
        return answer


def test_a_record_that_arrives_between_two_requests_condemns_nothing() -> None:
    before = busy(DAY, agents=5)
    hour = Range(MONDAY + 9 * HOUR, MONDAY + 10 * HOUR)
    first = with_late(before, hour.start)
    for late in list(hour.windows())[:-1]:  # of the newest, nobody could know: it was asked by then
        store = stored(before)
        assert run([hour], Arriving(first, late), store, Additivity.UNPROVED) <= 2 * 13 + 1
        assert not store.proofs


def test_what_was_derived_is_not_verified_by_a_sum_while_nothing_is_proved() -> None:
    """Windows that were derived from wrong sums add up to these sums."""
    truth = quiet(DAY, 20)
    store = Store()
    store.fill({}, DAY, "derived")
    store.kept[MONDAY] = store.kept[MONDAY].__class__(add_up(truth.values()), "derived")
    assert run([DAY], Server(truth), store, Additivity.UNPROVED) == 288
    assert store.sources(DAY) == {"asked"}


def test_a_day_that_is_partly_known_is_asked_and_a_whole_one_beside_it_verified() -> None:
    days = day_of(MONDAY, 2)
    truth = quiet(days, 30)
    store = stored(truth, days)
    del store.kept[MONDAY + 3 * HOUR]
    assert run([days], Server(truth), store, Additivity.UNPROVED) == 1 + 288


def a_month_back(r: Range = MONTH) -> Range:
    """31 days, in two calendar months."""
    return day_of(r.start + timedelta(days=10), 31)


@pytest.mark.parametrize("uses", [0, 300])
def test_a_month_of_quiet_days_that_did_not_change_is_a_request_for_each_of_its_calendar_months(
    uses: int,
) -> None:
    r = a_month_back()
    truth = quiet(r, uses)
    store = stored(truth, r)
    assert run([r], Server(truth), store, Additivity.UNPROVED) == 2
    assert not store.rewritten
    assert not store.proofs
    assert run([MONTH], Server({}), stored({}, MONTH), Additivity.UNPROVED) == 1


def test_a_live_day_among_a_month_of_days_is_the_proof_for_them() -> None:
    r = a_month_back()
    newest = day_of(r.end - timedelta(days=1))
    truth = busy(r, agents=5)
    store = stored(truth, r)
    for window in Range(newest.start, newest.end - HOUR).windows():
        store.kept[window].verified = True
    assert run([r], Server(truth), store, Additivity.UNPROVED) == 2 + 2
    assert [proof.holds for proof in store.proofs] == [True]


def test_only_the_days_of_the_month_that_differs_are_asked() -> None:
    r = a_month_back()
    before = quiet(r, 300)
    window = MONTH.end + timedelta(days=3, hours=11)
    server, store = Server(with_late(before, window)), stored(before, r)
    assert run([r], server, store, Additivity.UNPROVED) <= 2 + 10 + 24 + 12
    assert {w.replace(minute=0) for w in store.rewritten} == {window}
    assert not store.proofs


def test_a_quiet_month_that_is_not_additive_is_found_out() -> None:
    r = day_of(MONDAY, 10)
    server = Touching(list(uses_on(r, 40, seconds=400)))
    store = stored(truth_of(server, [r]), r)
    assert run([r], server, store, Additivity.UNPROVED) <= len(r) + 60
    assert [proof.holds for proof in store.proofs] == [False]
    assert store.sources(r) == {"asked"}
