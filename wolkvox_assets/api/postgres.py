"""The Postgres that machines share: how it is reached, and what is wrong with it in words.

What belongs here: connections, as the lock and the lake make them. What doesn't: what they are used for
(`postgres_lock.py`, `store/lake/`).
"""

import os
import re
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812  (a class with a small initial)
from psycopg2.extensions import parse_dsn
from pydantic import SecretStr

CONNECT_SECONDS = 5
"""For each address that the host's name has: by itself the system waits for two minutes."""

# What psycopg2 says of a connection that is not made has no code: only its words tell. Those of a server that speaks
# another language are told as they are.
_TROUBLES = (
    ("could not translate host name", "there is no host of this name, as far as this machine knows", True),
    (
        "timeout expired",
        "nothing answers there: is the host up, and does a firewall let this machine through?",
        True,
    ),
    ("Connection refused", "nothing listens there: is Postgres running, and are host and port right?", True),
    (
        "No such file or directory",
        "nothing listens there: is Postgres running, and are host and port right?",
        True,
    ),
    ("password authentication failed", "it refuses this role, or its password", False),
    ("no password supplied", "it asks this role for a password, and none is set", False),
    (r'role ".*" does not exist', "it has no such role", False),
    (r'database ".*" does not exist', "it has no such database", False),
    ("no pg_hba.conf entry", "its pg_hba.conf does not let this role in from this machine", False),
)


class Trouble(NamedTuple):
    """`said`: what is wrong, in one line and without a secret. `may_pass`: by itself."""

    said: str
    may_pass: bool


def words(address: SecretStr, ours: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The address in libpq's words, with what is ours where it says nothing else: who we are to `pg_stat_activity`, how
    long to wait for a connection, and `ours`."""
    us = {"application_name": f"wolkvox-assets {this_process()}", "connect_timeout": str(CONNECT_SECONDS)}
    return {**us, **(ours or {}), **parse_dsn(address.get_secret_value())}


def this_process() -> str:
    return f"{socket.gethostname()} process {os.getpid()}"


def connect(address: SecretStr) -> Connection:
    made: Connection = psycopg2.connect(**words(address))
    return made


def trouble(error: psycopg2.Error, address: SecretStr) -> Trouble:
    """What such an error means."""
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    said = without_secrets(first_line, address).rstrip(".")
    for sign, meaning, may_pass in _TROUBLES:
        if re.search(sign, said):
            return Trouble(f"{meaning} ({said})", may_pass)
    return Trouble(said, not isinstance(error, psycopg2.ProgrammingError))


def why_not(address: SecretStr) -> str | None:
    """What keeps this machine from connecting, or None."""
    try:
        connect(address).close()
    except psycopg2.Error as error:
        return trouble(error, address).said
    return None


def without_secrets(said: str, address: SecretStr) -> str:
    whole = address.get_secret_value()
    known = parse_dsn(whole)
    for secret in (whole, known.get("password"), known.get("sslpassword")):
        if secret:
            said = said.replace(secret, "…")
    return said
