"""Asking, in a thread: a plan is carried out for one operation, and what it comes to know is handed over.

What belongs here: what stands between a plan and the client: the quota, the clocks, who judges the answers, when to
stop. What doesn't: which requests to make (`sync/`), how one is made (`api/`), committing (`loading.py`).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from wolkvox_assets.api import Answer, RequestRecord, WolkvoxClient
from wolkvox_assets.api import Note as AnswerNote
from wolkvox_assets.pipeline.loading import Handover
from wolkvox_assets.pipeline.quota import QuotaGuard, ReserveReached
from wolkvox_assets.report.clocks import Clocks, Moment, moment
from wolkvox_assets.report.measures import Agents
from wolkvox_assets.report.plain_text import counted
from wolkvox_assets.report.total_row import AnswerInDoubt, Judge
from wolkvox_assets.report.windows import WINDOW, Range, one
from wolkvox_assets.settings import Operation
from wolkvox_assets.store.additivity import Verdict
from wolkvox_assets.store.quota_readings import QuotaReading
from wolkvox_assets.store.total_rows import key_of
from wolkvox_assets.store.windows import Checked, WindowContent
from wolkvox_assets.sync import (
    AskBriefly,
    Audited,
    Discard,
    Known,
    KnownEmpty,
    LeftOut,
    Note,
    Proof,
    Source,
    Step,
    Verified,
)

Plan = Callable[[AskBriefly], Iterator[Step]]
"""Yields what it comes to know, given a way to ask."""


class TimeIsUp(Exception):
    """Nothing may be asked any more: the next tick is due, and goes on."""


@dataclass
class Fetch:
    """Asks for one operation. `judge` tells the agents of an answer; what it cannot tell yet raises `AnswerInDoubt`
    from the plan's way to ask. `until` (monotonic seconds): no question is begun after it, but `TimeIsUp` raised.
    """

    operation: Operation
    clocks: Clocks
    judge: Judge
    guard: QuotaGuard
    handover: Handover
    until: float = float("inf")
    # When the latest request began, and when the latest answer came: that is when it was true, however long it takes
    # until it can be handed over.
    _begun: Moment | None = None
    _came: tuple[datetime, Moment] | None = None
    # The same of single windows, and of ranges that were answered as empty: others may be asked before those are taken.
    _came_of: dict[Range, tuple[datetime, Moment]] = field(default_factory=dict)

    def run(
        self,
        plan: Plan,
        open_client: Callable[[Callable[[RequestRecord], None]], WolkvoxClient],
    ) -> None:
        """Carry out the plan. Raises what the client raises (`WolkvoxError`), `ReserveReached`, `NotOverYet`,
        `TimeIsUp`; what was learned before is handed over all the same.
        """
        with open_client(self._record) as client:
            for step in plan(partial(self._ask, client)):
                self._take(step)

    def put(self, item: object) -> None:
        self.handover.put(self.operation, self.clocks, item)

    def _ask(self, client: WolkvoxClient, asked: Range, requests: int | None = None, /) -> Agents:
        self.handover.wait(0)
        if time.monotonic() >= self.until:
            raise TimeIsUp
        self._check_quota(client)
        answer: Answer = client.report(self.operation.report, asked, requests=requests)
        self._came = self.clocks.now(), self._begun or moment()
        self.clocks.must_be_over(self.operation.clock.end_utc(asked.end - WINDOW))
        for note in answer.notes:
            self.put((asked, note))
        agents = self._agents(asked, answer)
        if not agents or len(asked) == 1:
            self._came_of[asked] = self._came
        return agents

    def _agents(self, asked: Range, answer: Answer) -> Agents:
        try:
            agents, remarks = self.judge.agents_of(key_of(asked), answer.rows)
        except AnswerInDoubt as doubt:
            raise AnswerInDoubt(
                f"operation {self.operation.name!r}, {self.operation.report.api}, {asked}: {doubt}"
            ) from None
        finally:
            while self.judge.new:
                self.put(self.judge.new.pop(0))
        for remark in remarks:
            self.put((asked, AnswerNote(remark.kind, remark.text)))
        return agents

    def _check_quota(self, client: WolkvoxClient) -> None:
        try:
            reading = self.guard.check(client.token_info)
        except ReserveReached as stop:
            self._put_reading(stop.new)
            raise
        self._put_reading(reading)
        warning = self.guard.warning()
        if warning is not None:
            self.put(Note(f"operation {self.operation.name}: {warning}", warning=True))

    def _put_reading(self, reading: QuotaReading | None) -> None:
        if reading is not None:
            self.put(reading)

    def _record(self, request: RequestRecord) -> None:
        self.guard.spent()
        self._begun = request.begun
        self.clocks.heard(request.server_time, request.requested_at)
        self.put(request)

    def _take(self, step: Step) -> None:
        match step:
            case Known(window=window, agents=agents, source=source):
                came = self._came_of.pop(one(window), self._came) if source is Source.ASKED else self._came
                self.put(self._content(window, agents, source, came))
            case KnownEmpty(range=range_, source=source):
                came = self._came_of.pop(range_, self._came)
                for window in range_.windows():
                    self.put(self._content(window, {}, source, came))
            case Verified(range=range_, asked=asked):
                self.put(Checked(range_, self.clocks.now(), asked))
            case Discard() | LeftOut() | Note():
                self.put(step)
            case Proof(holds=holds, evidence=evidence):
                self.put(Verdict(self.clocks.now(), holds, evidence))
            case Audited(range=range_, windows=windows, derived=derived, seed=seed):
                self.put(
                    Note(
                        f"{range_}: of {counted(derived, 'derived window')}, {len(windows)} requested as well: the "
                        f"answers agree (seed {seed})"
                    )
                )

    def _content(
        self, window: datetime, agents: Agents, source: Source, came: tuple[datetime, Moment] | None
    ) -> WindowContent:
        start_utc = self.operation.clock.start_utc(window)
        came_at, begun = came or (self.clocks.now(), moment())
        return WindowContent(window, start_utc, agents, str(source), came_at, begun)
