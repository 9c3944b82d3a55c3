"""DuckDB with the lake attached: one in each process, kept warm.

What belongs here: extensions, secrets, attaching. What doesn't: what is done with it (`store.py`).

To attach takes a second, a third of it to load the extensions; on a DuckDB that has the lake attached a commit takes
20 to 40 ms. The extensions come from PyPI and are loaded by their path: nothing is fetched.
"""

import ctypes
import os
import secrets
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
from psycopg2.extensions import make_dsn

from wolkvox_assets.api import postgres
from wolkvox_assets.store.lake.place import S3, Lake

NAME = "wolkvox"
"""Of the lake in the DuckDB that has it attached."""

# Fewer rows go into the catalog itself, and no file is made: a live commit of forty operations has some 500 in a table.
INLINED_ROWS = 1000

_one_thread = threading.Lock()
# By process: a forked one must not use its parent's, whose threads it does not have.
_open: dict[tuple[int, Lake], duckdb.DuckDBPyConnection] = {}


class NotInstalled(Exception):
    """An extension is missing, or of another version than DuckDB. Says what to do."""


@contextmanager
def cursor(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection of its own to the process's DuckDB, in a transaction, in which the lake's tables need no other name.
    It is rolled back at the end where it was not committed.

    The catalog is made where there is none: call it for the first time with the turn. Raises `NotInstalled`,
    `OSError`, and `duckdb.Error` in which no password is.
    """
    with _one_thread:
        warm = _open.get((os.getpid(), lake))
        if warm is None:
            warm = _open[os.getpid(), lake] = attached(lake)
        con = warm.cursor()
    try:
        # In this order: by itself, USE would be another transaction in Postgres, of seven statements.
        con.execute(f"BEGIN; USE {NAME}")
        yield con
    finally:
        # Closing rolls back as well, and where Postgres is gone by then, DuckDB ends the whole process (`abort`).
        with suppress(duckdb.Error):
            con.execute("ROLLBACK")
        con.close()


def forget(lake: Lake) -> None:
    """The process's DuckDB is not used again: after an error its connections to Postgres may be good for nothing."""
    with _one_thread:
        # Not closed: that would close all of its cursors, other threads' as well. It goes with the last of them.
        _open.pop((os.getpid(), lake), None)


def attached(
    lake: Lake, *, read_only: bool = False, lock_patience_seconds: int | None = None
) -> duckdb.DuckDBPyConnection:
    """A new DuckDB with the lake attached. Raises as `cursor` does, and after this patience with another's lock in
    Postgres."""
    con = _bare(lake)
    try:
        words = postgres.words(lake.postgres)
        options = [f"DATA_INLINING_ROW_LIMIT {INLINED_ROWS}"]
        options += ["READ_ONLY"] if read_only else [f"DATA_PATH '{_quoted(lake.data)}/'"]
        if lock_patience_seconds is not None:
            words["options"] = f"{words.get('options', '')} -c lock_timeout={lock_patience_seconds}s".strip()
        if password := words.pop("password", ""):
            # DuckDB repeats the address, in its errors and in a table of what is attached; a secret it does not.
            con.execute(f"CREATE SECRET catalog (TYPE postgres, PASSWORD '{_quoted(password)}')")
            options.append("META_SECRET 'catalog'")
        con.execute(
            f"ATTACH 'ducklake:postgres:{_quoted(make_dsn(**words))}' AS {NAME} ({', '.join(options)})"
        )
        con.execute(f"USE {NAME}")
    except BaseException:
        con.close()
        raise
    return con


@contextmanager
def bare(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB that can get at the lake's data, and does not attach the lake."""
    con = _bare(lake)
    try:
        yield con
    finally:
        con.close()


def _bare(lake: Lake) -> duckdb.DuckDBPyConnection:
    # By default, all processes that were started in one folder would have their temporary files there, of the same
    # names. DuckDB makes this one when it needs it, and removes it.
    spill = Path(tempfile.gettempdir()) / f"wolkvox-assets-duckdb-{secrets.token_hex(8)}"
    con = duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            # Where Postgres goes away in mid-statement, DuckLake finds a table without columns, which to DuckDB is an
            # error of its own: it would refuse all that comes after, ROLLBACK too, and so end the whole process
            # (`abort`) when the connection is closed. Nothing is stored by it that could be damaged, and after any
            # error it is not used again.
            "disable_database_invalidation": True,
            "temp_directory": str(spill),
        }
    )
    try:
        for extension in ("ducklake", "postgres_scanner", *(["httpfs"] if lake.s3 else [])):
            con.execute(f"LOAD '{_quoted(str(_file(extension)))}'")
        if lake.s3 is not None:
            con.execute(f"CREATE SECRET data (TYPE s3, {_options(_s3(lake.s3))})")
    except BaseException:
        con.close()
        raise
    return con


def is_warm(lake: Lake) -> bool:
    """Whether this process has a DuckDB with the lake attached."""
    return (os.getpid(), lake) in _open


def _file(extension: str) -> Path:
    package = find_spec(f"duckdb_extension_{extension}")
    folders = [Path(folder) for folder in (package.submodule_search_locations or ())] if package else []
    for folder in folders:
        file = folder / "extensions" / f"v{duckdb.__version__}" / f"{extension}.duckdb_extension"
        if file.is_file():
            return file
    raise NotInstalled(
        f"DuckDB {duckdb.__version__} needs its extension {extension} in this very version, and it is not installed: "
        "pip install 'wolkvox-assets[scale]'"
    )


def _s3(s3: S3) -> Mapping[str, str]:
    options = {"KEY_ID": s3.key_id, "SECRET": s3.secret.get_secret_value(), "REGION": s3.region}
    if s3.session.get_secret_value():
        options["SESSION_TOKEN"] = s3.session.get_secret_value()
    if s3.endpoint:
        parts = urlsplit(s3.endpoint)
        # Other servers than Amazon's rarely have a name for each bucket.
        options |= {
            "ENDPOINT": f"{parts.netloc}{parts.path.rstrip('/')}",
            "USE_SSL": str(parts.scheme == "https"),
            "URL_STYLE": "path",
        }
    return options


def _options(options: Mapping[str, str]) -> str:
    return ", ".join(f"{name} '{_quoted(value)}'" for name, value in options.items())


def _anew() -> None:
    global _one_thread  # a thread of the parent may have had it
    _one_thread = threading.Lock()
    for con in _open.values():
        # Not even when this process ends: it would take leave of Postgres on the parent's connections.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(con))


os.register_at_fork(after_in_child=_anew)


def _quoted(text: str) -> str:
    return text.replace("'", "''")
