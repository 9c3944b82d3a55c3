"""Steering the simulator from another process, over HTTP."""

import pytest

from wolkvox_assets.report.measures import Usage
from wolkvox_assets.simulator import Simulator
from wolkvox_assets_tests.simulator.conftest import RawClient, at

DAY = {"date_ini": "20261116000000", "date_end": "20261116235959"}
EVA = {"agent": "Eva", "at": "20261116120000", "kind": "hold", "seconds": 9}


def test_state(client: RawClient) -> None:
    client.agent_9(*DAY.values())
    state = client.control("GET", "state").json()
    assert state["counters"]["requests"] == state["counters"]["most_in_flight"] == 1
    assert "log" not in state["counters"]
    assert state["operations"][0]["tokens"] == ["simulated-token"]
    assert (state["operations"][0]["used_today"], state["operations"][0]["daily_limit"]) == (1, 5_000)
    [seen] = client.control("GET", "state", params={"log": "1"}).json()["counters"]["log"]
    assert seen["date_ini"] == DAY["date_ini"]


def test_truth(client: RawClient, simulator: Simulator) -> None:
    truth = {
        agent: Usage(*numbers) for agent, numbers in client.control("GET", "truth", params=DAY).json().items()
    }
    assert truth == simulator.truth(at(DAY["date_ini"]), at(DAY["date_end"]))
    windows = client.control("GET", "truth", params={**DAY, "windows": "1"}).json()
    assert len(windows) == 288
    start = "20261116100000"
    expected = simulator.truth(at(start), at("20261116100459"))
    assert {agent: Usage(*numbers) for agent, numbers in windows[start].items()} == expected


def test_faults(client: RawClient) -> None:
    plan = client.control("POST", "faults", json={"kind": "bad_gateway", "every": 2, "on": [1]}).json()
    assert [(fault["kind"], fault["every"], fault["on"]) for fault in plan] == [("bad_gateway", 2, [1])]
    assert client.agent_9(*DAY.values()).status_code == 502
    assert client.control("DELETE", "faults").json() == []
    assert client.agent_9(*DAY.values()).status_code == 200


def test_settings(client: RawClient, simulator: Simulator) -> None:
    wanted = {
        "latency": 0.01, "maintenance": True, "simultaneous": 1, "quirks": ["bom"], "daily_limit": 9, "spend": 4,
    }  # fmt: skip
    assert client.control("POST", "settings", json=wanted).status_code == 200
    state = client.control("GET", "state").json()
    assert {name: state[name] for name in ("latency", "maintenance", "simultaneous", "quirks")} == {
        "latency": 0.01, "maintenance": True, "simultaneous": 1, "quirks": ["bom"],
    }  # fmt: skip
    assert (state["operations"][0]["daily_limit"], state["operations"][0]["used_today"]) == (9, 4)
    client.control("POST", "settings", json={"quota_timezone": "UTC", "quota_late_seconds": 1800})
    state = client.control("GET", "state").json()
    assert state["operations"][0]["quota_restarts_in"] == 1800  # it is midnight in UTC
    client.control("POST", "settings", json={"quirks": "all"})
    assert len(simulator.api.quirks) > 5


def test_late_records(client: RawClient, simulator: Simulator) -> None:
    start, end = at(DAY["date_ini"]), at(DAY["date_end"])
    before = simulator.truth(start, end)
    assert client.control("POST", "uses", json=EVA).status_code == 200
    assert simulator.truth(start, end) == {**before, "Eva": Usage(1, 9, 0, 9)}
    assert client.control("DELETE", "uses", json=EVA).status_code == 200
    assert simulator.truth(start, end) == before
    assert client.control("POST", "silence", json=DAY).status_code == 200
    assert simulator.truth(start, end) == {}


def test_reset(client: RawClient, simulator: Simulator) -> None:
    client.agent_9(*DAY.values())
    client.control("POST", "reset")
    assert simulator.counters.requests == 0


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "faults", {"kind": "flood"}),
        ("POST", "faults", {"kind": "reset", "often": 3}),
        ("POST", "faults", []),
        ("POST", "settings", {"colour": "blue"}),
        ("POST", "settings", {"quirks": ["shyness"]}),
        ("POST", "settings", {"quota_timezone": "Mars/Olympus"}),
        ("POST", "settings", {"quota_timezone": "America"}),
        ("POST", "settings", {"token": "unknown", "daily_limit": 1}),
        ("POST", "uses", {**EVA, "kind": "shout"}),
        ("POST", "uses", {"agent": "Eva"}),
        ("DELETE", "uses", EVA),
        ("POST", "silence", {"date_ini": "yesterday", "date_end": "today"}),
        ("GET", "truth", None),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(
    client: RawClient, method: str, path: str, body: object
) -> None:
    response = client.control(method, path, json=body)
    assert response.status_code == 400
    assert response.json()["error"]
