"""The same ticks on both kinds of store, side by side: the same requests, tables, due work and verdicts of checks."""

from datetime import timedelta
from pathlib import Path

import pytest

from wolkvox_assets.checks import Look, checks_of, evaluate
from wolkvox_assets.pipeline import to_do
from wolkvox_assets.simulator import Centre, Simulator
from wolkvox_assets.simulator.centre import Use
from wolkvox_assets.simulator.endpoints import Operation as Served
from wolkvox_assets.store.lake.store import LakeStore
from wolkvox_assets.store.overview import overview
from wolkvox_assets_tests.pipeline.conftest import LIVE_FROM, TODAY, Place
from wolkvox_assets_tests.pipeline.test_tick import FIRST, GAP, HOUR, MINUTE, Done, assert_true
from wolkvox_assets_tests.store.tables import agent_9, query

TOLD_BY = (
    "FROM agent_9_windows ORDER BY ALL",
    "SELECT * EXCLUDE (fetched_at, verified_at) FROM agent_9_window_log ORDER BY ALL",
    "FROM agent_hold_mute_daily ORDER BY ALL",
    "SELECT * EXCLUDE verified_at FROM operation_hold_mute_daily ORDER BY ALL",
    "SELECT * EXCLUDE (requested_at, seconds) FROM api_requests ORDER BY rowid",
    "SELECT * EXCLUDE corrected_at FROM agent_9_corrections ORDER BY ALL",
    "SELECT operation, range_start, range_end FROM agent_9_agreements ORDER BY ALL",
)


def lived(folder: Path, store: LakeStore | None, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Two ticks of an operation with a gap and a late record; all that can be told of it afterwards."""
    served = Served(Centre(5, profile="around_the_clock"), tokens=("token-a", "token-b"))
    with Simulator(served) as simulator:
        place = Place(folder, simulator, monkeypatch, lake_store=store)
        simulator.api.clock = lambda: place.now
        simulator.centre.silence(FIRST, LIVE_FROM - timedelta(seconds=1))
        place.fill(FIRST, LIVE_FROM)
        place.prove()
        place.forget(GAP)
        simulator.centre.add(Use(TODAY + 9 * HOUR + 2 * MINUTE, simulator.centre.names[0], "hold", 77))
        assert Done(place, ["main"]).outcome.failed == []
        place.now += 5 * MINUTE
        assert Done(place, ["main"]).outcome.failed == []
        assert_true(place, GAP)
        operation = place.operation()
        with place.store.reading() as con:
            assert con is not None
            results = evaluate(Look(con, operation, place.now), checks_of(operation.report))
            stored = overview(agent_9(con, operation.name))
        known = to_do.known_of(place.store, [operation], place.now)[operation.label]
        return [
            place.asked(),
            *(query(place.store, sql) for sql in TOLD_BY),
            [(result.check.name, result.cases.number) for result in results],
            stored._replace(verified_at=None, quota_read_at=None),
            to_do.live_windows(operation, known, place.now + HOUR, MINUTE),
            to_do.to_verify(place.store, operation, known, place.now + 30 * HOUR),
            to_do.recent_gaps(operation, known, place.now + 30 * HOUR),
            to_do.missing(place.store, operation, place.now + 30 * HOUR),
        ]


@pytest.mark.long
def test_ticks_do_the_same_in_a_lake(
    tmp_path: Path, lake_store: LakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_files = lived(tmp_path / "files", None, monkeypatch)
    in_the_lake = lived(tmp_path / "lake", lake_store, monkeypatch)
    assert all(in_files[:2])
    assert in_the_lake == in_files
