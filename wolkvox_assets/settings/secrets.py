"""Tokens and the webhook's address: read from the environment or `.env` at the moment they are needed.

What belongs here: that, so that no repr, run config or page of the UI can show them. What doesn't: all other settings
(`environment.py`).

Where a variable is set in both, `.env` wins, as it does for Dagster. Dagster copies the file into the environment when
the code server starts: what was corrected since then stands in the file alone.
"""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import SecretStr

ENV_FILE = Path(".env")

_PRINTABLE = re.compile(r"[\x21-\x7e]+")


class ConfigurationProblem(Exception):
    """A setting that is wrong or missing keeps an operation from working. Says what to set."""


def read_env_file() -> dict[str, str | None]:
    """What `.env` sets. Raises `ConfigurationProblem` where it cannot be read."""
    try:
        return dotenv_values(ENV_FILE)
    except (OSError, UnicodeDecodeError) as error:
        # Not "from error": a UnicodeDecodeError carries the whole text with it, the token as well.
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text; save it as UTF-8"
        raise ConfigurationProblem(f"{ENV_FILE} cannot be read: {why}.") from None


def value_now(variable: str) -> str:
    """The variable's value without blanks around it; empty where it is not set."""
    return (read_env_file().get(variable) or os.environ.get(variable) or "").strip()


def read_token(operation: str, variable: str) -> SecretStr:
    """The token in this variable now. Raises `ConfigurationProblem` where there is none, or an impossible one."""
    value = value_now(variable)
    if not value:
        raise ConfigurationProblem(
            f"operation {operation}: no token. Set {variable} in the environment or in .env."
        )
    if not _PRINTABLE.fullmatch(value):
        raise ConfigurationProblem(
            f"operation {operation}: {variable} holds characters that no token has (blanks, line breaks, "
            "accents). Copy the token again."
        )
    return SecretStr(value)


def alert_webhook() -> SecretStr | None:
    """Where alerts are posted now, if anywhere. Raises `ConfigurationProblem` where it is not an address.

    Anyone who knows the address can post there: it is as secret as a token.
    """
    value = value_now("WOLKVOX_ALERT_WEBHOOK")
    if not value:
        return None
    if not is_http_address(value) or not _PRINTABLE.fullmatch(value):
        raise ConfigurationProblem(
            "WOLKVOX_ALERT_WEBHOOK: must be a whole address that begins with https:// (or http://); no alert "
            "can be sent until it is. Copy it again (it is a secret and not shown here)."
        )
    return SecretStr(value)


def is_http_address(value: str) -> bool:
    """Whether it has the scheme, host and port of a web address."""
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # half a bracket; a port that is not a number, or out of range
        return False
