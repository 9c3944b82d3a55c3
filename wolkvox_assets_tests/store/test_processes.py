"""Several writers at once, and writers killed with -9 at any moment."""

import os
import random
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from wolkvox_assets.store import Store
from wolkvox_assets.store.files import FileStore
from wolkvox_assets_tests.store.processes import (
    BATCH,
    BATCHES,
    Process,
    agents_of,
    die,
    running,
    store_round,
    write,
    write_again_and_again,
)
from wolkvox_assets_tests.store.tables import opened, tables, window


def rounds_by_batch(where: Path | Store, first: int = 0) -> dict[int, tuple[str, int]]:
    """Which writer and round each batch from this window on is of. Fails where a window or a batch is torn."""
    with opened(where) as con:
        log = con.execute(
            "SELECT window_start, agents, run_id FROM agent_9_window_log ORDER BY window_start"
        ).fetchall()
        rows = con.execute(
            "SELECT window_start, COUNT(*), COUNT(DISTINCT agent_name), MIN(hold_mute_count), MAX(hold_mute_count)"
            " FROM agent_9_windows GROUP BY ALL"
        ).fetchall()
    by_window = {row[0]: row[1:] for row in rows}
    found: dict[int, tuple[str, int]] = {}
    for batch in range(BATCHES):
        numbers = range(first + batch * BATCH, first + (batch + 1) * BATCH)
        entries = [entry for entry in log if entry[0] in {window(n) for n in numbers}]
        if not entries:
            assert not any(window(n) in by_window for n in numbers), "rows without a log"
            continue
        assert [entry[0] for entry in entries] == [window(n) for n in numbers], "a window missing or twice"
        assert len({entry[2] for entry in entries}) == 1, "half a batch"
        writer, round_number = entries[0][2].split("-")
        for number, (start, agents, _) in zip(numbers, entries, strict=True):
            wanted = agents_of(int(round_number), number)
            assert agents == wanted
            assert by_window[start] == (wanted, wanted, int(round_number), int(round_number)), "torn"
        found[batch] = (writer, int(round_number))
    return found


def expected_tables(folder: Path, rounds: range, writer: str) -> dict[str, list[tuple[object, ...]]]:
    """What these rounds leave in a store where nothing ever went wrong."""
    store = FileStore(folder)
    for round_number in rounds:
        store_round(store, writer, round_number)
    return tables(store.published)


def whole_while_running(store: FileStore, writers: list[Process]) -> int:
    """Read as others do until all writers have ended: each time whole batches only. Returns how often."""
    reads = 0
    while any(writer.runs for writer in writers):
        if store.published.exists():
            rounds_by_batch(store.published)
            with store.reading() as con:
                assert con is not None
            reads += 1
        time.sleep(0.02)  # leave the machine to the writers
    return reads


def test_four_writers_at_once_all_succeed_at_the_first_attempt(store: FileStore, data_dir: Path) -> None:
    rounds = 6
    firsts = (0, 0, 100, 200)  # two write the same windows, two their own
    with ExitStack() as stack:
        writers = [
            stack.enter_context(running(write, data_dir, f"w{n}", first, 1, rounds))
            for n, first in enumerate(firsts)
        ]
        for writer in writers:
            assert writer.hear().startswith("ready")
        for writer in writers:
            writer.tell()
        assert whole_while_running(store, writers) > 0
        for writer in writers:
            assert writer.rest() == [*(f"stored {r}" for r in range(1, rounds + 1)), "turned away 0"]
            assert writer.code == 0
    for first, names in {0: {"w0", "w1"}, 100: {"w2"}, 200: {"w3"}}.items():
        last = rounds_by_batch(store.published, first)
        assert {number for _, number in last.values()} == set(range(rounds - BATCHES + 1, rounds + 1))
        assert {name for name, _ in last.values()} <= names
    assert tables(store.published) == tables(data_dir / "store.duckdb")


def stored_before_the_kill(writers: Process, within: float) -> list[int]:
    """Start the next writer, kill it -9 at a random moment (seconds), and hear what it had told."""
    pid = int(writers.hear().removeprefix("ready "))
    writers.tell()
    time.sleep(random.uniform(0, within))
    os.kill(pid, signal.SIGKILL)
    return [int(line.removeprefix("stored ")) for line in iter(writers.hear, "ended")]


def test_killed_at_random_moments_nothing_is_torn_and_nothing_told_is_lost(
    store: FileStore, data_dir: Path, tmp_path: Path
) -> None:
    kills, per_writer = 10, 1000
    began = time.perf_counter()
    store_round(store, "before", 0)
    # Some are killed in their first change, some in a later one, also where other work slows them down.
    within = max(1.5, 4 * (time.perf_counter() - began))
    least = dict.fromkeys(range(BATCHES), 0)  # the round each batch is of, at least
    with running(write_again_and_again, data_dir, kills, per_writer) as writers:
        for n in range(kills):
            stored = stored_before_the_kill(writers, within)
            last = stored[-1] if stored else n * per_writer
            least.update({number % BATCHES: number for number in stored})
            found = {batch: number for batch, (_, number) in rounds_by_batch(store.published).items()}
            with store.reading():
                pass  # repairs what stayed behind
            corrected = {batch: number for batch, (_, number) in rounds_by_batch(store.published).items()}
            for now in (found, corrected):
                # As told, or the one round after the last that was committed and could not be told any more.
                possible = {**least, (last + 1) % BATCHES: last + 1}
                assert all(now.get(b, 0) in {least[b], possible[b]} for b in range(BATCHES)), (now, least)
            assert all(corrected[batch] >= number for batch, number in found.items())
            assert tables(store.published) == tables(data_dir / "store.duckdb")
            least.update(corrected)
        assert writers.rest() == []
    assert any(least.values()), "no writer lived long enough to store anything"
    # A repeat ends exact.
    rounds = range(1, 1 + BATCHES)
    for round_number in rounds:
        store_round(store, "again", round_number)
    assert tables(store.published) == expected_tables(tmp_path / "untroubled", rounds, "again")
    assert {path.name for path in data_dir.iterdir()} == {
        "store.duckdb",
        "store.duckdb.lock",
        "store.duckdb.origin",
        "wolkvox.duckdb",
    }


def mended_by_a_reader(store: FileStore, run_id: str) -> None:
    with store.reading() as con:
        assert con is not None
        assert con.execute("SELECT DISTINCT run_id FROM agent_9_window_log").fetchall() == [(run_id,)]


def mended_by_a_writer(store: FileStore, _: str) -> None:
    with store.transaction():
        pass


@pytest.mark.parametrize(
    ("moment", "committed"),
    [
        ("before the commit", False),
        ("right after the commit", True),
        ("before the copy", True),
        ("in the copy", True),
        ("after the copy", True),
    ],
)
def test_killed_between_commit_and_publishing_is_mended(tmp_path: Path, moment: str, committed: bool) -> None:
    writer = "dying" if committed else "before"
    for correct in (mended_by_a_reader, mended_by_a_writer):
        folder = tmp_path / correct.__name__
        store = FileStore(folder)
        store_round(store, "before", 1)
        before = tables(store.published)
        with running(die, folder, moment) as dying:
            assert dying.rest() == []
            assert dying.code == -signal.SIGKILL
        # Whoever reads the file itself sees the old content, whole.
        assert tables(store.published) == before
        correct(store, f"{writer}-1")
        assert rounds_by_batch(store.published) == {1: (writer, 1)}
        assert tables(store.published) == tables(store.own)
        # And repeating is harmless.
        store_round(store, "dying", 1)
        assert tables(store.published) == expected_tables(tmp_path / "untroubled", range(1, 2), "dying")
        assert {path.name for path in folder.iterdir()} == {
            "store.duckdb",
            "store.duckdb.lock",
            "store.duckdb.origin",
            "wolkvox.duckdb",
        }
