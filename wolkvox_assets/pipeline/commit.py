"""What one commit stores: windows, what was verified, verdicts, requests, with the totals of its days."""

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import duckdb

from wolkvox_assets.api import Note as AnswerNote
from wolkvox_assets.api import RequestRecord
from wolkvox_assets.report.clocks import Clocks
from wolkvox_assets.report.plain_text import counted
from wolkvox_assets.report.total_row import TotalRow
from wolkvox_assets.report.windows import WINDOW, Range, contiguous
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store
from wolkvox_assets.store.additivity import Verdict, record_verdict
from wolkvox_assets.store.daily import (
    DayStatus,
    RowCounts,
    days_to_rejudge,
    known_without_a_row,
    rebuild_days,
    row_counts,
)
from wolkvox_assets.store.evidence import (
    EVERYTHING,
    forget_agreements,
    leave_out,
    record_agreement,
    take_in,
)
from wolkvox_assets.store.quota_readings import QuotaReading, record_quota
from wolkvox_assets.store.requests import record_requests
from wolkvox_assets.store.sources import claim
from wolkvox_assets.store.tables import Tables
from wolkvox_assets.store.total_rows import drop_idle_total_rows, record_total_row
from wolkvox_assets.store.windows import (
    Correction,
    WindowContent,
    forget_days_before,
    forget_windows,
    forget_windows_to_come,
    replace_windows,
    verify_windows,
)
from wolkvox_assets.sync import Discard, LeftOut, Note

# Of memory. At 288, the audits of a day that was loaded within a few seconds came in a commit of their own, with its
# marks and its picture: 0.2 s of CPU.
_MOST_WINDOWS = 1000


@dataclass(frozen=True)
class Checked:
    """Windows whose stored content was found equal to the API. `verified_at`: aware. `agreed`: to the answer for
    just this range."""

    range: Range
    verified_at: datetime
    agreed: bool = True


@dataclass
class Batch:
    """What one commit stored: everything in it is in the published file.

    `total_rows`: verdicts on the total row that fell, and `forgotten`: the windows they made unknown.
    `remarks`: what the sync says, for the log. `superseded`: windows whose answer was not stored, since another run
    has stored a newer one. `corrections`: what the commit changed of known windows. `days`: what the totals say now
    of the days it touched. `rows`: how many the operation then has in each table.
    """

    windows: list[WindowContent] = field(default_factory=list)
    verified: list[Checked] = field(default_factory=list)
    discarded: list[Discard] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    total_rows: list[TotalRow] = field(default_factory=list)
    forgotten: list[Range] = field(default_factory=list)
    quota: list[QuotaReading] = field(default_factory=list)
    requests: list[RequestRecord] = field(default_factory=list)
    notes: list[tuple[Range, AnswerNote]] = field(default_factory=list)
    remarks: list[Note] = field(default_factory=list)
    superseded: list[datetime] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)
    days: dict[date, DayStatus] = field(default_factory=dict)
    rows: RowCounts | None = None

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def add(self, item: object) -> None:
        match item:
            case WindowContent():
                self.windows.append(item)
                # It came after: what agreed until then says nothing of it.
                self.verified = [
                    replace(c, agreed=c.agreed and not _within(item.window_start, (c.range,)))
                    for c in self.verified
                ]
            case Checked():
                self.verified.append(item)
            case Discard(ranges=ranges):
                self.discarded.append(item)
                self.windows = [w for w in self.windows if not _within(w.window_start, ranges)]
                # What is thrown away is no longer what agreed.
                self.verified = [
                    replace(c, agreed=c.agreed and not any(_overlap(c.range, r) for r in ranges))
                    for c in self.verified
                ]
            case (Range() as asked, AnswerNote() as note):
                self.notes.append((asked, note))
            case _:
                self._plain(item).append(item)

    def _plain(self, item: object) -> list[Any]:
        """The list for what is stored, or told, as it is."""
        for kind, those in (
            (LeftOut, self.left_out),
            (Verdict, self.verdicts),
            (TotalRow, self.total_rows),
            (QuotaReading, self.quota),
            (RequestRecord, self.requests),
            (Note, self.remarks),
        ):
            if isinstance(item, kind):
                return those
        raise TypeError(f"nothing is known of {type(item).__name__} here")

    def copied(self) -> "Batch":
        """One that can be changed without changing this one."""
        return Batch(**{name: copy(those) for name, those in vars(self).items()})

    def touched(self) -> set[date]:
        """The days of which anything is in it, and once it is stored also those whose totals were rebuilt with them."""
        days = {*self.days, *(window.window_start.date() for window in self.windows)}
        ranges = [checked.range for checked in self.verified]
        ranges += [range_ for discard in self.discarded for range_ in discard.ranges]
        ranges += self.forgotten
        for range_ in ranges:
            first, last = range_.start.date(), (range_.end - WINDOW).date()
            days |= {first + timedelta(days=n) for n in range((last - first).days + 1)}
        return days

    @property
    def must_be_stored(self) -> bool:
        """Nothing may be added before this is stored: many windows are in it, or windows to be forgotten, of which new
        content may come next."""
        return len(self.windows) >= _MOST_WINDOWS or bool(self.discarded) or bool(self.total_rows)


def _overlap(one: Range, other: Range) -> bool:
    return one.start < other.end and other.start < one.end


def _within(window: datetime, ranges: tuple[Range, ...]) -> bool:
    return any(r.start <= window < r.end for r in ranges)


class Handed(NamedTuple):
    """What one operation has for a commit. `clocks`: tell when that is."""

    operation: Operation
    clocks: Clocks
    batch: Batch


def commit(store: Store, handed: Sequence[Handed], run_id: str) -> list[Batch]:
    """All of it, with the totals of its days, or nothing; returns what became of each.

    Several operations at once cost hardly more than one: most of what a commit takes is opening and publishing.
    """
    return store.change(lambda con: [_stored(con, handed_over, run_id) for handed_over in handed])


def rebuild(
    tables: Tables, operation: Operation, days: Iterable[date], now: datetime
) -> dict[date, DayStatus]:
    """Make the totals of these days follow the windows. Returns what is said of those of which anything is known."""
    expected = {day: len(operation.clock.windows_of_day(day)) for day in days}
    return rebuild_days(tables, expected, now)


def _stored(con: duckdb.DuckDBPyConnection, handed: Handed, run_id: str) -> Batch:
    operation, clocks, batch = handed
    batch = batch.copied()  # what was handed over is stored once more where a change has to be made again
    now, at_server = clocks.now(), clocks.at_server()
    tables = Tables(con, operation.name, operation.report)
    # Other settings may have come first meanwhile, or somebody may have dropped or moved what was stored.
    claim(con, operation.name, operation.source)
    # What a clock that was ahead has left: of windows that are still to come, nothing can be known.
    days = forget_windows_to_come(tables, operation.clock.now(at_server), at_server)
    days |= _forget_what_was_no_answer(tables, batch, run_id)
    _store_windows(tables, batch, run_id, now, at_server)
    days |= batch.touched() | _store_total_rows(tables, batch, run_id)
    days |= days_to_rejudge(tables, at_server)
    batch.days = rebuild(tables, operation, days, at_server)
    batch.rows = row_counts(tables) if batch.days else None
    for verdict in batch.verdicts:
        record_verdict(tables, verdict, run_id=run_id)
    for reading in batch.quota:
        record_quota(con, operation.name, reading, run_id=run_id)
    record_requests(con, operation.name, batch.requests, run_id=run_id, now=now)
    return batch


def _forget_what_was_no_answer(tables: Tables, batch: Batch, run_id: str) -> set[date]:
    """With the first row ever, what was known of earlier days is asked again: the server may have lacked the report,
    and only now it is certain that it has it. Returns the days.
    """
    in_use = [window.window_start.date() for window in batch.windows if window.agents]
    if not in_use or not known_without_a_row(tables):
        return set()
    days = forget_days_before(tables, min(in_use), but_run=run_id)
    if days:
        batch.remarks.append(
            Note(
                f"The first row of this operation has come. {counted(len(days), 'day')} before {min(in_use)}, known as "
                "empty until now, will be requested again: nobody could tell a quiet operation from a server "
                "without the report."
            )
        )
    return days


def _store_windows(tables: Tables, batch: Batch, run_id: str, now: datetime, at_server: datetime) -> None:
    for discard in batch.discarded:
        forget_agreements(tables, discard.ranges)
        for range_ in discard.ranges:
            forget_windows(tables, range_)
    batch.corrections, superseded = replace_windows(tables, batch.windows, run_id=run_id, now=at_server)
    batch.superseded = superseded
    batch.windows = [w for w in batch.windows if w.window_start not in set(superseded)]
    fetched = contiguous(window.window_start for window in batch.windows)
    forget_agreements(tables, fetched)
    for left_out in batch.left_out:
        for range_ in left_out.ranges:
            leave_out(tables, range_, left_out.reason, now)
    for checked in batch.verified:
        verify_windows(tables, checked.range, checked.verified_at)
        if checked.agreed:
            record_agreement(tables, checked.range, checked.verified_at)
    # After those left out: what was had at a second try is back.
    for range_ in [*fetched, *(checked.range for checked in batch.verified)]:
        take_in(tables, range_)


def _store_total_rows(tables: Tables, batch: Batch, run_id: str) -> set[date]:
    """Returns the days that were changed by it, beside those of `batch.forgotten`."""
    changed: set[date] = set()
    for total_row in batch.total_rows:
        changed |= drop_idle_total_rows(tables, total_row)
        batch.forgotten += record_total_row(tables, total_row, run_id=run_id)
        # What was in doubt until now can be told.
        take_in(tables, EVERYTHING)
    return changed
