"""One running simulator for all tests of this folder, as new for each; and a client that is nothing but `requests`."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from wolkvox_assets.report.measures import Usage
from wolkvox_assets.simulator import Centre, Operation, Simulator


class RawClient:
    """Asks without knowing better: no retries, nothing validated, redirects followed."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.session = requests.Session()
        self.token: str | None = simulator.token

    def get(self, path: str, params: dict[str, str], **options: Any) -> requests.Response:
        headers = {"wolkvox-token": self.token} if self.token is not None else {}
        headers |= options.pop("headers", {})
        return self.session.get(
            self.simulator.url + path, params=params, headers=headers, **{"timeout": 10, **options}
        )

    def agent_9(self, start: str, end: str, **options: Any) -> requests.Response:
        params = {"api": "agent_9", "date_ini": start, "date_end": end} | options.pop("params", {})
        return self.get("/api/v2/reports_manager.php", params, **options)

    def token_info(self) -> requests.Response:
        return self.get("/api/v2/information.php", {"api": "token_info"})

    def control(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, f"{self.simulator.url}/_simulator/{path}", timeout=10, **options)


@pytest.fixture(scope="session")
def running() -> Iterator[Simulator]:
    # A clock of its own: what is asked lies in the past, whatever the date on this machine.
    with Simulator(clock=lambda: datetime(2026, 11, 20, tzinfo=UTC)) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Simulator:
    """Office of five, no faults, no quirks, counters at nothing."""
    while running.api.in_flight:  # what a client of the test before gave up
        time.sleep(0.01)
    running.api.operations[:] = [Operation(Centre(5))]
    running.api.quirks = frozenset()
    running.api.simultaneous = 2
    running.faults.clear()
    running.faults.latency = 0.0
    running.faults.maintenance = False
    running.reset_counters()
    return running


@pytest.fixture
def client(simulator: Simulator) -> Iterator[RawClient]:
    client = RawClient(simulator)
    yield client
    client.session.close()


def at(text: str) -> datetime:
    """`20261116080000` as the time it means."""
    return datetime.strptime(text, "%Y%m%d%H%M%S")


def seconds_of(duration: str) -> int:
    """Of `HH:MM:SS`, with any number of hours."""
    hours, minutes, seconds = duration.split(":")
    assert len(minutes) == len(seconds) == 2
    assert len(hours) >= 2
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds)


def read(response: requests.Response) -> dict[str, Usage]:
    """An answer without quirks, read in the plainest way."""
    assert response.status_code == 200, response.text
    rows = response.json()["data"]
    assert len({row["agent_name"] for row in rows}) == len(rows)
    return {
        row["agent_name"]: Usage(
            int(row["count"]),
            *(seconds_of(row[column]) for column in ("hold_time", "mute_time", "total_time")),
        )
        for row in rows
    }
