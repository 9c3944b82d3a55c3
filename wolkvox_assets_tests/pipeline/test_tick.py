"""A tick with a real store and a real server: what is asked, in which order, and that nothing keeps anything back."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from typing import Self

import duckdb
import pytest

from wolkvox_assets.api import ConnectionFailed, QuotaUsedUp, TokenRefused
from wolkvox_assets.pipeline import to_do
from wolkvox_assets.pipeline.attempts import waits_until
from wolkvox_assets.pipeline.commit import Batch
from wolkvox_assets.pipeline.pauses import remember_failure
from wolkvox_assets.pipeline.quota import ReserveReached
from wolkvox_assets.pipeline.tick import Outcome, Tick, seconds_left
from wolkvox_assets.report.windows import WINDOW, Range
from wolkvox_assets.settings import Operation
from wolkvox_assets.simulator.centre import Use
from wolkvox_assets.store import OtherSource, Store, StoreError
from wolkvox_assets.store.attempts import FailureScope, Work
from wolkvox_assets.store.quota_readings import quotas_seen
from wolkvox_assets.store.sources import OperationSource, record
from wolkvox_assets.sync import BadAnswers
from wolkvox_assets_tests.pipeline.conftest import LIVE_FROM, NOON, START, TODAY, TOKENS, Place

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
FIRST = datetime.combine(START, datetime.min.time())
LIVE = Range(LIVE_FROM, TODAY + 12 * HOUR)
"""Windows that ended a minute ago or more, and less than 70 minutes ago."""
GAP = Range(TODAY + 3 * HOUR, TODAY + 4 * HOUR)


class Reached(float):
    """A moment that is reached when this is so, however fast the machine is."""

    def __new__(cls, is_so: Callable[[], bool]) -> Self:
        made = super().__new__(cls, 1e18)
        made.is_so = is_so
        return made

    is_so: Callable[[], bool]

    def __le__(self, other: float) -> bool:
        return self.is_so()


class Done:
    """A whole tick: what each commit stored, and what became of each operation."""

    def __init__(self, place: Place, *groups: Sequence[str], until: float = float("inf")) -> None:
        tick = Tick([[place.site(name) for name in group] for group in groups], MINUTE, until)
        self.outcomes = tick.outcomes
        self.commits: list[dict[str, Batch]] = []
        with closing(tick):
            for group in groups:
                for name in group:
                    self.commits += tick.commits(name)

    @property
    def outcome(self) -> Outcome:
        return self.outcomes["main"]


def places(asked: Sequence[Range], range_: Range) -> list[int]:
    """Where in the order of requests this range_, or some of it, was asked for."""
    found = [n for n, r in enumerate(asked) if range_.start <= r.start and r.end <= range_.end]
    assert found
    return found


@pytest.fixture
def lived(place: Place) -> Place:
    """Since yesterday, nobody used anything, and all is known and proved, but for the live windows and an hour."""
    place.simulator.centre.silence(FIRST, LIVE_FROM - timedelta(seconds=1))
    place.fill(FIRST, LIVE_FROM)
    place.prove()
    place.forget(GAP)
    return place


def assert_true(place: Place, range_: Range, operation: str = "main") -> None:
    """What is stored of these windows is what the server says, and all of them are known."""
    assert [w for w in place.known(operation) if range_.start <= w < range_.end] == list(range_.windows())
    with place.store.reading() as con:
        assert con is not None
        stored = con.execute(
            "SELECT agent_name, SUM(hold_mute_count)::BIGINT, SUM(total_seconds)::BIGINT FROM agent_9_windows"
            " WHERE operation = $operation AND window_start >= $start AND window_start < $end GROUP BY 1 ORDER BY 1",
            {"operation": operation, "start": range_.start, "end": range_.end},
        ).fetchall()
    truth = place.simulator.truth(range_.start, range_.end - timedelta(seconds=1))
    assert stored == [(agent, use.hold_mute_count, use.total_seconds) for agent, use in sorted(truth.items())]


# What is done, and in which order


def test_what_all_wait_for_is_read_once(lived: Place) -> None:
    """In a lake each query costs, however little it reads."""
    read: list[int] = []

    def counted(
        con: duckdb.DuckDBPyConnection, quotas: Mapping[object, Sequence[str]], now: datetime
    ) -> object:
        read.append(len(quotas))
        return quotas_seen(con, quotas, now)

    def known_of(store: Store, operations: Sequence[Operation], now: datetime) -> dict[str, to_do.Known]:
        looked_at.append([operation.name for operation in operations])
        return known(store, operations, now)

    looked_at, known = list[list[str]](), to_do.known_of
    lived.monkeypatch.setattr(to_do, "known_of", known_of)
    for name in ("near", "south"):
        lived.fill(FIRST, TODAY + 12 * HOUR, name)
    lived.fill(LIVE_FROM, TODAY + 12 * HOUR)
    lived.fill(GAP.start, GAP.end)
    lived.monkeypatch.setattr("wolkvox_assets.pipeline.quota.quotas_seen", counted)
    with lived.monkeypatch.context() as nothing_due:
        nothing_due.setattr("wolkvox_assets.pipeline.to_do.to_verify", lambda *_: [])
        outcomes = Done(lived, ["main", "near"], ["south"]).outcomes
    assert all(outcome.done and not outcome.failed for outcome in outcomes.values())
    assert (read, lived.asked()) == ([1], [])  # they share one
    assert looked_at == [["main", "near", "south"]]


def test_new_windows_first_then_what_is_due_to_be_verified_then_recent_gaps(lived: Place) -> None:
    late = Use(TODAY + 9 * HOUR + 2 * MINUTE, lived.simulator.centre.names[0], "hold", 77)
    lived.simulator.centre.add(late)
    done = Done(lived, ["main"])
    asked = lived.asked()
    live = places(asked, LIVE)
    newest = list(LIVE.windows())[:1:-1]  # the two before them have settled: asked as a range
    assert asked[: len(newest)] == [Range(w, w + WINDOW) for w in newest]
    assert len(live) <= len(LIVE) + 1  # and one is audited
    gap = places(asked, GAP)
    assert len(gap) == 1  # it is empty
    verified = sorted(set(range(len(asked))) - {*live, *gap})
    assert max(live) < min(verified)
    assert max(verified) < min(gap)
    assert len(verified) <= 25  # one where nothing changed; a late record costs a dozen
    assert done.outcome.succeeded == {Work.LIVE, Work.RECENT}
    assert done.outcome.failed == []
    assert_true(lived, Range(FIRST, LIVE.end))
    # What nobody used since is verified for the day.
    lived.simulator.reset_counters()
    done = Done(lived, ["main"])
    assert lived.simulator.counters.requests == 0
    assert (done.outcome.succeeded, done.outcome.failed, done.outcome.waits) == (set(), [], None)


def test_the_next_tick_asks_what_has_closed_since_and_nothing_else(lived: Place) -> None:
    Done(lived, ["main"])
    lived.simulator.reset_counters()
    lived.now += 5 * MINUTE
    Done(lived, ["main"])
    assert lived.asked() == [Range(LIVE.end, LIVE.end + WINDOW)]
    assert_true(lived, Range(FIRST, LIVE.end + WINDOW))


def test_gaps_in_several_places_cost_what_one_range_does_and_the_newest_come_first(lived: Place) -> None:
    gaps = [Range(TODAY + h * HOUR, TODAY + (h + 1) * HOUR) for h in (8, 3)]
    gaps.append(Range(FIRST + 9 * HOUR, FIRST + 14 * HOUR))
    lived.forget(gaps[0])
    lived.forget(gaps[2])
    Done(lived, ["main"])
    asked = lived.asked()
    # All of them are settled: an empty answer settles each.
    assert [r for r in asked if any(g.start <= r.start and r.end <= g.end for g in gaps)] == gaps
    assert_true(lived, Range(FIRST, LIVE.end))


def test_gaps_of_three_days_and_nothing_older(place: Place) -> None:
    place.simulator.centre.silence(datetime(2026, 11, 1), LIVE_FROM - timedelta(seconds=1))
    place.starts["main"] = date(2026, 11, 1)
    place.prove()
    Done(place, ["main"])
    assert place.known() == list(Range(datetime(2026, 11, 15), LIVE.end).windows())


def test_nothing_is_asked_after_its_time_and_the_next_tick_goes_on(lived: Place) -> None:
    done = Done(lived, ["main"], until=time.monotonic())
    assert lived.simulator.counters.requests == 0
    assert (done.outcome.succeeded, done.outcome.failed, done.outcome.stopped) == (set(), [], None)
    done = Done(lived, ["main"], until=Reached(lambda: len(lived.asked()) >= 4))
    asked = lived.asked()
    assert len(asked) == 4
    assert done.outcome.succeeded == set()
    assert done.outcome.failed == []
    # What was asked is stored, the newest first.
    assert [w for w in lived.known() if w >= LIVE.start] == sorted(r.start for r in asked)
    assert asked[0].end == LIVE.end
    Done(lived, ["main"])
    assert_true(lived, Range(FIRST, LIVE.end))
    assert len(set(lived.asked())) == len(lived.asked())  # nothing twice


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is fetched is committed at once."""
    monkeypatch.setattr("wolkvox_assets.pipeline.loading._SHORTEST_PACE_SECONDS", 0.05)
    monkeypatch.setattr("wolkvox_assets.pipeline.loading._LONGEST_PACE_SECONDS", 0.05)


def test_all_of_an_operation_has_been_taken_over_before_it_is_done(lived: Place, hurried: None) -> None:
    """Also where whoever marks what was stored is slower than the requests."""
    with lived.store.transaction() as con:
        con.execute("DELETE FROM additivity_proofs")  # each window by itself
    lived.simulator.faults.latency = 0.02
    with closing(Tick([[lived.site()]], MINUTE, float("inf"))) as tick:
        taken: set[datetime] = set()
        for stored in tick.commits("main"):
            new = {window.window_start for batch in stored.values() for window in batch.windows}
            taken |= new
            if new & set(GAP.windows()):
                time.sleep(0.5)
        assert taken >= {*LIVE.windows(), *GAP.windows()}


# Several operations


def test_operations_with_one_token_take_turns_and_live_windows_of_all_come_first(place: Place) -> None:
    place.starts = {"main": TODAY.date(), "near": TODAY.date()}
    place.simulator.centre.silence(FIRST, LIVE_FROM - timedelta(seconds=1))
    for name in ("main", "near"):
        place.fill(TODAY, LIVE_FROM, name)
        place.prove(name)
    place.forget(GAP)
    done = Done(place, ["main", "near"])
    assert place.simulator.counters.most_in_flight == 1
    asked = place.asked()
    live = places(asked, LIVE)
    assert live == list(range(len(live)))
    assert 28 <= len(live) <= 30  # 14 of each, and audits
    assert len(places(asked, GAP)) == 2
    assert {name: outcome.failed for name, outcome in done.outcomes.items()} == {"main": [], "near": []}
    for name in ("main", "near"):
        assert_true(place, Range(TODAY, LIVE.end), name)


def test_requests_with_different_tokens_overlap_and_what_arrives_together_is_committed_together(
    place: Place,
) -> None:
    for name in ("main", "south"):
        place.starts[name] = TODAY.date()
        place.fill(TODAY, LIVE_FROM, name)
    place.simulator.centre.silence(FIRST, LIVE_FROM - timedelta(seconds=1))
    place.simulator.faults.latency = 0.1
    done = Done(place, ["main"], ["south"])
    counters = place.simulator.counters
    assert counters.max_in_flight == {"token-a": 1, "token-b": 1}
    times = {
        token: [(seen.started, seen.ended or seen.started) for seen in counters.log if seen.token == token]
        for token in ("token-a", "token-b")
    }
    overlaps = sum(a < d and c < b for a, b in times["token-a"] for c, d in times["token-b"])
    assert overlaps >= 3
    assert any(
        len(stored) == 2 and all(batch.windows for batch in stored.values()) for stored in done.commits
    )
    for name in ("main", "south"):
        assert_true(place, Range(TODAY, LIVE.end), name)


def test_the_failure_of_one_operation_keeps_nothing_from_the_others(place: Place) -> None:
    for name in ("main", "near", "south"):
        place.starts[name] = TODAY.date()
        place.fill(TODAY, LIVE_FROM, name)
        place.prove(name)
    place.simulator.centre.silence(FIRST, LIVE_FROM - timedelta(seconds=1))
    place.forget(GAP)
    place.simulator.api.operations[0].tokens = ("token-a",)  # token-b is refused
    with place.store.transaction() as con:
        record(con, "main", OperationSource("https://elsewhere.example", "0013", "America/Bogota"))
    done = Done(place, ["main", "near"], ["south"])
    errors = {name: [type(f.error) for f in outcome.failed] for name, outcome in done.outcomes.items()}
    assert errors == {"main": [OtherSource], "near": [], "south": [TokenRefused]}
    assert [f.work for f in done.outcomes["south"].failed] == [Work.LIVE]
    assert done.outcomes["south"].failed[0].windows == list(LIVE.windows())
    assert place.simulator.counters.by_token["token-b"] == 1
    assert_true(place, Range(TODAY, LIVE.end), "near")
    assert done.outcomes["near"].succeeded == {Work.LIVE, Work.RECENT}


# What fails, waits and rests


def test_a_window_that_cannot_be_read_keeps_nothing_waiting_and_rests(lived: Place) -> None:
    bad = LIVE.end - 4 * WINDOW
    lived.unreadable = frozenset({bad})
    done = Done(lived, ["main"])
    [failed] = done.outcome.failed
    assert isinstance(failed.error, BadAnswers)
    assert (failed.work, failed.error.given_up) == (Work.LIVE, False)
    assert lived.known() == [w for w in Range(FIRST, LIVE.end).windows() if w != bad]
    assert done.outcome.succeeded == {Work.RECENT}
    lived.simulator.reset_counters()
    assert Done(lived, ["main"]).outcome.failed == []
    assert lived.simulator.counters.requests == 0  # it rests
    lived.now += 31 * MINUTE  # tried twice: there was no verdict on a total row before
    lived.unreadable = frozenset()
    Done(lived, ["main"])
    assert bad in lived.known()


def test_an_hour_of_live_windows_that_cannot_be_read_is_no_matter_of_these_windows(lived: Place) -> None:
    lived.unreadable = frozenset(LIVE.windows())
    [failed] = Done(lived, ["main"]).outcome.failed
    remember_failure(lived.site(), failed.work, failed.error)
    assert [attempt.scope for attempt in lived.open_failures()] == [FailureScope.OPERATION]


def test_after_a_refused_token_nothing_is_asked_until_it_is_another_one(lived: Place) -> None:
    lived.simulator.api.operations[0].tokens = ("token-b",)
    [failed] = Done(lived, ["main"]).outcome.failed
    assert isinstance(failed.error, TokenRefused)
    assert lived.simulator.counters.requests == 1
    remember_failure(lived.site(), failed.work, failed.error)
    outcome = Done(lived, ["main"]).outcome
    assert outcome.failed == []
    assert "TokenRefused in run 0badf00d" in str(outcome.waits)
    assert lived.simulator.counters.requests == 1
    lived.monkeypatch.setitem(TOKENS, "main", "token-b")
    assert Done(lived, ["main"]).outcome.succeeded == {Work.LIVE, Work.RECENT}
    assert lived.open_failures() == []


def test_live_windows_that_work_again_end_the_pause_of_all_else_in_the_same_tick(lived: Place) -> None:
    lived.now -= 3 * MINUTE
    remember_failure(lived.site(), Work.LIVE, ConnectionFailed("nobody there"))
    lived.now += 3 * MINUTE
    assert waits_until(lived.open_failures(), Work.RECENT, lived.now) is not None
    done = Done(lived, ["main"])
    assert done.outcome.waits is None
    assert_true(lived, Range(FIRST, LIVE.end))
    assert lived.open_failures() == []


def test_a_used_up_quota_stops_it_and_nothing_is_wrong(lived: Place) -> None:
    lived.simulator.api.operations[0].daily_limit = 1000
    lived.simulator.api.operations[0].spend(1000, NOON)  # by someone else
    done = Done(lived, ["main", "near"])
    assert lived.simulator.counters.requests <= 2
    assert not any(outcome.failed for outcome in done.outcomes.values())
    assert isinstance(done.outcome.stopped, ReserveReached | QuotaUsedUp)
    lived.simulator.reset_counters()
    lived.now += 5 * MINUTE
    assert "quota of main is used up" in str(Done(lived, ["main"]).outcome.waits)
    assert lived.simulator.counters.requests == 0


def test_what_was_fetched_is_kept_when_it_is_stopped(lived: Place, hurried: None) -> None:
    lived.simulator.faults.latency = 0.1
    tick = Tick([[lived.site()]], MINUTE, float("inf"))
    next(tick.commits("main"))
    time.sleep(0.3)
    tick.close()
    asked = lived.asked()
    assert [w for w in lived.known() if w >= LIVE.start] == sorted(r.start for r in asked)
    assert 2 <= len(asked) < len(LIVE)
    requests = lived.simulator.counters.requests
    time.sleep(0.2)
    assert lived.simulator.counters.requests == requests  # nothing goes on behind it


def test_what_cannot_be_stored_is_told_to_each_operation(
    lived: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> float:
        raise StoreError("the disk is full")

    monkeypatch.setattr("wolkvox_assets.pipeline.loading.commit", full)
    tick = Tick([[lived.site("main"), lived.site("near")]], MINUTE, float("inf"))
    for name in ("main", "near"):
        with pytest.raises(StoreError, match="the disk is full"):
            list(tick.commits(name))
    tick.close()
    assert [w for w in lived.known() if w >= LIVE.start] == []


@pytest.mark.parametrize(
    ("minute", "second", "due"), [(1, 0, 6), (0, 59, 1), (5, 59, 6), (6, 0, 11), (59, 0, 61)]
)
def test_when_the_next_tick_is_due(minute: int, second: int, due: int) -> None:
    hour = NOON.replace(minute=0)
    now = hour + timedelta(minutes=minute, seconds=second)
    assert seconds_left(now, MINUTE) == (hour + due * MINUTE - now).total_seconds() - 15
