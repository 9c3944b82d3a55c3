"""How much hold and mute an agent used: the numbers of one row of `agent_9`, and sums of them.

What belongs here: the four numbers, and adding and subtracting them agent by agent. What doesn't:
reading them from an answer (`api/`), deciding what to ask (`sync/`), storing them (`store/`).
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Usage(NamedTuple):
    """One agent's use of hold and mute over some range of time.

    `hold_mute_count` is the number of uses; the others are whole seconds. `total_seconds` is kept as the API
    gave it, even where it is not `hold_seconds + mute_seconds`: the report is shown, not corrected.
    """

    hold_mute_count: int
    hold_seconds: int
    mute_seconds: int
    total_seconds: int

    def plus(self, other: "Usage") -> "Usage":
        return Usage(
            self.hold_mute_count + other.hold_mute_count,
            self.hold_seconds + other.hold_seconds,
            self.mute_seconds + other.mute_seconds,
            self.total_seconds + other.total_seconds,
        )

    def minus(self, other: "Usage") -> "Usage":
        """The difference, which may be negative: the caller decides what that means."""
        return Usage(
            self.hold_mute_count - other.hold_mute_count,
            self.hold_seconds - other.hold_seconds,
            self.mute_seconds - other.mute_seconds,
            self.total_seconds - other.total_seconds,
        )


NOTHING = Usage(0, 0, 0, 0)

Agents = Mapping[str, Usage]
"""An answer of the report: agent name to use. Empty when nobody used hold or mute."""


def add_up(answers: Iterable[Agents]) -> dict[str, Usage]:
    """The sum, agent by agent; names are compared as they are."""
    total: dict[str, Usage] = {}
    for agents in answers:
        for name, usage in agents.items():
            before = total.get(name)
            total[name] = usage if before is None else before.plus(usage)
    return total


def in_use(agents: Agents) -> dict[str, Usage]:
    """Without the agents whose numbers are all zero.

    A sum cannot tell in which of its parts such a row stood, so sums are compared without them.
    """
    return {name: usage for name, usage in agents.items() if usage != NOTHING}
