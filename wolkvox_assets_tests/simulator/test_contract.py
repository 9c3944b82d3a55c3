"""Each rule of the API contract, over real HTTP, read by a client that knows nothing."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from wolkvox_assets.report.measures import Usage
from wolkvox_assets.simulator import Centre, Operation, Simulator, Use
from wolkvox_assets_tests.simulator.conftest import RawClient, at, read

DAY = ("20261116000000", "20261116235959")


def assert_error(response: object, status: int, msg: str) -> None:
    assert response.status_code == status  # type: ignore[attr-defined]
    body = response.json()  # type: ignore[attr-defined]
    assert (body["code"], body["msg"]) == (str(status), msg)
    assert isinstance(body["error"], str)


# Answers


def test_an_answer_looks_as_the_contract_says(client: RawClient) -> None:
    body = client.agent_9(*DAY).json()
    assert list(body) == ["code", "error", "msg", "data"]
    assert body["code"] == 200
    assert body["error"] is None
    assert body["msg"] == f"{len(body['data'])} records were found"
    for row in body["data"]:
        assert list(row) == ["agent_name", "count", "hold_time", "mute_time", "total_time"]
        assert all(isinstance(value, str) for value in row.values())


def test_a_day_is_the_truth(client: RawClient, simulator: Simulator) -> None:
    answer = read(client.agent_9(*DAY))
    assert answer == simulator.truth(at(DAY[0]), at(DAY[1]))
    assert all(total == hold + mute for _, hold, mute, total in answer.values())
    assert sum(count for count, *_ in answer.values()) == len(simulator.centre.uses(at(DAY[0]), at(DAY[1])))


def test_a_window_is_the_truth(client: RawClient, simulator: Simulator) -> None:
    use = simulator.centre.uses(at(DAY[0]), at(DAY[1]))[10]
    moment = f"{use.at:%Y%m%d%H%M%S}"
    assert read(client.agent_9(moment, moment)) == simulator.truth(use.at, use.at)


def test_the_boundary_second_belongs_to_both_that_ask_for_it(client: RawClient, simulator: Simulator) -> None:
    simulator.centre.silence(at(DAY[0]), at(DAY[1]))
    simulator.centre.add(Use(at("20261116120500"), "Eva", "hold", 61))
    assert read(client.agent_9("20261116120000", "20261116120500")) == {"Eva": Usage(1, 61, 0, 61)}
    assert read(client.agent_9("20261116120500", "20261116120959")) == {"Eva": Usage(1, 61, 0, 61)}
    assert client.agent_9("20261116120000", "20261116120459").status_code == 404


def test_hours_go_past_24(client: RawClient, simulator: Simulator) -> None:
    simulator.centre.silence(at(DAY[0]), at(DAY[1]))
    for hour in (1, 2):
        simulator.centre.add(Use(at(f"202611160{hour}0000"), "Eva", "hold", 55_954))
    simulator.centre.add(Use(at("20261116030000"), "Eva", "mute", 1))
    row = client.agent_9(*DAY).json()["data"][0]
    assert row == {
        "agent_name": "Eva",
        "count": "3",
        "hold_time": "31:05:08",
        "mute_time": "00:00:01",
        "total_time": "31:05:09",
    }


def test_an_empty_range_reads_like_a_bad_request(client: RawClient) -> None:
    assert_error(client.agent_9("20261116030000", "20261116030459"), 404, "Validate dates entered")


def test_the_future_is_empty(client: RawClient) -> None:
    assert client.agent_9("20990105000000", "20990105235959").status_code == 404


def test_today_is_answered_up_to_now() -> None:
    noon = datetime(2026, 11, 16, 17, tzinfo=UTC)  # noon in Bogota
    with Simulator(Centre(5), clock=lambda: noon) as simulator:
        client = RawClient(simulator)
        assert read(client.agent_9(*DAY)) == Centre(5).truth(at(DAY[0]), at("20261116120000"))
        client.session.close()


# Dates


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("", DAY[1]),
        (DAY[0], ""),
        ("2026-11-16 00:00:00", DAY[1]),
        ("2026111600000", DAY[1]),
        ("202611160000000", DAY[1]),
        ("20261116240000", DAY[1]),
        ("20261131000000", DAY[1]),
        (" 20261116000000", DAY[1]),
        ("２０２６1116000000", DAY[1]),
        ("20261117000000", DAY[1]),
    ],
)
def test_dates_that_are_none(client: RawClient, start: str, end: str) -> None:
    assert_error(client.agent_9(start, end), 400, "SOME PARAMETERS ARE REQUIRED")


def test_missing_dates(client: RawClient) -> None:
    response = client.get("/api/v2/reports_manager.php", {"api": "agent_9"})
    assert_error(response, 400, "SOME PARAMETERS ARE REQUIRED")


def test_31_days_and_not_a_second_more(client: RawClient) -> None:
    assert client.agent_9("20261001000000", "20261031235959").status_code == 200
    response = client.agent_9("20261001000000", "20261101000000")
    assert_error(response, 400, "SOME PARAMETERS ARE REQUIRED")
    assert client.simulator.counters.by_outcome["too_long"] == 1


# Who may ask


@pytest.mark.parametrize("api", ["", "agent_99", "token_info", "AGENT_9"])
def test_another_report(client: RawClient, api: str) -> None:
    response = client.agent_9(*DAY, params={"api": api})
    assert_error(response, 400, "THE API YOU WANT TO CONSULT DOES NOT EXIST")


def test_no_token_and_a_wrong_one(client: RawClient) -> None:
    client.token = None
    assert_error(client.agent_9(*DAY), 401, "PLEASE ENTER THE WOLKVOX-TOKEN")
    client.token = "somebody-elses"
    assert_error(client.agent_9(*DAY), 403, "PLEASE VALIDATE TOKEN")


def test_a_token_in_the_address_is_none(client: RawClient) -> None:
    client.token = None
    response = client.agent_9(*DAY, params={"wolkvox-token": "simulated-token"})
    assert response.status_code == 401


def test_another_page(client: RawClient) -> None:
    assert client.get("/api/v1/reports_manager.php", {"api": "agent_9"}).status_code == 404


def test_maintenance(client: RawClient, simulator: Simulator) -> None:
    simulator.faults.maintenance = True
    response = client.agent_9(*DAY)
    assert response.status_code == 403
    assert response.json()["msg"] not in ("PLEASE VALIDATE TOKEN", "TOKEN LIMIT EXCEEDED")
    simulator.faults.maintenance = False
    assert client.agent_9(*DAY).status_code == 200


def test_each_operation_has_its_own_centre_and_quota(client: RawClient, simulator: Simulator) -> None:
    north = Operation(Centre(3, seed=8), tokens=["north-a", "north-b"], daily_limit=3)
    south = Operation(Centre(["Eva"], profile="quiet"), tokens=["south"])
    simulator.api.operations[:] = [north, south]
    answers = {}
    for token in ("north-a", "north-b", "south"):
        client.token = token
        answers[token] = read(client.agent_9(*DAY))
    assert answers["north-a"] == answers["north-b"] == north.centre.truth(at(DAY[0]), at(DAY[1]))
    assert list(answers["south"]) == ["Eva"]
    assert simulator.truth(at(DAY[0]), at(DAY[1]), "south") == answers["south"]
    client.token = "north-b"
    assert client.token_info().json()["data"][0] == {
        "description": "Simulator",
        "token_limit": "3",
        "token_use_today": "2",
        "all_token_today": "3",
        "available_consumption_options": "0",
    }
    client.token = "north-a"
    assert_error(client.agent_9(*DAY), 403, "TOKEN LIMIT EXCEEDED")
    client.token = "south"
    assert client.agent_9(*DAY).status_code == 200


# Quota


@pytest.mark.parametrize(
    ("options", "begins"),
    [
        ({"quota_timezone": "UTC"}, 0),
        ({"quota_timezone": "Europe/Madrid"}, 23),
        ({"quota_late": timedelta(hours=1)}, 6),
        ({"quota_timezone": "UTC", "quota_late": timedelta(minutes=90)}, 1.5),
    ],
)
def test_the_days_quota_can_begin_at_another_time(options: dict[str, Any], begins: float) -> None:
    operation = Operation(Centre(2), daily_limit=2, **options)
    begins_at = datetime(2026, 11, 18, tzinfo=UTC) + timedelta(hours=begins)
    operation.spend(2, begins_at - timedelta(hours=23))
    just_before = begins_at - timedelta(seconds=1)
    assert not operation.admit("t", just_before)
    assert operation.restarts_in(just_before) == timedelta(seconds=1)
    assert operation.admit("t", begins_at)
    assert operation.restarts_in(begins_at) == timedelta(days=1)


def test_the_days_quota_turns_over_at_the_operations_midnight() -> None:
    time = datetime(2026, 11, 18, 4, 59, 59, tzinfo=UTC)  # 23:59:59 in Bogota
    with Simulator(Operation(Centre(2), daily_limit=2), clock=lambda: time) as simulator:
        client = RawClient(simulator)
        assert client.agent_9(*DAY).status_code == 200
        assert client.agent_9("20261116030000", "20261116030459").status_code == 404  # costs one as well
        assert_error(client.agent_9(*DAY), 403, "TOKEN LIMIT EXCEEDED")
        assert_error(client.token_info(), 403, "TOKEN LIMIT EXCEEDED")
        time += timedelta(seconds=1)
        assert client.agent_9(*DAY).status_code == 200
        assert client.token_info().json()["data"][0]["all_token_today"] == "2"
        assert_error(client.agent_9(*DAY), 403, "TOKEN LIMIT EXCEEDED")
        client.session.close()


def test_a_licence_for_each_agent_is_a_thousand_requests_and_somebody_else_can_use_them(
    client: RawClient, simulator: Simulator
) -> None:
    operation = Operation(Centre(7))
    simulator.api.operations[:] = [operation]
    operation.spend(6_990, simulator.api.clock())
    row = client.token_info().json()["data"][0]
    assert [row[name] for name in ("token_limit", "token_use_today", "all_token_today")] == [
        "7000",
        "1",
        "6991",
    ]
    assert row["available_consumption_options"] == "9"


def test_who_is_refused_for_the_token_pays_nothing(client: RawClient) -> None:
    client.token = None
    client.agent_9(*DAY)
    client.token = "simulated-token"
    assert client.token_info().json()["data"][0]["all_token_today"] == "1"


# At once


def at_once(simulator: Simulator, tokens: list[str]) -> list[tuple[int, str]]:
    """Asks with all of these tokens at the same time, each on a connection of its own."""
    answers: list[tuple[int, str]] = []
    together = threading.Barrier(len(tokens))

    def ask(token: str) -> None:
        client = RawClient(simulator)
        client.token = token
        together.wait()
        response = client.agent_9(*DAY)
        answers.append((response.status_code, response.json()["msg"]))
        client.session.close()

    threads = [threading.Thread(target=ask, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_the_third_at_once_is_refused(simulator: Simulator) -> None:
    simulator.faults.latency = 0.3
    answers = at_once(simulator, ["simulated-token"] * 3)
    assert sorted(status for status, _ in answers) == [200, 200, 403]
    assert (403, "EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS PER TOKEN (2)") in answers
    assert simulator.counters.max_in_flight == {"simulated-token": 3}


def test_the_second_where_one_is_the_limit(simulator: Simulator) -> None:
    simulator.api.simultaneous = 1
    simulator.faults.latency = 0.3
    answers = at_once(simulator, ["simulated-token"] * 2)
    assert sorted(status for status, _ in answers) == [200, 403]


def test_tokens_do_not_stand_in_each_others_way(simulator: Simulator) -> None:
    simulator.api.simultaneous = 1
    simulator.api.operations[:] = [Operation(Centre(3), tokens=["a", "b"])]
    simulator.faults.latency = 0.2
    assert [status for status, _ in at_once(simulator, ["a", "b"])] == [200, 200]
    assert simulator.counters.max_in_flight == {"a": 1, "b": 1}
    assert simulator.counters.most_in_flight == 1


def test_two_at_once_are_seen_without_latency_too(simulator: Simulator) -> None:
    for _ in range(20):
        at_once(simulator, ["simulated-token"] * 2)
    assert simulator.counters.most_in_flight == 2


def test_one_after_the_other_is_never_two(simulator: Simulator) -> None:
    # A connection for each, as by different processes: the moment one has its answer, the next asks.
    lock = threading.Lock()

    def ask() -> None:
        client = RawClient(simulator)
        for _ in range(40):
            with lock:
                client.agent_9(*DAY)
        client.session.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert simulator.counters.most_in_flight == 1
    assert simulator.counters.by_outcome == {"ok": 160}
