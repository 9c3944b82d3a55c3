"""What can go wrong when the Wolkvox API is asked, named by how one recovers from it.

    WolkvoxError
     ├── Permanent              asking again cannot help: a person has to change something
     │    ├── SettingsRefused       server code, token or address cannot be right; nothing was sent
     │    ├── RangeRefused          a range that the API does not take; never sent
     │    ├── LockUnusable          the lock between processes cannot be taken safely; nothing was sent
     │    │    └── LockUnreachable      the one that machines share is in a Postgres that does not answer
     │    ├── UnknownReport         400: our fault
     │    ├── MissingParameters     400: our fault
     │    ├── TokenMissing          401: configuration
     │    ├── TokenRefused          403: configuration
     │    ├── NotFound              404 with any other text than that of an empty range
     │    ├── CertificateRefused    the TLS certificate does not prove who the server is
     │    ├── RedirectRefused       3xx: never followed, the token would go along
     │    ├── AnswerTooLarge        over the API's own limits for one answer: 256 MB, 60,000 records [D+]
     │    ├── AnswerUnreadable      whole, but not what the contract says; nothing of it may be stored
     │    └── UnexpectedStatus      a status, or a code inside a 200, that is in no table
     ├── QuotaUsedUp            403: stop; when to look again is not for the client to say
     └── Transient              asked again by the client; raised when that did not help; `.retry_after`
          ├── TooManyAtOnce         403: someone else uses the token now
          ├── Unavailable           403 with a text nobody published: backup or maintenance, for up to hours
          ├── ConnectionFailed      refused, timed out, reset: network, or not on the allow-list
          │    └── TimedOut             connected, but no answer within the API's own 60 s and a little more
          └── ServerFault           5xx, 408, 425, 429, HTML, a cut-off answer
               ├── TooSlow              504, or an answer that takes for ever: perhaps the range is too long
               └── RowsMissing          fewer rows than it says: cut off on the way [?], or the count is another's

What belongs here: the exceptions, and the contract's error table as data. What doesn't: reading a
body (`parsing.py`), when and how often to ask again (`retries.py`), sending (`client.py`).
"""

import re
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request was about: shown in each error, and in each record of a request.

    `date_ini`, `date_end`: the wall-clock texts as sent, `None` where the request has no range.
    """

    operation: str
    api: str
    date_ini: str | None = None
    date_end: str | None = None

    def __str__(self) -> str:
        range_ = (
            f" from {_for_people(self.date_ini)} to {_for_people(self.date_end)}" if self.date_ini else ""
        )
        return f"operation {self.operation!r}, {self.api}{range_}"


def _for_people(sent: str | None) -> str:
    """`2026-11-24 00:04:59` of `20261124000459`, and no seconds where there are none."""
    shown = re.sub(r"^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$", r"\1-\2-\3 \4:\5:\6", sent or "")
    return shown.removesuffix(":00") if len(shown) == 19 else shown


class WolkvoxError(Exception):
    """Anything that kept the API from giving a usable answer. The text says what to do.

    `detail`: what is special about this one. `status`: the HTTP status, `None` when there was no answer. `code`,
    `msg`: from the body. `asked`: see `Asked`. `attempts`, `seconds`: how often and how long it was tried (without the
    wait for the token's lock). Everything but `detail` is filled in by the client, which alone knows it.
    """

    happened: ClassVar[str] = "The request failed."
    remedy: ClassVar[str] = ""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.asked: Asked | None = None
        self.status: int | None = None
        self.code: str | None = None
        self.msg: str | None = None
        self.attempts = 1
        self.seconds = 0.0

    def summary(self) -> str:
        """What happened, to what, without the remedy."""
        facts = []
        if self.status is not None:
            facts.append(f"HTTP {self.status}")
        if self.code is not None and self.code != str(self.status):
            facts.append(f"code {self.code}")
        if self.msg:
            facts.append(f"msg {self.msg[:200]!r}")
        words = [f"{self.asked}:" if self.asked else "", self.happened, self.detail]
        if facts:
            words.append(f"({', '.join(facts)})")
        return " ".join(word for word in words if word)

    def __str__(self) -> str:
        tried = f"Tried {self.attempts} times over {self.seconds:.0f} s." if self.attempts > 1 else ""
        return " ".join(word for word in (self.summary(), tried, self.remedy) if word)


class Permanent(WolkvoxError):
    """Asking again cannot help: a person has to change something."""


class SettingsRefused(Permanent, ValueError):
    happened = "A setting cannot be right."
    remedy = "Correct it and start again; nothing was sent."


class RangeRefused(Permanent, ValueError):
    happened = "This range cannot be requested."
    remedy = "Nothing was sent."


class LockUnusable(Permanent):
    happened = "The lock that keeps two processes from using the token at once cannot be taken."
    remedy = (
        "Nothing was sent. Correct that, or set TMPDIR to another folder for everything that uses the token. "
        "Then start again."
    )


class LockUnreachable(LockUnusable):
    happened = "The lock in Postgres that keeps two machines from using the token at once cannot be taken."
    remedy = (
        "Nothing was sent. Check that Postgres (WOLKVOX_STORE) is running, and that its role may connect and "
        "write; then repeat."
    )


class UnknownReport(Permanent):
    happened = "The server says that this report does not exist."
    remedy = "Check the server code and the address; if they are right, this program is at fault."


class MissingParameters(Permanent):
    happened = "The server says that parameters are missing, or cannot read the dates."
    remedy = "This program is at fault: report it, with this message."


class TokenMissing(Permanent):
    happened = "The server saw no token."
    remedy = "Something between here and the server removes the header 'wolkvox-token': check proxies."


class TokenRefused(Permanent):
    happened = "The server refuses the token: it is wrong, expired or deleted, or belongs to another server."
    remedy = "Set the operation's current token and its server code, and repeat the run."


class NotFound(Permanent):
    happened = "The server does not know this address or report (this is not its text for an empty range)."
    remedy = "Check the server code and the address."


class CertificateRefused(Permanent):
    happened = "The server's TLS certificate cannot be trusted; the token was not sent."
    remedy = (
        "Check the address and this machine's date; if a proxy of yours opens TLS, "
        "name its certificate in REQUESTS_CA_BUNDLE."
    )


class RedirectRefused(Permanent):
    happened = "The server redirects to another address; not followed, since the token would be sent along."
    remedy = "Check the server code and the address."


class AnswerTooLarge(Permanent):
    happened = "The answer is larger than the API's limit for one answer."
    remedy = "Request a shorter range."


class AnswerUnreadable(Permanent):
    happened = "The answer cannot be read; none of it was kept."
    remedy = (
        "The report's format may have changed: look at the answer (column body of the table "
        "api_requests) and compare it with the vendor's documentation of this report."
    )


class UnexpectedStatus(Permanent):
    happened = "The server's answer is not described anywhere."
    remedy = "Look at the answer (column body of the table api_requests). Ask Wolkvox what it means."


class QuotaUsedUp(WolkvoxError):
    happened = "The operation's requests for today are used up."
    remedy = "Nothing to do: it is tried again within the hour. More requests a day need more licences."


class Transient(WolkvoxError):
    """Goes away by itself. The client has already asked again as often as its `RetryPolicy` says.

    `retry_after`: the seconds the server asked us to wait, if it did.
    """

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.retry_after: float | None = None


class TooManyAtOnce(Transient):
    happened = "Someone else is using this token at the same time."
    remedy = "Find the other program and give it a token of its own, or run it at another time."


class Unavailable(Transient):
    happened = "The server refuses, with an unknown message: perhaps backup or maintenance."
    remedy = "Try again later, in up to a few hours; if this continues, ask Wolkvox what the text means."


class ConnectionFailed(Transient):
    happened = "No answer from the server."
    remedy = (
        "Check the network and the server code. Wolkvox lets in only the addresses on the operation's allow-list: "
        "check that this machine's public IP address is on it."
    )


class TimedOut(ConnectionFailed):
    happened = "The server took the request and did not answer in time."


class ServerFault(Transient):
    happened = "The server, or a proxy in front of it, failed."
    remedy = "Try again later; if this continues, report it to Wolkvox with this message."


class TooSlow(ServerFault):
    happened = "The server did not finish its answer in time."


class RowsMissing(ServerFault):
    happened = "The answer has fewer rows than it says; none of it was kept."
    remedy = (
        "If this continues, compare the answer (column body of the table api_requests) with the same report "
        "in Wolkvox's own pages, and report it to Wolkvox with this message."
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the contract's error table.

    `says` must be contained in `msg`, blanks folded and whatever the case; `""` is any `msg`, or none.
    `outcome`: `None` is no error but an empty answer.
    """

    status: int
    says: str
    outcome: type[WolkvoxError] | None


EMPTY_RANGE = "validate dates entered"
QUOTA_USED_UP = "token limit exceeded"

# The first that fits counts.
ERROR_TABLE = (
    Rule(400, "the api you want to consult does not exist", UnknownReport),
    Rule(400, "some parameters are required", MissingParameters),
    Rule(401, "please enter the wolkvox-token", TokenMissing),
    Rule(403, "please validate token", TokenRefused),
    Rule(403, QUOTA_USED_UP, QuotaUsedUp),
    Rule(403, "exceeds the limit of simultaneous requests", TooManyAtOnce),
    Rule(403, "", Unavailable),
    # Reads like a bad request and is not one: a Sunday, a holiday, 3 a.m. [F]
    Rule(404, EMPTY_RANGE, None),
    Rule(404, "", NotFound),
    # Not Wolkvox's: what proxies and web servers say when one should come back later.
    Rule(504, "", TooSlow),
    Rule(408, "", ServerFault),
    Rule(425, "", ServerFault),
    Rule(429, "", ServerFault),
)


def outcome_of(status: int, msg: str | None) -> type[WolkvoxError] | None:
    """What a refusal means. `status`: of HTTP, or the body's `code` where HTTP says 200. `None`: empty."""
    said = _folded(msg)
    for rule in ERROR_TABLE:
        if rule.status == status and rule.says in said:
            return rule.outcome
    return ServerFault if 500 <= status <= 599 else UnexpectedStatus


def outcome_in(text: str | None) -> type[WolkvoxError] | None:
    """The error that this text alone tells, where no status does; `None` where it tells none."""
    said = _folded(text)
    return next((rule.outcome for rule in ERROR_TABLE if rule.says and rule.says in said), None)


def says_empty(text: str | None) -> bool:
    """Whether it tells that there is nothing in the range."""
    return EMPTY_RANGE in _folded(text)


def _folded(text: str | None) -> str:
    return " ".join((text or "").casefold().split())
