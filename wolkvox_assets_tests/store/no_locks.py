"""The store on a file system whose locks don't work: run by `test_locks.py` in a process of its own.

Python's calls are patched before anything else is loaded: `flock` or `lockf` fails with an error, or hangs. DuckDB's
own lock can't be, so its word for it is said in its place. For each way a line of JSON: the error of a change and of
a read, how long each took, and what the doctor said.
"""

import errno
import fcntl
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

NAME_OF = {fcntl.flock: "flock", fcntl.lockf: "lockf"}
working = {name: getattr(fcntl, name) for name in NAME_OF.values()}
broken: dict[str, int | None] = {}


def patched(name: str) -> Callable[..., object]:
    def call(*arguments: object) -> object:
        if name in broken:
            code = broken[name]
            if code is None:
                time.sleep(3600)
                raise AssertionError("unreachable")
            raise OSError(code, errno.errorcode[code])
        return working[name](*arguments)

    return call


for name in working:
    setattr(fcntl, name, patched(name))

import duckdb  # noqa: E402  # after the patches, as all that follows

from wolkvox_assets.store import StoreError, disk, examine  # noqa: E402
from wolkvox_assets.store.files import FileStore  # noqa: E402
from wolkvox_assets_tests.store.processes import store_round  # noqa: E402

WAYS: dict[str, dict[str, int | None]] = {
    **{
        f"flock {errno.errorcode[code]}": {"flock": code}
        for code in (errno.ENOLCK, errno.EACCES, errno.ENOSYS)
    },
    "flock hangs": {"flock": None},
    "lockf EOPNOTSUPP": {"lockf": errno.EOPNOTSUPP},
    "lockf hangs": {"lockf": None},
    "duckdb": {"lockf": errno.ENOLCK},
}


def failing(attempt: Callable[[], None]) -> tuple[str, float]:
    began = time.monotonic()
    try:
        attempt()
    except StoreError as error:
        return str(error), time.monotonic() - began
    return "", time.monotonic() - began


def main(folder: Path) -> None:
    store = FileStore(folder)
    store_round(store, "before", 1)
    connect = duckdb.connect

    def refused(database: object = ":memory:", *arguments: object, **words: object) -> object:
        if str(database) != ":memory:":
            raise duckdb.IOException(f'IO Error: Could not set lock on file "{database}": No locks available')
        return connect(str(database), *arguments, **words)  # type: ignore[arg-type]  # handed through

    def read() -> None:
        store.published.touch()  # so that it is not in step, and a lock is needed
        with store.reading():
            pass

    for way, calls in WAYS.items():
        if way != "duckdb":  # locks that went after this process had tried them
            disk.locks_tried.cache_clear()
        else:
            duckdb.connect = refused  # type: ignore[assignment]
        broken.clear()
        broken.update(calls)
        told = {
            "way": way,
            "change": failing(lambda: store_round(store, "again", 2)),
            "read": failing(read),
            "doctor": [line for fine, _, line in examine.findings(store) if not fine],
        }
        print(json.dumps(told), flush=True)
    duckdb.connect = connect
    broken.clear()
    store_round(store, "again", 3)
    print(json.dumps({"left": sorted(path.name for path in folder.iterdir())}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
