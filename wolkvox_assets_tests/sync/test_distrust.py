"""An API that was proved additive, and isn't any more."""

from datetime import datetime, timedelta

import pytest

from wolkvox_assets.report.measures import Agents, Usage, add_up
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import Range, contiguous, one
from wolkvox_assets.sync import (
    Additivity,
    BadAnswers,
    Discard,
    Known,
    Proof,
    Quarantine,
    Source,
    Sync,
)
from wolkvox_assets.sync.compare import Disagreement, difference, remainder
from wolkvox_assets_tests.sync.driver import run, run_interrupted
from wolkvox_assets_tests.sync.model import (
    DAY,
    LATER,
    MONDAY,
    Lying,
    Server,
    Store,
    Touching,
    Truth,
    busy,
    day_of,
    one_too_many,
    quiet,
    shouting,
    uses_on,
)

TWO_MONTHS = Range(MONDAY - timedelta(days=20), MONDAY + timedelta(days=2))
ANA = Usage(2, 10, 5, 15)


def half_in_the_dark(r: Range, agents: Agents) -> Agents:
    """Numbers of longer ranges come out too small."""
    return agents if len(r) < 36 else {name: usage.minus(Usage(1, 0, 0, 0)) for name, usage in agents.items()}


@pytest.mark.parametrize(
    "server",
    [
        Touching(uses_on(DAY, 1000)),
        Lying(busy(DAY), shouting),
        Lying(busy(DAY), one_too_many),
        Lying(busy(DAY), half_in_the_dark),
    ],
    ids=["touching", "shouting", "one too many", "too small"],
)
def test_nothing_derived_remains_and_all_is_asked(server: Server) -> None:
    store = Store()
    store.fill({}, DAY, "derived")
    count = run([DAY], server, store)
    assert count <= 2 * 288
    assert store.sources(DAY) == {"asked"}
    (proof,) = store.proofs
    assert not proof.holds
    assert "2026-11-16" in proof.evidence


def test_what_is_asked_itself_is_not_asked_again() -> None:
    server = Lying(busy(DAY), one_too_many)
    run([DAY], server, Store())
    asked = [r for r in server.asked if len(r) == 1]
    # A window that an audit found wrong may be asked twice, and one that is half of a contradiction.
    assert len(asked) - len(set(asked)) <= 3


class Arriving(Server):
    """A record arrives after so many requests."""

    def __init__(self, truth: Truth, after: int, late: Truth) -> None:
        super().__init__(truth)
        self.after, self.late = after, late

    def __call__(self, r: Range) -> Agents:
        if self.requests == self.after:
            self.truth = {**self.truth, **{w: add_up((self.truth[w], a)) for w, a in self.late.items()}}
        return super().__call__(r)


def test_a_record_that_arrives_after_the_whole_was_asked_condemns_nothing() -> None:
    """Its part has it and the whole doesn't: both are asked once more."""
    late = {DAY.start + timedelta(hours=16, minutes=5): {"Ana": ANA}}
    server = Arriving(busy(DAY, agents=5), 1, late)
    store = Store()
    run([DAY], server, store)
    assert not store.proofs
    assert server.requests <= 160


def test_from_then_on_everything_is_asked_directly() -> None:
    server = Lying(busy(TWO_MONTHS, agents=5), shouting)
    store = Store()
    run([TWO_MONTHS], server, store)
    assert len(store.proofs) == 1
    assert store.sources(TWO_MONTHS) == {"asked"}
    october = [r for r in server.asked if r.start.month == 10]
    assert all(len(r) == 1 for r in october)


def test_days_of_the_month_that_were_derived_before_are_discarded_too() -> None:
    """The newest day is honest and finished when an older one isn't."""
    r = day_of(MONDAY, 2)

    def lie(asked: Range, agents: Agents) -> Agents:
        return shouting(asked, agents) if asked.end <= MONDAY + timedelta(days=1) else agents

    store = Store()
    run([r], Lying(busy(r), lie), store)
    assert any(window >= MONDAY + timedelta(days=1) for window in store.discarded)
    assert store.sources(r) == {"asked"}
    assert not set(store.discarded) & set(store.audited)


def dishonest_mornings(r: Range, agents: Agents) -> Agents:
    """Afternoons are derived before it shows."""
    return shouting(r, agents) if r.end.hour in range(1, 13) else agents


def test_discard_comes_before_the_verdict_and_before_any_further_request() -> None:
    server = Lying(busy(DAY), dishonest_mornings)
    steps = Sync(Store(), LATER, 3).reconcile([DAY], server, Additivity.PROVED)
    seen = []
    asked_before = 0
    for step in steps:
        seen.append(step)
        if isinstance(step, Discard | Proof):
            asked_before = server.requests if isinstance(step, Discard) else asked_before
            assert server.requests == asked_before
    kinds = [type(step) for step in seen]
    assert kinds.index(Proof) == kinds.index(Discard) + 1
    derived = {s.window for s in seen if isinstance(s, Known) and s.source is Source.DERIVED}
    (discard,) = (s for s in seen if isinstance(s, Discard))
    assert derived <= {w for r in discard.ranges for w in r.windows()}


def test_what_was_discarded_is_fetched_by_a_repeat_when_the_first_run_breaks() -> None:
    server = Lying(busy(DAY), dishonest_mornings)
    store = Store()
    server.breaks_at = 150
    assert run_interrupted([DAY], server, store)
    assert store.discarded
    assert not store.proofs[0].holds
    assert 0 < store.known(DAY) < 288
    assert "derived" not in {kept.source for kept in store.kept.values()}
    server.breaks_at = None
    assert run([DAY], server, store, Additivity.FAILED) == 288


def test_an_audit_that_disagrees_is_enough() -> None:
    """A server whose error no subtraction shows: it moves a use to the next window, but only when asked for one."""
    truth = quiet(DAY, 1)
    (used,) = truth

    def alone(window: Range, agents: Agents) -> Agents:
        if len(window) > 1:
            return agents
        return truth[used] if window.start == DAY.start else {}

    caught = 0
    for seed in range(10):
        store = Store()
        steps = Sync(store, LATER, seed).reconcile([DAY], Lying(truth, alone), Additivity.PROVED)
        for step in steps:
            store.apply(step)
        caught += bool(store.proofs)
    assert caught == 10


def test_audits_depend_on_the_seed_alone() -> None:
    def audited(seed: int) -> list[object]:
        store = Store()
        run([DAY], Server(busy(DAY, agents=3)), store, seed=seed)
        return list(store.audited)

    assert audited(1) == audited(1) != audited(2)


def test_each_day_is_audited_when_it_is_finished() -> None:
    r = day_of(MONDAY, 5)
    server = Server(busy(r, agents=3))
    store = Store()
    run([r], server, store)
    assert len(store.audited) == 10
    assert [w.day for w in store.audited] == sorted((w.day for w in store.audited), reverse=True)
    positions = [server.asked.index(one(w)) for w in store.audited[:2]]
    older = min(
        n
        for n, asked in enumerate(server.asked)
        if asked.end <= r.end - timedelta(days=1) and len(asked) < 288
    )
    assert max(positions) < older


def test_a_stored_derived_window_that_is_asked_becomes_asked() -> None:
    truth = busy(DAY, agents=3)
    store = Store()
    store.fill(truth, DAY, "derived")
    window = MONDAY + timedelta(hours=12)
    now = {**truth, window: {**truth[window], "Tardía": ANA}}
    server = Server(now)
    run([DAY], server, store)
    for r in server.asked:
        if len(r) == 1:
            assert store.sources(r) == {"asked"}


@pytest.mark.parametrize(
    ("whole", "part", "words"),
    [
        ({}, {"Ana": ANA}, "Ana"),
        ({"ANA": ANA}, {"Ana": ANA}, "Ana"),
        *(
            ({"Ana": Usage(*(9 - (n == m) * 8 for m in range(4)))}, {"Ana": Usage(2, 2, 2, 2)}, "Ana")
            for n in range(4)
        ),
    ],
)
def test_a_part_larger_than_its_whole(whole: Agents, part: Agents, words: str) -> None:
    with pytest.raises(Disagreement, match=words):
        remainder(whole, DAY, part, one(MONDAY))


def test_remainder() -> None:
    whole = {"Ana": Usage(5, 50, 5, 55), "Eva": ANA, "Luz": ANA}
    assert remainder(whole, DAY, {"Ana": ANA, "Eva": ANA}, one(MONDAY)) == {
        "Ana": Usage(3, 40, 0, 40),
        "Luz": ANA,
    }


def test_difference_names_the_first_and_counts_the_others() -> None:
    words = difference({"Ana": AGENT_9.usage(*ANA), "Eva": ANA}, {"Luz": ANA, "Eva": ANA})
    assert words == (
        "hold_mute_count 2, hold_seconds 10, mute_seconds 5, total_seconds 15 against nothing for 'Ana' (and 1 more)"
    )


def lacking_one(r: Range, agents: Agents) -> Agents:
    """Ranges of more than an hour lack an agent: days of that agent alone look empty."""
    return agents if len(r) <= 12 else {name: usage for name, usage in agents.items() if name != "Ana"}


def two_days() -> tuple[Range, dict[datetime, Agents]]:
    """Of the first everything is seen, of the second nothing: it is all Ana's."""
    r = day_of(MONDAY, 2)
    office = [w for w in r.windows() if 8 <= w.hour < 18]
    use = Usage(1, 40, 0, 40)
    return r, {w: {"Ana": use} | ({"Eva": use} if w.date() == MONDAY.date() else {}) for w in office}


def test_what_was_found_empty_as_part_of_a_whole_is_discarded_too() -> None:
    """The run ends just after the verdict, and the next one asks for what is not known."""
    r, truth = two_days()
    store, server = Store(), Lying(truth, lacking_one)
    steps = Sync(store, LATER, 1).reconcile([r], server, Additivity.PROVED)
    for step in steps:
        store.apply(step)
        if isinstance(step, Proof):
            break
    gaps = contiguous(w for w in r.windows() if w not in store.kept)
    run(gaps, server, store, Additivity.FAILED)
    assert store.content() == {w: truth.get(w, {}) for w in r.windows()}


def test_an_unreadable_window_keeps_nothing_that_is_in_doubt() -> None:
    r, truth = two_days()
    broken = r.end - timedelta(hours=1)

    class Unreadable(Exception): ...

    class Broken(Lying):
        def __call__(self, asked: Range) -> Agents:
            if asked == one(broken):
                raise Unreadable(f"{asked}")
            return super().__call__(asked)

    store, server = Store(), Broken(truth, lacking_one)
    store.fill({}, r, "asked")  # and wrong: verified as part of a day that lacks the agent

    make = Sync(store, LATER, 1).reconcile

    def go() -> None:
        for step in Quarantine(server, Additivity.PROVED, make, bad=Unreadable).reconcile([r]):
            store.apply(step)

    with pytest.raises(BadAnswers) as bad:
        go()
    assert list(bad.value.errors) == [broken]
    content = store.content()
    assert [w for w in r.windows() if w != broken and content[w] != truth.get(w, {})] == []


@pytest.mark.parametrize("lapses", [1, 2])
def test_an_empty_answer_that_a_stored_window_denies_wipes_nothing(lapses: int) -> None:
    class Lapsing(Server):
        def answer(self, r: Range) -> Agents:
            return {} if len(r) > 1 and self.requests in (1, 3)[:lapses] else super().answer(r)

    server, store = Lapsing(busy(DAY)), Store()
    store.fill(server.truth, DAY)
    run([DAY], server, store)
    assert not store.proofs
    assert server.requests < 100


@pytest.mark.parametrize("hours", [0, 6, 12])  # a day, and as long over a midnight
@pytest.mark.parametrize("limit", [60, 144, 287])
@pytest.mark.parametrize("seed", range(4))
def test_a_server_that_answers_longer_ranges_as_empty_for_good_wipes_nothing(
    hours: int, limit: int, seed: int
) -> None:
    day = Range(DAY.start + timedelta(hours=hours), DAY.end + timedelta(hours=hours))

    class Limited(Server):
        def answer(self, r: Range) -> Agents:
            return {} if len(r) > limit else super().answer(r)

    server, store = Limited(dict(list(busy(day).items())[:36])), Store()
    store.fill(server.truth, day)
    run([day], server, store, seed=seed)
    assert {window: agents for window, agents in store.content().items() if agents} == server.truth


def test_what_is_gone_costs_one_request_more() -> None:
    server, store = Server({}), Store()
    store.fill(busy(DAY), DAY)
    assert run([DAY], server, store) == 2
