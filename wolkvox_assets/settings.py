"""What the person who runs this has set: the operation, where its token stands, where the files lie.

What belongs here: reading and validating the environment and `.env`. What doesn't: what is done with it.

A token is read at the moment it is needed and is never part of a setting, so that no repr, run config
or page of the UI can show it.
"""

import os
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from dotenv import dotenv_values
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from wolkvox_assets.windows import WallClock

ENV_FILE = Path(".env")


class ConfigurationProblem(Exception):
    """Something that is set, or isn't, keeps an operation from working. Says what to set."""


def _name(value: str) -> str:
    # It becomes part of asset keys, group and pool names: Dagster takes these characters and no others.
    if not re.fullmatch(r"[A-Za-z0-9_]+", value):
        raise ValueError("must be made of letters, digits and _ (it becomes part of asset keys)")
    return value


def _server(value: str) -> str:
    if not re.fullmatch(r"[0-9]{4}", value):
        raise ValueError(
            "must be the four digits of the server code, as in wv0013: it becomes part of a host name"
        )
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # unknown, not a name at all, a folder such as "America"
        raise ValueError("is no time zone; it must be an IANA name such as America/Bogota") from None
    return value


def _start(value: object) -> object:
    # pydantic would take "0" or "86400" for seconds since 1970, and history would begin there.
    if isinstance(value, str):
        try:
            return datetime.strptime(value.strip(), "%Y-%m-%d").date()
        except ValueError:
            raise ValueError("must be a day such as 2026-11-01") from None
    return value


def _base_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        wrong = parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0
    except ValueError:  # a port that is no number, or out of range; an address with half a bracket
        wrong = True
    if wrong:
        raise ValueError("must look like http://127.0.0.1:8009")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be only scheme, host, port and path")
    return value.rstrip("/")


class Operation(BaseModel):
    """One Wolkvox contact centre.

    `token_env` names the environment variable its token stands in. `start` is the first day of its
    history, on its own wall clock (`timezone`). `base_url`: a stand-in server, in place of the real one.
    `quota_reserve`: the share (0 to 1) of the day's requests that is never touched.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, AfterValidator(_name)] = "main"
    server: Annotated[str, AfterValidator(_server)]
    token_env: str = "WOLKVOX_TOKEN"  # noqa: S105  # the name of a variable
    timezone: Annotated[str, AfterValidator(_zone)] = "America/Bogota"
    start: Annotated[date, BeforeValidator(_start)]
    base_url: Annotated[str, AfterValidator(_base_url)] | None = None
    quota_reserve: Annotated[float, Field(ge=0, le=1)] = 0.2

    @property
    def clock(self) -> WallClock:
        """Its wall clock."""
        return WallClock(self.timezone)


def _env_file() -> dict[str, str | None]:
    try:
        return dotenv_values(ENV_FILE)
    except (OSError, UnicodeDecodeError) as error:
        # Not "from error": a UnicodeDecodeError carries the whole text with it, the token as well.
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text; save it as UTF-8"
        raise ConfigurationProblem(f"{ENV_FILE} cannot be read: {why}.") from None


def read_token(operation: str, variable: str) -> SecretStr:
    """The token that stands in this variable now, in the environment or in `.env`.

    Raises `ConfigurationProblem` where there is none, or not a possible one.
    """
    value = (os.environ.get(variable) or _env_file().get(variable) or "").strip()
    if not value:
        raise ConfigurationProblem(
            f"operation {operation}: no token. Set {variable} in the environment or in .env."
        )
    if not re.fullmatch(r"[\x21-\x7e]+", value):
        raise ConfigurationProblem(
            f"operation {operation}: {variable} holds characters that no token has (blanks, line breaks, "
            "accents). Copy the token again."
        )
    return SecretStr(value)


class Settings(NamedTuple):
    """All that is set: the operations that can work, and for the others what to mend."""

    operations: tuple[Operation, ...]
    problems: tuple[str, ...]
    data_dir: Path


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="WOLKVOX_",
        env_file=ENV_FILE,
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    server: str | None = None
    operation: str | None = None
    timezone: str | None = None
    start: str | None = None
    base_url: str | None = None
    quota_reserve: str | None = None
    data_dir: Path = Path("data")


NOTHING_SET = (
    "no operation is configured. Set WOLKVOX_SERVER (the four digits of wv0013), WOLKVOX_TOKEN and "
    "WOLKVOX_START (the first day of history, such as 2026-11-01) in the environment or in .env, and reload."
)


def load_settings() -> Settings:
    """What is set now. Never raises for a wrong setting: it stands in `problems`, with what to do."""
    try:
        env_file = _env_file()
    except ConfigurationProblem as problem:
        return Settings((), (str(problem),), Path(os.environ.get("WOLKVOX_DATA_DIR") or "data"))
    env = _Environment()
    set_values: dict[str, Any] = {
        "name": env.operation,
        "server": env.server,
        "timezone": env.timezone,
        "start": env.start,
        "base_url": env.base_url,
        "quota_reserve": env.quota_reserve,
    }
    values = {field: value for field, value in set_values.items() if value is not None}
    token_is_set = bool(os.environ.get("WOLKVOX_TOKEN") or env_file.get("WOLKVOX_TOKEN"))
    if not token_is_set and not values.keys() & {"server", "start", "base_url"}:
        return Settings((), (NOTHING_SET,), env.data_dir)
    if env.base_url is not None:
        values.setdefault("server", "0000")  # a stand-in has no server code
    operation, problems = _operation(values)
    return Settings((operation,) if operation else (), problems, env.data_dir)


_VARIABLES = {"name": "WOLKVOX_OPERATION"}


def _operation(values: dict[str, Any]) -> tuple[Operation | None, tuple[str, ...]]:
    try:
        operation = Operation(**values)
        read_token(operation.name, operation.token_env)
    except ValidationError as error:
        problems = []
        for one in error.errors(include_input=False):
            field = str(one["loc"][0])
            variable = _VARIABLES.get(field, f"WOLKVOX_{field.upper()}")
            what = "is not set" if one["type"] == "missing" else one["msg"].removeprefix("Value error, ")
            problems.append(f"{variable}: {what}")
        return None, tuple(problems)
    except ConfigurationProblem as problem:
        return None, (str(problem),)
    today = operation.clock.now(datetime.now(UTC)).date()
    if operation.start > today:
        return None, (
            f"WOLKVOX_START: {operation.start} is in the future; today is {today} in {operation.timezone}",
        )
    return operation, ()
