"""The store where this user may not do everything: run by `test_access.py` in processes of their own.

`as_another_user` gives up root for good; `with_mounts` runs in a mount namespace of its own, which goes with it.
Each tells, in a line of JSON, what the doctor said before, what a change led to, and what was logged.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from wolkvox_assets.store import StoreError, examine
from wolkvox_assets.store.files import FileStore
from wolkvox_assets_tests.store.processes import store_round

USER, GROUP, OTHER_GROUP = 23456, 34567, 45678


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def tell(store: FileStore) -> None:
    heard = _Heard()
    logging.getLogger().addHandler(heard)
    told: dict[str, object] = {"wrong": [line for fine, _, line in examine.findings(store) if not fine]}
    try:
        with store.reading():
            pass
        store_round(store, "again", 2)
    except StoreError as error:
        told["error"] = str(error)
    logging.getLogger().removeHandler(heard)
    print(json.dumps({"error": "", **told, "logged": heard.lines}), flush=True)


def as_another_user(*folders: str) -> None:
    # Once as root: what is imported late may lie where another user can't read it.
    with tempfile.TemporaryDirectory() as folder:
        store_round(FileStore(Path(folder)), "before", 1)
    os.umask(0o077)
    os.setgroups([GROUP])
    os.setgid(USER)
    os.setuid(USER)
    for folder in folders:
        tell(FileStore(Path(folder)))


def with_mounts(alone: str, read_only: str) -> None:
    """The published file of the one is mounted by itself, the whole folder of the other for reading only."""
    file = str(FileStore(Path(alone)).published)
    subprocess.run(["mount", "--bind", file, file], check=True)
    subprocess.run(["mount", "--bind", read_only, read_only], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", read_only], check=True)
    tell(FileStore(Path(alone)))
    tell(FileStore(Path(read_only)))


if __name__ == "__main__":
    programs: dict[str, Callable[..., None]] = {"user": as_another_user, "mounts": with_mounts}
    programs[sys.argv[1]](*sys.argv[2:])
