"""A used-up quota through client, loading and store, against simulators whose days begin at different times; and who
shares one. The clocks are set, all else is real.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from wolkvox_assets.api import Access, Asking, QuotaUsedUp, RequestRecord, RetryPolicy, WolkvoxClient
from wolkvox_assets.pipeline.fetching import Fetch
from wolkvox_assets.pipeline.loading import Handover, load
from wolkvox_assets.pipeline.quota import QuotaGuard, ReserveReached, Share, quota_group, quota_waits, seen_by
from wolkvox_assets.report.clocks import Clocks
from wolkvox_assets.report.total_row import Judge
from wolkvox_assets.report.windows import one
from wolkvox_assets.settings import Operation
from wolkvox_assets.simulator import Centre, Simulator
from wolkvox_assets.simulator import Operation as Account
from wolkvox_assets.simulator.answers import Quirk
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.sync import Ask, Known, Source, Step

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
TICK = 5 * MINUTE
WINDOW = datetime(2026, 11, 1, 3)


@dataclass
class Place:
    """A clock, a store, and a simulator with the quota of one operation or more."""

    now: datetime
    simulator: Simulator
    store: FileStore

    def operation(self, name: str = "main", server: str = "0013") -> Operation:
        return Operation(name=name, server=server, start=date(2026, 11, 1), base_url=self.simulator.url)

    def ask(self, operation: Operation, token: str | None = None) -> list[str]:
        """A run for one window; returns the warnings. Where the quota says no, so does this."""

        def plan(ask: Ask) -> Iterator[Step]:
            yield Known(WINDOW, ask(one(WINDOW)), Source.ASKED)

        def open_client(on_request: Callable[[RequestRecord], None]) -> WolkvoxClient:
            its = SecretStr(token or self.simulator.token)
            access = Access(operation.name, operation.server, its, operation.base_url)
            once = RetryPolicy(attempts=1)
            return WolkvoxClient(access, Asking(on_request, once, now=lambda: self.now))

        def fetch(handover: Handover) -> None:
            clocks = Clocks(lambda: self.now)
            with self.store.reading() as con:
                seen = seen_by(con, operation, self.now)
            guard = QuotaGuard(
                Share(operation.clock, operation.quota_reserve), seen, windows=1, now=clocks.here
            )
            Fetch(operation, clocks, Judge(), guard, handover).run(plan, open_client)

        with closing(load(self.store, "r", [fetch])) as commits:
            batches = [batch for stored in commits for batch in stored.values()]
        return [remark.text for batch in batches for remark in batch.remarks if remark.warning]

    def waits(self, operation: Operation) -> datetime | None:
        return quota_waits(self.store, operation, self.now)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(datetime(2026, 11, 16, 12, tzinfo=UTC), Simulator(), FileStore(tmp_path / "data"))
    centre = Centre(2, profile="empty")
    found.simulator = Simulator(
        Account(centre, tokens=("token-one", "token-two"), daily_limit=1000),
        Account(centre, tokens=("token-three",)),
        clock=lambda: found.now,
    )
    with found.simulator:
        yield found


@pytest.mark.parametrize(
    ("account", "begins", "used"),
    [
        ({"quota_zone": "UTC"}, 0, 1000),
        ({"quota_zone": "Europe/Madrid"}, 23, 820),
        ({"quota_late": HOUR}, 6, 1000),
    ],
    ids=["UTC's day", "Madrid's day", "an hour late"],
)
def test_it_goes_on_within_the_hour_of_the_renewal(
    place: Place, account: Mapping[str, object], begins: float, used: int
) -> None:
    """And closer to it the next day. Whether the server refuses, or the reserve is reached."""
    theirs = place.simulator.api.operations[0]
    for name, value in account.items():
        setattr(theirs, name, ZoneInfo(value) if isinstance(value, str) else value)
    operation = place.operation()
    waited: list[timedelta] = []
    for day in (18, 19):
        renewal = datetime(2026, 11, day, tzinfo=UTC) + begins * HOUR
        place.now = renewal - 100 * MINUTE
        theirs.spend(used - theirs.used(place.now).total(), place.now)
        place.simulator.reset_counters()
        while True:
            try:
                place.ask(operation)
            except (QuotaUsedUp, ReserveReached):
                until = place.waits(operation)
                assert until is not None
                place.now += (until - place.now + TICK) // TICK * TICK
            else:
                break
        waited.append(place.now - renewal)
        vain = place.simulator.counters.requests - 2  # the last look and request were not in vain
        assert vain <= 2 + 1 + 1  # an hour and two thirds before, the hour after; and once at a likely moment
    assert timedelta(0) <= waited[0] <= HOUR + TICK
    assert timedelta(0) <= waited[1] <= waited[0] + TICK


def test_all_that_share_a_quota_wait_when_one_of_them_is_refused(place: Place) -> None:
    """With another token as well; not those of another server, whatever their token."""
    north, south = place.operation("north"), place.operation("south")
    far = place.operation("far", server="0014")
    assert quota_group(north, [far, south, north]) == [south, north]
    for operation, token in ((north, "token-one"), (south, "token-two"), (far, "token-three")):
        place.ask(operation, token)
    looks = place.simulator.counters.by_api["token_info"]
    assert looks == 2  # south has north's
    place.simulator.api.operations[0].spend(1000, place.now)
    place.now += 7 * HOUR
    with pytest.raises(QuotaUsedUp):
        place.ask(north, "token-one")
    requests = place.simulator.counters.requests
    assert place.waits(south) == place.waits(north) == place.now + HOUR
    with pytest.raises(ReserveReached, match="the server said at"):
        place.ask(south, "token-two")
    assert place.simulator.counters.requests == requests
    assert place.waits(far) is None
    place.ask(far, "token-three")


def test_one_token_at_two_servers_is_two_quotas(place: Place) -> None:
    """Such operations take turns, and wait for nothing else of each other's."""
    here = place.operation("here")
    elsewhere = Account(Centre(2, profile="empty"), tokens=("token-one",))
    with Simulator(elsewhere, clock=lambda: place.now) as other:
        there = Operation(name="there", server="0014", start=date(2026, 11, 1), base_url=other.url)
        place.ask(here, "token-one")
        place.simulator.api.operations[0].spend(1000, place.now)
        place.now += 7 * HOUR
        with pytest.raises(QuotaUsedUp):
            place.ask(here, "token-one")
        assert place.waits(here) is not None
        assert place.waits(there) is None
        assert place.ask(there, "token-one") == []


@pytest.mark.parametrize("quirk", ["numbers", "token_info_object", "null_error", "null_data"])
def test_the_reserve_is_kept_in_whatever_form_the_quota_comes(place: Place, quirk: Quirk) -> None:
    place.simulator.api.quirks = frozenset({quirk, "numbers"})
    operation = place.operation()
    place.simulator.api.operations[0].spend(700, place.now)
    assert place.ask(operation) == []
    place.simulator.api.operations[0].spend(100, place.now)
    place.now += 7 * HOUR
    with pytest.raises(ReserveReached, match="803 of the day's 1000 requests are used"):
        place.ask(operation)


def test_a_quota_that_cannot_be_read_is_told_in_each_run(place: Place) -> None:
    place.simulator.api.operations[0].daily_limit = 0
    place.simulator.api.operations[0].admit = lambda *_: True  # type: ignore[method-assign]  # a limit that means nothing
    operation = place.operation()
    for times in (1, 2):
        [warning] = place.ask(operation)
        assert warning.startswith(
            "operation main: The day's quota can't be read, so the reserve of 20% is not kept"
        )
        assert ("token_limit" in warning) == (times == 1)
        assert place.simulator.counters.by_api["token_info"] == 1
        place.now += HOUR
