"""Each fault as a plain client sees it, and which requests get one."""

import socket
import time
from contextlib import suppress
from itertools import pairwise

import pytest
import requests

from wolkvox_assets.simulator import Simulator
from wolkvox_assets.simulator.faults import KINDS, Fault, Faults, Kind
from wolkvox_assets_tests.simulator.conftest import RawClient, at, read

DAY = ("20261116000000", "20261116235959")


def raw_bytes(simulator: Simulator) -> bytes:
    """All that comes back on a bare socket, until the server ends it."""
    request = (
        f"GET /api/v2/reports_manager.php?api=agent_9&date_ini={DAY[0]}&date_end={DAY[1]} HTTP/1.1\r\n"
        f"host: localhost\r\nwolkvox-token: {simulator.token}\r\n\r\n"
    )
    host, port = simulator.url.removeprefix("http://").split(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(request.encode())
        while chunk := connection.recv(65_536):
            received += chunk
    return received


def test_reset_is_a_reset(simulator: Simulator) -> None:
    simulator.faults.add(Fault("reset", next=1))
    with pytest.raises(ConnectionResetError):
        raw_bytes(simulator)


def test_close_is_an_end_without_an_answer(simulator: Simulator) -> None:
    simulator.faults.add(Fault("close", next=1))
    assert raw_bytes(simulator) == b""


def test_cut_off_promises_more_than_it_sends(simulator: Simulator, client: RawClient) -> None:
    simulator.faults.add(Fault("cut_off", next=2))
    head, _, body = raw_bytes(simulator).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    promised = int(head.partition(b"content-length: ")[2])
    assert 0 < len(body) < promised
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        client.agent_9(*DAY)


def test_cut_json(simulator: Simulator, client: RawClient) -> None:
    simulator.faults.add(Fault("cut_json", next=1))
    response = client.agent_9(*DAY)
    assert response.status_code == 200
    assert response.text.startswith('{"code": 200')
    with pytest.raises(requests.exceptions.JSONDecodeError):
        response.json()


@pytest.mark.parametrize(("kind", "status"), [("bad_gateway", 502), ("unavailable", 503), ("html", 200)])
def test_pages(simulator: Simulator, client: RawClient, kind: Kind, status: int) -> None:
    simulator.faults.add(Fault(kind, next=1, retry_after="7"))
    response = client.agent_9(*DAY)
    assert response.status_code == status
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["retry-after"] == "7"
    assert response.text.startswith("<html>")


@pytest.mark.parametrize(
    ("kind", "status", "code", "msg"),
    [
        ("error_in_200", 200, "500", "AN UNEXPECTED ERROR OCCURRED"),
        ("busy_in_200", 200, "403", "EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS PER TOKEN (2)"),
        ("forbidden_in_200", 200, "403", "SERVICE SUSPENDED WHILE A BACKUP IS MADE"),
        ("busy", 403, "403", "EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS PER TOKEN (2)"),
        ("forbidden", 403, "403", "SERVICE SUSPENDED WHILE A BACKUP IS MADE"),
    ],
)
def test_errors(
    simulator: Simulator, client: RawClient, kind: Kind, status: int, code: str, msg: str
) -> None:
    simulator.faults.add(Fault(kind, next=1))
    response = client.agent_9(*DAY)
    assert response.status_code == status
    assert (response.json()["code"], response.json()["msg"]) == (code, msg)
    assert "data" not in response.json()


def test_slow_is_right_but_late(simulator: Simulator, client: RawClient) -> None:
    simulator.faults.add(Fault("slow", next=2, seconds=0.3))
    began = time.monotonic()
    assert read(client.agent_9(*DAY)) == simulator.truth(at(DAY[0]), at(DAY[1]))
    assert time.monotonic() - began >= 0.3
    with pytest.raises(requests.exceptions.ReadTimeout):
        client.agent_9(*DAY, timeout=0.1)


def test_latency_is_what_an_answer_takes(simulator: Simulator, client: RawClient) -> None:
    client.agent_9(*DAY)  # the connection, and the day itself
    simulator.faults.latency = 0.1
    began = time.monotonic()
    client.agent_9(*DAY)
    assert 0.1 <= time.monotonic() - began < 0.3


def test_a_redirect_leads_to_another_host_and_is_noticed(simulator: Simulator, client: RawClient) -> None:
    simulator.faults.add(Fault("redirect", next=2))
    refused = client.agent_9(*DAY, allow_redirects=False)
    assert refused.status_code == 302
    assert refused.headers["location"].startswith("http://localhost:")
    assert simulator.counters.requests_after_redirect == 0
    followed = client.agent_9(*DAY)
    assert read(followed) == simulator.truth(at(DAY[0]), at(DAY[1]))
    assert simulator.counters.requests_after_redirect == 1


def test_wrong_json(simulator: Simulator, client: RawClient) -> None:
    simulator.faults.add(Fault("wrong_json", next=1))
    assert isinstance(client.agent_9(*DAY).json(), list)


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_request_is_right_again(simulator: Simulator, client: RawClient, kind: Kind) -> None:
    simulator.faults.add(Fault(kind, next=1, seconds=0.01))
    with suppress(requests.RequestException):
        client.agent_9(*DAY, allow_redirects=False)
    assert read(client.agent_9(*DAY)) == simulator.truth(at(DAY[0]), at(DAY[1]))
    assert simulator.counters.by_outcome == {f"fault:{kind}": 1, "ok": 1}
    assert simulator.counters.most_in_flight == 1
    assert simulator.faults.as_json() == []


# Which requests


def struck(faults: Faults, requests_made: int, api: str = "agent_9") -> dict[int, Kind]:
    return {
        number: fault.kind
        for number in range(1, requests_made + 1)
        if (fault := faults.strike(number, api)) is not None
    }


def test_every_nth_and_an_offset() -> None:
    faults = Faults(Fault("reset", every=5), Fault("html", every=5, offset=2))
    assert struck(faults, 12) == {2: "html", 5: "reset", 7: "html", 10: "reset", 12: "html"}


def test_on_these_and_the_next() -> None:
    faults = Faults(Fault("reset", next=2), Fault("html", on=frozenset({1, 4})))
    assert struck(faults, 9) == {1: "reset", 2: "reset", 4: "html"}


def test_the_first_that_was_added_has_it() -> None:
    faults = Faults(Fault("reset", every=2), Fault("html", every=3))
    assert struck(faults, 6) == {2: "reset", 3: "html", 4: "reset", 6: "reset"}


def test_only_one_report() -> None:
    faults = Faults(Fault("reset", next=9, api="token_info"))
    assert struck(faults, 3) == {}
    assert len(struck(faults, 3, "token_info")) == 3


def test_faults_are_cleared() -> None:
    faults = Faults(Fault("reset", every=1), latency=0.5)
    faults.clear()
    assert struck(faults, 3) == {}
    assert faults.latency == 0.5


@pytest.mark.parametrize("wrong", [{"kind": "flood"}, {"kind": "reset", "every": 0}])
def test_impossible_faults_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"a fault is one of|every Nth"):
        Fault(**wrong)  # type: ignore[arg-type]


def test_a_plan_from_the_start() -> None:
    with Simulator(faults=Faults(Fault("bad_gateway", every=2))) as simulator:
        client = RawClient(simulator)
        statuses = [client.agent_9(*DAY).status_code for _ in range(6)]
        client.session.close()
    assert all((one == 502) != (other == 502) for one, other in pairwise(statuses))
