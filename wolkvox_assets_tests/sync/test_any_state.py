"""Whatever was used, whatever is stored, whatever range, whatever breaks: the truth, within the requests."""

from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wolkvox_assets.report.measures import Agents, Usage
from wolkvox_assets.report.windows import WINDOW, Range
from wolkvox_assets.sync import Additivity
from wolkvox_assets_tests.sync.driver import no_derived, run, run_interrupted
from wolkvox_assets_tests.sync.model import MONDAY, Kept, Server, Store, Touching, Truth, Use, usage

modest = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])

lengths = st.one_of(st.integers(1, 30), st.integers(1, 600), st.integers(1, 31 * 288))
seeds = st.integers(0, 2**32)


@st.composite
def some_ranges(draw: st.DrawFn) -> list[Range]:
    """One to three ranges of up to 31 days in all, anywhere; they may overlap."""
    ranges = []
    left = 31 * 288
    for _ in range(draw(st.integers(1, 3))):
        start = MONDAY + draw(st.integers(-3000, 3000)) * WINDOW
        length = min(draw(lengths), left)
        left -= length
        if length:
            ranges.append(Range(start, start + length * WINDOW))
    return ranges


def windows_of(ranges: list[Range]) -> set[datetime]:
    return {window for r in ranges for window in r.windows()}


def some_truth(windows: set[datetime], random: Random) -> dict[datetime, Agents]:
    density = random.choice([0.0, 0.001, 0.02, 0.3, 1.0])
    hours = random.choice([range(24), range(7, 19)])
    return {
        w: {f"Agente {random.randrange(6)}": usage(random) for _ in range(random.randrange(1, 4))}
        for w in sorted(windows)
        if w.hour in hours and random.random() < density
    }


def some_store(truth: Truth, windows: set[datetime], random: Random) -> Store:
    """Stored before: as it is now, without late uses, with made-up ones, or not at all."""
    store = Store()
    store.busy = random.choice([None, (7, 19), (0, 24), (23, 24), (3, 4)])
    untrue = random.choice([0.0, 0.001, 0.05, 0.5])
    missing = random.choice([0.0, 0.001, 0.5, 1.0])
    for w in sorted(windows):
        agents = dict(truth.get(w, {}))
        if random.random() < untrue:
            if random.random() < 0.5 and agents:
                agents.popitem()
            else:
                agents[f"Nadie {random.randrange(9)}"] = usage(random)
        if random.random() >= missing:
            store.kept[w] = Kept(agents, random.choice(["asked", "derived", "empty_range"]))
    return store


def most_requests(ranges: list[Range], additivity: Additivity) -> int:
    windows = len(windows_of(ranges))
    if additivity is Additivity.FAILED:
        return windows
    overhead = sum(2 + len(r) // 288 for r in ranges)
    return windows + 3 * overhead + (30 if additivity is Additivity.UNPROVED else 0)


@modest
@given(some_ranges(), seeds, st.sampled_from(Additivity), st.integers(-100, 9000))
def test_it_becomes_true(ranges: list[Range], seed: int, additivity: Additivity, unsettled: int) -> None:
    random = Random(seed)
    windows = windows_of(ranges)
    server = Server(some_truth(windows, random))
    store = some_store(server.truth, windows, random)
    before = {w: (kept.agents, kept.source) for w, kept in store.kept.items()}
    settled_before = max(r.end for r in ranges) - unsettled * timedelta(minutes=4)
    count = run(ranges, server, store, additivity, settled_before=settled_before, seed=seed)
    assert count <= most_requests(ranges, additivity)
    assert store.kept.keys() == windows
    assert not store.discarded
    assert all(proof.holds for proof in store.proofs)
    for w in windows - set(store.rewritten):
        assert (store.kept[w].agents, store.kept[w].source) == before[w]
    for w in set(store.rewritten):
        assert store.kept[w].source != "derived" or w < settled_before


@modest
@given(
    some_ranges(), seeds, st.sampled_from(Additivity), st.lists(st.integers(1, 800), min_size=1, max_size=3)
)
def test_it_becomes_true_after_it_broke(
    ranges: list[Range], seed: int, additivity: Additivity, breaks: list[int]
) -> None:
    random = Random(seed)
    windows = windows_of(ranges)
    server = Server(some_truth(windows, random))
    store = some_store(server.truth, windows, random)
    for after in breaks:
        server.breaks_at = server.requests + after
        if not run_interrupted(ranges, server, store, additivity, seed):
            break
    server.breaks_at = None
    assert run(ranges, server, store, additivity) <= most_requests(ranges, additivity)
    if additivity is Additivity.PROVED:
        assert run(ranges, server, store, additivity) <= 5 * len(ranges)


@modest
@given(some_ranges(), seeds, st.sampled_from([0, 1, 30, 300]))
def test_unproved_and_not_additive(ranges: list[Range], seed: int, uses_a_day: int) -> None:
    random = Random(seed)
    start, end = min(r.start for r in ranges), max(r.end for r in ranges)
    span = int((end - start).total_seconds())
    moments = [start + timedelta(seconds=random.randrange(span)) for _ in range(uses_a_day * span // 86_400)]
    uses = [Use(f"Agente {random.randrange(9)}", at, random.randrange(5, 400)) for at in moments]
    server = Touching(uses)
    store = Store()
    count = run(ranges, server, store, Additivity.UNPROVED)
    assert count <= len(windows_of(ranges)) + 30
    assert not any(proof.holds for proof in store.proofs)
    assert all(no_derived(store, r) for r in ranges)


@pytest.mark.parametrize("seed", range(6))
def test_seconds_may_fall_in_another_window_than_the_use(seed: int) -> None:
    """An API that spreads a use's seconds over the windows it lasts is additive as well."""
    random = Random(seed)
    truth: dict[datetime, Agents] = {}
    for n in range(0, 288, 3):
        truth[MONDAY + n * WINDOW] = {"Ana": Usage(1, random.randrange(300), 0, 17)}
        truth[MONDAY + (n + 1) * WINDOW] = {"Ana": Usage(0, random.randrange(1, 300), 0, 0)}
    r = Range(MONDAY, MONDAY + timedelta(days=1))
    store = Store()
    assert run([r], Server(truth), store, seed=seed) <= 291
    assert not store.proofs
