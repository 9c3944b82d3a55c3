"""What one commit stores: windows, what was verified, verdicts, requests, with the totals of its days."""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import duckdb

from wolkvox_assets.api import Note as AnswerNote
from wolkvox_assets.api import RequestRecord
from wolkvox_assets.report.clocks import Clocks
from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.plain_text import counted, quoted
from wolkvox_assets.report.total_row import TotalRow
from wolkvox_assets.report.windows import WINDOW, Range, contiguous
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store
from wolkvox_assets.store.additivity import Verdict, record_verdict
from wolkvox_assets.store.daily import (
    Days,
    DayStatus,
    RowCounts,
    days_to_rejudge,
    known_without_a_row,
    rebuild_days,
    rebuild_days_of,
    row_counts,
    row_counts_of,
    with_a_row,
)
from wolkvox_assets.store.evidence import (
    EVERYTHING,
    forget_agreements,
    leave_out,
    record_agreements,
    take_in,
    with_agreements,
    with_windows_left_out,
)
from wolkvox_assets.store.quota_readings import QuotaReading, record_quota
from wolkvox_assets.store.requests import record_requests
from wolkvox_assets.store.sources import all_recorded, check, claim
from wolkvox_assets.store.tables import Tables
from wolkvox_assets.store.total_rows import drop_idle_total_rows, record_total_row
from wolkvox_assets.store.windows import (
    Checked,
    Contents,
    Correction,
    WindowContent,
    forget_days_before,
    forget_windows,
    forget_windows_to_come,
    replace_windows,
    verify_windows,
    with_windows_to_come,
)
from wolkvox_assets.sync import Discard, LeftOut, Note

# Of memory. At 288, the audits of a day that was loaded within a few seconds came in a commit of their own, with its
# marks and its picture: 0.2 s of CPU.
_MOST_WINDOWS = 1000

# A name of one agent, or of two, may have been corrected.
_AGENTS_REPLACED = 3


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
                    c._replace(agreed=c.agreed and not _within(item.window_start, (c.range,)))
                    for c in self.verified
                ]
            case Checked():
                self.verified.append(item)
            case Discard(ranges=ranges):
                self.discarded.append(item)
                self.windows = [w for w in self.windows if not _within(w.window_start, ranges)]
                # What is thrown away is no longer what agreed.
                self.verified = [
                    c._replace(agreed=c.agreed and not any(_overlap(c.range, r) for r in ranges))
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

    Several operations at once cost hardly more than one: what can be asked, or done, for all of them takes one
    statement, which in a lake is 5 to 20 ms.
    """
    return store.change(lambda con: _stored(con, handed, run_id))


def rebuild(
    store: Store, operation: Operation, days: Iterable[date], now: datetime
) -> tuple[dict[date, DayStatus], RowCounts]:
    """Make the totals of these days follow the windows. Returns what is said of them, also of those without a known
    window, and how many rows the tables have then.
    """
    expected = _expected(operation, days)
    nothing = {
        day: DayStatus(0, 0, windows, False, operation.report.nothing) for day, windows in expected.items()
    }

    def rebuilt(con: duckdb.DuckDBPyConnection) -> tuple[dict[date, DayStatus], RowCounts]:
        check(con, operation.name, operation.source)
        tables = Tables(con, operation.name, operation.report)
        return nothing | rebuild_days(tables, expected, now), row_counts(tables)

    return store.change(rebuilt)


def _expected(operation: Operation, days: Iterable[date]) -> dict[date, int]:
    """How many windows the clock shows on each of these days."""
    return {day: len(operation.clock.windows_of_day(day)) for day in days}


class _Part(NamedTuple):
    """One operation's part of a commit. `at_server`: `now` by its server's clock. `latest`: by the later of the two.
    `server_told`: whether the server has said what time it is. `days`: those that it changes."""

    tables: Tables
    operation: Operation
    batch: Batch
    now: datetime
    at_server: datetime
    latest: datetime
    server_told: bool
    days: set[date]


_Parts = Mapping[str, _Part]
"""Of one report, by the operation's name."""


def _stored(con: duckdb.DuckDBPyConnection, handed: Sequence[Handed], run_id: str) -> list[Batch]:
    parts = [
        _Part(
            Tables(con, operation.name, operation.report),
            operation,
            # What was handed over is stored once more where a change has to be made again.
            batch.copied(),
            clocks.now(),
            clocks.at_server(),
            max(clocks.here(), clocks.at_server()),
            clocks.server_time is not None,
            set(),
        )
        for operation, clocks, batch in handed
    ]
    # Other settings may have come first meanwhile, or somebody may have dropped or moved what was stored.
    sources = all_recorded(con)
    for part in parts:
        if sources.get(part.operation.name) != part.operation.source:
            claim(con, part.operation.name, part.operation.source)
    for report in dict.fromkeys(part.operation.report for part in parts):
        of_report = {part.operation.name: part for part in parts if part.operation.report == report}
        _store_report(con, report, of_report, run_id)
    for part in parts:
        for reading in part.batch.quota:
            record_quota(con, part.operation.name, reading, run_id=run_id)
    requests = [(part.operation.name, request) for part in parts for request in part.batch.requests]
    record_requests(con, requests, run_id=run_id, now=min(part.now for part in parts))
    return [part.batch for part in parts]


def _store_report(con: duckdb.DuckDBPyConnection, report: Report, parts: _Parts, run_id: str) -> None:
    _forget_windows_to_come(con, report, parts)
    _forget_what_was_no_answer(con, report, parts, run_id)
    _store_windows(con, report, parts, run_id)
    for part in parts.values():
        part.days.update(_store_total_rows(part.tables, part.batch, run_id))
        part.days.update(part.batch.touched())  # only now: with what was forgotten for a total row
    _rebuild(con, report, parts, {name: part.days for name, part in parts.items()})
    # Only now: whether an operation has any row stands in its totals.
    _rebuild(con, report, parts, days_to_rejudge(con, report, _at_server(parts)))
    rows = row_counts_of(con, report, [name for name, part in parts.items() if part.batch.days])
    for name, part in parts.items():
        part.batch.rows = rows.get(name)
        for verdict in part.batch.verdicts:
            record_verdict(part.tables, verdict, run_id=run_id)


def _at_server(parts: _Parts) -> dict[str, datetime]:
    return {name: part.at_server for name, part in parts.items()}


def _rebuild(
    con: duckdb.DuckDBPyConnection, report: Report, parts: _Parts, days: Mapping[str, set[date]]
) -> None:
    wanted = {
        name: Days(_expected(parts[name].operation, its), parts[name].at_server)
        for name, its in days.items()
        if its
    }
    if wanted:
        for name, statuses in rebuild_days_of(con, report, wanted).items():
            parts[name].batch.days |= statuses


def _forget_windows_to_come(con: duckdb.DuckDBPyConnection, report: Report, parts: _Parts) -> None:
    """What a clock that was ahead has left: of windows that are still to come by both clocks, nothing can be known.

    Either may be behind, by months: by itself, neither is a reason to delete what was answered with uses.
    """
    wall = {name: part.operation.clock.now(part.latest) for name, part in parts.items()}
    earliest = min(part.latest for part in parts.values())
    for name in with_windows_to_come(con, report, min(wall.values()), earliest) & parts.keys():
        part = parts[name]
        empty_only = not part.server_told
        part.days.update(forget_windows_to_come(part.tables, wall[name], part.latest, empty_only=empty_only))


def _forget_what_was_no_answer(
    con: duckdb.DuckDBPyConnection, report: Report, parts: _Parts, run_id: str
) -> None:
    """With the first row ever, what was known of earlier days is asked again: the server may have lacked the report,
    and only now it is certain that it has it.
    """
    in_use = {
        name: min(window.window_start.date() for window in part.batch.windows if window.agents)
        for name, part in parts.items()
        if any(window.agents for window in part.batch.windows)
    }
    for name in in_use.keys() - with_a_row(con, report) if in_use else ():
        part, first = parts[name], in_use[name]
        days = (
            forget_days_before(part.tables, first, but_run=run_id)
            if known_without_a_row(part.tables)
            else set()
        )
        part.days.update(days)
        if days:
            part.batch.remarks.append(
                Note(
                    f"The first row of this operation has come. {counted(len(days), 'day')} before {first}, known as "
                    "empty until now, will be requested again: nobody could tell a quiet operation from a server "
                    "without the report."
                )
            )


def _store_windows(con: duckdb.DuckDBPyConnection, report: Report, parts: _Parts, run_id: str) -> None:
    for part in parts.values():
        _discard(part)
    contents = {name: Contents(part.batch.windows, part.at_server) for name, part in parts.items()}
    for name, (corrections, superseded) in replace_windows(con, report, contents, run_id=run_id).items():
        batch = parts[name].batch
        batch.corrections, batch.superseded = corrections, superseded
        batch.windows = [w for w in batch.windows if w.window_start not in set(superseded)]
        batch.remarks += _of_other_agents(report, batch)
    fetched = {
        name: contiguous(window.window_start for window in part.batch.windows) for name, part in parts.items()
    }
    for name in (
        with_agreements(con, report, [r for ranges in fetched.values() for r in ranges]) & parts.keys()
    ):
        forget_agreements(parts[name].tables, fetched[name])
    for part in parts.values():
        _leave_out(part)
    _verify(con, report, parts)
    # After those left out: what was had at a second try is back.
    for name in with_windows_left_out(con, report) & parts.keys():
        for range_ in [*fetched[name], *(checked.range for checked in parts[name].batch.verified)]:
            take_in(parts[name].tables, range_)


def _of_other_agents(report: Report, batch: Batch) -> list[Note]:
    """A warning where known windows now have other agents, and none of those before. Late records don't do that;
    another contact centre's token does, and it is no other source: server and address are the same.
    """
    changed = [c for c in batch.corrections if c.column_name == report.columns[0]]
    gone = {(c.window_start, c.agent_name) for c in changed if not c.new_value}
    came = {(c.window_start, c.agent_name) for c in changed if not c.old_value}
    windows = {c.window_start for c in changed}
    now = {(w.window_start, name) for w in batch.windows if w.window_start in windows for name in w.agents}
    before, after = ({name for _, name in those} for those in (gone, now))
    if len(before) < _AGENTS_REPLACED or not after or now - came or before & after:
        return []
    return [
        Note(
            f"{counted(len(windows), 'known window')} from {min(windows)} to {max(windows)}: the "
            f"{len(before)} agents before ({_some(before)}) are no longer in the answers, which now have "
            f"{_some(after)}. If the token is another contact centre's, set the right one and materialise these days "
            f"again. If it was another's until now, this puts them right. The old numbers are in "
            f"{report.names.corrections}.",
            warning=True,
        )
    ]


def _some(names: set[str]) -> str:
    return ", ".join(quoted(name) for name in sorted(names)[:3]) + (", …" if len(names) > 3 else "")


def _discard(part: _Part) -> None:
    for discard in part.batch.discarded:
        forget_agreements(part.tables, discard.ranges)
        for range_ in discard.ranges:
            forget_windows(part.tables, range_)


def _leave_out(part: _Part) -> None:
    for left_out in part.batch.left_out:
        for range_ in left_out.ranges:
            leave_out(part.tables, range_, left_out.reason, part.now)


def _verify(con: duckdb.DuckDBPyConnection, report: Report, parts: _Parts) -> None:
    """In turns, each with one range of an operation, since a later one of the same windows is to count."""
    for turn in range(max(len(part.batch.verified) for part in parts.values())):
        checked = {
            name: part.batch.verified[turn] for name, part in parts.items() if turn < len(part.batch.verified)
        }
        verify_windows(con, report, checked)
        if agreed := {name: each for name, each in checked.items() if each.agreed}:
            record_agreements(con, report, agreed)


def _store_total_rows(tables: Tables, batch: Batch, run_id: str) -> set[date]:
    """Returns the days that were changed by it, beside those of `batch.forgotten`."""
    changed: set[date] = set()
    for total_row in batch.total_rows:
        changed |= drop_idle_total_rows(tables, total_row)
        batch.forgotten += record_total_row(tables, total_row, run_id=run_id)
        # What was in doubt until now can be told.
        take_in(tables, EVERYTHING)
    return changed
