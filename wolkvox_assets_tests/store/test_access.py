"""Who may read the files, and what a change does where this user may not do everything."""

import errno
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wolkvox_assets.store import StoreError, examine
from wolkvox_assets.store.files import FileStore
from wolkvox_assets_tests.store.access import GROUP, OTHER_GROUP, USER
from wolkvox_assets_tests.store.processes import ROOT, store_round
from wolkvox_assets_tests.store.tables import query
from wolkvox_assets_tests.store.test_full_disk import own_mounts

ROUND = "SELECT MAX(hold_mute_count) FROM agent_9_windows"


@pytest.fixture
def filled(store: FileStore) -> FileStore:
    store_round(store, "before", 1)
    return store


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def access(path: Path) -> tuple[int, int, int]:
    return path.stat().st_uid, path.stat().st_gid, mode(path)


def outcomes(program: str, prefix: list[str], *arguments: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "wolkvox_assets_tests.store.access", program, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# This user


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_what_is_made_is_not_for_everybody(umask: int, store: FileStore) -> None:
    before = os.umask(umask)
    try:
        store_round(store, "before", 1)
        kept = mode(store.published)
        store.own.write_bytes(b"")
        store.own.chmod(0o666)
        (store.folder / "store.duckdb.wal").write_bytes(b"no log")
        store_round(store, "again", 2)
    finally:
        os.umask(before)
    assert kept == mode(store.published) == 0o640
    assert mode(store.folder) == mode(store.folder.parent) == 0o750
    others = {path.name.partition("-")[0]: mode(path) for path in store.folder.iterdir()}
    assert others.pop("wolkvox.duckdb") == 0o640
    assert set(others) == {"store.duckdb", "store.duckdb.lock", "store.duckdb.origin", "store.duckdb.damaged"}
    assert set(others.values()) == {0o600}


@pytest.mark.parametrize("name", ["store.duckdb", "store.duckdb.wal", "store.duckdb.v1-backup"])
def test_doctor_says_what_others_can_read(name: str, filled: FileStore) -> None:
    assert all(fine for fine, *_ in examine.findings(filled))
    file = filled.folder / name
    file.touch()
    file.chmod(0o644)
    assert any(not fine and f"chmod go= {file}" in line for fine, _, line in examine.findings(filled))


@pytest.mark.parametrize("kept", [0o600, 0o664, 0o444])
def test_the_mode_of_the_published_file_is_kept(kept: int, filled: FileStore) -> None:
    filled.published.chmod(kept)
    umask = os.umask(0o077)
    try:
        store_round(filled, "again", 2)
    finally:
        os.umask(umask)
    assert mode(filled.published) == kept


def test_an_access_list_is_kept(filled: FileStore) -> None:
    entries = [
        (1, 6, -1),
        (2, 4, USER),
        (4, 4, -1),
        (16, 4, -1),
        (32, 0, -1),
    ]  # owner, a user, group, mask, others
    wanted = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(filled.published, "system.posix_acl_access", wanted)
    except (OSError, AttributeError) as error:
        if getattr(error, "errno", errno.ENOTSUP) != errno.ENOTSUP:
            raise
        pytest.skip("this file system has no access lists")
    store_round(filled, "again", 2)
    assert os.getxattr(filled.published, "system.posix_acl_access") == wanted


def test_links_are_followed_to_the_file_that_is_replaced(filled: FileStore, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target = elsewhere / "target.duckdb"
    (elsewhere / "middle").symlink_to("target.duckdb")
    filled.published.unlink()
    filled.published.symlink_to(elsewhere / "middle")
    for n in (2, 3):  # at first there is nothing at its end
        store_round(filled, "again", n)
        assert query(target, ROUND) == [(n,)]
    assert {path.name for path in elsewhere.iterdir()} == {"middle", "target.duckdb"}
    assert all(fine for fine, *_ in examine.findings(filled))


@pytest.mark.parametrize(
    ("in_the_way", "words"),
    [
        (lambda file: file.symlink_to(file.name), "leads in a circle"),
        (
            lambda file: file.symlink_to(file.parent / "nowhere" / "x.duckdb"),
            "is not there. Make that folder",
        ),
        (lambda file: file.mkdir(), "is a folder. Move it away"),
    ],
)
def test_what_can_not_be_replaced_is_named(in_the_way: Any, words: str, filled: FileStore) -> None:
    filled.published.unlink()
    in_the_way(filled.published)
    assert any(not fine and words in line for fine, _, line in examine.findings(filled))
    for _ in range(2):
        with pytest.raises(StoreError, match=words):
            store_round(filled, "again", 2)
    assert not list(filled.folder.glob(".*"))
    if filled.published.is_dir():
        filled.published.rmdir()
    else:
        filled.published.unlink()
    store_round(filled, "again", 3)
    assert query(filled.published, ROUND) == [(3,)]


def test_a_pipe_in_its_place_is_replaced(filled: FileStore) -> None:
    filled.published.unlink()
    os.mkfifo(filled.published)
    assert not all(fine for fine, *_ in examine.findings(filled))
    store_round(filled, "again", 2)
    assert query(filled.published, ROUND) == [(2,)]


# Mounts


def test_a_file_mounted_alone_and_a_folder_mounted_for_reading(filled: FileStore, tmp_path: Path) -> None:
    prefix = own_mounts(tmp_path)
    if not prefix:
        pytest.skip("this machine lets nobody mount anything")
    read_only = FileStore(shutil.copytree(filled.folder, tmp_path / "read only"))
    alone, folder = outcomes("mounts", prefix, filled.folder, read_only.folder)
    for said in (alone["error"], *alone["wrong"]):
        assert f"{filled.published} is a mount of its own" in said
        assert "Mount its folder instead" in said
    assert len(alone["wrong"]) == 1
    assert "What was committed is intact" in alone["error"]
    assert str(read_only.folder) in folder["error"]
    assert "mount it for writing" in folder["error"]
    assert folder["wrong"]
    for store, round_number in ((filled, 2), (read_only, 1)):
        with store.reading() as con:
            assert con is not None
            assert con.execute(ROUND).fetchall() == [(round_number,)]
        assert not list(store.folder.glob(".*"))


# Other users


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that every user can reach: pytest's own is for one."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_other_users_and_groups(filled: FileStore, open_to_all: Path) -> None:
    def theirs(name: str) -> FileStore:
        store = FileStore(shutil.copytree(filled.folder, open_to_all / name))
        for path in (store.folder, *store.folder.iterdir()):
            os.chown(path, USER, USER)
        return store

    kept, owner, group, link, foreign, hidden = map(
        theirs, ("kept", "owner", "group", "link", "foreign", "hidden")
    )
    os.chown(kept.published, USER, GROUP)
    os.chown(owner.published, 0, GROUP)
    os.chown(group.published, USER, OTHER_GROUP)
    target = open_to_all / "target.duckdb"
    link.published.rename(target)
    link.published.symlink_to(target)
    os.chown(foreign.own, 0, 0)
    before = {path.name: path.read_bytes() for path in foreign.folder.iterdir()}
    os.chown(hidden.folder, 0, 0)
    hidden.folder.chmod(0o700)
    stores = (kept, owner, group, link, foreign, hidden)
    outcome = dict(zip(stores, outcomes("user", [], *(store.folder for store in stores)), strict=True))

    assert outcome[kept] == {"wrong": [], "error": "", "logged": []}
    assert access(kept.published) == (USER, GROUP, 0o640)

    assert outcome[owner]["error"] == ""
    assert access(owner.published) == (USER, GROUP, 0o640)
    for said in (outcome[owner]["wrong"], outcome[owner]["logged"]):
        assert len(said) == 1
        assert "belongs to user 0" in said[0]

    assert outcome[group]["error"] == ""
    assert access(group.published) == (USER, USER, 0o600)  # not the rights of another group
    for said in (outcome[group]["wrong"], outcome[group]["logged"]):
        assert len(said) == 1
        assert f"group {OTHER_GROUP} can't be kept" in said[0]

    for said in (outcome[link]["error"], *outcome[link]["wrong"]):
        assert f"this user cannot write in {open_to_all}" in said
    assert len(outcome[link]["wrong"]) == 1
    assert query(target, ROUND) == [(1,)]

    for said in (outcome[foreign]["error"], *outcome[foreign]["wrong"]):
        assert f"{foreign.own} can't be read by this user" in said
    assert {path.name: path.read_bytes() for path in foreign.folder.iterdir()} == before

    assert str(hidden.folder) in outcome[hidden]["error"]
    assert "this user may not" in outcome[hidden]["error"]
    assert len(outcome[hidden]["wrong"]) == 1

    # As root, owner and group stay.
    store_round(kept, "again", 3)
    assert access(kept.published) == (USER, GROUP, 0o640)
    assert access(kept.own) == (USER, USER, 0o600)


@pytest.mark.parametrize("leads_to", ["not mounted", "data"])
def test_a_data_folder_that_is_a_link_into_nowhere_is_named(leads_to: str, tmp_path: Path) -> None:
    store = FileStore(tmp_path / "data")
    store.folder.symlink_to(leads_to)  # the second in a circle
    ((fine, _, said),) = examine.findings(store)
    assert not fine
    assert f"cannot write in {store.folder}: " in said
