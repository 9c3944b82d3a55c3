"""Each way of publishing: what readers get is the store to the last byte, and what they have open stays as it was.

Ways: a whole copy, the spare (the published file before the last) brought up to date, blocks shared with the store.
The last one needs a file system that can do it: `test_all_of_it_where_blocks_are_shared` makes one.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wolkvox_assets.report.measures import Usage
from wolkvox_assets.store import copying, integrity, replacing
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.integrity import Checkpoint, inspect, layout_of
from wolkvox_assets_tests.store.processes import (
    ROOT,
    copy_slowly,
    die,
    keep_open,
    running,
    store_round,
)
from wolkvox_assets_tests.store.tables import agent_9, content, query, replace_windows, tables, window
from wolkvox_assets_tests.store.test_full_disk import own_mounts

WAYS = ("whole", "spare", "shared")
ROUND = "SELECT MAX(hold_mute_count) FROM agent_9_windows"


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """How this process publishes."""
    name = str(request.param)
    if name == "shared":
        source, new = tmp_path / "source", tmp_path / "new"
        source.write_bytes(bytes(4096))
        new.touch()
        if not copying.share(source, new):
            pytest.skip("the file system of this folder shares no blocks")
    else:
        monkeypatch.setattr(replacing, "share", lambda *_: False)
    monkeypatch.setattr(replacing, "_SPARE_FROM_BYTES", 0 if name == "spare" else 2**63)
    monkeypatch.setattr(integrity, "_TICK_NS", 0)
    return name


@pytest.fixture
def by_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `way`, where only this one matters."""
    monkeypatch.setattr(replacing, "share", lambda *_: False)
    monkeypatch.setattr(replacing, "_SPARE_FROM_BYTES", 0)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """How many blocks each publishing from a spare wrote; None where the spare could not be used."""
    found: list[int | None] = []
    bring_up_to_date = copying.bring_up_to_date

    def heard(*arguments: object) -> set[int] | None:
        blocks = bring_up_to_date(*arguments)  # type: ignore[arg-type]  # handed through
        found.append(None if blocks is None else len(blocks))
        return blocks

    monkeypatch.setattr(replacing, "bring_up_to_date", heard)
    return found


def change(store: FileStore, chance: random.Random) -> None:
    """Some windows, new ones or known ones; now and then much comes, or goes."""
    kind = chance.random()
    with store.transaction() as con:
        if kind < 0.1:
            con.execute("DELETE FROM agent_9_windows WHERE hash(agent_name) % 3 = 0")
        elif kind < 0.25:
            con.execute(
                "INSERT INTO api_requests BY NAME SELECT 'main' AS operation, now()::TIMESTAMP AS requested_at,"
                " 'agent_9' AS api, 0.1 AS seconds, 'r' AS run_id, sha256(random()::VARCHAR) || i AS body"
                f" FROM range({chance.randrange(20_000)}) r(i)"
            )
        elif kind < 0.3:
            con.execute("DELETE FROM api_requests WHERE random() < 0.7")
        else:
            first = chance.randrange(300)
            replace_windows(
                agent_9(con),
                [
                    content(
                        window(first + n),
                        {f"Ana {a}": Usage(chance.randrange(99), a, 1, 2) for a in range(9)},
                    )
                    for n in range(chance.randrange(1, 40))
                ],
                run_id="run",
            )


def blocks_of(file: Path) -> list[bytes]:
    data = file.read_bytes()
    return [data[at : at + 262144] for at in range(3 * 4096, len(data), 262144)]


def test_what_is_published_is_the_store_to_the_last_byte(
    way: str, store: FileStore, written: list[int | None]
) -> None:
    chance = random.Random()
    for n in range(16):
        if n % 8 == 7:
            integrity._left.clear()  # as in a process that begins
        change(store, chance)
        assert store.own.read_bytes() == store.published.read_bytes()
        assert store.in_step()
        assert {path.name for path in store.folder.iterdir()} - {".wolkvox.duckdb.spare"} == {
            *("store.duckdb", "store.duckdb.lock", "store.duckdb.origin", "wolkvox.duckdb")
        }
    assert replacing.spare_name(store.published).exists() == (way == "spare")
    assert len(written) == (14 if way == "spare" else 0)
    assert None not in written


def test_duckdb_writes_to_no_block_that_the_checkpoint_before_needs(store: FileStore) -> None:
    """What looking at the changes alone rests on. Where another DuckDB does otherwise, this fails."""
    chance, before = random.Random(), Checkpoint(-1, 0, frozenset())
    earlier: list[bytes] = []
    for _ in range(20):
        change(store, chance)
        layout, now = layout_of(store.own), blocks_of(store.own)
        assert layout is not None
        if before.leads_to(layout.checkpoint):
            changed = {n for n, (old, new) in enumerate(zip(earlier, now, strict=False)) if old != new}
            assert changed <= before.open
        checkpoint = inspect(store.own).checkpoint
        assert checkpoint is not None
        assert checkpoint.number == layout.checkpoint
        before, earlier = checkpoint, now
    assert before.number > 16


def test_readers_keep_what_they_opened(way: str, store: FileStore, written: list[int | None]) -> None:
    for number in (1, 2, 3):
        store_round(store, "before", number)
    link = store.folder / "somebody's"
    with running(keep_open, store.published, True, "") as reader, running(copy_slowly, store.published) as cp:
        link.hardlink_to(store.published)
        linked, mode = link.read_bytes(), link.stat().st_mode
        assert reader.hear() == cp.hear() == "open"
        for number in range(4, 9):
            store_round(store, "again", number)
            assert reader.ask(ROUND) == "[(3,)]"
            assert query(store.published, ROUND) == [(number,)]
        cp.tell()
        assert cp.hear() == f"True {len(linked)}"
        assert (link.read_bytes(), link.stat().st_mode) == (linked, mode)
        reader.end()
    # The one with a name of somebody's own was never a spare.
    assert None not in written


def test_a_spare_that_somebody_has_open_is_left_to_them(
    by_spare: None, store: FileStore, written: list[int | None]
) -> None:
    store_round(store, "before", 1)
    whole = store.published.read_bytes()
    with running(copy_slowly, store.published) as cp:
        assert cp.hear() == "open"
        store_round(store, "again", 2)
        assert replacing.spare_name(store.published).read_bytes() == whole
        store_round(store, "again", 3)
        cp.tell()
        assert cp.hear() == f"True {len(whole)}"
    assert written == [None]
    store_round(store, "again", 4)
    assert written[1:] != [None]
    assert query(store.published, ROUND) == [(4,)]


def flip(spare: Path) -> None:
    """As a disk would, or somebody who sets the times back."""
    before, data = spare.stat(), bytearray(spare.read_bytes())
    for at in range(3 * 4096 + 100, len(data), 262144):
        data[at] ^= 1
    spare.write_bytes(data)
    os.utime(spare, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(spare: Path) -> None:
    os.truncate(spare, 5000)


def put_a_folder_there(spare: Path) -> None:
    spare.unlink()
    spare.mkdir()


def put_a_link_there(spare: Path) -> None:
    victim = spare.with_name("victim")
    victim.write_bytes(b"not ours" * 1000)
    spare.unlink()
    spare.symlink_to(victim)


@pytest.mark.parametrize("harm", [flip, cut, put_a_folder_there, put_a_link_there, Path.unlink])
def test_a_spare_that_was_touched_harms_nobody(
    harm: Callable[[Path], None], by_spare: None, store: FileStore
) -> None:
    for number in (1, 2):
        store_round(store, "before", number)
    harm(replacing.spare_name(store.published))
    for number in (3, 4):
        store_round(store, "again", number)
        assert store.own.read_bytes() == store.published.read_bytes()
    if harm is put_a_link_there:
        assert store.folder.joinpath("victim").read_bytes() == b"not ours" * 1000


def test_a_spare_lets_nobody_read_what_they_may_not(
    by_spare: None, store: FileStore, written: list[int | None]
) -> None:
    store_round(store, "before", 1)
    store.published.chmod(0o664)
    store_round(store, "again", 2)
    assert replacing.spare_name(store.published).stat().st_mode & 0o777 == 0o600
    store.published.chmod(0o640)
    store_round(store, "again", 3)
    assert len(written) == 1
    assert None not in written
    assert store.published.stat().st_mode & 0o777 == 0o640


def test_where_readers_can_not_be_seen_all_of_it_is_copied(
    by_spare: None, store: FileStore, monkeypatch: pytest.MonkeyPatch, written: list[int | None]
) -> None:
    monkeypatch.setattr(replacing, "readers_show", lambda _: False)
    for number in (1, 2, 3):
        store_round(store, "before", number)
        assert query(store.published, ROUND) == [(number,)]
    assert not written
    assert not list(store.folder.glob(".*"))


@pytest.mark.parametrize("moment", ["in a block", "after the copy", "before the spare is private"])
def test_killed_while_the_spare_is_used(by_spare: None, moment: str, store: FileStore) -> None:
    for number in (3, 4):
        store_round(store, "before", number)
    before = tables(store.published)
    with running(die, store.folder, moment, "spare") as dying:
        assert dying.rest() == []
        assert dying.code == -signal.SIGKILL
    assert store.published.stat().st_mode & 0o777 == 0o640
    assert (tables(store.published) == before) == (moment != "before the spare is private")
    assert inspect(store.published).current
    with store.reading() as con:
        assert con is not None
        assert con.execute("SELECT COUNT(*) FROM agent_9_window_log WHERE run_id = 'dying-1'").fetchall() == [
            (8,)
        ]
    for number in (5, 6):
        store_round(store, "again", number)
        assert store.own.read_bytes() == store.published.read_bytes()
    assert store.published.stat().st_mode & 0o777 == 0o640
    assert not list(store.folder.glob(".*.new"))
    assert all(path.stat().st_mode & 0o077 == 0 for path in store.folder.glob(".*"))


def test_killed_before_a_copy_with_shared_blocks_has_the_name(way: str, store: FileStore) -> None:
    if way != "shared":
        pytest.skip("the other ways are killed there as well, by other tests")
    store_round(store, "before", 4)
    before = tables(store.published)
    with running(die, store.folder, "after the copy", way) as dying:
        assert dying.rest() == []
    assert tables(store.published) == before
    store_round(store, "again", 5)
    assert store.own.read_bytes() == store.published.read_bytes()
    assert not list(store.folder.glob(".*"))


def test_all_of_it_where_blocks_are_shared(tmp_path: Path, sockets_have_short_paths: str) -> None:
    prefix = own_mounts(tmp_path)
    make = shutil.which("mkfs.xfs", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if not prefix or not make:
        pytest.skip("this machine has no mkfs.xfs, or lets nobody mount anything")
    image, disk = tmp_path / "image", tmp_path / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(320 * 1024**2)
    subprocess.run([make, "-q", image], check=True)
    if subprocess.run(
        [*prefix, "mount", "-o", "loop", image, disk], check=False, capture_output=True
    ).returncode:
        pytest.skip("this machine mounts no XFS")
    tests = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", __file__]
    tests += ["-k", "shared and not test_all", f"--basetemp={disk / 'tests'}"]
    done = subprocess.run(
        [*prefix, "sh", "-ec", 'mount -o loop "$1" "$2"; shift 2; "$@"', "sh", image, disk, *tests],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": sockets_have_short_paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "shares no blocks" not in done.stdout
