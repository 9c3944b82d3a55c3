"""What live operation costs, with a clock that is set: two hours of real ticks, counted by the server; and whole days,
tick by tick through duties, sync and quota guard.

What belongs here: counting requests over hours and days, which no real daemon can be waited for. What doesn't: runs.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from wolkvox_assets.api import Quota
from wolkvox_assets.orchestration.resources import WolkvoxResource
from wolkvox_assets.pipeline import due_work
from wolkvox_assets.pipeline.quota import QuotaGuard, Share
from wolkvox_assets.pipeline.reconcile import Site
from wolkvox_assets.pipeline.tick import Tick
from wolkvox_assets.report.measures import Agents, Usage, add_up
from wolkvox_assets.report.windows import WINDOW, Range, contiguous
from wolkvox_assets.settings import Operation
from wolkvox_assets.simulator import Centre, Simulator
from wolkvox_assets.simulator import Operation as Account
from wolkvox_assets.store.additivity import Verdict
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.quota_readings import QuotaReading, QuotaSeen
from wolkvox_assets.sync import Known, KnownEmpty, Proof, Sync, Verified
from wolkvox_assets_tests.sync.model import (
    Server,
    Store,
    Touching,
    Truth,
    busy,
    day_of,
    quiet,
    truth_of,
    uses_on,
)

START = date(2026, 11, 16)  # a Monday
BOGOTA = Operation(server="0013", start=START)
FIVE_DAYS = day_of(datetime(2026, 11, 16), 5)
DELAY = timedelta(minutes=1)


@dataclass
class Live:
    """An operation whose live windows are on, from the first minute of its history."""

    server: Server
    daily_limit: int
    store: Store = field(default_factory=Store)
    verified: dict[datetime, datetime] = field(default_factory=dict)
    verdict: Verdict | None = None
    reading: QuotaReading | None = None
    since_reading: int = 0
    requests: dict[date, int] = field(default_factory=dict)

    def tick(self, now: datetime) -> None:
        self._run(due_work.live_windows(BOGOTA, self.verified, now, DELAY), now)
        additivity = due_work.additivity_at(self.verdict, now)
        self._run(due_work.to_verify(BOGOTA, self._known, self._days(), additivity, now), now)

    def _known(self, r: Range) -> Mapping[datetime, datetime]:
        return {w: at for w, at in self.verified.items() if r.start <= w < r.end}

    def _days(self) -> Mapping[date, tuple[int, datetime]]:
        found: dict[date, list[datetime]] = {}
        for window, at in self.verified.items():
            found.setdefault(window.date(), []).append(at)
        return {day: (len(at), min(at)) for day, at in found.items()}

    def _run(self, windows: list[datetime], now: datetime) -> None:
        if not windows:
            return
        seen = QuotaSeen((self.reading,) if self.reading else (), since=self.since_reading)
        guard = QuotaGuard(Share(BOGOTA.clock, 0.2), seen, windows=len(windows), now=lambda: now)
        today = BOGOTA.clock.now(now).date()

        def count() -> None:
            self.requests[today] = self.requests.get(today, 0) + 1
            self.since_reading += 1
            guard.spent()

        def token_info() -> Quota:
            count()
            return Quota(
                limit=self.daily_limit,
                used_today=self.requests[today],
                used_today_all_tokens=self.requests[today],
            )

        def ask(r: Range) -> Agents:
            if (new := guard.check(token_info)) is not None:
                self.reading, self.since_reading = new, 1
            count()
            return self.server(r)

        settled_before = BOGOTA.clock.now(now - due_work.SETTLED_AFTER) - WINDOW
        additivity = due_work.additivity_at(self.verdict, now)
        steps = Sync(self.store, settled_before, 1).reconcile(contiguous(windows), ask, additivity)
        at = now.replace(tzinfo=None)
        for step in steps:
            self.store.apply(step)
            match step:
                case Known(window=window):
                    self.verified[window] = at
                case KnownEmpty(range=r) | Verified(range=r):
                    self.verified.update(dict.fromkeys(r.windows(), at))
                case Proof(holds=holds):
                    self.verdict = Verdict(now, holds, "seen")


def five_days(live: Live, late: Truth | None = None) -> list[int]:
    """Every tick of five days; the requests of each day. `late`: records that come two hours after their window."""
    now = datetime(2026, 11, 16, 5, 1, tzinfo=UTC)  # 00:01
    waiting = dict(late or {})
    while now < datetime(2026, 11, 21, 5, 0, tzinfo=UTC):
        for window in [w for w in waiting if BOGOTA.clock.end_utc(w) + timedelta(hours=2) < now]:
            truth = dict(live.server.truth)
            truth[window] = add_up((truth.get(window, {}), waiting.pop(window)))
            live.server.truth = truth
            live.server.starts = sorted(truth)
        live.tick(now)
        now += WINDOW
    return [live.requests[day] for day in sorted(live.requests)]


@pytest.mark.parametrize(
    ("truth", "licences"),
    [(busy(FIVE_DAYS), 1), (quiet(FIVE_DAYS, 30), 50), ({}, 1)],
    ids=["busy", "quiet", "empty"],
)
def test_a_live_day_costs_at_most_330_requests_from_the_first_day_on(truth: Truth, licences: int) -> None:
    """Also before additivity is proved, and where it never is; quota readings included, and with one licence."""
    live = Live(Server(truth), daily_limit=1000 * licences)
    days = five_days(live)
    assert len(days) == 5
    assert max(days) <= 330
    assert min(days) >= 288 + 22
    done = Range(FIVE_DAYS.start, FIVE_DAYS.end - timedelta(hours=1))
    assert live.store.known(done) == len(done)
    # Each day was verified when it had closed, and the two before it again.
    for n, times in enumerate((3, 3, 2, 1)):
        closed = datetime(2026, 11, 17 + n, 6, tzinfo=UTC)
        day = day_of(datetime(2026, 11, 16 + n))
        assert min(live.verified[w] for w in day.windows()) >= (
            closed + (times - 1) * timedelta(days=1)
        ).replace(tzinfo=None)
    # A busy live day is a proof; quiet ones prove nothing.
    assert (live.verdict is not None) == (len(truth) > 300)
    assert live.verdict is None or live.verdict.holds


def test_late_records_are_found_within_the_day_and_cost_some_requests_each() -> None:
    truth = busy(FIVE_DAYS, agents=5)
    late = {
        datetime(2026, 11, 16 + n, 8 + 2 * m, 25): {"Tardía": Usage(1, 42, 0, 42)}
        for n in range(4)
        for m in range(3)
    }
    live = Live(Server(truth), daily_limit=50_000)
    days = five_days(live, late)
    assert max(days) <= 330 + 3 * 14 + 25
    done = Range(FIVE_DAYS.start, FIVE_DAYS.end - timedelta(days=1))
    content = live.store.content()
    assert {w: content[w] for w in done.windows()} == truth_of(live.server, [done])
    assert live.verdict is not None
    assert live.verdict.holds


def test_where_ranges_do_not_add_up_every_window_is_asked_again_when_its_day_has_closed() -> None:
    live = Live(Touching(uses_on(FIVE_DAYS, 500)), daily_limit=50_000)
    days = five_days(live)
    assert live.verdict is not None
    assert not live.verdict.holds
    assert max(days[1:]) <= 2 * 288 + 10
    done = Range(FIVE_DAYS.start, FIVE_DAYS.end - timedelta(days=1))
    assert {w: live.store.content()[w] for w in done.windows()} == truth_of(live.server, [done])


def test_two_hours_of_ticks_counted_by_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From 23:06 to 01:01, over the end of the day and its being verified: no more than `five_days` has it."""
    now = datetime(2026, 11, 17, 4, 1, tzinfo=UTC)
    monkeypatch.setenv("WOLKVOX_TOKEN", "token-l-20")
    files = FileStore(tmp_path)
    with Simulator(Account(Centre(5), tokens=["token-l-20"]), clock=lambda: now) as simulator:
        simulator.api.date_header = False
        operation = Operation(server="0013", start=START, base_url=simulator.url)
        site = Site(operation, files, "0017", WolkvoxResource.of(operation).open_client, 1, lambda: now)

        def tick() -> int:
            """How many requests it made."""
            before = simulator.counters.requests
            one = Tick([[site]], DELAY, time.monotonic() + 60)
            for _ in one.commits("main"):
                pass
            one.close()
            outcome = one.outcomes["main"]
            assert (outcome.failed, outcome.stopped, outcome.waits) == ([], None, None)
            return simulator.counters.requests - before

        tick()  # all that the day has been
        requests = []
        for _ in range(2 * 12):
            now += WINDOW
            requests.append(tick())
    # Each window, each hour that has settled, the day that has closed, and a few looks at the quota and audits.
    assert 24 + 2 <= sum(requests) <= 24 + 2 + 1 + 8
    assert requests.count(1) >= 24 - 2 - 2
    with duckdb.connect(files.published, read_only=True) as con:
        known = con.execute("SELECT COUNT(*), MIN(window_start) FROM agent_9_window_log").fetchall()
        rows = con.execute("SELECT window_start, agent_name, total_seconds FROM agent_9_windows").fetchall()
    first = datetime.combine(START, datetime.min.time())
    assert known == [(25 * 12, first)]
    for window in (first + n * WINDOW for n in range(known[0][0])):
        truth = simulator.truth(window, window + WINDOW - timedelta(seconds=1))
        assert {agent: total for start, agent, total in rows if start == window} == {
            agent: usage.total_seconds for agent, usage in truth.items()
        }
