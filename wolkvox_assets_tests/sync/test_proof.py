from datetime import timedelta

import pytest

from wolkvox_assets.report.windows import Range
from wolkvox_assets.sync import Additivity, Sync
from wolkvox_assets_tests.sync.driver import no_derived, run
from wolkvox_assets_tests.sync.model import (
    DAY,
    LATER,
    MONDAY,
    MONTH,
    Later,
    Lying,
    Server,
    Store,
    Touching,
    busy,
    day_of,
    quiet,
    shouting,
    truth_of,
    uses_on,
)

WEEK = day_of(MONDAY, 7)


def longer(server: Server) -> int:
    return sum(len(r) > 1 for r in server.asked)


def test_the_evidence_says_day_and_numbers() -> None:
    store = Store()
    run([DAY], Server(busy(DAY, agents=5)), store, Additivity.UNPROVED)
    (proof,) = store.proofs
    assert proof.holds
    assert proof.evidence.startswith("2026-11-16 00:00:00 to 2026-11-16 23:59:59: 288 windows with ")
    assert "5 agents" in proof.evidence
    assert "24 hours" in proof.evidence


def test_a_failed_proof_says_where() -> None:
    store = Store()
    server = Touching(uses_on(DAY, 500))
    assert run([DAY], server, store, Additivity.UNPROVED) <= 288 + 25
    (proof,) = store.proofs
    assert not proof.holds
    assert "2026-11-16" in proof.evidence
    assert " against " in proof.evidence
    assert "Agente" in proof.evidence


@pytest.mark.parametrize("uses", [0, 1, 8, 40])
def test_a_quiet_day_proves_nothing_and_costs_nothing_more(uses: int) -> None:
    for server in (Server(quiet(DAY, uses)), Touching(uses_on(DAY, uses))):
        store = Store()
        assert run([DAY], server, store, Additivity.UNPROVED) == 288
        assert not store.proofs
        assert len(store.notes) == 1
        assert no_derived(store, DAY)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_counts_as_busy_catches_an_api_that_is_not_additive(seed: int) -> None:
    # 20 s a use: many short ones are harder to catch than few long ones.
    for uses in range(60, 400, 40):
        store = Store()
        server = Touching(uses_on(DAY, uses, seconds=20, seed=seed))
        run([DAY], server, store, Additivity.UNPROVED)
        assert not any(proof.holds for proof in store.proofs)


def test_a_week_of_which_nothing_is_known_is_proved_on_its_newest_weekday() -> None:
    store = Store()
    server = Server(busy(WEEK))
    run([WEEK], server, store, Additivity.UNPROVED)
    assert server.asked[0] == day_of(MONDAY + timedelta(days=6 - 2))
    assert [len(r) for r in server.asked[1:289]] == [1] * 288
    assert [proof.holds for proof in store.proofs] == [True]
    assert "derived" in store.sources(WEEK)


def test_a_month_that_is_not_additive_is_asked_directly() -> None:
    store = Store()
    server = Touching(uses_on(day_of(MONDAY, 10), 400))
    r = day_of(MONDAY, 10)
    assert run([r], server, store, Additivity.UNPROVED) <= len(r) + 30
    assert [proof.holds for proof in store.proofs] == [False]
    assert no_derived(store, r)


def test_quiet_weeks_cost_the_probes_only() -> None:
    store = Store()
    r = day_of(MONDAY, 14)
    truth = {w: a for start in range(14) for w, a in quiet(day_of(MONDAY + timedelta(days=start)), 5).items()}
    server = Server(truth)
    assert run([r], server, store, Additivity.UNPROVED) == len(r) + 5
    assert longer(server) == 5
    assert no_derived(store, r)
    assert not store.proofs


def test_a_busy_day_met_later_is_proved_on() -> None:
    r = day_of(MONDAY, 28)
    hidden = MONDAY + timedelta(days=23)  # a weekday that no probe looks at
    truth = {w: a for n in range(28) for w, a in quiet(day_of(MONDAY + timedelta(days=n)), 2).items()}
    truth |= busy(day_of(hidden))
    store = Store()
    server = Server(truth)
    count = run([r], server, store, Additivity.UNPROVED)
    assert day_of(hidden) not in server.asked[:5]
    assert [proof.holds for proof in store.proofs] == [True]
    assert count < 4 * 288 + 30 + 24 * 30


def test_history_from_before_they_began_is_not_asked_window_by_window() -> None:
    store = Store()
    server = Server({})
    year = Range(MONTH.start - timedelta(days=60), MONTH.end)
    assert run([MONTH], server, store, Additivity.UNPROVED) == 2
    server = Server(busy(day_of(MONTH.start)))
    assert run([year], server, Store(), Additivity.UNPROVED) <= len(year) + 30


def test_a_few_days_probes_the_weekend_as_well() -> None:
    weekend = day_of(MONDAY - timedelta(days=2), 2)
    server = Server({})
    assert run([weekend], server, Store(), Additivity.UNPROVED) <= 3


def test_many_fragments() -> None:
    ranges = [
        Range(day, day + timedelta(minutes=50)) for day in (MONDAY + timedelta(days=n) for n in range(9))
    ]
    server = Server(busy(WEEK))
    assert run(ranges, server, Store(), Additivity.UNPROVED) == 9 * 10


def test_a_stretch_of_a_day_will_do() -> None:
    r = Range(MONDAY + timedelta(hours=8, minutes=55), MONDAY + timedelta(hours=13, minutes=20))
    store = Store()
    server = Server(busy(DAY))
    # 9 to 13 h, the 20 minutes after it, and all; the single window before 9 h was asked itself.
    assert run([r], server, store, Additivity.UNPROVED) == len(r) + 4 + 1 + 1
    assert [proof.holds for proof in store.proofs] == [True]


def test_names_that_change_case_fail_the_proof() -> None:
    store = Store()
    run([DAY], Lying(busy(DAY), shouting), store, Additivity.UNPROVED)
    assert [proof.holds for proof in store.proofs] == [False]
    assert no_derived(store, DAY)


# Of a day: 288 windows, then 24 hours (23 h first), then the day.
@pytest.mark.parametrize(
    ("at", "hours"),
    [(100, 20), (250, 20), (288, 9), (290, 9), (296, 9), (296, 16), (300, 18), (300, 3), (312, 12)],
)
def test_a_record_that_arrives_during_the_first_proof_condemns_nothing(at: int, hours: int) -> None:
    server = Later(busy(DAY, agents=5), {at: MONDAY + timedelta(hours=hours)})
    steps = Store()
    count = 0
    for step in Sync(steps, LATER, 1).reconcile([DAY], server, Additivity.UNPROVED):
        steps.apply(step)
        count = server.requests
    assert [proof.holds for proof in steps.proofs] == [True]
    assert count <= 288 + 25 + 1 + 24 + 13
    # Found, but where nothing that was asked after it came could show it.
    if at < 288 + 24 - hours or at == 312:
        assert at == 312 or steps.content() == truth_of(server, [DAY])


def test_a_record_that_arrives_after_the_probe_condemns_nothing() -> None:
    server = Later(busy(WEEK, agents=5), {1: MONDAY + timedelta(days=4, hours=9)})
    store = Store()
    run([WEEK], server, store, Additivity.UNPROVED)
    assert [proof.holds for proof in store.proofs] == [True]
