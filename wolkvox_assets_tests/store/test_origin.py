"""A store that somebody else put there: copied while a run stored something, or an older one."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from wolkvox_assets.store import StoreError, examine, origin, replacing
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.integrity import Damaged, inspect, layout_of
from wolkvox_assets_tests.store.processes import die, running, store_round
from wolkvox_assets_tests.store.tables import query, tables

pytestmark = pytest.mark.in_files


def copied(file: Path, target: Path) -> None:
    """`cp`: into the file that is there."""
    target.write_bytes(file.read_bytes())


def copied_with_times(file: Path, target: Path) -> None:
    """`cp -a`."""
    shutil.copy2(file, target)


def put_in_place(file: Path, target: Path) -> None:
    """`rsync`, `tar`."""
    Path(shutil.copy2(file, target.with_name("new"))).replace(target)


Way = Callable[[Path, Path], None]
WAYS = [copied, copied_with_times, put_in_place]


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_an_older_store_is_not_published_over_newer_numbers(
    way: Way, killed: bool, store: FileStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store_round(store, "first", 1)
    older = Path(shutil.copy2(store.own, tmp_path / "older"))
    store_round(store, "second", 2)
    newer = tables(store.published)
    if killed:  # a change was begun, and not published
        with running(die, store.folder, "before the copy") as dying:
            dying.rest()
    way(older, store.own)
    assert any(not fine and "was not left by a run" in said for fine, _, said in examine.findings(store))
    with store.transaction():
        pass
    assert tables(store.own) == tables(store.published) == newer
    assert "was restored from wolkvox.duckdb" in caplog.text
    (kept,) = store.folder.glob("store.duckdb.damaged-*")
    assert kept.read_bytes() == older.read_bytes()


def test_a_copy_of_several_commits_is_not_published(store: FileStore, tmp_path: Path) -> None:
    """Of a folder that is copied while runs store something: the published file first, whole, and then the store."""
    store_round(store, "run", 1)
    other = FileStore(tmp_path / "copy")
    other.folder.mkdir()
    shutil.copy2(store.published, other.published)
    wanted = tables(store.published)
    store_round(store, "run", 2)
    header_and_some = store.own.read_bytes()[: 12_288 + 262_144]
    store_round(store, "run", 3)
    store_round(store, "run", 4)
    torn = header_and_some + store.own.read_bytes()[len(header_and_some) :]
    other.own.write_bytes(torn)
    shutil.copy2(origin._file(store.own), origin._file(other.own))
    assert inspect(other.own).current  # each of its blocks is whole
    with other.transaction():
        pass
    assert tables(other.own) == tables(other.published) == wanted


@pytest.mark.parametrize("way", WAYS)
def test_a_whole_copy_goes_on_without_a_word(
    way: Way, store: FileStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store_round(store, "run", 1)
    other = FileStore(tmp_path / "copy")
    other.folder.mkdir()
    for name in ("store.duckdb", "wolkvox.duckdb", "store.duckdb.origin"):
        way(store.folder / name, other.folder / name)
    before = other.own.stat().st_ino
    store_round(other, "run", 2)
    assert other.own.stat().st_ino == before
    assert not caplog.text


def test_without_a_published_file_any_whole_store_will_do(store: FileStore, tmp_path: Path) -> None:
    store_round(store, "run", 1)
    other = FileStore(tmp_path / "copy")
    other.folder.mkdir()
    shutil.copy2(store.own, other.own)
    with other.transaction():
        pass
    assert tables(other.published) == tables(store.published)


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("harm", ["altered", "older"])
def test_what_a_run_left_goes_before_what_was_published(
    harm: str, linked: bool, store: FileStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store_round(store, "run", 1)
    older = Path(shutil.copy2(store.published, tmp_path / "older"))
    store_round(store, "run", 2)
    wanted = tables(store.own)
    if harm == "older":
        shutil.copy2(older, store.published)
    else:
        with duckdb.connect(store.published) as con:
            con.execute("UPDATE agent_9_windows SET hold_mute_count = 99")
    if linked:  # as programs do that make backups, and as `chmod` does: its content is as it was
        (tmp_path / "kept").hardlink_to(store.own)
    with store.transaction():
        pass
    assert tables(store.own) == tables(store.published) == wanted
    assert not caplog.text


@pytest.mark.parametrize("moment", ["right after the commit", "before the copy", "after the copy"])
def test_what_a_killed_run_has_committed_is_kept(
    moment: str, store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    store_round(store, "before", 2)
    with running(die, store.folder, moment) as dying:
        dying.rest()
    with store.transaction():
        pass
    assert query(store.published, "SELECT DISTINCT run_id FROM agent_9_window_log ORDER BY 1") == [
        ("before-2",),
        ("dying-1",),
    ]
    assert "restored" not in caplog.text


def test_what_was_committed_before_a_power_cut_is_kept(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store_round(store, "before", 1)
    flush, on_disk = os.fsync, dict[str, bytes]()

    def flushed(descriptor: int) -> None:
        flush(descriptor)
        file = Path(f"/proc/self/fd/{descriptor}").readlink()
        on_disk[file.name] = file.read_bytes() if file.is_file() else b""

    def cut(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("os.fsync", flushed)
    monkeypatch.setattr(replacing, "publish", cut)
    with pytest.raises(StoreError, match="publishing"):
        store_round(store, "last", 1)
    monkeypatch.undo()
    note = origin._file(store.own)
    note.write_bytes(on_disk.get(note.name, b""))  # of a new file that was not flushed its name is left
    with store.transaction():
        pass
    assert query(store.published, "SELECT DISTINCT run_id FROM agent_9_window_log") == [("last-1",)]
    assert "restored" not in caplog.text


def test_two_files_whose_blocks_have_the_same_checksums_are_not_the_same(store: FileStore) -> None:
    """A checksum is the exclusive or of all words, in whatever order."""
    store_round(store, "run", 1)
    checkpoint, layout = inspect(store.own).checkpoint, layout_of(store.own)
    assert checkpoint is not None
    assert layout is not None
    number = next(n for n in range(layout.blocks) if n not in checkpoint.open)
    at = layout.start + number * layout.block_size + 8
    content = bytearray(store.own.read_bytes())
    words = [slice(start, start + 8) for start in range(at, at + 8000, 8)]
    one, other = words[0], next(word for word in words if content[word] != content[words[0]])
    content[one], content[other] = content[other], content[one]
    store.own.write_bytes(content)
    assert inspect(store.own).current
    with pytest.raises(Damaged, match="was not left by a run"):
        store.require_ours()


def test_what_could_not_be_noted_is_compared(store: FileStore, caplog: pytest.LogCaptureFixture) -> None:
    store_round(store, "run", 1)
    origin._file(store.own).write_bytes(b"\xff")
    store_round(store, "run", 2)
    assert not caplog.text
