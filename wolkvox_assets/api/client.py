"""The client of the Wolkvox API: one question at a time, asked until there is an answer or a named error.

What belongs here: the last check of settings before they become a URL or a header, sending, receiving the bytes, and
telling `on_request` about each request. What doesn't: what a reply means (`reply.py`), when to ask again
(`retries.py`), the environment, files.

The token is in the session's headers and nowhere else: not in messages, URLs, reprs or local variables
(tracebacks may show those). What the server said is redacted before anything else looks at it. Exceptions
of requests hold the request with its headers, so ours are never raised while one of those is handled.
"""

import logging
import random
import re
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from pydantic import SecretStr
from requests.auth import AuthBase
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from wolkvox_assets.api.body import Body
from wolkvox_assets.api.deadline import Deadline, watched
from wolkvox_assets.api.errors import (
    AnswerTooLarge,
    Asked,
    CertificateRefused,
    ConnectionFailed,
    RangeRefused,
    ServerFault,
    SettingsRefused,
    TimedOut,
    TooSlow,
    Transient,
    WolkvoxError,
)
from wolkvox_assets.api.parsing import Answer, Envelope, Note, Quota, read_report, read_token_info
from wolkvox_assets.api.redaction import Redactor
from wolkvox_assets.api.reply import Reply
from wolkvox_assets.api.retries import RetryBudget, RetryPolicy, http_date, retry_after_seconds
from wolkvox_assets.api.token_lock import TokenLock
from wolkvox_assets.report.clocks import Moment
from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.plain_text import quoted, visible
from wolkvox_assets.report.windows import Range

logger = logging.getLogger(__name__)

MAX_RANGE = timedelta(days=31)
"""The longest range of one request [D+]."""

LONG_RANGE = timedelta(days=1)
"""A range over this, which is not answered in time, is better asked in parts than again."""

MAX_ANSWER_BYTES = 256 * 1024 * 1024
"""The largest answer [D+], after decompression."""

# What `Content-Encoding` may be: what we ask for, nothing, and a name that some servers take for one. An encoding of an
# encoding (a small bomb that holds a large one) is none of these.
ENCODINGS = {"", "gzip", "x-gzip", "deflate", "identity", "utf-8"}

CONNECT_SECONDS = 5.0
READ_SECONDS = 65.0  # the API gives up on a request itself after 60 s [D+]
# From sending to the last byte: the read timeout starts anew with each byte, so a server that drips would
# never run into it.
ANSWER_SECONDS = 120.0

# A simulator is reached directly, also on a machine whose environment names a proxy for everything.
_NO_PROXY = {"http": "", "https": "", "all": ""}

_Read = TypeVar("_Read")


def _without_headers(record: logging.LogRecord) -> bool:
    """Keeps the fact and drops the rest of urllib3's warning about headers it cannot parse: it shows them raw,
    and a server may have echoed the token in one.
    """
    if str(record.msg).startswith("Failed to parse headers"):
        record.msg, record.args, record.exc_info = "Failed to parse the headers of an answer.", (), None
    return True


logging.getLogger("urllib3.connection").addFilter(_without_headers)


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One HTTP request, whatever became of it.

    `requested_at`: aware, UTC. `date_ini`, `date_end`: as sent, `None` for `token_info`. `http_status`: `None`
    without an answer; then `msg` is what happened to the connection, else what the server said: its `msg`, with the
    error that it reports inside a 200, or a refusal in plain words. `records`: rows as they came, `None` where
    the body has no list of them. `seconds`: from sending to the last byte. `body`: as it came but for the token,
    cut after 64 Ki characters; bytes that are no UTF-8 replaced. `server_time`: the answer's `Date` header (aware),
    `None` where there is none. `begun`: tells the later of two requests with the same token.
    """

    requested_at: datetime
    api: str
    date_ini: str | None
    date_end: str | None
    http_status: int | None
    code: str | None
    msg: str | None
    records: int | None
    seconds: float
    body: str | None
    server_time: datetime | None = None
    begun: Moment | None = None


@dataclass(frozen=True)
class Access:
    """What it takes to reach the API of one operation.

    `operation`: its name, for messages. `server`: four digits. `token`: printable ASCII without blanks.
    `base_url`: a simulator in place of `https://wv{server}.wolkvox.com`, asked without proxies. `lock_postgres`: the
    database, as libpq takes it, where the token's lock lies for all machines that use it; without one it lies on this
    machine.
    """

    operation: str
    server: str
    token: SecretStr
    base_url: str | None = None
    lock_postgres: SecretStr | None = None


@dataclass(frozen=True)
class Asking:
    """How a client asks.

    `on_request`: called with a `RequestRecord` after each request, also a failed one; what it raises is not caught.
    `urgent`: by the urgent lane of the token's lock, before all who are not. `sleep`: how it waits between two tries,
    and `clock`: how long, both in seconds. `now`: by this machine's clock (aware). `jitter`: 0 to 1.
    """

    on_request: Callable[[RequestRecord], None] | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    urgent: bool = False
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random


class WolkvoxClient:
    """Asks the API of one operation. A context manager; safe to share between threads, who then take turns.

    Raises `SettingsRefused` (a `ValueError`) where a setting cannot be right.
    """

    def __init__(self, access: Access, asking: Asking | None = None) -> None:
        self._operation = access.operation
        self._base_url = _checked_address(access.operation, access.server, access.base_url)
        _check_token(access.operation, access.token)
        self._redact = Redactor(access.token)
        self._asking = asking or Asking()
        self._threads_take_turns = threading.Lock()
        self._token_lock = TokenLock(
            access.token,
            access.operation,
            self._asking.sleep,
            urgent=self._asking.urgent,
            postgres=access.lock_postgres,
        )
        self._columns_noted: set[str] = set()
        self._session = _session(access.server, access.token)
        # The certificates named in the environment count for every address, proxies only for the real one. Looked up
        # once: to do so for each request is a tenth of what one costs.
        environment = self._session.merge_environment_settings(
            self._base_url, {} if access.base_url is None else _NO_PROXY, None, None, None
        )
        self._session.proxies, self._session.verify = environment["proxies"], environment["verify"]
        self._session.trust_env = False

    def __repr__(self) -> str:
        return f"WolkvoxClient(operation={self._operation!r}, address={self._base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of what is open. A client that is asked again opens a new one."""
        self._session.close()

    def report(self, report: Report, range_: Range, /, *, requests: int | None = None) -> Answer:
        """The report over the whole range, wall clock, both ends on the second [D].

        Raises `RangeRefused` (a `ValueError`, nothing sent) for an empty range or one over 31 days, and every other
        error of `errors.py`. `requests`: give up after so many failed ones (collisions aside), whatever the policy
        says. Unknown columns are noted only in the first answer that has them.
        """
        asked = Asked(
            self._operation, report.api, f"{range_.start:%Y%m%d%H%M%S}", f"{range_.last_second:%Y%m%d%H%M%S}"
        )
        refused = ""
        if range_.start.tzinfo or range_.end.tzinfo:
            refused = "Its times have an offset; the API takes wall-clock times, which have none."
        elif range_.end <= range_.start:
            refused = "It is empty."
        elif range_.end - range_.start > MAX_RANGE:
            refused = f"It is longer than {MAX_RANGE.days} days: request it in parts."
        if refused:
            error = RangeRefused(refused)
            error.asked = asked
            raise error
        long = range_.end - range_.start > LONG_RANGE
        policy = self._asking.retry.for_long_range() if long else self._asking.retry
        answer = self._ask(
            asked, partial(read_report, report), policy.briefly(requests) if requests else policy
        )
        return replace(answer, notes=self._not_noted_before(answer))

    def token_info(self) -> Quota:
        """What is left of the day's requests; costs one itself [D+]. Raises the errors of `errors.py`.

        Tried less often than a report, which does not depend on it.
        """
        return self._ask(
            Asked(self._operation, "token_info"), read_token_info, self._asking.retry.for_advice()
        )

    def _not_noted_before(self, answer: Answer) -> tuple[Note, ...]:
        """The notes, but each unknown column only once in the life of this client."""
        kept = [n for n in answer.notes if n.kind != "unknown_columns" or n.text not in self._columns_noted]
        self._columns_noted.update(n.text for n in kept if n.kind == "unknown_columns")
        return tuple(kept)

    def _ask(self, asked: Asked, read: Callable[[Envelope], _Read], policy: RetryPolicy) -> _Read:
        """Asks until there is an answer, an error that asking again does not help, or no budget left."""
        budget = RetryBudget(policy, self._asking.clock, self._asking.jitter)
        attempts = 0

        def attempt() -> _Read:
            nonlocal attempts
            attempts += 1
            reply = self._request(asked, budget)
            try:
                return read(reply.answer())
            except WolkvoxError as error:
                error.asked = asked
                error.status, error.code, error.msg = reply.status, reply.code, reply.msg
                if isinstance(error, Transient):
                    error.retry_after = reply.retry_after
                raise

        def say_so(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            why = error.summary() if isinstance(error, WolkvoxError) else error
            logger.warning(
                "%s Trying again in %.1f s (attempt %d of %d failed).",
                why,
                state.upcoming_sleep,
                state.attempt_number,
                policy.attempts,
            )

        retrying = Retrying(
            retry=retry_if_exception_type(Transient),
            wait=budget.wait,
            stop=budget.is_over,
            sleep=self._asking.sleep,
            before_sleep=say_so,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except WolkvoxError as error:
            error.asked, error.attempts, error.seconds = asked, attempts, budget.elapsed
            raise

    def _request(self, asked: Asked, budget: RetryBudget) -> Reply:
        """One request, alone among all who use the token; the locks are not held while anyone waits or parses."""
        waiting_since = self._asking.clock()
        # The deadline is a total, so the last attempt may get less than a whole read timeout.
        time_left = min(ANSWER_SECONDS, max(1.0, budget.remaining))
        with self._threads_take_turns, self._token_lock.held(time_left) as begun:
            started = self._asking.clock()
            budget.excuse(started - waiting_since)
            requested_at = self._asking.now()
            reply = self._send(asked, started, time_left)
            seconds = self._asking.clock() - started
        reply.open(self._redact)
        if self._asking.on_request:
            self._asking.on_request(
                RequestRecord(
                    requested_at=requested_at,
                    api=asked.api,
                    date_ini=asked.date_ini,
                    date_end=asked.date_end,
                    http_status=reply.status,
                    code=reply.code,
                    msg=reply.said,
                    records=reply.envelope.records if reply.envelope else None,
                    seconds=seconds,
                    body=None if reply.status is None else reply.text,
                    server_time=reply.server_time,
                    begun=begun,
                )
            )
        return reply

    def _send(self, asked: Asked, started: float, time_left: float) -> Reply:
        page = "information" if asked.api == "token_info" else "reports_manager"
        params = {"api": asked.api}
        if asked.date_ini and asked.date_end:
            params |= {"date_ini": asked.date_ini, "date_end": asked.date_end}
        reply = Reply()
        with Deadline(time_left) as deadline:
            try:
                response = self._session.get(
                    f"{self._base_url}/api/v2/{page}.php",
                    params=params,
                    timeout=(min(CONNECT_SECONDS, time_left), min(READ_SECONDS, time_left)),
                    stream=True,
                    allow_redirects=False,
                )
                with closing(response):
                    reply.status = response.status_code
                    reply.retry_after = retry_after_seconds(
                        response.headers.get("Retry-After"), self._asking.now()
                    )
                    reply.location = self._redact(response.headers.get("Location", ""))[:200]
                    age = _age(response.headers.get("Age", ""))
                    if age > self._asking.clock() - started:
                        # Of before a late record, or another token's: the address of what two of them ask is the same.
                        # Its `Date` is as old.
                        reply.failure = ServerFault(
                            f"A cache answered, with a copy that is {age} s old, although it was told to keep none."
                        )
                    else:
                        reply.server_time = http_date(response.headers.get("Date"))
                        reply.failure = self._receive(response, reply.body, deadline)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as problem:
                reply.failure = self._connection_error(problem, reply.status)
            finally:
                # What a server sends unasked after an answer must not be there when the next one is waited for: it
                # would be taken for that, since answers don't say which range they are for.
                self._session.close()
        if deadline.is_over:
            # Whatever it looks like: an answer without a length ends just so.
            late = TimedOut if reply.status is None else TooSlow
            reply.failure = late(f"The answer was not complete after {self._asking.clock() - started:.0f} s.")
        return reply

    def _receive(self, response: requests.Response, body: Body, deadline: Deadline) -> WolkvoxError | None:
        """Adds to the body what arrives; what keeps it from being whole."""
        encoding = response.headers.get("Content-Encoding", "").strip().casefold()
        if encoding not in ENCODINGS:
            return ServerFault(
                f"The answer is encoded as {quoted(self._redact(encoding))}, which was not requested."
            )
        # read1 hands over what has arrived; read would wait for a whole chunk of a server that drips.
        while not deadline.is_over and (chunk := response.raw.read1(64 * 1024, decode_content=True)):
            body.add(chunk)
            if len(body) > MAX_ANSWER_BYTES:
                return AnswerTooLarge(f"It has more than {MAX_ANSWER_BYTES} bytes.")
        return None

    def _connection_error(self, problem: Exception, status: int | None) -> WolkvoxError:
        """Our own error for what requests raised. Keeps its text and nothing else: it holds the headers."""
        # What counts stands at the end: 'HTTPSConnectionPool(…): … (Caused by ConnectTimeoutError(…))'
        said = str(problem)
        reason = said.rpartition("(Caused by ")[2].removesuffix(")") if "(Caused by " in said else said
        match problem.args:
            case (urllib3.exceptions.ProtocolError(args=(str(what), OSError() as why)),):
                reason = f"{what.rstrip('.')}: {why.strerror or why}"
        text = f"{type(problem).__name__}: {visible(self._redact(reason)[:500])}"
        if isinstance(problem, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in text:
            return CertificateRefused(f"({text})")
        if isinstance(problem, urllib3.exceptions.DecodeError):
            return ServerFault(f"The answer can't be decompressed ({text}).")
        if status is not None:  # there was an answer, so the network lets us through
            return ServerFault(f"The answer was cut off ({text}).")
        if isinstance(problem, requests.exceptions.ReadTimeout):
            return TimedOut(f"({text})")
        return ConnectionFailed(f"({text})")


def _checked_address(operation: str, server: str, base_url: str | None) -> str:
    """The address without a slash at its end. A bad server code would send the token to another host."""
    if not re.fullmatch(r"[0-9]{4}", server):
        raise SettingsRefused(
            f"Operation {operation!r}: the server code is {server!r}, not four digits as in '0013'."
        )
    if base_url is None:
        return f"https://wv{server}.wolkvox.com"
    try:
        parts = urlsplit(base_url)
        usable = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and "@" not in parts.netloc
            and not parts.query
            and not parts.fragment
            and not re.search(r"[\s\\]", base_url)
        )
        requests.Request("GET", base_url).prepare()
    except ValueError:  # a port that is none, half a bracket, a host that is none
        usable = False
    if not usable:
        # The address itself is not shown: it may hold a password.
        raise SettingsRefused(
            f"Operation {operation!r}: the base URL is not like 'http://127.0.0.1:8400' (http or https; no user, "
            "query or fragment)."
        )
    return base_url.rstrip("/")


def _age(header: str) -> int:
    """For how many seconds a cache has had this; 0 where it says nothing that can be."""
    return int(header) if re.fullmatch(r"\s*[0-9]{1,18}\s*", header) else 0


def _check_token(operation: str, token: SecretStr) -> None:
    # requests would refuse blanks and line ends in a header too, and show the token in its message.
    if not re.fullmatch(r"[!-~]+", token.get_secret_value()):
        raise SettingsRefused(
            f"Operation {operation!r}: the token is empty, or contains blanks, line ends or letters outside ASCII."
        )


class _NoRedirects(requests.Session):
    """Even with `allow_redirects=False` requests reads a redirect's whole body, uncapped, and prepares the next
    request. Told that there is nowhere to go, it does not.
    """

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


class _NoAuth(AuthBase):
    """Keeps requests from looking for a password for the host in ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def _session(server: str, token: SecretStr) -> requests.Session:
    """A session; each request has a connection of its own (see `_send`), and says so."""
    session = _NoRedirects()
    watched(session)
    session.auth = _NoAuth()
    session.headers.update(
        {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Cache-Control": "no-cache, no-store",
            "Connection": "close",
            "User-Agent": "wolkvox-assets",
            "wolkvox-token": token.get_secret_value(),
            "wolkvox_server": server,
        }
    )
    return session
