"""Killed -9 while a store is made, upgraded or restored: nothing is lost, and the next start finishes the work."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from wolkvox_assets.report.measures import Usage
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.integrity import Contents, inspect
from wolkvox_assets.store.versions import VERSION
from wolkvox_assets_tests.store import version_1
from wolkvox_assets_tests.store.processes import Process, running, start_and_be_killed
from wolkvox_assets_tests.store.tables import agent_9, content, replace_windows, window

STEPS, MOMENTS = 6, 4  # killed at so many steps of ours, and at so many moments, also within DuckDB's work
OURS = {"store.duckdb", "store.duckdb.lock", "store.duckdb.origin", "wolkvox.duckdb"}
DAMAGE, LOG = b"no database " * 1000, b"no log"


def old(store: FileStore) -> None:
    version_1.make(store)


def damaged(store: FileStore) -> None:
    with store.transaction() as con:
        replace_windows(agent_9(con), [content(window(0), {"Ana": Usage(1, 1, 1, 2)})], run_id="run")
    store.own.write_bytes(DAMAGE)
    store.own.with_name("store.duckdb.wal").write_bytes(LOG)


def nothing(store: FileStore) -> None:
    store.folder.mkdir(parents=True)


def start(killer: Process, folder: Path, kind: str, number: float) -> tuple[bool, int, float]:
    """Whether it ended by itself, after how many steps of ours, in what time."""
    killer.tell(f"{folder} {kind} {number}")
    first = killer.hear()
    steps = int(first.removeprefix("ended ")) if first.startswith("ended") else 0
    code, seconds = (killer.hear() if steps else first).split()
    assert code in {"0", "-9"}
    return bool(steps), steps, float(seconds)


def at_any_moment(store: FileStore, before: dict[str, list[version_1.Row]], original: bytes) -> None:
    """What a final name points to is whole; what was there before is there."""
    if before:
        assert version_1.rows_of(store.published) == before
    whole = store.own.exists() and store.own.read_bytes() != DAMAGE
    if whole:
        assert isinstance(inspect(store.own), Contents)
        assert not before or version_1.rows_of(store.own) == before
    kept = [file for file in kept_stores(store) if file.suffix != ".wal"]
    assert [file.read_bytes() for file in kept] in ([], [original])
    # The old one is at its own name, or kept.
    assert kept or not original or store.own.read_bytes() == original


def kept_stores(store: FileStore) -> list[Path]:
    return sorted(
        [*store.folder.glob("store.duckdb.*-backup*"), *store.folder.glob("store.duckdb.damaged-*")]
    )


@pytest.mark.parametrize("prepare", [old, damaged, nothing])
def test_killed_at_any_moment_the_next_start_finishes(
    prepare: Callable[[FileStore], None], store: FileStore, tmp_path: Path
) -> None:
    prepare(store)
    original = store.own.read_bytes() if store.own.exists() else b""
    before = version_1.rows_of(store.published) if store.published.exists() else {}
    kills = 0
    with running(start_and_be_killed) as killer:

        def fresh(name: str) -> FileStore:
            return FileStore(shutil.copytree(store.folder, tmp_path / name, copy_function=shutil.copy2))

        start(killer, fresh("warm").folder, "step", 0)
        _, steps, seconds = start(killer, fresh("untroubled").folder, "step", 0)
        plan = [("step", float(n)) for n in random.sample(range(1, steps + 1), min(STEPS, steps))]
        plan += [("after", random.uniform(0, seconds)) for _ in range(MOMENTS)]
        for n, (kind, number) in enumerate(plan):
            now = fresh(f"round-{n}")
            number = int(number) if kind == "step" else number
            for _ in range(1 + (n % 3 == 0)):  # some of them at the second start as well
                ended, *_ = start(killer, now.folder, kind, number)
                kills += not ended
                at_any_moment(now, before, original)
            with now.transaction():
                pass
            at_any_moment(now, before, original)
            assert inspect(now.own) == inspect(now.published) == Contents(VERSION, frozenset())
            assert now.in_step()
            kept = kept_stores(now)
            assert {file.name for file in now.folder.iterdir()} == OURS | {file.name for file in kept}
            if prepare is damaged:
                assert sorted(file.read_bytes() for file in kept) == sorted([DAMAGE, LOG])
            else:
                assert [file.read_bytes() for file in kept] == ([original] if original else [])
            shutil.rmtree(now.folder)
        killer.end()
    assert kills >= min(STEPS, steps)  # moments can come too late on a busy machine
