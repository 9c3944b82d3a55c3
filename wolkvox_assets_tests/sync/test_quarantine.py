"""One window whose answer can't be read keeps no other out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wolkvox_assets.report.measures import Agents, Usage, add_up
from wolkvox_assets.report.windows import Range
from wolkvox_assets.sync import (
    Additivity,
    Ask,
    BadAnswers,
    Known,
    LeftOut,
    Quarantine,
    Source,
    Step,
    Sync,
)
from wolkvox_assets_tests.sync.model import LATER, Lying, Server, Store

START = datetime(2026, 3, 1)
WINDOW = timedelta(minutes=5)


class Unreadable(Exception):
    pass


class NothingStored:
    def known(self, r: Range, /) -> int:
        return 0

    def totals(self, r: Range, /) -> Agents:
        return {}

    def derived(self, r: Range, /) -> Sequence[datetime]:
        return []

    def not_asked(self, r: Range, /) -> Sequence[datetime]:
        return []

    def asked(self, r: Range, /) -> Mapping[datetime, bool]:
        return {}

    def busy_hours(self, day: date, /) -> Range | None:
        return None


def test_windows_that_could_be_read_and_not_be_told_are_no_reason_to_give_up() -> None:
    def ask(r: Range, /) -> Agents:
        raise Unreadable

    windows = Range(START, START + 8 * WINDOW)
    for unsure, given_up in (((), True), (Unreadable, False)):
        with pytest.raises(BadAnswers) as left_out:
            list(
                Quarantine(
                    ask,
                    Additivity.FAILED,
                    Sync(NothingStored(), windows.end, 1).reconcile,
                    bad=Unreadable,
                    unsure=unsure,
                    give_up_after=3,
                ).reconcile([windows])
            )
        assert left_out.value.given_up is given_up


@settings(max_examples=60)
@given(
    bad=st.sets(st.integers(0, 600), max_size=3),
    additivity=st.sampled_from([Additivity.PROVED, Additivity.FAILED, Additivity.UNPROVED]),
    used=st.sets(st.integers(0, 600), max_size=12),
)
def test_all_but_the_bad_windows_are_known_in_the_end(
    bad: set[int], additivity: Additivity, used: set[int]
) -> None:
    whole = Range(START, START + 601 * WINDOW)
    broken = {START + n * WINDOW for n in bad}
    uses = {START + n * WINDOW: {"Ana": Usage(1, 5, 0, 5)} for n in used}
    asked = 0

    def ask(r: Range, /) -> Agents:
        nonlocal asked
        asked += 1
        if any(r.start <= window < r.end for window in broken):
            raise Unreadable(str(r))
        count = sum(r.start <= window < r.end for window in uses)
        return {"Ana": Usage(count, 5 * count, 0, 5 * count)} if count else {}

    make = Sync(NothingStored(), whole.end, 1).reconcile

    found: dict[datetime, Agents] = {}

    def run() -> None:
        for step in Quarantine(ask, additivity, make, bad=Unreadable).reconcile([whole]):
            match step:
                case Known(window=window, agents=agents):
                    found[window] = agents
                case _:
                    if hasattr(step, "range") and hasattr(step, "source"):
                        found.update((window, {}) for window in step.range.windows())

    if broken:
        with pytest.raises(BadAnswers):
            run()
    else:
        run()
    assert found == {w: uses.get(w, {}) for w in whole.windows() if w not in broken}
    if additivity is Additivity.PROVED:
        # Narrowing costs about two requests a halving, beside what the uses cost anyway.
        assert asked <= 1 + 40 * (len(bad) + len(used)) + 20


def test_other_errors_pass_at_once() -> None:
    def ask(r: Range, /) -> Agents:
        raise ConnectionError

    def make(ranges: Sequence[Range], ask: Ask, additivity: Additivity) -> Iterator[Step]:
        for r in ranges:
            yield Known(r.start, ask(r), Source.ASKED)

    with pytest.raises(ConnectionError):
        list(
            Quarantine(ask, Additivity.PROVED, make, bad=Unreadable).reconcile([Range(START, START + WINDOW)])
        )


@pytest.mark.parametrize("additivity", Additivity)
def test_where_nothing_can_be_read_it_is_not_the_windows_and_few_requests_find_out(
    additivity: Additivity,
) -> None:
    """A vendor has renamed a column: every answer that is not empty is unreadable."""
    whole = Range(START, START + 8 * 288 * WINDOW)
    asked = 0

    def ask(r: Range, /) -> Agents:
        nonlocal asked
        asked += 1
        if any(7 <= window.hour < 19 for window in r.windows()):
            raise Unreadable(str(r))
        return {}

    make = Sync(NothingStored(), whole.end, 1).reconcile

    with pytest.raises(BadAnswers, match="the windows are not the cause"):
        list(Quarantine(ask, additivity, make, bad=Unreadable, give_up_after=12).reconcile([whole]))
    assert asked <= 120


@pytest.mark.parametrize("additivity", Additivity)
def test_a_bad_hour_keeps_no_history_out(additivity: Additivity) -> None:
    whole = Range(START, START + 8 * 288 * WINDOW)
    bad = set(
        Range(START + 7 * 288 * WINDOW + 120 * WINDOW, START + 7 * 288 * WINDOW + 132 * WINDOW).windows()
    )

    def ask(r: Range, /) -> Agents:
        if any(r.start <= window < r.end for window in bad):
            raise Unreadable(str(r))
        return {"Ana": Usage(len(r), 5 * len(r), 0, 5 * len(r))}

    make = Sync(NothingStored(), whole.end, 1).reconcile

    found = set()

    def run() -> None:
        for step in Quarantine(ask, additivity, make, bad=Unreadable, give_up_after=12).reconcile([whole]):
            if isinstance(step, Known):
                found.add(step.window)

    with pytest.raises(BadAnswers, match="12 windows could not be fetched"):
        run()
    assert found == set(whole.windows()) - bad


def test_many_bad_windows_among_good_ones_keep_no_other_out() -> None:
    whole = Range(START, START + 100 * WINDOW)
    bad = [START + n * WINDOW for n in range(0, 100, 2)]

    def ask(r: Range, /) -> Agents:
        if any(r.start <= window < r.end for window in bad):
            raise Unreadable(str(r))
        return {"Ana": Usage(1, 5, 0, 5)}

    make = Sync(NothingStored(), whole.end, 1).reconcile

    found = set()

    def run() -> None:
        for step in Quarantine(ask, Additivity.FAILED, make, bad=Unreadable).reconcile([whole]):
            if isinstance(step, Known):
                found.add(step.window)

    with pytest.raises(BadAnswers):
        run()
    assert found == set(whole.windows()) - set(bad)


class Slow(Exception):
    pass


@pytest.mark.parametrize("additivity", Additivity)
@pytest.mark.parametrize("days_in_time", [1, 3, 20])
def test_where_long_ranges_are_not_answered_in_time_it_asks_shorter_ones(
    additivity: Additivity, days_in_time: int
) -> None:
    whole = Range(START, START + 30 * 288 * WINDOW)
    uses = {START + n * 500 * WINDOW: {"Ana": Usage(1, 5, 0, 5)} for n in range(17)}
    in_vain = 0

    def ask(r: Range, /) -> Agents:
        nonlocal in_vain
        if len(r) > days_in_time * 288:
            in_vain += 1
            raise Slow(str(r))
        return add_up(a for w, a in uses.items() if r.start <= w < r.end)

    make = Sync(NothingStored(), whole.end, 1).reconcile

    found: dict[datetime, Agents] = {}
    for step in Quarantine(ask, additivity, make, bad=Unreadable, slow=Slow).reconcile([whole]):
        match step:
            case Known(window=window, agents=agents):
                found[window] = agents
            case _ if hasattr(step, "range") and hasattr(step, "source"):
                found.update((window, {}) for window in step.range.windows())
            case _:
                pass
    assert found == {w: uses.get(w, {}) for w in whole.windows()}
    assert in_vain <= 5  # a month is halved five times down to a day


@pytest.mark.parametrize("additivity", [Additivity.PROVED, Additivity.UNPROVED])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("days_taken", [1, 10])
def test_where_long_ranges_are_answered_as_empty_and_are_not_it_asks_shorter_ones(
    days_taken: int, known: bool, additivity: Additivity
) -> None:
    """The words for an empty range are those for a bad one [F]."""
    truth = {START + hour * 12 * WINDOW: {"Ana": Usage(2, 90, 0, 90)} for hour in range(30 * 24)}
    whole = Range(START, START + 30 * 288 * WINDOW)
    server, store = Lying(truth, lambda r, agents: {} if len(r) > days_taken * 288 else agents), Store()
    if known:
        store.fill(truth, whole)

    make = Sync(store, whole.end, 1).reconcile

    quarantine = Quarantine(server, additivity, make, bad=Unreadable, doubtful=lambda *_: True)
    for step in quarantine.reconcile([whole]):
        store.apply(step)
    assert {window: agents for window, agents in store.content().items() if agents} == truth
    assert not known or server.requests < 60


@pytest.mark.parametrize(("doubtful", "requests"), [(False, 1), (True, 5)])
def test_of_an_empty_long_range_some_days_are_asked_only_where_it_is_doubtful(
    doubtful: bool, requests: int
) -> None:
    server = Server({})

    make = Sync(Store(), LATER, 1).reconcile

    def is_doubtful(empty: Range, until: datetime) -> bool:
        return doubtful and until > empty.end

    quarantine = Quarantine(server, Additivity.PROVED, make, bad=Unreadable, doubtful=is_doubtful)
    list(quarantine.reconcile([Range(START, START + 30 * 288 * WINDOW)]))
    assert server.requests == requests


def test_a_short_range_that_is_not_answered_in_time_is_heard() -> None:
    def ask(r: Range, /) -> Agents:
        raise Slow(str(r))

    def make(ranges: Sequence[Range], ask: Ask, additivity: Additivity) -> Iterator[Step]:
        for r in ranges:
            yield Known(r.start, ask(r), Source.ASKED)

    with pytest.raises(Slow):
        list(
            Quarantine(ask, Additivity.PROVED, make, bad=Unreadable, slow=Slow).reconcile(
                [Range(START, START + 9000 * WINDOW)]
            )
        )


class Fault(Exception):
    pass


class Troubled:
    """Fails for ranges that `fails` names; counts every request. Patience is 20 requests."""

    def __init__(self, fails: Callable[[Range], bool]) -> None:
        self.fails = fails
        self.requests = 0
        self.known: set[datetime] = set()
        self.left_out: set[datetime] = set()

    def ask(self, r: Range, requests: int | None = None, /) -> Agents:
        for _ in range(requests or 20):
            self.requests += 1
            if not self.fails(r):
                return {"Ana": Usage(len(r), 5 * len(r), 0, 5 * len(r))}
        raise Fault(str(r))

    def run(self, whole: Range, additivity: Additivity) -> None:
        make = Sync(NothingStored(), whole.end, 1).reconcile

        for step in Quarantine(
            self.ask, additivity, make, bad=Unreadable, faults=Fault, ask_briefly=self.ask
        ).reconcile([whole]):
            if isinstance(step, Known):
                self.known.add(step.window)
            if isinstance(step, LeftOut):
                self.left_out.update(w for r in step.ranges for w in r.windows())


TWO_DAYS = Range(START, START + 2 * 288 * WINDOW)


@pytest.mark.parametrize("additivity", Additivity)
@pytest.mark.parametrize("bad", [0, 300, 575])
def test_one_window_that_fails_while_others_are_answered_is_left_out(
    additivity: Additivity, bad: int
) -> None:
    window = START + bad * WINDOW
    server = Troubled(lambda r: r.start <= window < r.end)
    with pytest.raises(BadAnswers):
        server.run(TWO_DAYS, additivity)
    assert server.known == set(TWO_DAYS.windows()) - {window}
    assert server.left_out == {window}
    assert server.requests <= len(TWO_DAYS) + 30 + 50


def test_a_lone_window_that_fails_is_told_from_an_outage_by_another() -> None:
    server = Troubled(lambda r: r.start == START)
    with pytest.raises(BadAnswers):
        server.run(Range(START, START + WINDOW), Additivity.FAILED)
    assert server.requests == 3 + 1 + 3


@pytest.mark.parametrize("windows", [1, 8000])
def test_an_outage_is_waited_for_and_ends_with_one_failure_and_few_requests(windows: int) -> None:
    server = Troubled(lambda r: True)
    with pytest.raises(Fault):
        server.run(Range(START, START + windows * WINDOW), Additivity.PROVED)
    assert not server.left_out
    assert server.requests <= 3 + 2 + 20 + 2


def test_a_short_outage_in_the_middle_leaves_nothing_out() -> None:
    server = Troubled(lambda r: False)
    server.fails = lambda r: 100 <= server.requests < 115
    server.run(TWO_DAYS, Additivity.FAILED)
    assert server.known == set(TWO_DAYS.windows())


def test_where_each_range_over_a_day_fails_shorter_ones_are_asked_from_then_on() -> None:
    server = Troubled(lambda r: len(r) > 288)
    server.run(Range(START, START + 30 * 288 * WINDOW), Additivity.PROVED)
    assert len(server.known) == 30 * 288
    in_vain = 0
    server = Troubled(lambda r: len(r) > 288)
    fails = server.fails

    def counted(r: Range) -> bool:
        nonlocal in_vain
        in_vain += fails(r)
        return fails(r)

    server.fails = counted
    server.run(Range(START, START + 30 * 288 * WINDOW), Additivity.PROVED)
    assert in_vain <= 12
