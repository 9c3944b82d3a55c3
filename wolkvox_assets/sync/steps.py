"""The words between `sync/` and whoever uses it: what it is handed, and the steps it yields."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from wolkvox_assets.report.measures import Agents
from wolkvox_assets.report.windows import Range

Ask = Callable[[Range], Agents]
"""One request: what the API answers for a range (wall clock); `{}` for an empty answer.

Whatever it raises (quota, network, stop) passes through `sync/` untouched; every step yielded before stays
valid, and a repeat goes on from what was stored.
"""


class Stored(Protocol):
    """What is stored of one operation.

    Read lazily, and for a range only before any step about that range was yielded; `not_asked` in order to discard,
    after steps that may or may not have been stored by then.
    """

    def known(self, r: Range, /) -> int:
        """How many windows of `r` are known, empty ones included."""

    def totals(self, r: Range, /) -> Agents:
        """The sums over the known windows of `r`, agent by agent; rows that are all zero may stand in it."""

    def derived(self, r: Range, /) -> Sequence[datetime]:
        """The known windows of `r` whose stored source is `derived`."""

    def not_asked(self, r: Range, /) -> Sequence[datetime]:
        """The known windows of `r` that are known by wholes alone: their stored source is not `asked`."""

    def asked(self, r: Range, /) -> Mapping[datetime, bool]:
        """The known windows of `r` whose stored source is `asked`, and whether their hour, too, was asked by itself
        and agreed with what is stored of it."""

    def busy_hours(self, day: date, /) -> Range | None:
        """The whole hours of this day from the first to the last use, if it is like the stored days around it. A guess:
        what is asked may depend on it, what is true never."""


class Source(StrEnum):
    """How a window came to be known."""

    ASKED = "asked"
    """A request of its own."""
    DERIVED = "derived"
    """By subtraction."""
    EMPTY_RANGE = "empty_range"
    """It lies in a longer range that was asked and answered empty."""


class Additivity(StrEnum):
    """What is known of additivity: whether an aggregate over a range is the sum over its parts."""

    UNPROVED = "unproved"
    """Never tried, or so long ago that it is to be tried again: proved on the way, before anything is derived."""
    PROVED = "proved"
    """It held lately: derive."""
    FAILED = "failed"
    """It failed lately, or is not to be relied on: ask every window, and don't try it now."""


@dataclass(frozen=True, slots=True)
class Known:
    """Replace the content of this window by `agents`, also when that changes nothing."""

    window: datetime
    agents: Agents
    source: Source


@dataclass(frozen=True, slots=True)
class KnownEmpty:
    """Replace the content of every window of `range` (two or more) by nothing."""

    range: Range
    source: Source


@dataclass(frozen=True, slots=True)
class Verified:
    """What is stored of all of `range` was found equal to the API: rewrite nothing, the sources stay.

    `asked`: the answer for just this range was had, and agreed; otherwise it follows from others.
    """

    range: Range
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Discard:
    """Forget, now, what is stored of every window of `ranges`: it rests on answers for wholes, and is not to be
    trusted.
    """

    ranges: tuple[Range, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The windows of `ranges` can't be had now, while others can: to be tried again, but not soon."""

    ranges: tuple[Range, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Proof:
    """A verdict on additivity, to be stored with its date. `evidence`: plain words with the day and the numbers."""

    holds: bool
    evidence: str


@dataclass(frozen=True, slots=True)
class Audited:
    """These derived windows of `range` were asked as well, and agreed (each came as a `Known`, too).

    `derived`: how many windows they were drawn from. `seed`: what `Sync` was given, to be logged.
    """

    range: Range
    windows: tuple[datetime, ...]
    derived: int
    seed: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something the person who reads the log should know; nothing to store. `warning`: something is wrong."""

    text: str
    warning: bool = False


Step = Known | KnownEmpty | Verified | Discard | LeftOut | Proof | Audited | Note
