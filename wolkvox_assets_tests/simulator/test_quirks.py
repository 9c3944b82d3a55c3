"""Odd answers of real servers: odd in just the way that is meant, and still the truth."""

import json
import unicodedata
from collections import Counter

import pytest
import requests

from wolkvox_assets.report.measures import Usage, add_up
from wolkvox_assets.simulator import Simulator, Use
from wolkvox_assets.simulator.answers import QUIRKS, Quirk
from wolkvox_assets.simulator.endpoints import checked
from wolkvox_assets_tests.simulator.conftest import RawClient, at, read, seconds_of

DAY = ("20261116000000", "20261116235959")
EMPTY = ("20261116030000", "20261116030459")


def whole(simulator: Simulator) -> dict[str, Usage]:
    return simulator.truth(at(DAY[0]), at(DAY[1]))


def with_quirks(simulator: Simulator, *quirks: Quirk) -> None:
    simulator.api.quirks = checked(quirks)


def lenient_seconds(value: str | None) -> int:
    text = (value or "").strip().removesuffix(".000000").replace("-", "")
    return sum(int(part) * 60**place for place, part in enumerate(reversed(text.split(":")))) if text else 0


def lenient(response: requests.Response) -> dict[str, Usage]:
    """Reads through all quirks at once, written here on its own."""
    body = json.loads(response.content.decode("utf-8-sig"))
    return add_up(
        {
            unicodedata.normalize("NFC", " ".join(row["agent_name"].split())): Usage(
                int(row["count"]),
                *(lenient_seconds(row[name]) for name in ("hold_time", "mute_time", "total_time")),
            )
        }
        for row in body["data"]
        if row["agent_name"] not in ("", "TOTAL")
    )


@pytest.mark.parametrize("quirk", [*QUIRKS, "all"])
def test_it_is_still_the_truth(client: RawClient, simulator: Simulator, quirk: Quirk) -> None:
    with_quirks(simulator, quirk)
    for _ in range(8):  # quirks that come by turns
        response = client.agent_9(*DAY)
        assert lenient(response) == whole(simulator)
        records = int(json.loads(response.content.decode("utf-8-sig"))["msg"].split()[0])
        assert records == len(json.loads(response.content.decode("utf-8-sig"))["data"])


def test_string_code(client: RawClient, simulator: Simulator) -> None:
    with_quirks(simulator, "string_code")
    assert client.agent_9(*DAY).json()["code"] == "200"


def test_bom(client: RawClient, simulator: Simulator) -> None:
    with_quirks(simulator, "bom")
    response = client.agent_9(*DAY)
    assert response.content.startswith(b"\xef\xbb\xbf{")
    with pytest.raises(ValueError, match="BOM"):
        json.loads(response.content.decode())


def test_stray_blanks(client: RawClient, simulator: Simulator) -> None:
    with_quirks(simulator, "stray_blanks")
    assert client.agent_9(*DAY).json()["msg"] == f" {len(whole(simulator))} records were found "


@pytest.mark.parametrize(
    ("quirks", "names"),
    [
        (["total_row"], {"TOTAL"}),
        (["blank_total_row"], {""}),
        (["total_row", "blank_total_row"], {"TOTAL", ""}),
    ],
)
def test_total_row(client: RawClient, simulator: Simulator, quirks: list[Quirk], names: set[str]) -> None:
    with_quirks(simulator, *quirks)
    seen = set()
    for _ in range(4):
        rows = read(client.agent_9(*DAY))
        [(name, total)] = [(name, usage) for name, usage in rows.items() if name in ("TOTAL", "")]
        assert total == Usage(*map(sum, zip(*whole(simulator).values(), strict=True)))
        seen.add(name)
    assert seen == names
    assert client.agent_9(*EMPTY).status_code == 404


def test_empty_list(client: RawClient, simulator: Simulator) -> None:
    with_quirks(simulator, "empty_list")
    response = client.agent_9(*EMPTY)
    assert (response.status_code, response.json()["data"]) == (200, [])


def test_split_agents(client: RawClient, simulator: Simulator) -> None:
    with_quirks(simulator, "split_agents")
    rows = client.agent_9(*DAY).json()["data"]
    assert Counter(Counter(row["agent_name"] for row in rows).values()) == {
        1: len(whole(simulator)) - 1,
        2: 1,
    }
    for row in rows:
        hold, mute, total = (seconds_of(row[name]) for name in ("hold_time", "mute_time", "total_time"))
        assert hold + mute == total


def test_odd_names(client: RawClient, simulator: Simulator) -> None:
    with_quirks(simulator, "odd_names")
    names = {row["agent_name"] for _ in range(4) for row in client.agent_9(*DAY).json()["data"]}
    assert {bool(set(whole(simulator)) & names), any("  " in name for name in names)} == {True}
    assert any(name != name.strip() for name in names)
    assert any(name != unicodedata.normalize("NFC", name) for name in names)


def test_odd_durations(client: RawClient, simulator: Simulator) -> None:
    simulator.centre.add(Use(at("20261116100000"), "Eva", "hold", 4_000))  # no mute, and over an hour of hold
    with_quirks(simulator, "odd_durations")
    values: dict[str, set[str | None]] = {"hold_time": set(), "mute_time": set()}
    for _ in range(12):
        [eva] = [row for row in client.agent_9(*DAY).json()["data"] if row["agent_name"] == "Eva"]
        for column, seen in values.items():
            seen.add(eva[column])
    assert values["hold_time"] == {"01:06:40", "4000"}
    assert values["mute_time"] == {"00:00:00", "0", "00:00", "", " ", None}


def test_extra_columns(client: RawClient, simulator: Simulator) -> None:
    with_quirks(simulator, "extra_columns")
    assert set(client.agent_9(*DAY).json()["data"][0]) > {"agent_id", "campaign"}


def test_numbers(client: RawClient, simulator: Simulator) -> None:
    with_quirks(simulator, "numbers")
    for row in client.agent_9(*DAY).json()["data"]:
        assert row["count"] == whole(simulator)[row["agent_name"]].hold_mute_count
    assert client.token_info().json()["data"][0]["token_limit"] == 5_000


@pytest.mark.parametrize(
    ("quirk", "hold", "mute"),
    [("zero_fractions", "01:06:40.000000", "00:00:00.000000"), ("dashes", "01:06:40", "-")],
)
def test_other_durations(client: RawClient, simulator: Simulator, quirk: Quirk, hold: str, mute: str) -> None:
    simulator.centre.add(Use(at("20261116100000"), "Eva", "hold", 4_000))
    with_quirks(simulator, quirk)
    [eva] = [row for row in client.agent_9(*DAY).json()["data"] if row["agent_name"] == "Eva"]
    assert (eva["hold_time"], eva["mute_time"], eva["total_time"]) == (hold, mute, hold)


def test_null_data(client: RawClient, simulator: Simulator) -> None:
    with_quirks(simulator, "null_data")
    response = client.agent_9(*EMPTY)
    assert response.status_code == 200
    assert response.json() == {"code": 200, "error": None, "msg": "0 records were found", "data": None}
    with_quirks(simulator, "null_data", "empty_list")
    seen = [client.agent_9(*EMPTY).json()["data"] for _ in range(2)]
    assert sorted(seen, key=str) == [None, []]


def test_null_error(client: RawClient, simulator: Simulator) -> None:
    with_quirks(simulator, "null_error")
    assert client.agent_9(*DAY).json()["error"] == "null"
    assert client.agent_9(*EMPTY).status_code == 404


def test_token_info_object(client: RawClient, simulator: Simulator) -> None:
    with_quirks(simulator, "token_info_object", "numbers")
    simulator.api.operations[0].spend(7, simulator.api.clock())
    assert client.token_info().json()["data"] == {
        "description": "Simulator",
        "token_limit": 5_000,
        "token_use_today": 1,
        "all_token_today": 8,
        "available_consumption_options": 4_992,
        "hours_to_restart_count": 5,  # midnight in Bogota is 5:00 UTC
    }


def test_an_unknown_quirk_is_refused() -> None:
    with pytest.raises(ValueError, match="not shyness"):
        Simulator(quirks=["shyness"])
