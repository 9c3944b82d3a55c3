"""What a check is, what it looks at, and what it finds.

What belongs here: that, and reading cases from the store. What doesn't: the checks (`windows.py`, `days.py`).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from functools import cached_property, partial
from typing import NamedTuple

import duckdb

from wolkvox_assets.api.errors import AnswerUnreadable, WolkvoxError
from wolkvox_assets.api.parsing import Answer, NotAsAgreed, NotWhole, open_envelope, read_report
from wolkvox_assets.pipeline.quota import seen_by
from wolkvox_assets.report.definition import Report
from wolkvox_assets.settings import Operation
from wolkvox_assets.store.daily import days_to_rejudge
from wolkvox_assets.store.filled import filled
from wolkvox_assets.store.quota_readings import QuotaSeen
from wolkvox_assets.store.tables import Tables
from wolkvox_assets.store.windows import credible_until

IN_SCOPE = (
    "operation BETWEEN list_min($names) AND list_max($names) AND list_contains($names, operation)"
    " AND local_date BETWEEN $first AND $last"
)
"""The rows of a table that a check looks at: see `Look.found`."""

SHOWN = 10
"""So many cases are shown; the others are counted."""

# Answers that are read again: those of a run, and otherwise the latest, which is half an office day of live windows. An
# oddity that ended earlier is history.
_OF_A_RUN = 300
_LATEST = 50


class Severity(StrEnum):
    ERROR = "ERROR"
    WARN = "WARN"


class Cases(NamedTuple):
    """What was found. `number`: how many cases. `first`: `SHOWN` of them at most. `mild`: no more than a warning,
    whatever the check's severity is."""

    number: int
    columns: tuple[str, ...] = ()
    first: Sequence[tuple[object, ...]] = ()
    mild: bool = False


NONE = Cases(0)


class Scope(NamedTuple):
    """What is looked at: the days from `first` to `last` (wall clock, both included), and the answers that this run
    got; by default everything."""

    first: date = date.min
    last: date = date.max
    run_id: str | None = None


EVERYTHING = Scope()


def touched_by(run_id: str, days: Collection[date]) -> Scope:
    """What this run got and touched: its answers, and everything from the first to the last of these days, if any."""
    return Scope(min(days), max(days), run_id) if days else Scope(date(9000, 1, 1), date.min, run_id)


@dataclass(frozen=True)
class Check:
    """`asset`: the table's name, which is the last part of the asset's key. `holds`: what is true when it passes.
    `wrong`: what is wrong when it doesn't; `remedy`: what to do then. All these, and the name, are filled in for each
    report. `blocking`: a failure means "don't build on this". `while_loading`: it fails as well while history comes in,
    which is nobody's trouble.
    """

    name: str
    asset: str
    holds: str
    wrong: str
    remedy: str
    find: "Callable[[Look], Cases]"
    severity: Severity = Severity.ERROR
    blocking: bool = True
    while_loading: bool = False


warning = partial(Check, severity=Severity.WARN, blocking=False)
"""A check that says something odd, and blocks nothing."""


def of_report(check: Check, report: Report) -> Check:
    """The check with the report's names in its own and in its words."""
    words = {
        **report.names.by_role(),
        "did": report.did,
        "first": report.columns[0],
        "last": report.columns[-1],
        "most": report.most,
        "longest": report.longest,
    }
    if report.total is not None:
        words |= {
            "plus": report.total.words.replace(" + ", "_plus_"),
            "total": report.total.column,
            "sum": " + ".join(report.total.parts),
            "parts": " and ".join(report.total.parts),
            "words": report.total.words,
        }
    return replace(
        check,
        **{
            part: getattr(check, part).format(**words)
            for part in ("name", "asset", "holds", "wrong", "remedy")
        },
    )


class Result(NamedTuple):
    """What became of a check."""

    check: Check
    cases: Cases

    @property
    def passed(self) -> bool:
        return not self.cases.number

    @property
    def severity(self) -> Severity:
        return Severity.WARN if self.cases.mild else self.check.severity

    @property
    def words(self) -> str | None:
        """What is wrong, and what to do; None where nothing is."""
        if self.passed:
            return None
        cases = "1 case" if self.cases.number == 1 else f"{self.cases.number} cases"
        return f"{self.check.wrong} ({cases}). {self.check.remedy}"


class Look:
    """What the checks of one operation's report read, at `now` (aware). `con`: the published file."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, operation: Operation, now: datetime, scope: Scope = EVERYTHING
    ) -> None:
        self.con, self.operation, self.now, self.scope = con, operation, now, scope
        self.report = operation.report
        self.tables = Tables(con, operation.name, operation.report)
        self.beside = Beside([self])

    def rows(self, sql: str, **more: object) -> list[tuple[object, ...]]:
        """What this SQL, filled in for the report, says. It can name $operation, $api, $first and $last (days of the
        scope), $credible (what is later lies in the future, UTC), and `more`."""
        return self._execute(sql, more).fetchall()

    def found(self, sql: str, **more: object) -> list[tuple[object, ...]]:
        """The same of SQL that finds what is wrong `IN_SCOPE`, and whose rows have the column `operation`, which is
        left out here."""
        if not self.beside.any_of(self, sql, more):
            return []
        return self._execute(f"SELECT * EXCLUDE (operation) FROM ({sql})", more).fetchall()  # noqa: S608  # fixed SQL

    def cases(self, sql: str, **more: object) -> Cases:
        """The same, of which each row is a case, worst or newest first."""
        if not self.beside.any_of(self, sql, more):
            return NONE
        # Counted beside the first ones: one pass, whatever their number.
        found = self._execute(
            f"SELECT COUNT(*) OVER () AS cases, * EXCLUDE (operation) FROM ({sql}) LIMIT {SHOWN}",  # noqa: S608  # fixed SQL of the checks
            more,
        )
        columns = tuple(column[0] for column in found.description[1:])
        rows = found.fetchall()
        return Cases(rows[0][0], columns, [row[1:] for row in rows]) if rows else NONE

    def _execute(self, sql: str, more: dict[str, object]) -> duckdb.DuckDBPyConnection:
        sql = filled(sql, self.report)
        values = {
            "operation": self.operation.name,
            "names": [self.operation.name],
            "api": self.report.api,
            "first": self.scope.first,
            "last": self.scope.last,
            "credible": credible_until(self.now),
            **more,
        }
        # DuckDB refuses values that are not asked for.
        return self.con.execute(sql, {name: value for name, value in values.items() if f"${name}" in sql})

    @cached_property
    def answers(self) -> list[tuple[str, Answer | AnswerUnreadable | NotAsAgreed]]:
        """The latest answers of the report, newest first: the range asked, and what stands in it, or why it could not
        be read. Without those that were cut off: they were asked again."""
        found = self.rows(
            "SELECT date_ini || '-' || date_end, body FROM api_requests WHERE operation = $operation"
            " AND api = $api AND http_status = 200 AND COALESCE(code, '200') = '200' AND body IS NOT NULL"
            " AND ($run IS NULL OR run_id = $run) ORDER BY rowid DESC LIMIT $most",
            run=self.scope.run_id,
            most=_LATEST if self.scope.run_id is None else _OF_A_RUN,
        )
        read: list[tuple[str, Answer | AnswerUnreadable | NotAsAgreed]] = []
        for asked, body in found:
            try:
                read.append((str(asked), read_report(self.report, open_envelope(str(body).encode()))))
            except (AnswerUnreadable, NotAsAgreed) as error:
                read.append((str(asked), error))
            except (NotWhole, WolkvoxError):
                continue
        return read


class Beside:
    """Looks of one moment, of several operations, at one file.

    A query takes a millisecond or two, nearly all of it planning, and ten operations have a hundred of them in each
    tick, which find nothing. So each runs once for all operations, then again for those where something is wrong.
    """

    def __init__(self, looks: Sequence[Look]) -> None:
        self._looks = looks
        self._with_cases: dict[tuple[str, str], set[str]] = {}
        self._untrue: dict[Report, dict[str, set[date]]] = {}
        self._quotas: dict[tuple[str, ...], QuotaSeen] = {}
        for look in looks:
            look.beside = self

    def any_of(self, look: Look, sql: str, more: dict[str, object]) -> bool:
        """Whether this SQL (`Look.found`) finds anything of this look's operation."""
        if len(self._looks) == 1:
            return True  # it is to be asked in any case
        place = filled(sql, look.report), repr(sorted(more.items()))
        if place not in self._with_cases:
            scopes = [other.scope for other in self._looks]
            everywhere = {
                **more,
                "names": [other.operation.name for other in self._looks],
                "first": min(scope.first for scope in scopes),
                "last": max(scope.last for scope in scopes),
            }
            rows = look.rows(f"SELECT DISTINCT operation FROM ({sql})", **everywhere)  # noqa: S608  # fixed SQL
            self._with_cases[place] = {str(name) for (name,) in rows}
        return look.operation.name in self._with_cases[place]

    def untrue_days(self, look: Look) -> set[date]:
        """The days of its operation whose totals do not follow (`days_to_rejudge`)."""
        if look.report not in self._untrue:
            names = [other.operation.name for other in self._looks if other.report == look.report]
            self._untrue[look.report] = days_to_rejudge(look.con, look.report, dict.fromkeys(names, look.now))
        return self._untrue[look.report][look.operation.name]

    def quota_seen(self, look: Look) -> QuotaSeen:
        """What was seen of its quota, which operations of one server share."""
        quota = look.operation.source.quota
        if quota not in self._quotas:
            self._quotas[quota] = seen_by(look.con, look.operation, look.now)
        return self._quotas[quota]


def listed(columns: tuple[str, ...], rows: Iterable[tuple[object, ...]], *, mild: bool = False) -> Cases:
    """Cases that were not found by SQL alone."""
    found = list(rows)
    return Cases(len(found), columns, found[:SHOWN], mild=mild and bool(found))


def evaluate(look: Look, checks: Iterable[Check]) -> list[Result]:
    return [Result(check, check.find(look)) for check in checks]
