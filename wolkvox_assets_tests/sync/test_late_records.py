"""Records that come in while a range is being settled: between the answer for the whole and those for its parts."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wolkvox_assets.report.measures import Agents, Usage, add_up, in_use
from wolkvox_assets.report.windows import Range, one
from wolkvox_assets.sync import Additivity, Sync
from wolkvox_assets_tests.sync.model import (
    DAY,
    LATER,
    MONDAY,
    Lying,
    Server,
    Store,
    Truth,
    busy,
    day_of,
    quiet,
    shouting,
)

RECORD = {"Agente Núñez 0": Usage(1, 42, 0, 42)}


class Arriving(Server):
    """A record of an agent who is there all day comes in for a window, after so many requests."""

    def __init__(self, truth: Truth, late: Mapping[int, datetime]) -> None:
        super().__init__(truth)
        self.late = late
        self.ever: dict[datetime, list[Agents]] = {}

    def __call__(self, r: Range) -> Agents:
        answer = super().__call__(r)
        if (window := self.late.get(self.requests)) is not None:
            self.ever.setdefault(window, []).append(in_use(self.answer(one(window))))
            self.truth = {**self.truth, window: add_up((self.truth.get(window, {}), RECORD))}
            self.starts = sorted(self.truth)
        return answer


def settle(r: Range, server: Arriving, store: Store, seed: int = 7) -> None:
    """One run, after which each window has what it had at some moment of the run."""
    for step in Sync(store, LATER, seed).reconcile([r], server, Additivity.PROVED):
        store.apply(step)
    content = store.content()
    for window in r.windows():
        now = in_use(server.answer(one(window)))
        assert content[window] in (now, *server.ever.get(window, ())), f"{window:%d %H:%M}"


def test_a_record_between_a_whole_and_its_later_part_is_not_taken_from_the_earlier_one() -> None:
    later = MONDAY + timedelta(hours=18)
    server = Arriving(busy(DAY), {1: later})
    store = Store()
    settle(DAY, server, store)
    assert store.content()[later] == in_use(server.answer(one(later)))
    assert not store.proofs


@settings(max_examples=60)
@given(
    late=st.dictionaries(st.integers(1, 170), st.integers(0, 287), min_size=1, max_size=4),
    full=st.booleans(),
    seed=st.integers(0, 3),
)
def test_records_at_any_moment_of_a_day(late: dict[int, int], full: bool, seed: int) -> None:
    moments = {n: MONDAY + timedelta(minutes=5 * w) for n, w in late.items()}
    server = Arriving(busy(DAY, agents=4) if full else quiet(DAY, 9), moments)
    store = Store()
    settle(DAY, server, store, seed)
    assert not store.proofs
    assert not store.discarded


@settings(max_examples=20)
@given(
    late=st.dictionaries(st.integers(1, 700), st.integers(0, 5 * 288 - 1), min_size=1, max_size=6),
    stored=st.sampled_from(["nothing", "all but one", "derived"]),
)
def test_records_at_any_moment_of_some_days(late: dict[int, int], stored: str) -> None:
    r = day_of(MONDAY, 5)
    moments = {n: MONDAY + timedelta(minutes=5 * w) for n, w in late.items()}
    truth = busy(r, agents=4)
    store = Store()
    if stored != "nothing":
        store.fill(truth, r, "derived" if stored == "derived" else "asked")
        del store.kept[MONDAY + timedelta(days=2, hours=9)]
    server = Arriving(truth, moments)
    settle(r, server, store)
    assert not store.proofs


def test_records_that_never_cease_condemn_nothing() -> None:
    moments = {n: MONDAY + timedelta(minutes=5 * (n * 37 % 288)) for n in range(1, 2000)}
    server = Arriving(busy(DAY, agents=4), moments)
    store = Store()
    settle(DAY, server, store)
    assert not store.proofs
    assert server.requests <= 4 * 288


class ArrivingAtALiar(Arriving):
    """Both: what it says does not add up, and records come in."""

    def answer(self, r: Range) -> Agents:
        return shouting(r, super().answer(r))


def test_a_record_hides_no_contradiction() -> None:
    server = ArrivingAtALiar(busy(DAY, agents=4), {3: MONDAY + timedelta(hours=8)})
    store = Store()
    settle(DAY, server, store)
    assert [proof.holds for proof in store.proofs] == [False]
    assert store.sources(DAY) == {"asked"}


def across_midnight(r: Range, agents: Agents) -> Agents:
    """Ranges of more than a day count one use too many: as if each touched the next day's first."""
    if len(r) <= 288 or not agents:
        return agents
    name = min(agents)
    return {**agents, name: agents[name].plus(Usage(1, 7, 0, 7))}


def test_days_that_do_not_add_up_to_their_month() -> None:
    r = day_of(MONDAY, 5)
    store = Store()
    server = Lying(busy(r, agents=4), across_midnight)
    for step in Sync(store, LATER, 1).reconcile([r], server, Additivity.PROVED):
        store.apply(step)
    assert [proof.holds for proof in store.proofs] == [False]
    assert store.content() == {w: in_use(server.answer(one(w))) for w in r.windows()}


def newcomers(truth: Truth, late: Mapping[int, datetime]) -> Server:
    """Each record is one of an agent who was not there before: no remainder has room for it."""

    class Newcomers(Server):
        def __call__(self, r: Range) -> Agents:
            answer = super().__call__(r)
            if (window := late.get(self.requests)) is not None:
                record = {f"Nueva {self.requests}": Usage(1, 42, 0, 42)}
                self.truth = {**self.truth, window: {**self.truth.get(window, {}), **record}}
                self.starts = sorted(self.truth)
            return answer

    return Newcomers(truth)


@settings(max_examples=20)
@given(late=st.dictionaries(st.integers(1, 60), st.integers(0, 5 * 288 - 1), min_size=1, max_size=4))
@example(late={n: 5 * 288 - 150 + n for n in (1, 3)})  # each between a whole and its later part
@example(late={n: 5 * 288 - 150 + n for n in range(1, 30, 2)})
def test_records_of_newcomers_condemn_nothing(late: dict[int, int]) -> None:
    r = day_of(MONDAY, 5)
    server = newcomers(busy(r, agents=3), {n: MONDAY + timedelta(minutes=5 * w) for n, w in late.items()})
    store = Store()
    for step in Sync(store, LATER, 5).reconcile([r], server, Additivity.PROVED):
        store.apply(step)
    assert not store.proofs


@pytest.mark.parametrize("late", [{}, {120: MONDAY + timedelta(hours=9)}], ids=["none", "one"])
def test_what_a_late_record_costs(late: dict[int, datetime]) -> None:
    server = Arriving(busy(DAY), late)
    settle(DAY, server, Store())
    assert server.requests <= 152 + 20 * len(late)
