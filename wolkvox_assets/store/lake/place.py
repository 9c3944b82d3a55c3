"""Where a lake is. What belongs here: that. What doesn't: reading it from the settings (`settings/lake.py`)."""

from typing import NamedTuple

from pydantic import SecretStr


class S3(NamedTuple):
    """How to get at an S3 store. `endpoint`: `https://host:port` of another server than Amazon's, or empty.
    `session`: of keys that are good for some hours only, or empty.
    """

    key_id: str
    secret: SecretStr
    session: SecretStr
    region: str
    endpoint: str


class Lake(NamedTuple):
    """A lake that several machines share.

    `postgres`: the database of its catalog, as libpq (`psycopg2.connect`) takes it, words or URI; there may be a
    password in it. `data`: where its files lie, a folder (an absolute path) or `s3://bucket/folder`, which needs `s3`.
    """

    postgres: SecretStr
    data: str
    s3: S3 | None = None
