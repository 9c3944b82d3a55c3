"""The folder of a lake's data, as this machine sees it: whether it is the one that all machines share.

What belongs here: telling that by a file in it. What doesn't: when it is asked (`store.py`, `examine.py`).

Where the share is not mounted, an empty folder of the same name is there in its place. DuckLake would store in it what
no other machine can ever read, and the catalog would say that it is there.
"""

from pathlib import Path

from wolkvox_assets.store.disk import flush

MARK = "wolkvox_lake.txt"


class NotTheLakes(Exception):
    """Says why this folder is not the lake's, and what to do."""


def mark(folder: Path, lake: str) -> None:
    """This folder is this lake's from now on. `lake`: what tells it from all others."""
    file = folder / MARK
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


def _text(lake: str) -> str:
    return f"The data of lake {lake}. Without this file nothing is stored here.\n"
