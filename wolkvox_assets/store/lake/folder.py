"""The folder of a lake's data, as this machine sees it: whether it is the one that all machines share.

What belongs here: telling that by a file in it; that the users of all machines may write in it. What doesn't: when
that is asked or done (`store.py`, `examine.py`, `maintenance.py`).

Where the share is not mounted, an empty folder of the same name is there in its place. DuckLake would store in it what
no other machine can ever read, and the catalog would say that it is there.

DuckDB makes folders in which only their owner may write, whatever the umask and access lists say. Where each machine
has a user of its own, the others could store nothing in them, and delete nothing.
"""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psycopg2

from wolkvox_assets.store.disk import flush
from wolkvox_assets.store.lake.place import Lake
from wolkvox_assets.store.lake.turn import asking

MARK = "wolkvox_lake.txt"


class NotTheLakes(Exception):
    """Says why this folder is not the lake's, and what to do."""


def mark(folder: Path, lake: str) -> None:
    """This folder is this lake's from now on. `lake`: what tells it from all others."""
    file = folder / MARK
    with suppress(FileNotFoundError):
        # By another user, who was killed before the change that it was for.
        if file.read_text("utf-8") == _text(lake):
            return
    file.write_text(_text(lake), "utf-8")
    flush(file)


def require(folder: Path, lake: str) -> None:
    """Raises `NotTheLakes` where it is another lake's, or nobody's."""
    try:
        found = (folder / MARK).read_text("utf-8")
    except FileNotFoundError:
        raise NotTheLakes(
            f"the data of this lake is not in {folder}, where WOLKVOX_STORE_DATA says: the file {MARK} is missing, "
            "which is made with the lake. Mount the folder that all machines share, or correct the setting, and repeat."
        ) from None
    if found != _text(lake):
        raise NotTheLakes(
            f"{folder} holds the data of another lake ({MARK} in it says which). Correct WOLKVOX_STORE or "
            "WOLKVOX_STORE_DATA, and repeat."
        )


# Merged files and rows out of the catalog count from an older snapshot on, but have new numbers.
_NEWEST = """
SELECT one_schema.path || one_table.path || file.path FROM public.ducklake_data_file AS file
JOIN public.ducklake_table AS one_table USING (table_id) JOIN public.ducklake_schema AS one_schema USING (schema_id)
WHERE data_file_id >= (SELECT next_file_id FROM public.ducklake_snapshot ORDER BY snapshot_id DESC OFFSET 1 LIMIT 1)
"""


def share_newest(lake: Lake) -> None:
    """Whoever may write in the lake's folder may write in those of the last commit's files. Call it in the turn.

    It raises nothing: that commit counts already, and what is not done now is done by the next cleaning up.
    """
    with suppress(psycopg2.Error, OSError):
        if lake.s3 or not _is_shared(Path(lake.data)):
            return
        with asking(lake) as con, con.cursor() as cursor:
            cursor.execute(_NEWEST)
            top = Path(lake.data)
            made = {folder for (file,) in cursor.fetchall() for folder in (top / file).parents}
            # Of tables DuckLake makes them as well where it writes no file.
            _share(top, {*top.glob("main"), *top.glob("main/*"), *made})


def share_all(lake: Lake) -> None:
    """As `share_newest`, in all folders: who was killed has left some."""
    if not lake.s3 and _is_shared(Path(lake.data)):
        _share(Path(lake.data), [Path(folder) for folder, _, _ in os.walk(lake.data)])


def _is_shared(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IWGRP)


def _share(top: Path, folders: Iterable[Path]) -> None:
    """Each user does so with its own ones, where the share takes modes at all."""
    mode = stat.S_IMODE(top.stat().st_mode)
    for folder in folders:
        if top in folder.parents:
            with suppress(OSError):
                folder.chmod(mode)


def _text(lake: str) -> str:
    return f"The data of lake {lake}. Without this file nothing is stored here.\n"
