"""What the simulator says it saw: the tests of the whole project rest on it."""

import threading
import time
from typing import Any

import pytest
import requests

from wolkvox_assets.simulator import Simulator
from wolkvox_assets.simulator.faults import Fault
from wolkvox_assets_tests.simulator.conftest import RawClient

DAY = ("20261116000000", "20261116235959")
EMPTY = ("20261116030000", "20261116030459")


def test_requests_are_counted_by_api_outcome_and_token(client: RawClient, simulator: Simulator) -> None:
    client.agent_9(*DAY)
    client.agent_9(*EMPTY)
    client.token_info()
    client.token = "wrong"
    client.agent_9(*DAY)
    counters = simulator.counters
    assert counters.requests == 4
    assert counters.connections == 1  # kept alive
    assert counters.by_api == {"agent_9": 3, "token_info": 1}
    assert counters.by_outcome == {"ok": 2, "empty": 1, "wrong_token": 1}
    assert counters.by_token == {"simulated-token": 3, "wrong": 1}
    assert counters.max_in_flight == {"simulated-token": 1, "wrong": 1}


def test_the_log_tells_each_request(client: RawClient, simulator: Simulator) -> None:
    simulator.faults.add(Fault("bad_gateway", on=[2]))
    client.agent_9(*DAY)
    client.agent_9(*EMPTY)
    first, second = simulator.counters.log
    assert (first.number, first.api, first.date_ini, first.date_end) == (1, "agent_9", *DAY)
    assert (first.status, first.outcome, first.fault, first.client_gone) == (200, "ok", None, False)
    assert (second.status, second.outcome, second.fault) == (502, "fault:bad_gateway", "bad_gateway")
    assert first.ended is not None
    assert first.started <= first.ended <= second.started


def test_control_is_not_counted(client: RawClient, simulator: Simulator) -> None:
    client.control("GET", "state")
    assert client.control("GET", "faults").status_code == 405  # POST and DELETE only
    assert client.control("GET", "no-such-thing").status_code == 404
    assert simulator.counters.requests == 0


def test_counters_are_reset(client: RawClient, simulator: Simulator) -> None:
    client.agent_9(*DAY)
    simulator.reset_counters()
    assert simulator.counters.requests == simulator.counters.most_in_flight == 0
    simulator.faults.add(Fault("bad_gateway", on=[1]))
    assert client.agent_9(*DAY).status_code == 502  # numbered from 1 again


def test_an_answer_is_counted_where_its_request_was(client: RawClient, simulator: Simulator) -> None:
    simulator.faults.add(Fault("slow", next=1, seconds=0.2))
    with pytest.raises(requests.exceptions.ReadTimeout):
        client.agent_9(*DAY, timeout=0.1)
    before = simulator.counters
    simulator.reset_counters()
    while simulator.api.in_flight:
        time.sleep(0.01)
    assert before.by_outcome == {"fault:slow": 1}
    assert simulator.counters.by_outcome == {}


@pytest.mark.parametrize(
    ("place", "options"),
    [
        ("url", {"params": {"token": "simulated-token"}}),
        ("header user-agent", {"headers": {"user-agent": "pipeline simulated-token"}}),
        ("header cookie", {"headers": {"cookie": "t=simulated-token"}}),
        ("header authorization", {"headers": {"authorization": "Bearer simulated-token"}}),
    ],
)
def test_a_token_out_of_place_is_seen(
    client: RawClient, simulator: Simulator, place: str, options: dict[str, Any]
) -> None:
    client.agent_9(*DAY)
    assert simulator.counters.token_outside_header == []
    client.agent_9(*DAY, **options)
    assert simulator.counters.token_outside_header == [place]


def test_a_wrong_token_out_of_place_is_seen_too(client: RawClient, simulator: Simulator) -> None:
    client.token = "one with blanks"
    client.agent_9(*DAY, params={"t": "one with blanks"})
    assert simulator.counters.token_outside_header == ["url"]


def test_who_has_hung_up_no_longer_waits(client: RawClient, simulator: Simulator) -> None:
    simulator.faults.add(Fault("slow", next=1, seconds=1.0))
    with pytest.raises(requests.exceptions.ReadTimeout):
        client.agent_9(*DAY, timeout=0.1)
    [abandoned] = simulator.counters.log
    time.sleep(0.1)
    assert client.agent_9(*DAY).status_code == 200
    assert simulator.counters.most_in_flight == 1
    # The server works on, and counts that as one of the two it allows.
    simulator.api.simultaneous = 1
    assert client.agent_9(*DAY).status_code == 403
    while abandoned.ended is None:
        time.sleep(0.01)
    assert client.agent_9(*DAY).status_code == 200
    assert [seen.client_gone for seen in simulator.counters.log] == [True, False, False, False]


def test_the_most_at_once_is_kept(simulator: Simulator) -> None:
    simulator.faults.latency = 0.3
    simulator.api.simultaneous = 9

    def ask() -> None:
        client = RawClient(simulator)
        client.agent_9(*DAY)
        client.session.close()

    for how_many in (1, 4, 2):
        threads = [threading.Thread(target=ask) for _ in range(how_many)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert simulator.counters.most_in_flight == 4
