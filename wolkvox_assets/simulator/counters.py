"""What the simulator saw: how many requests, how many at once, and the token in wrong places.

Requests to `/_simulator/…` are not counted: looking at the counters must not change them.
"""

from collections import Counter
from dataclasses import asdict, dataclass, field


@dataclass(eq=False)
class Seen:
    """One request in the log. `started`, `ended`: seconds of the monotonic clock; `ended` None: not yet."""

    number: int
    token: str
    api: str
    date_ini: str
    date_end: str
    started: float
    ended: float | None = None
    status: int | None = None
    outcome: str = "unfinished"
    fault: str | None = None
    client_gone: bool = False  # the client had hung up before the answer was ready


@dataclass
class Counters:
    """Counts since the start, or since they were reset.

    `by_outcome`: `ok`, `empty`, the name of an error (`wrong_token`, `quota`, `busy`, …) or `fault:<kind>`.
    `max_in_flight`: by token, the most requests whose clients waited for an answer at one time, those the
    server refused included. A request whose client has hung up no longer counts in it, although a
    server works on: nobody can take back a request of a killed process.
    `token_outside_header`: where a token was seen that is no place for it, once for each time.
    """

    requests: int = 0
    connections: int = 0
    by_api: Counter[str] = field(default_factory=Counter)
    by_outcome: Counter[str] = field(default_factory=Counter)
    by_token: Counter[str] = field(default_factory=Counter)
    max_in_flight: Counter[str] = field(default_factory=Counter)
    token_outside_header: list[str] = field(default_factory=list)
    requests_after_redirect: int = 0
    log: list[Seen] = field(default_factory=list)

    @property
    def most_in_flight(self) -> int:
        """The highest of `max_in_flight` over all tokens; 0 when nothing was asked."""
        return max(self.max_in_flight.values(), default=0)

    def as_json(self, *, log: bool) -> dict[str, object]:
        """All of it as plain values; the log, which can be long, only when asked for."""
        plain = {name: value for name, value in vars(self).items() if name != "log"}
        plain["most_in_flight"] = self.most_in_flight
        if log:
            plain["log"] = [asdict(seen) for seen in self.log]
        return plain
