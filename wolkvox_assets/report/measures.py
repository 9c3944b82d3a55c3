"""An agent's numbers in a report, and sums and differences of them, agent by agent."""

from collections.abc import Iterable, Mapping
from operator import add, sub
from typing import ClassVar, Self


class Usage(tuple[int, ...]):
    """One agent's numbers over some range of time, in the order of the report's measures.

    The first says how often, the last how much. They are kept as the API gave them, even where one should be the sum of
    others and is not: the report is shown, not corrected. Each report has a class of its own of this kind, which knows
    their names (`Report.usage`).
    """

    __slots__ = ()
    measures: ClassVar[tuple[str, ...]] = ()
    counts: ClassVar[frozenset[int]] = frozenset({0})
    """Which of them count something, by position; the others are seconds."""

    def __new__(cls, *numbers: int) -> Self:
        return tuple.__new__(cls, numbers)

    def __getattr__(self, name: str) -> int:
        if name not in self.measures:
            raise AttributeError(name)
        return self[self.measures.index(name)]

    @property
    def seconds(self) -> int | None:
        """How much, where that is a duration."""
        return None if len(self) - 1 in self.counts else self[-1]

    def plus(self, other: "Usage") -> Self:
        return tuple.__new__(type(self), map(add, self, other))

    def minus(self, other: "Usage") -> Self:
        """The difference, which may be negative: the caller decides what that means."""
        return tuple.__new__(type(self), map(sub, self, other))


Agents = Mapping[str, Usage]
"""An answer of a report: agent name to numbers. Empty when there is nothing to tell of anybody."""


def add_up(answers: Iterable[Agents]) -> dict[str, Usage]:
    """The sum, agent by agent; names are compared as they are."""
    total: dict[str, Usage] = {}
    for agents in answers:
        for name, usage in agents.items():
            before = total.get(name)
            total[name] = usage if before is None else before.plus(usage)
    return total


def by_name(rows: Iterable[tuple[str, Usage]]) -> dict[str, Usage]:
    """The rows of an answer, in which a name can come twice, added up by name."""
    return add_up({name: usage} for name, usage in rows)


def in_all(agents: Agents) -> Usage | None:
    """The sum over all agents; None where there is none."""
    total = None
    for usage in agents.values():
        total = usage if total is None else total.plus(usage)
    return total


def in_use(agents: Agents) -> dict[str, Usage]:
    """Without the agents whose numbers are all zero.

    A sum cannot tell in which of its parts such a row stood, so sums are compared without them.
    """
    return {name: usage for name, usage in agents.items() if any(usage)}
