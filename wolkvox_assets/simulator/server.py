"""The simulator in a background thread, with a handle to look into it and to steer it.

What belongs here: the socket, uvicorn, starting and stopping. What doesn't: what is answered
(`endpoints.py`), and the command line (`serve.py`).
"""

import asyncio
import socket
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from ipaddress import ip_address
from threading import Thread
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.measures import Usage
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.simulator.centre import Centre
from wolkvox_assets.simulator.control import Control
from wolkvox_assets.simulator.counters import Counters
from wolkvox_assets.simulator.endpoints import Api, Operation
from wolkvox_assets.simulator.faults import Faults

__all__ = ["Operation", "Simulator"]


class Simulator:
    """A simulator: `with Simulator(Centre(50)) as simulator: requests.get(simulator.url + "/api/v2/…")`.

    `operations`: a centre is one with the token and the quota that are usual. `faults`: the plan. `quirks`: names from
    `answers.QUIRKS`, or `all`. `simultaneous`: requests at once with one token before one is refused: 2 [D+], and 1 for
    a server that keeps its own page's word [D]. `clock`: gives the time, aware; for the day's quota and the header
    `Date`, and what lies in its future is not in the report. `address`: host and port; 0 is any free one, which it
    keeps when it is stopped and started again.

    Stopped and started again, it still knows its counters, faults, late records and quota.
    """

    def __init__(
        self,
        *operations: Operation | Centre,
        faults: Faults | None = None,
        quirks: Iterable[str] = (),
        simultaneous: int = 2,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        address: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self._host, self._port = address
        if not (self._host == "localhost" or ip_address(self._host).is_loopback):
            raise ValueError(f"the simulator answers on this machine only, not on {self._host}")
        served = [one if isinstance(one, Operation) else Operation(one) for one in operations]
        self.api = Api(served or [Operation()], faults or Faults(), quirks, simultaneous, clock)
        self._running: tuple[uvicorn.Server, Thread] | None = None

    # Looking and steering

    @property
    def url(self) -> str:
        """For `WOLKVOX_BASE_URL`, without a slash at the end. Known once it was started."""
        return f"http://{self._host}:{self._port}"

    @property
    def token(self) -> str:
        """The first token of the first operation."""
        return self.api.operations[0].tokens[0]

    @property
    def centre(self) -> Centre:
        """The centre of the first operation."""
        return self.api.operations[0].centre

    @property
    def counters(self) -> Counters:
        return self.api.counters

    @property
    def faults(self) -> Faults:
        return self.api.faults

    def reset_counters(self) -> None:
        """All counters to nothing; requests are numbered from 1 again."""
        self.api.counters = Counters()

    def truth(
        self, start: datetime, end: datetime, token: str | None = None, *, report: Report = AGENT_9
    ) -> dict[str, Usage]:
        """What the report would say now about the operation of this token (or the first); ends included."""
        operation = self.api.operation(token)
        return operation.centre.truth(start, end, now=operation.now(self.api.clock()), report=report)

    # Starting and stopping

    def start(self) -> Self:
        if self._running is not None:
            raise RuntimeError("the simulator runs already")
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # The protocol is named because asyncio sets TCP_NODELAY only where it is: answers would take 40 ms.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self._host, self._port))
            listening.listen(128)
        except OSError:
            listening.close()
            raise
        self._port = listening.getsockname()[1]
        server = uvicorn.Server(self._config())
        thread = Thread(target=server.run, args=([listening],), name="wolkvox-simulator", daemon=True)
        thread.start()
        self._running = (server, thread)
        while not server.started:
            if not thread.is_alive():
                self._running = None
                listening.close()
                raise RuntimeError("the simulator did not start")
            time.sleep(0.002)  # uvicorn has nothing to wait on; it takes some 10 ms
        return self

    def stop(self) -> None:
        """Ends it, with whatever it is still answering; harmless when it does not run."""
        if self._running is None:
            return
        server, thread = self._running
        self._running = None
        server.should_exit = True
        thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _config(self) -> uvicorn.Config:
        api = self.api

        class Protocol(H11Protocol):
            """Hands the connection to the application, which can then break it (`faults.py`)."""

            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # narrower: TCP only
                super().connection_made(transport)
                api.counters.connections += 1
                self.app_state = {**self.app_state, "transport": transport}

        app = Starlette(routes=[Mount("/_simulator", Control(api).app()), Route("/{anything:path}", api)])
        return uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            loop="asyncio",  # uvloop would not let us at the socket
            lifespan="off",
            log_config=None,
            log_level="critical",  # cancelling a slow answer when it is stopped is no error here
            access_log=False,
            proxy_headers=False,
            date_header=False,  # the simulator's own clock writes it
            timeout_keep_alive=75,  # a common web server's; uvicorn's 5 s end connections between two requests
            timeout_graceful_shutdown=0,
        )
