"""A store that has swollen is written anew: with all that is in it, when it is worth it, and by nobody else's leave."""

import logging
import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wolkvox_assets.store import files, replacing
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.integrity import inspect
from wolkvox_assets_tests.store.processes import (
    hold_lock,
    keep_open,
    running,
    start_and_be_killed,
    store_round,
)
from wolkvox_assets_tests.store.tables import query, tables
from wolkvox_assets_tests.store.test_killed_repairs import OURS, start

STEPS, MOMENTS = 3, 2


@pytest.fixture
def swollen(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> FileStore:
    monkeypatch.setattr(files, "_REST_BETWEEN_REWRITES", timedelta(0))
    with store.transaction() as con:
        con.execute(
            "INSERT INTO api_requests BY NAME SELECT 'main' AS operation, now()::TIMESTAMP AS requested_at,"
            " 'agent_9' AS api, 0.1 AS seconds, 'r' AS run_id, sha256(i::VARCHAR) AS body FROM range(80000) r(i)"
        )
    for number in range(3):
        store_round(store, "before", number)
    with store.transaction() as con:
        con.execute("DELETE FROM api_requests WHERE hash(body) % 3 > 0")
    return store


def test_it_becomes_as_small_as_it_can_be_and_holds_what_it_held(swollen: FileStore) -> None:
    before, size = tables(swollen.own), swollen.own.stat().st_size
    with running(keep_open, swollen.published, True, "") as reader:
        assert reader.hear() == "open"
        assert swollen.tidy()
        assert swollen.own.stat().st_size < 0.8 * size
        assert tables(swollen.own) == tables(swollen.published) == before
        assert swollen.in_step()
        assert reader.ask("SELECT COUNT(*) FROM api_requests") == f"[({len(before['api_requests'])},)]"
        reader.end()
    assert not swollen.tidy()  # nothing would be won
    store_round(swollen, "again", 4)
    assert {path.name for path in swollen.folder.iterdir()} == OURS


def test_it_rests_for_a_day(store: FileStore) -> None:
    assert not store.tidy()  # there is nothing
    assert not store.folder.exists()
    store_round(store, "before", 1)
    assert not store.tidy()
    for days, wanted in ((0.9, False), (1.1, True)):
        with store.transaction() as con:
            con.execute(
                "UPDATE store_rewrites SET rewritten_at = ?",
                [datetime.now(UTC).replace(tzinfo=None) - timedelta(days=days)],
            )
        assert store.tidy() is wanted
    assert not store.tidy()


def test_a_clock_that_was_ahead_does_not_put_it_off(swollen: FileStore) -> None:
    with swollen.transaction() as con:
        con.execute("UPDATE store_rewrites SET rewritten_at = TIMESTAMP '2200-01-01'")
    assert swollen.tidy()


def test_it_is_measured_by_the_last_time_it_was_written_anew_whatever_the_clock_said(
    store: FileStore,
) -> None:
    with store.transaction() as con:
        con.execute(
            "DELETE FROM store_rewrites; INSERT INTO store_rewrites VALUES"
            " (TIMESTAMP '2200-01-01', 1), (TIMESTAMP '2026-01-01', 1_000_000_000)"
        )
    assert not store.tidy()


def test_it_is_left_alone_while_somebody_writes(swollen: FileStore) -> None:
    before = swollen.own.read_bytes()
    with running(hold_lock, swollen.lock) as other:
        assert other.hear() == "held"
        assert not swollen.tidy()
        other.kill()
    assert swollen.own.read_bytes() == before
    assert swollen.tidy()


def test_what_goes_wrong_is_told_and_harms_nothing(
    swollen: FileStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = tables(swollen.own)
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        patched.setattr(replacing, "compact", full)
        assert not swollen.tidy()
    assert "no room left" in caplog.text
    assert tables(swollen.own) == tables(swollen.published) == before
    assert swollen.tidy()


def test_killed_at_any_moment_all_is_there(swollen: FileStore, tmp_path: Path) -> None:
    before = tables(swollen.own)
    with running(start_and_be_killed, True) as killer:

        def fresh(name: str) -> FileStore:
            return FileStore(shutil.copytree(swollen.folder, tmp_path / name, copy_function=shutil.copy2))

        _, steps, seconds = start(killer, fresh("untroubled").folder, "step", 0)
        plan = [("step", float(n)) for n in random.sample(range(1, steps + 1), STEPS)]
        plan += [("after", random.uniform(0, seconds)) for _ in range(MOMENTS)]
        for n, (kind, number) in enumerate(plan):
            now = fresh(f"round-{n}")
            start(killer, now.folder, kind, int(number) if kind == "step" else number)
            assert tables(now.published) == before
            assert inspect(now.own).current
            assert tables(now.own) == before
            with now.transaction():
                pass
            assert tables(now.own) == tables(now.published) == before
            assert now.in_step()
            assert {file.name for file in now.folder.iterdir()} == OURS
            assert query(now.own, "SELECT COUNT(*) <= 2 FROM store_rewrites") == [(True,)]
            shutil.rmtree(now.folder)
        killer.end()
