"""What a report is: all that tells one from another.

What belongs here: that, and the names that follow from it. What doesn't: the reports themselves (`reports/`), and what
is the same for all of them, which is everything else.

The form that all have: an answer has one row for each agent, with whole numbers that can be added up over agents and
over time.
"""

from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cached_property

from wolkvox_assets.report.measures import Usage


class Unit(StrEnum):
    COUNT = "count"
    """A whole number."""
    SECONDS = "seconds"
    """A duration: the API writes it as `HH:MM:SS`."""


@dataclass(frozen=True)
class Measure:
    """A number of each row. `column`: in the tables. `field`: in the API's answer. `meaning`: a sentence for people."""

    column: str
    field: str
    unit: Unit
    meaning: str


@dataclass(frozen=True)
class Total:
    """A measure that is the sum of others, as far as the API keeps to it. `words`: for people, `hold + mute`."""

    column: str
    parts: tuple[str, ...]
    words: str


@dataclass(frozen=True)
class Names:
    """The report's tables and views, which are its assets' names, too."""

    windows: str
    window_log: str
    corrections: str
    answer_order: str
    agreements: str
    left_out: str
    additivity_proofs: str
    total_row_verdicts: str
    failed_attempts: str
    agent_days: str
    operation_days: str
    by_hour: str
    day_share: str
    days_not_complete: str

    @classmethod
    def of(cls, api: str, subject: str) -> "Names":
        """Of the report that the API calls so, about this subject (`hold_mute`). Other reports' don't begin alike."""
        return cls(
            windows=f"{api}_windows",
            window_log=f"{api}_window_log",
            corrections=f"{api}_corrections",
            answer_order=f"{api}_answer_order",
            agreements=f"{api}_agreements",
            left_out=f"{api}_left_out",
            additivity_proofs=f"{api}_additivity_proofs",
            total_row_verdicts=f"{api}_total_row_verdicts",
            failed_attempts=f"{api}_failed_attempts",
            agent_days=f"agent_{subject}_daily",
            operation_days=f"operation_{subject}_daily",
            by_hour=f"{subject}_by_hour",
            day_share=f"agent_{subject}_day_share",
            days_not_complete=f"{subject}_days_not_complete",
        )

    @property
    def published(self) -> tuple[str, ...]:
        """The tables that people read: windows, their log, and days."""
        return self.windows, self.window_log, self.agent_days, self.operation_days

    def by_role(self) -> dict[str, str]:
        """The name of each, by what it is here."""
        return {role.name: getattr(self, role.name) for role in fields(self)}


@dataclass(frozen=True, eq=False)
class Report:
    """A report of the API, one row for each agent.

    `api`: its name there. `measures`: in the order of the tables; the first says how often, the last how much, by which
    agents and windows are ranked. `did`: what an agent with a row has done (`used hold or mute`). `windows`, `days`:
    what the assets hold, in half a sentence. `total`: which measure is a sum of others, if any. `most`, `longest`: more
    of the first measure in five minutes, and more seconds for each one of it, are not to be believed.
    """

    api: str
    names: Names
    measures: tuple[Measure, ...]
    did: str
    windows: str
    days: str
    total: Total | None = None
    most: int = 300
    longest: int = 3600
    columns: tuple[str, ...] = field(init=False)
    usage: type[Usage] = field(init=False)
    """The class of its rows' numbers."""

    def __post_init__(self) -> None:
        columns = tuple(measure.column for measure in self.measures)
        if not self.measures or self.measures[0].unit is not Unit.COUNT:
            raise ValueError(f"report {self.api}: the first measure must be a count")
        if self.total and not {self.total.column, *self.total.parts} <= set(columns):
            raise ValueError(f"report {self.api}: its total names columns that are no measures")
        counts = frozenset(n for n, measure in enumerate(self.measures) if measure.unit is Unit.COUNT)
        body = {"__slots__": (), "measures": columns, "counts": counts}
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "usage", type("Usage", (Usage,), body))

    def __repr__(self) -> str:
        return f"Report({self.api!r})"

    @cached_property
    def nothing(self) -> Usage:
        """A row of zeros."""
        return self.usage(*(0 for _ in self.measures))

    @cached_property
    def parts(self) -> tuple[Measure, ...]:
        """The measures without the one that is a sum of others."""
        return tuple(m for m in self.measures if self.total is None or m.column != self.total.column)

    @cached_property
    def durations(self) -> tuple[str, ...]:
        """The columns of those that are seconds."""
        return tuple(measure.column for measure in self.parts if measure.unit is Unit.SECONDS)
