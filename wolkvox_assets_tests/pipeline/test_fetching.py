"""What is handed over of an answer: when it came, however long it takes to be handed over."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import SecretStr

from wolkvox_assets.api import Access, Asking, RequestRecord, WolkvoxClient
from wolkvox_assets.pipeline.fetching import Fetch, Plan
from wolkvox_assets.pipeline.loading import Handover
from wolkvox_assets.pipeline.quota import QuotaGuard, Share
from wolkvox_assets.report.clocks import Clocks, uptime_ns
from wolkvox_assets.report.total_row import Judge
from wolkvox_assets.report.windows import WINDOW, Range, one
from wolkvox_assets.settings import Operation
from wolkvox_assets.simulator import Centre, Simulator
from wolkvox_assets.store.quota_readings import NOTHING_SEEN
from wolkvox_assets.store.windows import WindowContent
from wolkvox_assets.sync import Ask, Known, KnownEmpty, Source, Step

HOUR = Range(datetime(2026, 11, 1, 3), datetime(2026, 11, 1, 4))


def handed_over(plan: Plan, handover: Handover, centre: Centre) -> dict[datetime, tuple[int, datetime]]:
    """When the answers for windows came that this plan hands over: by uptime, and by the clock."""
    with Simulator(centre) as simulator:
        operation = Operation(server="0013", start=date(2026, 11, 1), base_url=simulator.url)

        def open_client(on_request: Callable[[RequestRecord], None]) -> WolkvoxClient:
            access = Access("main", "0013", SecretStr(simulator.token), simulator.url)
            return WolkvoxClient(access, Asking(on_request))

        guard = QuotaGuard(Share(operation.clock, 0.2), NOTHING_SEEN, windows=12)
        Fetch(operation, Clocks(), Judge(), guard, handover).run(plan, open_client)
    stamps = {}
    while not handover.items.empty():
        content = getattr(handover.items.get(), "content", None)
        if isinstance(content, WindowContent):
            stamps[content.window_start] = content.moment.at, content.fetched_at
    return stamps


def test_an_answer_counts_from_when_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is full, and a commit goes on: another run's answer that came meanwhile is the newer one."""
    handover, came = Handover(), list[int]()
    put = handover.put

    def slowly(*item: object) -> None:
        time.sleep(0.01)
        put(*item)  # type: ignore[arg-type]  # as it came

    def plan(ask: Ask) -> Iterator[Step]:
        assert ask(HOUR) == {}
        came.append(uptime_ns())
        yield KnownEmpty(HOUR, Source.EMPTY_RANGE)

    monkeypatch.setattr(handover, "put", slowly)
    stamps = handed_over(plan, handover, Centre(2, profile="empty"))
    assert len(stamps) == len(HOUR)
    [(uptime, fetched_at)] = set(stamps.values())
    assert uptime <= came[0]
    assert fetched_at > datetime.now(UTC) - timedelta(minutes=1)


def test_so_does_one_that_was_held_back() -> None:
    """What looks as if the times were ignored."""
    came = list[int]()

    def plan(ask: Ask) -> Iterator[Step]:
        answers = {}
        for window in (later, earlier):
            answers[window] = ask(one(window))
            came.append(uptime_ns())
        yield from (Known(window, agents, Source.ASKED) for window, agents in answers.items())

    earlier, later = HOUR.start, HOUR.start + WINDOW
    stamps = handed_over(plan, Handover(), Centre(2, profile="empty"))
    assert stamps[later][0] <= came[0] < stamps[earlier][0] <= came[1]
