"""`WOLKVOX_STORE` and `WOLKVOX_STORE_DATA`: whether there is a lake in place of the files, and where.

What belongs here: reading the two. What doesn't: opening it (`store/lake/`).

The value is never repeated in a problem: there may be a password in it.
"""

from importlib.util import find_spec
from pathlib import PurePath

from pydantic import SecretStr

from wolkvox_assets.store.lake.place import Lake

_PREFIX = "ducklake:postgres:"
_PACKAGES = (
    "psycopg2",
    "duckdb_extension_ducklake",
    "duckdb_extension_postgres_scanner",
    "duckdb_extension_httpfs",
)


def read_lake(store: str, data: str) -> Lake | None:
    """The lake that these two name, or None where neither is set.

    Raises `ValueError` with the whole problem, the variable's name first, where they name none that can be used.
    """
    if not store and not data:
        return None
    if not store:
        raise ValueError(
            f"WOLKVOX_STORE_DATA is set without WOLKVOX_STORE ({_PREFIX}dbname=…). Set both or none"
        )
    address = store.removeprefix(_PREFIX)
    if address == store or not address.strip():
        raise ValueError(
            f"WOLKVOX_STORE: must begin with {_PREFIX} and go on with words or a URI that libpq takes, such as "
            f"{_PREFIX}host=db.example.com dbname=wolkvox user=wolkvox (it can hold a password and is not shown here)"
        )
    if not data:
        raise ValueError(
            "WOLKVOX_STORE_DATA: is not set. The files of the lake need a place that all machines reach: "
            "s3://bucket/folder, or a folder that they share"
        )
    if not (data.startswith("s3://") and data.removeprefix("s3://").strip("/")) and not _is_folder(data):
        raise ValueError(
            "WOLKVOX_STORE_DATA: must be s3://bucket/folder, or a folder's whole path, such as /srv/wolkvox/lake"
        )
    if any(find_spec(package) is None for package in _PACKAGES):
        raise ValueError(
            "WOLKVOX_STORE: a lake needs packages that are not installed: pip install 'wolkvox-assets[scale]'"
        )
    if not _libpq_takes(address):
        raise ValueError(
            f"WOLKVOX_STORE: what follows {_PREFIX} is nothing that libpq takes: words such as host=db.example.com "
            "dbname=wolkvox, or a URI such as postgresql://wolkvox@db.example.com/wolkvox (it can hold a password and "
            "is not shown here)"
        )
    return Lake(SecretStr(address), data.rstrip("/"))


def _is_folder(data: str) -> bool:
    return "://" not in data and PurePath(data).is_absolute() and data.strip("/") != ""


def _libpq_takes(address: str) -> bool:
    import psycopg2  # with the extra `scale` only
    from psycopg2.extensions import parse_dsn

    try:
        parse_dsn(address)
    except psycopg2.Error:
        return False
    return True
