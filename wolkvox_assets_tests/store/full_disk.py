"""What the store does where there is no room: run by `test_full_disk.py` in a process of its own.

`python -m wolkvox_assets_tests.store.full_disk disk FOLDER`: a small tmpfs on FOLDER (in a mount namespace of
its own: it goes with the process), filled up but for some room. `… file FOLDER`: no file may grow beyond a limit.
A third word is the way it publishes (`processes.publish_by`).
For each room, a line of JSON: what a change led to, what readers saw, and how it was after room was made.
"""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import duckdb

from wolkvox_assets.report.measures import Usage
from wolkvox_assets.store import StoreError, StoreFull
from wolkvox_assets.store.files import FileStore
from wolkvox_assets_tests.store.processes import publish_by
from wolkvox_assets_tests.store.tables import agent_9, content, replace_windows, window

WINDOWS, AGENTS = 40, 60
RANDOM = random.Random(9)
Seen = tuple[int, int, int, int]


def store_round(store: FileStore, round_number: int, windows: int) -> None:
    """So many windows; what can't be compressed, so that it takes room."""
    batch = [
        content(
            window(n),
            {
                RANDOM.randbytes(16).hex(): Usage(round_number, *RANDOM.choices(range(2**31 - 1), k=3))
                for _ in range(AGENTS)
            },
        )
        for n in range(windows)
    ]
    with store.transaction() as con:
        replace_windows(agent_9(con), batch, run_id=f"{round_number}")


def seen(con: duckdb.DuckDBPyConnection) -> Seen:
    """The least and the highest round, how many rows, how many the log says."""
    found = con.execute(
        "SELECT MIN(hold_mute_count), MAX(hold_mute_count), COUNT(*),"
        " (SELECT SUM(agents) FROM agent_9_window_log)::INTEGER FROM agent_9_windows"
    ).fetchall()
    least, highest, rows, logged = found[0]
    return least, highest, rows, logged


def published(store: FileStore) -> Seen:
    con = duckdb.connect(store.published, read_only=True)
    try:
        return seen(con)
    finally:
        con.close()


@contextmanager
def room_on_disk(folder: Path, room: int) -> Iterator[None]:
    ballast = folder / "ballast"
    disk = os.statvfs(folder)
    ballast.write_bytes(bytes(disk.f_bavail * disk.f_bsize - room))
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def room_in_files(_: Path, room: int) -> Iterator[None]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def main(kind: str, folder: Path, way: str) -> None:
    publish_by(way)
    limited: Callable[[Path, int], AbstractContextManager[None]]
    rooms: tuple[int, ...]
    if kind == "disk":
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], check=True)
        limited, rooms = room_on_disk, (0, 250_000, 1_000_000, 1_500_000, 4_000_000)
    else:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limited, rooms = room_in_files, (100_000, 700_000, 1_200_000, 4_000_000)
    for room in rooms:
        store = FileStore(folder / "data")
        for _ in range(3 if way == "spare" else 1):
            store_round(store, 1, windows=1)
        told = {"room": room, "error": "", "message": "", "full": False}
        with limited(folder, room):
            try:
                store_round(store, 2, windows=WINDOWS)
            except StoreError as error:
                told |= {"error": type(error).__name__, "message": str(error)}
                told |= {"full": isinstance(error, StoreFull)}
            told["published"] = published(store)
            told["copies"] = [path.name for path in (folder / "data").glob(".*")]
        with store.reading() as con:
            assert con is not None
            told["read"] = seen(con)
        store_round(store, 2, windows=WINDOWS)
        told["repeated"] = published(store)
        told["left"] = sorted(path.name for path in (folder / "data").iterdir())
        print(json.dumps(told), flush=True)
        shutil.rmtree(folder / "data")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
