"""What came back for a request, and what it means: the answer, or a named error.

What belongs here: opening the body without the token, and judging the reply as a whole. What doesn't: receiving it
(`client.py`), what a status means (`errors.py`), what stands in an answer (`parsing.py`).
"""

from dataclasses import dataclass, field
from datetime import datetime

from wolkvox_assets.api.body import Body, TooHeavy
from wolkvox_assets.api.errors import (
    EMPTY_RANGE,
    AnswerTooLarge,
    AnswerUnreadable,
    RedirectRefused,
    ServerFault,
    TooSlow,
    WolkvoxError,
    outcome_in,
    outcome_of,
)
from wolkvox_assets.api.parsing import Envelope, NotAsAgreed, NotWhole, open_envelope
from wolkvox_assets.api.redaction import Redactor
from wolkvox_assets.report.plain_text import quoted

BODY_KEPT = 64 * 1024  # characters of a body in a record of its request
_OVER_THE_EDGE = 64 * 1024  # bytes behind them, so that a token there is seen whole
_PLAIN_WORDS = 200  # characters of a refusal that is not JSON


@dataclass(slots=True)
class Reply:
    """What came back. `failure`: why it is not whole. `location`: where it redirects to. `body` is as it came, and may
    have the token in it; `open` puts the other three in its place: `text`, its beginning; `envelope`; and `flaw`, the
    failure or what is wrong with the body.
    """

    status: int | None = None
    retry_after: float | None = None
    location: str = ""
    server_time: datetime | None = None
    failure: WolkvoxError | None = None
    body: Body = field(default_factory=Body, repr=False)
    text: str = ""
    envelope: Envelope | None = None
    flaw: WolkvoxError | None = None

    def open(self, redact: Redactor) -> None:
        """Takes the token out of the body, and opens it as far as that goes."""
        if self.failure is not None:
            self.body.cut(BODY_KEPT * 4 + _OVER_THE_EDGE)
        self.body.redact(redact)
        self.text, self.flaw = self.body.beginning(BODY_KEPT), self.failure
        if self.flaw is None:
            try:
                self.envelope = open_envelope(self.body.json())
            except NotWhole as problem:
                self.flaw = ServerFault(f"The body is unusable: {problem}.")
            except NotAsAgreed as problem:
                self.flaw = AnswerUnreadable(f"The body is unusable: {problem}.")
            except TooHeavy as problem:
                self.flaw = AnswerTooLarge(f"The body was not opened: {problem}.")
        self.body = Body()  # it may have 256 MB

    @property
    def code(self) -> str | None:
        return None if self.envelope is None or self.envelope.code is None else str(self.envelope.code)

    @property
    def msg(self) -> str | None:
        return None if self.envelope is None else self.envelope.msg

    @property
    def said(self) -> str | None:
        """What the server said about the request, wherever it said it; or what happened to the connection."""
        if self.failure is not None:
            return self.failure.detail
        if self.envelope is None:
            plain = self._beginning not in ("<", "{", "[") and outcome_in(self.text) is not None
            return self.text[:_PLAIN_WORDS] if plain else None
        if self.status == 200 and self.envelope.code == 200 and self.envelope.error is not None:
            return f"{self.envelope.error}: {self.msg}" if self.msg else self.envelope.error
        return self.msg

    def answer(self) -> Envelope:
        """The answer. Raises the error that the reply stands for. The body decides where the status says nothing."""
        self._refuse_what_is_not_the_apis()
        status, msg = self.status or 0, self.msg
        if self.envelope is None:
            msg = self.text  # a refusal in plain words
        elif status == 200:
            if self.envelope.code is None:
                raise AnswerUnreadable("The body has no 'code' that is a whole number.")
            if self.envelope.code == 200:
                return self.envelope if self.envelope.error is None else _despite_code_200(self.envelope)
            # Some servers answer HTTP 200 with the error only in the body [?].
            status = self.envelope.code
        outcome = outcome_of(status, msg)
        if outcome is not None:
            raise outcome
        if self.envelope is not None and self.envelope.records:
            raise AnswerUnreadable("It says that this range is empty, but has rows.")
        return Envelope(code=status, msg=msg, data=[])

    def _refuse_what_is_not_the_apis(self) -> None:
        status, flaw = self.status or 0, self.flaw
        # First of all: however its body ended, it must not be asked again.
        if 300 <= status <= 399 and status != 304:
            raise RedirectRefused(f"It points to {quoted(self.location)}." if self.location else "")
        if self.failure is not None:
            raise self.failure
        if self._beginning == "<":
            page = "A web page came instead of an answer."
            raise TooSlow(page) if status == 504 else ServerFault(page)
        if flaw is not None and status == 200:
            raise flaw
        # A refusal needs no perfect body. But one that starts like JSON and does not end like it lacks the part that
        # tells why; and a 404 without JSON is a web server's, not the API's "nothing in that range".
        if isinstance(flaw, ServerFault) and (status == 404 or self._beginning in ("{", "[")):
            raise flaw

    @property
    def _beginning(self) -> str:
        return self.text.lstrip()[:1]


def _despite_code_200(envelope: Envelope) -> Envelope:
    """Some servers say 200 and report an error beside it [?]: it counts, whatever `data` holds.

    Only the words for an empty range, with no rows beside them, are no error here either.
    """
    error = envelope.error or ""
    words = {" ".join(text.casefold().split()) for text in (error, envelope.msg or "")}
    if words <= {"not found", EMPTY_RANGE} and EMPTY_RANGE in words and not envelope.records:
        return Envelope(code=404, msg=envelope.msg, data=[])
    outcome = outcome_in(error) or outcome_in(envelope.msg) or ServerFault
    raise outcome(f"It reports an error inside a 200: {quoted(error)}.")
