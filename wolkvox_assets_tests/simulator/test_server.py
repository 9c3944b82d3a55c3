"""Starting, stopping, starting again; and nothing left behind."""

import threading
import time

import pytest
import requests

from wolkvox_assets.simulator import Centre, Faults, Simulator
from wolkvox_assets_tests.simulator.conftest import RawClient

DAY = ("20251117000000", "20251117235959")


def test_it_starts_quickly_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    began = time.monotonic()
    with Simulator(Centre(3)) as simulator:
        assert time.monotonic() - began < 1
        client = RawClient(simulator)
        assert client.agent_9(*DAY).status_code == 200
    assert set(threading.enumerate()) == before
    with pytest.raises(requests.exceptions.ConnectionError):
        client.agent_9(*DAY)
    client.session.close()


def test_answers_on_a_kept_connection_are_not_held_back(client: RawClient) -> None:
    client.agent_9(*DAY)
    took = []
    for _ in range(20):
        began = time.monotonic()
        client.agent_9(*DAY)
        took.append(time.monotonic() - began)
    assert sorted(took)[10] < 0.035  # without TCP_NODELAY an answer takes 40 ms and more


def test_it_does_not_wait_for_slow_answers_when_it_is_stopped() -> None:
    with Simulator(faults=Faults(latency=30)) as simulator:
        failed: list[BaseException] = []

        def ask() -> None:
            client = RawClient(simulator)
            try:
                client.agent_9(*DAY)
            except requests.exceptions.ConnectionError as gone:
                failed.append(gone)
            client.session.close()

        asking = threading.Thread(target=ask)
        asking.start()
        while simulator.counters.requests == 0:
            time.sleep(0.01)
        began = time.monotonic()
    asking.join()
    assert time.monotonic() - began < 2
    assert len(failed) == 1


def test_an_outage_and_the_same_address_again() -> None:
    simulator = Simulator(Centre(3))
    client = RawClient(simulator)
    with simulator:
        url = simulator.url
        assert client.agent_9(*DAY).status_code == 200
    with simulator:
        assert simulator.url == url
        assert client.agent_9(*DAY).status_code == 200
    simulator.stop()  # harmless
    client.session.close()
    assert simulator.counters.requests == 2


def test_two_stand_side_by_side(simulator: Simulator) -> None:
    with Simulator(Centre(3)) as other:
        assert other.url != simulator.url
        with pytest.raises(OSError, match="in use"):
            Simulator(address=("127.0.0.1", int(other.url.rpartition(":")[2]))).start()
        with pytest.raises(RuntimeError, match="already"):
            other.start()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_only_this_machine_reaches_it(host: str) -> None:
    with pytest.raises(ValueError, match="this machine only"):
        Simulator(address=(host, 0))
