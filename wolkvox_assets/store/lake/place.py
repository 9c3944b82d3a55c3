"""Where a lake is. What belongs here: that. What doesn't: reading it from the settings (`settings/lake.py`)."""

from typing import NamedTuple

from pydantic import SecretStr


class Lake(NamedTuple):
    """A lake that several machines share.

    `postgres`: the database of its catalog, as libpq (`psycopg2.connect`) takes it, words or URI; there may be a
    password in it. `data`: where its files lie, a folder (an absolute path) or `s3://bucket/folder`.
    """

    postgres: SecretStr
    data: str
