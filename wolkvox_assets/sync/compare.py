"""Answers set against each other: what is left of a whole without a part, and how two of them differ.

All answers in here are without all-zero rows (`measures.in_use`): a sum cannot tell where such a row stood.
"""

from wolkvox_assets.report.measures import Agents, Usage
from wolkvox_assets.report.plain_text import quoted
from wolkvox_assets.report.windows import Range


class Disagreement(Exception):
    """Two answers that cannot both be true if the API is additive; its text is the evidence."""


class NotEmpty(Exception):
    """A range over a day was answered as empty, and this part of it was not: it may be too long for this server, since
    the words for an empty range are those for a bad one [F].
    """

    def __init__(self, range_: Range, part: Range) -> None:
        super().__init__(f"{range_} was answered as empty, but {part} was not.")
        self.range = range_


def remainder(whole: Agents, whole_range: Range, part: Agents, part_range: Range) -> dict[str, Usage]:
    """What the rest of `whole_range` must have answered, per agent.

    Raises Disagreement where an agent of the part is not in the whole, or any number of the part is larger.
    """
    rest = dict(whole)
    for name, usage in part.items():
        before = rest.get(name)
        if before is None:
            raise Disagreement(
                f"{part_range} has {quoted(name)} with {told(usage)}, but {whole_range} around it doesn't"
            )
        left = before.minus(usage)
        if min(left) < 0:
            raise Disagreement(
                f"{part_range} has {told(usage)} for {quoted(name)}, but {whole_range} around it only {told(before)}"
            )
        if any(left):
            rest[name] = left
        else:
            del rest[name]
    return rest


def difference(one: Agents, other: Agents) -> str:
    """In plain words, the first agent on whom two unlike answers differ, and how many others there are."""
    names = sorted(n for n in one.keys() | other.keys() if one.get(n) != other.get(n))
    name, more = names[0], len(names) - 1
    words = f"{told(one.get(name))} against {told(other.get(name))} for {quoted(name)}"
    return words + (f" (and {more} more)" if more else "")


def told(usage: Usage | None) -> str:
    """The numbers with their names; None: there is no row."""
    if usage is None:
        return "nothing"
    names = usage.measures or ("",) * len(usage)
    return ", ".join(f"{name} {number}".strip() for name, number in zip(names, usage, strict=True))
