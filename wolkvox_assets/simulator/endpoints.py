"""The API's two addresses: who may ask, how often, what, and in which order that is looked at.

What belongs here: the rules of the contract about requests, tokens and limits. What doesn't: what is true
(`centre.py`), how it is written (`answers.py`), what breaks (`faults.py`), control (`control.py`).
"""

import asyncio
import re
import time
from asyncio import Transport
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from math import ceil
from typing import cast
from urllib.parse import unquote_plus
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.reports import REPORTS
from wolkvox_assets.simulator import answers
from wolkvox_assets.simulator.answers import QUIRKS, Answer, Quirk, TotalRow
from wolkvox_assets.simulator.centre import Centre
from wolkvox_assets.simulator.counters import Counters, Seen
from wolkvox_assets.simulator.faults import BrokenConnection, Faults, broken

TOKEN = "simulated-token"  # noqa: S105 - made up
"""The token of a simulator that was given no other; plainly not a real one."""

REPORTS_PAGE = "/api/v2/reports_manager.php"
INFORMATION = "/api/v2/information.php"

LONGEST = timedelta(days=31)
"""The longest range of one request [D]."""

LICENCE = 1_000
"""Requests a day, for each licence [D+]."""

ELSEWHERE = "/_elsewhere"
"""Where redirects lead, on the other name of this machine."""

NO_TOKEN = "(none)"  # noqa: S105 - the lack of one
"""Stands for the token of requests that had none."""


class Operation:
    """One contact centre on the server, with its tokens and the day's quota they share.

    `daily_limit`: requests a day, all tokens together; by default as with a licence for each agent.
    `quota_timezone`: whose midnight the day of the quota begins at, by default the centre's [?]; `quota_late`: how long
    after it.
    """

    def __init__(
        self,
        centre: Centre | None = None,
        *,
        tokens: Iterable[str] = (TOKEN,),
        daily_limit: int | None = None,
        quota_timezone: str | None = None,
        quota_late: timedelta = timedelta(0),
    ) -> None:
        self.centre = centre or Centre()
        self.quota_zone = ZoneInfo(quota_timezone) if quota_timezone else self.centre.zone
        self.quota_late = quota_late
        self.tokens = tuple(tokens)
        self.daily_limit = len(self.centre.names) * LICENCE if daily_limit is None else daily_limit
        self._used: Counter[str] = Counter()
        self._day: date | None = None

    def now(self, utc: datetime) -> datetime:
        """The operation's wall clock: naive, whole seconds. `utc`: aware."""
        return utc.astimezone(self.centre.zone).replace(tzinfo=None, microsecond=0)

    def used(self, utc: datetime) -> Counter[str]:
        """Requests of the quota's day so far, by token."""
        today = self._quota_clock(utc).date()
        if today != self._day:
            self._day = today
            self._used = Counter()
        return self._used

    def restarts_in(self, utc: datetime) -> timedelta:
        """How long until the quota's next day begins."""
        clock = self._quota_clock(utc)
        midnight = clock.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return midnight.astimezone(UTC) - clock.astimezone(UTC)

    def _quota_clock(self, utc: datetime) -> datetime:
        return (utc - self.quota_late).astimezone(self.quota_zone)

    def spend(self, requests: int, utc: datetime) -> None:
        """As if somebody else had made so many requests today, with a token of their own."""
        self.used(utc)["(somebody else)"] += requests

    def admit(self, token: str, utc: datetime) -> bool:
        """One request on the day's account; False when it is used up."""
        used = self.used(utc)
        if used.total() >= self.daily_limit:
            return False
        used[token] += 1
        return True


class Api:
    """Answers every request that is not for control. An ASGI application."""

    def __init__(
        self,
        operations: Iterable[Operation],
        faults: Faults,
        quirks: Iterable[str],
        simultaneous: int,
        clock: Callable[[], datetime],
    ) -> None:
        self.operations = list(operations)
        self.reports = REPORTS  # those that this server has
        self.faults = faults
        self.quirks = checked(quirks)
        self.total_row = TotalRow()
        self.simultaneous = simultaneous
        self.clock = clock
        self.date_header = True  # whether answers have one
        self.counters = Counters()
        self._in_flight: dict[Seen, Transport] = {}

    def operation(self, token: str | None = None) -> Operation:
        """The operation of a token; without one, the first."""
        if token is None:
            return self.operations[0]
        for operation in self.operations:
            if token in operation.tokens:
                return operation
        raise KeyError(f"no operation has the token {token!r}")

    @property
    def in_flight(self) -> int:
        """Requests the server works on now, also for clients that have hung up."""
        return len(self._in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        transport = cast(Transport, scope["state"]["transport"])
        counters = self.counters  # those of its arrival, should they be reset before it is answered
        seen = self._arrived(request, transport, counters)
        try:
            response = await self._respond(request, seen, transport)
            counters.by_outcome[seen.outcome] += 1
            # The answer is on its way before anything else on this loop runs, so what a client sends on
            # receiving it can never look as if it had been sent at the same time.
            await response(scope, receive, send)
        except asyncio.CancelledError:  # the simulator is stopped
            transport.abort()
            raise
        finally:
            seen.ended = time.monotonic()
            del self._in_flight[seen]

    def _arrived(self, request: Request, transport: Transport, counters: Counters) -> Seen:
        query = request.query_params
        token = request.headers.get("wolkvox-token", "").strip() or NO_TOKEN
        counters.requests += 1
        seen = Seen(
            counters.requests,
            token,
            query.get("api", ""),
            query.get("date_ini", ""),
            query.get("date_end", ""),
            time.monotonic(),
        )
        counters.log.append(seen)
        counters.by_api[seen.api] += 1
        counters.by_token[token] += 1
        if request.url.path.startswith(ELSEWHERE):
            counters.requests_after_redirect += 1
        counters.token_outside_header += self._misplaced_tokens(request, token)
        self._in_flight[seen] = transport
        waiting = sum(other.token == token and not of.is_closing() for other, of in self._in_flight.items())
        counters.max_in_flight[token] = max(counters.max_in_flight[token], waiting)
        return seen

    def _misplaced_tokens(self, request: Request, presented: str) -> list[str]:
        tokens = {token for operation in self.operations for token in operation.tokens}
        if presented != NO_TOKEN:
            tokens.add(presented)
        places = {
            f"header {name}": value for name, value in request.headers.items() if name != "wolkvox-token"
        }
        places["url"] = unquote_plus(str(request.url))
        return [place for place, text in places.items() if any(token in text for token in tokens)]

    async def _respond(self, request: Request, seen: Seen, transport: Transport) -> Response:
        fault = self.faults.strike(seen.number, seen.api)
        answer = self._answer(request, seen)
        seen.outcome = answer.outcome
        takes = self.faults.latency
        if fault is not None:
            seen.fault = fault.kind
            seen.outcome = f"fault:{fault.kind}"
            answer = broken(fault, answer, self._elsewhere(request))
            takes += fault.seconds if fault.kind == "slow" else 0
        # Never quite at once: requests that were sent at the same time must be seen to be.
        await asyncio.sleep(max(0.001, takes - (time.monotonic() - seen.started)))
        seen.client_gone = transport.is_closing()
        if fault is not None and fault.kind in ("reset", "close", "cut_off"):
            return BrokenConnection(fault.kind, transport, answer)
        seen.status = answer.status
        headers = dict(answer.headers)
        if self.date_header:
            headers["Date"] = format_datetime(self.clock().astimezone(UTC), usegmt=True)
        return Response(answer.body, answer.status, headers, answer.content_type)

    def _answer(self, request: Request, seen: Seen) -> Answer:
        """Who may ask: in the order in which it is looked at [?]. What comes before the quota costs nothing [?]."""
        page = request.url.path.removeprefix(ELSEWHERE)
        if request.method != "GET" or page not in (REPORTS_PAGE, INFORMATION):
            return Answer(404, b"<html><body><h1>Not Found</h1></body></html>", "no_page", "text/html")
        if self.faults.maintenance:
            return answers.error("maintenance")
        if seen.token == NO_TOKEN:
            return answers.error("no_token")
        try:
            operation = self.operation(seen.token)
        except KeyError:
            return answers.error("wrong_token")
        # The server works on when a client has hung up, so those count here [?].
        if sum(other.token == seen.token for other in self._in_flight) > self.simultaneous:
            return answers.error("busy", limit=self.simultaneous)
        now = self.clock()
        if not operation.admit(seen.token, now):
            return answers.error("quota")
        if page == INFORMATION and seen.api == "token_info":
            used = operation.used(now)
            hours = ceil(operation.restarts_in(now) / timedelta(hours=1))
            return answers.token_info(
                operation.daily_limit, used[seen.token], used.total(), hours, self.quirks
            )
        report = next((report for report in self.reports if report.api == seen.api), None)
        if page == REPORTS_PAGE and report is not None:
            return self._report(report, operation, seen, operation.now(now))
        return answers.error("wrong_api")

    def _report(self, report: Report, operation: Operation, seen: Seen, now: datetime) -> Answer:
        start, end = wall_clock(seen.date_ini), wall_clock(seen.date_end)
        # A range that ends before it starts is refused: a simulator does well to be loud about what can
        # only be a mistake of ours. A real server may find nothing in it and say so [?].
        if start is None or end is None or end < start:
            return answers.error("bad_dates")
        if end - start >= LONGEST:  # both ends are inclusive
            return answers.error("too_long")
        return answers.report(
            report,
            operation.centre.truth(start, end, now=now, report=report),
            self.quirks,
            seen.number,
            self.total_row,
        )

    def _elsewhere(self, request: Request) -> str:
        """The same on another host name, which is reached all the same: who follows a redirect gets there."""
        other = "127.0.0.1" if request.url.hostname == "localhost" else "localhost"
        return f"http://{other}:{request.url.port}{ELSEWHERE}{request.url.path}?{request.url.query}"


def wall_clock(text: str) -> datetime | None:
    """`YYYYmmddHHMMSS` [D]; None for anything else."""
    # The pattern first: strptime takes "2026111680000" and finds a date in it.
    if not re.fullmatch(r"[0-9]{14}", text):
        return None
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S")
    except ValueError:
        return None


def checked(quirks: Iterable[str]) -> frozenset[Quirk]:
    """The quirks by name; `all` for all of them."""
    names = {quirks} if isinstance(quirks, str) else set(quirks)
    if "all" in names:
        return frozenset(QUIRKS)
    if unknown := names - set(QUIRKS):
        raise ValueError(f"quirks are all, {', '.join(QUIRKS)}; not {', '.join(sorted(unknown))}")
    return frozenset(quirk for quirk in QUIRKS if quirk in names)
