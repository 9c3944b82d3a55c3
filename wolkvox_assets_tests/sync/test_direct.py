from collections.abc import Callable
from datetime import timedelta
from itertools import islice

import pytest

from wolkvox_assets.report.measures import Agents, Usage
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import Range, one
from wolkvox_assets.sync import Additivity, Known, Source, Sync, TimesIgnored, ask_directly
from wolkvox_assets_tests.sync.driver import run
from wolkvox_assets_tests.sync.model import (
    DAY,
    LATER,
    MONDAY,
    Interrupted,
    Server,
    Store,
    Touching,
    Use,
    busy,
)

MUCH = {"Ana": Usage(3, 200, 101, 301)}
HOUR = Range(MONDAY, MONDAY + timedelta(hours=1))


def test_one_request_a_window_and_the_newest_first() -> None:
    server = Server(busy(DAY))
    steps = list(ask_directly([DAY], server))
    assert server.asked == [one(w) for w in reversed(list(DAY.windows()))]
    assert [step.window for step in steps] == [r.start for r in server.asked]


def test_rows_of_zeros_are_kept() -> None:
    answer = {"Ana": AGENT_9.nothing, "José": Usage(1, 2, 3, 5)}
    assert list(ask_directly([one(MONDAY)], lambda _: answer)) == [Known(MONDAY, answer, Source.ASKED)]


class Deaf(Server):
    """Answers for another range than it is asked for."""

    def __init__(self, hears: Callable[[Range], Range]) -> None:
        super().__init__(busy(DAY, agents=2, first_hour=0, last_hour=24))
        self.hears = hears

    def answer(self, r: Range) -> Agents:
        return super().answer(self.hears(r))


DEAF: dict[str, Callable[[Range], Range]] = {
    "always the same": lambda _: DAY,
    "from then to now": lambda r: Range(r.start, DAY.end),
    "from midnight to then": lambda r: Range(DAY.start, r.end),
}


@pytest.mark.parametrize("additivity", Additivity)
@pytest.mark.parametrize("hears", DEAF.values(), ids=DEAF.keys())
def test_of_a_server_that_ignores_the_times_nothing_is_stored(
    hears: Callable[[Range], Range], additivity: Additivity
) -> None:
    store, server = Store(), Deaf(hears)
    noon = Range(MONDAY + timedelta(hours=12), MONDAY + timedelta(hours=13))
    with pytest.raises(TimesIgnored, match="12 windows from 2026-11-16 12:00:00 to 2026-11-16 12:55:00"):
        store.apply_all(Sync(store, DAY.start, 1).reconcile([noon], server, additivity))
    assert store.content() == {}
    assert server.requests == 13


@pytest.mark.parametrize("hears", DEAF.values(), ids=DEAF.keys())
@pytest.mark.parametrize("additivity", [Additivity.PROVED, Additivity.UNPROVED])
def test_nor_is_what_was_taken_for_a_part_of_it(
    hears: Callable[[Range], Range], additivity: Additivity
) -> None:
    """It was proved before that ranges add up: the first answers that don't were for windows, too."""
    store, server = Store(), Deaf(hears)
    late = Range(MONDAY + timedelta(hours=6), DAY.end)
    with pytest.raises(TimesIgnored):
        store.apply_all(Sync(store, LATER, 1).reconcile([late], server, additivity))
    truth = {window: server.truth[window] for window in late.windows()}
    wrong = {window: agents for window, agents in store.content().items() if agents != truth[window]}
    assert not wrong


@pytest.mark.parametrize("additivity", [Additivity.FAILED, Additivity.UNPROVED])
@pytest.mark.parametrize(("seconds", "more"), [(300, 0), (301, 1)])
def test_the_same_every_five_minutes_is_no_fault(seconds: int, more: int, additivity: Additivity) -> None:
    """One request makes sure, where it is more than fits into a window."""
    server = Server({window: {"Robot": Usage(3, seconds, 0, seconds)} for window in DAY.windows()})
    proof = 24 + 1 if additivity is Additivity.UNPROVED else 0
    assert run([DAY], server, Store(), additivity) == 288 + proof + more


def test_nor_are_windows_alike_that_lie_apart() -> None:
    server = Server(dict.fromkeys(DAY.windows(), MUCH))
    apart = [one(window) for window in list(DAY.windows())[::-14]]
    assert len(list(ask_directly(apart, server))) == server.requests == 21


def test_nor_is_a_server_that_rounds() -> None:
    def rounds(r: Range) -> Agents:
        return {"Robot": Usage(3 * len(r), minutes := -(-301 * len(r) // 60) * 60, 0, minutes)}

    assert len(list(ask_directly([DAY], rounds))) == 288


def test_what_looks_so_by_chance_is_stored_in_its_turn() -> None:
    """Also where the next request fails."""
    newest_first = list(HOUR.windows())[::-1]
    server = Server(dict.fromkeys(newest_first[:-1], MUCH))
    assert [step.window for step in ask_directly([HOUR], server)] == newest_first
    server.breaks_at = server.requests + 5
    store = Store()
    with pytest.raises(Interrupted):
        store.apply_all(ask_directly([HOUR], server))
    assert sorted(store.content()) == sorted(newest_first[:4])


def test_nor_is_a_long_use_that_is_told_in_each_window_it_touches() -> None:
    uses = [Use("Ana", window, 10) for window in HOUR.windows() for _ in range(2)]
    server = Touching([*uses, Use("Ana", MONDAY, 4000)])
    assert len(list(ask_directly([HOUR], server))) == 12


def test_also_where_the_request_that_makes_sure_fails() -> None:
    server, store = Server(dict.fromkeys(HOUR.windows(), MUCH)), Store()
    server.breaks_at = 13
    with pytest.raises(Interrupted):
        store.apply_all(ask_directly([HOUR], server))
    assert sorted(store.content()) == list(HOUR.windows())


def test_a_run_that_is_stopped_keeps_what_was_answered() -> None:
    """It is no `Exception` that stops it."""
    answers = iter([MUCH] * 5)

    def ask(_: Range) -> Agents:
        for answer in answers:
            return answer
        raise KeyboardInterrupt

    kept = list[Known]()
    with pytest.raises(KeyboardInterrupt):
        kept.extend(ask_directly([HOUR], ask))
    assert len(kept) == 5


@pytest.mark.parametrize("whole", [{}, {"Ana": Usage(1, 100, 0, 100)}])
def test_a_whole_without_what_its_windows_have_shows_nothing(whole: Agents) -> None:
    """A server that ignores the times has it there as well."""
    asked = list(ask_directly([HOUR], lambda r: MUCH if len(r) == 1 else whole))
    assert [step.agents for step in asked] == [MUCH] * 12


@pytest.mark.parametrize("additivity", Additivity)
def test_a_single_window_is_asked_whatever_the_trust(additivity: Additivity) -> None:
    store = Store()
    server = Server(busy(DAY))
    assert run([one(MONDAY)], server, store, additivity) == 1
    assert store.sources(one(MONDAY)) == {"asked"}


def test_where_additivity_failed_everything_is_asked_directly() -> None:
    server = Server({})
    store = Store()
    store.fill({}, DAY, "derived")
    assert run([DAY], server, store, Additivity.FAILED) == 288
    assert store.sources(DAY) == {"asked"}


def test_windows_not_settled_yet_are_asked_directly_and_first() -> None:
    server = Server({})
    store = Store()
    assert run([DAY], server, store, settled_before=DAY.end - timedelta(minutes=61)) == 12 + 1
    assert all(len(r) == 1 for r in server.asked[:12])
    assert server.asked[0].end == DAY.end
    assert server.asked[12] == Range(DAY.start, DAY.end - timedelta(minutes=60))


def test_nothing_is_asked_before_it_is_wanted() -> None:
    server = Server({})
    steps = Sync(Store(), DAY.start, 1).reconcile([DAY, HOUR], server, Additivity.PROVED)
    assert server.requests == 0
    assert len(list(islice(steps, 5))) == 5
    assert server.requests == 5


def test_overlapping_ranges_are_asked_once() -> None:
    server = Server({})
    assert run([HOUR, DAY, HOUR], server, Store(), Additivity.FAILED) == 288


def test_no_ranges_no_requests() -> None:
    for additivity in Additivity:
        assert run([], Server({}), Store(), additivity) == 0


def test_what_ask_raises_passes_through() -> None:
    server = Server({}, breaks_at=1)
    for additivity in Additivity:
        server.breaks_at = server.requests + 1
        with pytest.raises(Interrupted):
            run([DAY], server, Store(), additivity)
