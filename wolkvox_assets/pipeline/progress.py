"""How far a run over windows is, and what it found: for the log and for whoever looks at the run."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

from wolkvox_assets.api import QuotaUsedUp
from wolkvox_assets.pipeline.commit import Batch
from wolkvox_assets.pipeline.due_work import LIVE_FOR
from wolkvox_assets.pipeline.quota import LOOK_EVERY, ReserveReached, quota_waits
from wolkvox_assets.pipeline.reconcile import Site
from wolkvox_assets.report.plain_text import counted, markdown, quoted, visible
from wolkvox_assets.report.total_row import TotalRow
from wolkvox_assets.report.windows import Range
from wolkvox_assets.settings import Operation
from wolkvox_assets.store.additivity import Verdict
from wolkvox_assets.store.daily import DayStatus, nothing_ever
from wolkvox_assets.store.windows import Correction

_CORRECTIONS_SHOWN = 100
# A run of hours is told in some hundred lines, one of seconds in a few.
_SILENT_AT_MOST_SECONDS = 60.0


class Progress:
    """How many windows of how many, how long to go, and what was noted on the way.

    `windows`: how many the run is for; None where that is not known before (a tick). `clock`: tells seconds.
    """

    def __init__(
        self,
        log: logging.Logger,
        operation: Operation,
        windows: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._clock = clock
        self._operation = operation
        self._of = windows
        columns = operation.report.columns
        self._durations = {column: columns.index(column) for column in operation.report.durations}
        self._sources: dict[datetime, str] = {}
        self._requests = 0
        self._stored: dict[datetime, tuple[int, ...]] = {}  # rows, and the sum of each duration
        self._notes: Counter[str] = Counter()
        self._verdict: Verdict | None = None
        self._total_row: TotalRow | None = None
        self._nothing_ever: str | None = None
        self.left_to_do: str | None = None
        self._began = self._clock()
        self._tell_next = 0.0  # seconds since then
        self.corrections: list[Correction] = []

    @property
    def windows(self) -> frozenset[datetime]:
        """Those that are done."""
        return frozenset(self._sources)

    @property
    def _done(self) -> int:
        return len(self._sources)

    @property
    def _saved(self) -> int:
        return max(0, self._done - self._requests)

    def tell(self, batch: Batch) -> None:
        self._count(batch)
        for asked, note in batch.notes:
            # An oddity of the server is in every answer: the first of each kind is told, the rest counted.
            if not self._notes[note.kind]:
                self._log.warning(f"{asked}: {visible(note.text)}")
            self._notes[note.kind] += 1
        for discard in batch.discarded:
            forgotten = sum(len(range_) for range_ in discard.ranges)
            self._log.warning(
                f"{visible(discard.reason)} Discarded: {counted(forgotten, 'window')} derived, or found empty as part "
                "of a range. From now on every window is requested by itself, until the answers are seen to add up "
                "again."
            )
        for verdict in batch.verdicts:
            (self._log.info if verdict.holds else self._log.warning)(visible(verdict.evidence))
        if batch.superseded:
            self._log.warning(
                f"Not stored: {counted(len(batch.superseded), 'answer')}, since another run has stored newer ones for "
                f"these windows. The first is of {batch.superseded[0]:%Y-%m-%d %H:%M}."
            )
        for total_row in batch.total_rows:
            what = (
                "no total row"
                if total_row.name is None
                else f"the total row {quoted(total_row.name)}, left out"
            )
            self._log.info(visible(f"It is decided that this server adds {what}. {total_row.evidence}"))
            self._total_row = total_row
        if batch.forgotten:
            self._log.warning(
                f"Discarded: {counted(sum(map(len, batch.forgotten)), 'window')} stored before this was known. They "
                f"are requested again as gaps ({batch.forgotten[0]}{' …' if len(batch.forgotten) > 1 else ''})."
            )
        for remark in batch.remarks:
            (self._log.warning if remark.warning else self._log.info)(visible(remark.text))
        # Not what was learned before the first window, nor where nobody knows how many there will be.
        if self._done and self._of is not None:
            self._tell_how_far(self._of)

    def _tell_how_far(self, of: int) -> None:
        spent = self._clock() - self._began
        if self._done < of and spent < self._tell_next:
            return
        self._tell_next = spent + min(spent / 4, _SILENT_AT_MOST_SECONDS)
        to_go = timedelta(seconds=round(spent / self._done * (of - self._done)))
        self._log.info(
            f"{self._done:,} of {counted(of, 'window')} stored, {counted(self._requests, 'request')} made, "
            f"{self._saved:,} saved, {spent:.0f} s; about {to_go} to go"
        )

    def _count(self, batch: Batch) -> None:
        # By window, since one that is audited comes twice, and one that is forgotten comes again.
        for discard in batch.discarded:
            self._forget(discard.ranges)
        for window in batch.windows:
            usages = window.agents.values()
            self._sources[window.window_start] = window.source
            self._stored[window.window_start] = (
                len(usages),
                *(sum(usage[n] for usage in usages) for n in self._durations.values()),
            )
        for checked in batch.verified:
            for window_start in checked.range.windows():
                self._sources.setdefault(window_start, "verified")
        self._forget(batch.forgotten)
        self._requests += len(batch.requests)
        self.corrections += batch.corrections
        self._verdict = batch.verdicts[-1] if batch.verdicts else self._verdict

    def _forget(self, ranges: Iterable[Range]) -> None:
        for range_ in ranges:
            for window_start in range_.windows():
                self._sources.pop(window_start, None)
                self._stored.pop(window_start, None)

    def nothing_ever(self, windows: int) -> str:
        """No answer ever had a row, in so many known windows: what that can mean."""
        self._nothing_ever = (
            f"operation {self._operation.name}: {nothing_ever(self._operation.report, windows)}"
        )
        return self._nothing_ever

    def stopped(self, site: Site, stop: ReserveReached | QuotaUsedUp) -> None:
        """The quota is used up: say what is left to do, and when it can go on."""
        if isinstance(stop, ReserveReached):
            words, turn = visible(f"operation {self._operation.name}: {stop}."), stop.until
        else:
            now = site.now()
            words = visible(stop.summary())
            turn = quota_waits(site.store, self._operation, now) or now + LOOK_EVERY
        left = (
            f"{counted(self._done, 'window')} done"
            if self._of is None
            else f"{self._of - self._done:,} of {counted(self._of, 'window')} left to do"
        )
        self.left_to_do = (
            f"{words} Stopped with {left}; what was done is stored and marked. It is tried again within the hour, from "
            f"{self._operation.clock.now(turn):%Y-%m-%d %H:%M} {self._operation.timezone} "
            f"({turn:%Y-%m-%d %H:%M} UTC); where the sensor {self._operation.label}_gaps is on, by itself; else repeat "
            "the run."
        )
        self._log.warning(self.left_to_do)

    def seconds_to_publication(self, now: datetime) -> float | None:
        """From the end of the newest window to `now` (aware); None where no window has just closed."""
        if not self._sources:
            return None
        age = now - self._operation.clock.end_utc(max(self._sources))
        return round(age.total_seconds(), 1) if age < LIVE_FOR else None

    def summary(self) -> dict[str, int | float | str]:
        """Numbers and words by name; all but `corrections` of them."""
        counts = Counter(self._sources.values())
        rows, *seconds = (
            map(sum, zip(*self._stored.values(), strict=True))
            if self._stored
            else [0] * (1 + len(self._durations))
        )
        found: dict[str, int | float | str] = {
            "windows": self._done,
            "requests_made": self._requests,
            "requests_saved": self._saved,
            "windows_asked": counts["asked"],
            "windows_derived": counts["derived"],
            "windows_empty_range": counts["empty_range"],
            "windows_verified": counts["verified"],
            "windows_repaired": len({correction.window_start for correction in self.corrections}),
            "rows": rows,
            **dict(zip(self._durations, seconds, strict=True)),
            "seconds": round(self._clock() - self._began, 1),
            **{f"noted_{kind}": count for kind, count in sorted(self._notes.items())},
        }
        if self._verdict is not None:
            found["additivity"] = "holds" if self._verdict.holds else "does not hold"
            found["additivity_evidence"] = visible(self._verdict.evidence)
        if self._total_row is not None:
            found["total_row"] = "none" if self._total_row.name is None else visible(self._total_row.name)
            found["total_row_evidence"] = visible(self._total_row.evidence)
        if self._nothing_ever is not None:
            found["nothing_ever"] = self._nothing_ever
        if self.left_to_do is not None:
            found["left_to_do"] = self.left_to_do
        return found


def what_is_missing(operation: Operation, days: Mapping[date, DayStatus]) -> str | None:
    """What to know, and to do, where these days are not complete."""
    expected = sum(day.windows_expected for day in days.values())
    complete = sum(day.complete for day in days.values())
    known = sum(day.windows_known for day in days.values())
    if complete == len(days):
        return None
    if known and known == expected and not complete:
        return f"operation {operation.name}: {nothing_ever(operation.report, known)}"
    return (
        f"operation {operation.name}: not complete: {len(days) - complete} of {counted(len(days), 'day')} from "
        f"{min(days)} to {max(days)}. {known} of {expected} windows are known. Materialise "
        f"{operation.name}/{operation.report.names.windows} for the rest; totals follow by themselves."
    )


def corrections_table(corrections: Sequence[Correction], table: str) -> str:
    """What changed of known windows, in Markdown: window, agent, column, old and new number. `table`: has them all."""
    lines = ["| window | agent | column | old | new |", "|---|---|---|---|---|"]
    lines += [
        f"| {c.window_start:%Y-%m-%d %H:%M} | {markdown(c.agent_name)} | {c.column_name} "
        f"| {c.old_value} | {c.new_value} |"
        for c in corrections[:_CORRECTIONS_SHOWN]
    ]
    if len(corrections) > _CORRECTIONS_SHOWN:
        lines.append(f"\n… and {len(corrections) - _CORRECTIONS_SHOWN} more, in `{table}`.")
    return "\n".join(lines)
