"""What can go wrong with an answer, and when it shall.

What belongs here: each kind of broken answer, and the plan that says which requests get one. What doesn't:
odd answers that are right (`answers.py`), and the errors of the contract in their own time (`endpoints.py`).

A fault replaces the answer after the request was dealt with as usual: it is counted and costs quota, as it
does when a real server works and the way back breaks.
"""

import socket
import struct
from asyncio import Transport
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from threading import Lock
from typing import Literal, get_args

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from wolkvox_assets.simulator.answers import Answer, error

Kind = Literal[
    "reset",  # the connection is reset (RST), no answer
    "close",  # the connection is closed (FIN), no answer
    "cut_off",  # the connection ends in the middle of the body
    "cut_json",  # half of the JSON, as if it were all of it
    "bad_gateway",  # 502, a proxy's HTML page
    "unavailable",  # 503, a proxy's HTML page
    "html",  # 200, a proxy's HTML page
    "error_in_200",  # HTTP 200, in the body code "500"
    "busy_in_200",  # HTTP 200, in the body the 403 for too many at once
    "forbidden_in_200",  # HTTP 200, in the body a 403 whose text nobody published
    "busy",  # HTTP 403 for too many at once, although nobody else is there
    "forbidden",  # HTTP 403 whose text nobody published
    "slow",  # the right answer, `seconds` later
    "redirect",  # 302 to another host, which would answer
    "wrong_json",  # JSON, but not that of the contract
]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault and the requests that get it: those for which any of the three conditions holds.

    `every`: each Nth request, `offset` requests later where given. `on`: these requests, counted from 1.
    `next`: so many requests from now. `api`: only for this one, such as `agent_9`.
    `seconds`: how slow `slow` is. `retry_after`: a `Retry-After` header to go with it, as it stands.
    """

    kind: Kind
    every: int | None = None
    offset: int = 0
    on: Collection[int] = ()
    next: int = 0
    api: str | None = None
    seconds: float = 5.0
    retry_after: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a fault is one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.every is not None and self.every < 1:
            raise ValueError("every Nth request: N is 1 or more")

    def strikes(self, number: int, api: str) -> bool:
        if self.api not in (None, api):
            return False
        each = self.every is not None and number % self.every == self.offset % self.every
        return each or number in self.on or self.next > 0


class Faults:
    """The plan. Where several faults strike one request, the one that was added first has it.

    `latency`: seconds that every answer takes (the time to work it out is part of it). `maintenance`: the
    API is off, everything gets a 403 whose text nobody published.
    """

    def __init__(self, *faults: Fault, latency: float = 0.0) -> None:
        self.latency = latency
        self.maintenance = False
        self._plan = list(faults)
        self._lock = Lock()  # tests change the plan from their own thread

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._plan.append(fault)

    def clear(self) -> None:
        """No more faults; `latency` and `maintenance` stay as they are."""
        with self._lock:
            self._plan.clear()

    def strike(self, number: int, api: str) -> Fault | None:
        """The fault for this request, if any; uses up one of a fault's `next`."""
        with self._lock:
            for place, fault in enumerate(self._plan):
                if fault.strikes(number, api):
                    if fault.next > 1 or (fault.next and (fault.every or fault.on)):
                        self._plan[place] = replace(fault, next=fault.next - 1)
                    elif fault.next:
                        del self._plan[place]
                    return fault
        return None

    def as_json(self) -> list[dict[str, object]]:
        with self._lock:
            return [{**asdict(fault), "on": sorted(fault.on)} for fault in self._plan]


_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center><hr>nginx</body></html>"


def _page(status: int, title: str) -> Answer:
    return Answer(status, _PAGE.format(title).encode(), "page", "text/html")


_IN_PLACE: dict[Kind, Answer] = {
    "bad_gateway": _page(502, "502 Bad Gateway"),
    "unavailable": _page(503, "503 Service Temporarily Unavailable"),
    "html": _page(200, "Please wait"),
    "error_in_200": error("server_error", http_status=200),
    "busy_in_200": error("busy", http_status=200),
    "forbidden_in_200": error("maintenance", http_status=200),
    "busy": error("busy"),
    "forbidden": error("maintenance"),
    "wrong_json": Answer(200, b'["not", "the", "contract"]', "page"),
}


def broken(fault: Fault, answer: Answer, elsewhere: str) -> Answer:
    """The answer in its broken form. `slow` leaves it as it is, and so do those that break the connection."""
    if fault.kind == "cut_json":
        answer = replace(answer, body=answer.body[: len(answer.body) // 2])
    elif fault.kind == "redirect":
        answer = Answer(302, b"", answer.outcome, headers=(("location", elsewhere),))
    else:
        answer = _IN_PLACE.get(fault.kind, answer)
    if fault.retry_after is not None:
        answer = replace(answer, headers=(*answer.headers, ("retry-after", fault.retry_after)))
    return answer


class BrokenConnection(Response):
    """Ends the connection in place of answering: `reset`, `close` and `cut_off`."""

    def __init__(self, kind: Kind, transport: Transport, answer: Answer) -> None:
        super().__init__()
        self.kind = kind
        self.transport = transport
        self.answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.kind == "cut_off":
            # Past uvicorn, which would not let us promise more than we send.
            body = self.answer.body
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            self.transport.write(head.encode() + body[: len(body) // 2])
            self.transport.close()  # once that is written
        else:
            if self.kind == "reset":
                # Closing with a linger time of 0 drops the connection with an RST.
                raw: socket.socket = self.transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass  # uvicorn sends a page of its own where an app returns before the connection is gone
