"""The plan for some windows of an operation: the sync, and what is done where the sync can't go on as it should."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from wolkvox_assets.api import (
    LONG_RANGE,
    AnswerTooLarge,
    AnswerUnreadable,
    ConnectionFailed,
    MissingParameters,
    NotFound,
    RowsMissing,
    ServerFault,
    TimedOut,
    TooSlow,
    Unavailable,
    UnexpectedStatus,
)
from wolkvox_assets.pipeline import due_work
from wolkvox_assets.report.clocks import NotOverYet
from wolkvox_assets.report.measures import in_use
from wolkvox_assets.report.plain_text import counted
from wolkvox_assets.report.total_row import AnswerInDoubt, Judge, Row
from wolkvox_assets.report.windows import WINDOW, Range, contiguous
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store
from wolkvox_assets.store.stored import StoredWindows
from wolkvox_assets.store.tables import reading
from wolkvox_assets.store.total_rows import latest_answers, latest_total_row
from wolkvox_assets.sync import Additivity, AskBriefly, BadAnswers, Note, Quarantine, Step, Sync, TimesIgnored


@dataclass(frozen=True)
class WindowsPlan:
    """How windows of this operation are made equal to the API's answers.

    `additivity`: what is known of it. `judge`: tells agents from a total row. `seed`: draws the audits.
    `give_up_after`: so many windows that can't be read, and nothing that can.
    """

    operation: Operation
    store: Store
    additivity: Additivity
    judge: Judge
    seed: int
    give_up_after: int

    def reconcile(self, windows: list[datetime], now: datetime, ask: AskBriefly) -> Iterator[Step]:
        """Make these windows (wall clock), all over at `now` (aware), true; should the server's clock be behind, those
        that are over there.
        """
        over = windows
        while over:
            try:
                yield from self._and_doubts_again(over, now, ask)
            except NotOverYet as early:
                now = early.server_time
                before, over = len(over), due_work.ended(self.operation, over, now)
                yield Note(
                    f"{early} Not over by the server's clock: {before - len(over):,} of {counted(before, 'window')}. "
                    "They are not stored or marked, and will be requested when they are over.",
                    warning=True,
                )
            except TimesIgnored as ignored:
                raise TimesIgnored(
                    f"operation {self.operation.name!r}, {self.operation.report.api}: {ignored}",
                    ignored.window,
                ) from None
            else:
                return

    def _and_doubts_again(self, windows: list[datetime], now: datetime, ask: AskBriefly) -> Iterator[Step]:
        """What was in doubt is asked again, once, where it was decided meanwhile whether there is a total row."""
        clock = self.operation.clock
        settled = [w for w in windows if clock.end_utc(w) <= now - due_work.SETTLED_AFTER]
        settled_before = settled[-1] + WINDOW if settled else windows[0]
        before = self.judge.verdict
        errors, given_up = dict[datetime, Exception](), False
        try:
            yield from self._quarantine(contiguous(windows), settled_before, ask)
        except BadAnswers as bad:
            doubts = [w for w, error in bad.errors.items() if isinstance(error, AnswerInDoubt)]
            if bad.given_up or self.judge.verdict is before or not doubts:
                raise
            # No verdict mends these: they rest until their time comes.
            errors = {w: error for w, error in bad.errors.items() if w not in doubts}
        else:
            return
        try:
            yield from self._quarantine(contiguous(doubts), settled_before, ask)
        except BadAnswers as bad:
            errors |= bad.errors
            given_up = bad.given_up
        if errors:
            raise BadAnswers(errors, given_up=given_up)

    def _quarantine(
        self, ranges: Sequence[Range], settled_before: datetime, ask: AskBriefly
    ) -> Iterator[Step]:
        stored = StoredWindows(self.store, self.operation.name, self.operation.report)
        return Quarantine(
            ask,
            self.additivity,
            Sync(stored, settled_before, self.seed).reconcile,
            bad=(AnswerUnreadable, AnswerTooLarge, RowsMissing, AnswerInDoubt),
            slow=(TimedOut, TooSlow),
            # A server that takes shorter ranges may say that the dates are wrong.
            faults=(
                ServerFault,
                ConnectionFailed,
                Unavailable,
                UnexpectedStatus,
                NotFound,
                MissingParameters,
            ),
            unsure=AnswerInDoubt,
            ask_briefly=ask,
            long=LONG_RANGE // WINDOW,
            doubtful=self._is_doubtful,
            give_up_after=self.give_up_after,
        ).reconcile(ranges)

    def _is_doubtful(self, empty: Range, until: datetime) -> bool:
        """Whether the days after it are in use."""
        after = StoredWindows(self.store, self.operation.name, self.operation.report)
        return bool(in_use(after.totals(Range(empty.end, until))))


def read_judge(operation: Operation, store: Store) -> Judge:
    """Tells the agents of answers by the stored verdict on the total row, or by what was answered lately."""

    def history() -> list[tuple[str, tuple[Row, ...]]]:
        with reading(store, operation.name, operation.report) as tables:
            return latest_answers(tables) if tables else []

    with reading(store, operation.name, operation.report) as tables:
        verdict = latest_total_row(tables) if tables else None

    return Judge(verdict, history)
