"""`WOLKVOX_STORE` and `WOLKVOX_STORE_DATA`: whether there is a lake in place of the files, and where.

What belongs here: judging the two, and the keys for S3. What doesn't: where they are set (`environment.py`), and
opening the lake (`store/lake/`).

The value is never repeated in a problem: there may be a password in it.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import PurePath

from pydantic import SecretStr

from wolkvox_assets.store.lake.place import S3, Lake

_PREFIX = "ducklake:postgres:"
_PACKAGES = (
    "psycopg2",
    "duckdb_extension_ducklake",
    "duckdb_extension_postgres_scanner",
    "duckdb_extension_httpfs",
)


def judged_lake(store: str, data: str, variable: Callable[[str], str]) -> Lake | None:
    """The lake that these two name, or None where neither is set. `variable`: the value of another one, or empty.

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
            f"WOLKVOX_STORE: must begin with {_PREFIX}, followed by a libpq connection string or URI, such as "
            f"{_PREFIX}host=db.example.com dbname=wolkvox user=wolkvox (it may contain a password and is not shown)"
        )
    if not data:
        raise ValueError(
            "WOLKVOX_STORE_DATA: is not set. The lake's files need a place that all machines can reach: "
            "s3://bucket/folder, or a folder that they share"
        )
    if not (data.startswith("s3://") and data.removeprefix("s3://").strip("/")) and not _is_folder(data):
        raise ValueError(
            "WOLKVOX_STORE_DATA: must be s3://bucket/folder, or a folder's absolute path, such as /srv/wolkvox/lake"
        )
    if any(find_spec(package) is None for package in _PACKAGES):
        raise ValueError(
            "WOLKVOX_STORE: a lake needs packages that are not installed: pip install 'wolkvox-assets[scale]'"
        )
    if not _libpq_takes(address):
        raise ValueError(
            f"WOLKVOX_STORE: what follows {_PREFIX} is not a libpq connection string such as host=db.example.com "
            "dbname=wolkvox, nor a URI such as postgresql://wolkvox@db.example.com/wolkvox (it may contain a password "
            "and is not shown)"
        )
    s3 = _s3(variable) if data.startswith("s3://") else None
    return Lake(SecretStr(address), data.rstrip("/"), s3)


def _s3(variable: Callable[[str], str]) -> S3:
    """By the variables that every program for S3 reads."""
    key, secret = variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")
    if not key or not secret:
        raise ValueError(
            "WOLKVOX_STORE_DATA: for s3://… AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are needed "
            "(and AWS_ENDPOINT_URL for a server other than Amazon's)"
        )
    return S3(
        key,
        SecretStr(secret),
        SecretStr(variable("AWS_SESSION_TOKEN")),
        variable("AWS_REGION") or variable("AWS_DEFAULT_REGION") or "us-east-1",
        variable("AWS_ENDPOINT_URL_S3") or variable("AWS_ENDPOINT_URL"),
    )


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
