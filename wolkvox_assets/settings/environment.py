"""Everything that is set: the operations, where their data lies, and what holds for all of them.

What belongs here: the variables, and putting together what they, `operations.toml` and `.env` set. What doesn't: what
an operation may be (`operation.py`), the file's form (`operations_file.py`), the lake's address (`lake.py`), and
secrets, which are never part of a setting (`secrets.py`). Only the address of the lake's Postgres, which may have a
password in it, is: as a `SecretStr`, which doesn't show itself.
"""

import os
import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from wolkvox_assets.report.reports import REPORTS
from wolkvox_assets.settings import operations_file
from wolkvox_assets.settings.lake import judged_lake
from wolkvox_assets.settings.operation import Operation, Wrong, is_name, judged, with_simulator
from wolkvox_assets.settings.secrets import (
    ENV_FILE,
    ConfigurationProblem,
    alert_webhook,
    read_env_file,
    value_now,
)
from wolkvox_assets.store import Store, open_store
from wolkvox_assets.store.lake.place import Lake

OPERATIONS_FILE = Path("operations.toml")

NOTHING_SET = (
    "no operation is configured. Set WOLKVOX_SERVER (the four digits of wv0013), WOLKVOX_TOKEN and "
    "WOLKVOX_START (the first day of history, such as 2026-11-01) in the environment or in .env, and reload. "
    "For several operations copy operations.example.toml to operations.toml."
)


class Settings(NamedTuple):
    """All that is set: the operations that can work, each with each report, and what to correct for the others.

    `automation`: whether schedules and sensors run without a click. `live_delay`: how long after its end
    a window is first asked for. `run_history`: how long what ticks have logged is kept. `parquet`: whether the
    tables are written as Parquet files, too. `lake`: where what is stored lies, unless it is in `data_dir`.
    """

    operations: tuple[Operation, ...]
    problems: tuple[str, ...]
    data_dir: Path
    automation: bool = True
    live_delay: timedelta = timedelta(seconds=60)
    run_history: timedelta = timedelta(days=14)
    parquet: bool = False
    lake: Lake | None = None

    @property
    def store(self) -> Store:
        """Where all that is stored lies."""
        return open_store(self.data_dir, self.lake)

    @property
    def centres(self) -> tuple[Operation, ...]:
        """Each contact centre once, with its first report."""
        found: dict[str, Operation] = {}
        for operation in self.operations:
            found.setdefault(operation.name, operation)
        return tuple(found.values())


# Kubernetes sets such a variable for each Service: WOLKVOX_ASSETS_SERVICE_HOST, WOLKVOX_ASSETS_PORT_4000_TCP_ADDR.
_OF_A_SERVICE = re.compile(r"_(SERVICE_HOST|SERVICE_PORT|PORT)(_|$)")


class _Environment(BaseSettings):
    # Text, all of it: what is wrong with one variable must not keep the others from being read.
    model_config = SettingsConfigDict(
        env_prefix="WOLKVOX_",
        env_file=ENV_FILE,
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """`.env` before the environment, as for secrets."""
        return dotenv_settings, env_settings

    server: str | None = None
    operation: str | None = None
    timezone: str | None = None
    start: str | None = None
    base_url: str | None = None
    quota_reserve: str | None = None
    fresh_minutes: str | None = None
    owners: str | None = None
    tags: str | None = None
    operations: Path | None = None
    data_dir: Path = Path("data")
    automation: str = "on"
    live_delay_seconds: str = "60"
    run_history_days: str = "14"
    parquet: str = "off"
    store: SecretStr = SecretStr("")
    store_data: str = ""


def load_settings() -> Settings:
    """What is set now. Never raises for a wrong setting: it stands in `problems`, with what to do."""
    try:
        read_env_file()
    except ConfigurationProblem as problem:
        # No operation of `operations.toml` either: the folder its data belongs in may be set in .env.
        return Settings((), (str(problem),), Path(os.environ.get("WOLKVOX_DATA_DIR") or "data"))
    env = _Environment()
    try:
        lake = read_lake()
    except ConfigurationProblem as problem:
        # No operation: its answers would be stored in files, beside the lake that is meant.
        return Settings((), (str(problem),), env.data_dir)
    operations, problems = _operations(env)

    automation, parquet = _switch(env.automation), _switch(env.parquet)
    delay, history = _whole(env.live_delay_seconds, 0, 240), _whole(env.run_history_days, 1, 99_999)
    if automation is None:
        # Off: whoever sets it at all most likely wants it off, and what isn't asked today can be asked tomorrow.
        until = "no schedule or sensor runs by itself"
        problems.append(f"WOLKVOX_AUTOMATION: must be on or off; until it is, {until}")
    if parquet is None:
        problems.append("WOLKVOX_PARQUET: must be on or off; until it is, no Parquet files are written")
    if delay is None:
        must = "must be whole seconds from 0 to 240; until it is, 60 are used"
        problems.append(f"WOLKVOX_LIVE_DELAY_SECONDS: {must}")
    if history is None:
        must = "must be whole days from 1 to 99999; until it is, 14 are used"
        problems.append(f"WOLKVOX_RUN_HISTORY_DAYS: {must}")
    try:
        alert_webhook()  # told now, not when the first alert can't be sent
    except ConfigurationProblem as problem:
        problems.append(str(problem))
    return Settings(
        operations=tuple(operation.keeping(report) for operation in operations for report in REPORTS),
        problems=tuple(problems),
        data_dir=env.data_dir,
        automation=bool(automation),
        live_delay=timedelta(seconds=60 if delay is None else delay),
        run_history=timedelta(days=14 if history is None else history),
        parquet=bool(parquet),
        lake=lake,
    )


def read_lake() -> Lake | None:
    """The lake that is set now; None where what is stored lies in files.

    Raises `ConfigurationProblem` where what is set is not a lake that can be used.
    """
    env = _Environment()
    try:
        return judged_lake(env.store.get_secret_value().strip(), env.store_data.strip(), value_now)
    except ValueError as wrong:
        raise ConfigurationProblem(f"{wrong}. Until it is corrected no operation is loaded.") from None


def unknown_variables(settings: Settings) -> list[str]:
    """Variables that look like ours and aren't: a misspelt one would be ignored silently."""
    known = {f"WOLKVOX_{field}".upper() for field in _Environment.model_fields}
    known |= {"WOLKVOX_ALERT_WEBHOOK", *(operation.token_env for operation in settings.operations)}
    try:
        names = {*os.environ, *read_env_file()}
    except ConfigurationProblem:
        names = set(os.environ)
    # A token's variable can have any name, and its operation may still have a mistake.
    return sorted(
        n
        for n in names - known
        if n.startswith("WOLKVOX_") and not n.startswith("WOLKVOX_TOKEN") and not _OF_A_SERVICE.search(n)
    )


def _operations(env: _Environment) -> tuple[list[Operation], list[str]]:
    """Those that can work, and what is wrong with the others."""
    file = env.operations or OPERATIONS_FILE
    tables, problems_of_file = operations_file.read(file, needed=env.operations is not None)
    own = _own(env, tables, beside_file=bool(tables or problems_of_file))
    found: list[Operation | None] = []
    problems: list[str] = []
    if own is not None:
        operation, wrong = judged(own)
        found.append(operation)
        problems += map(_of_variable, wrong)
    problems += problems_of_file
    for name, values in tables.items():
        operation, mistakes = operations_file.judged_table(name, values)
        found.append(operation)
        problems += (f"{file}: {mistake}" for mistake in mistakes)
    clashes, ambiguous = _same_name(None if own is None else own.get("name", "main"), tables)
    problems += (f"{file}: {clash}" for clash in clashes)
    if not found and not problems:
        problems.append(NOTHING_SET)
    return [one for one in found if one is not None and one.name.casefold() not in ambiguous], problems


def _own(env: _Environment, tables: dict[str, dict[str, Any]], *, beside_file: bool) -> dict[str, Any] | None:
    """What the environment sets for an operation of its own; `None` if it is not meant to be one."""
    fields = ("server", "timezone", "start", "base_url", "quota_reserve", "fresh_minutes", "owners", "tags")
    values = {field: value for field in fields if (value := getattr(env, field)) is not None}
    if env.operation is not None:
        values["name"] = env.operation
    # Beside a file, a start left over in a copied .env means nothing, nor does a token that the file uses.
    meant = {"server", "base_url"} if beside_file else {"server", "base_url", "start"}
    token_of_file = any(table.get("token_env") == "WOLKVOX_TOKEN" for table in tables.values())
    own_token = value_now("WOLKVOX_TOKEN") and not token_of_file
    return with_simulator(values) if own_token or values.keys() & meant else None


def _of_variable(wrong: Wrong) -> str:
    if wrong.field == "token_env":
        return wrong.sentence
    variable = "WOLKVOX_OPERATION" if wrong.field == "name" else f"WOLKVOX_{wrong.field.upper()}"
    return f"{variable}: {'is not set' if wrong.kind == 'missing' else wrong.sentence}"


def _same_name(own: str | None, tables: Iterable[str]) -> tuple[list[str], set[str]]:
    """What to say of operations with the same name, and these names. Which of them owns the data is not ours to guess:
    none loads.

    Capitals make no difference: they don't everywhere in the names of files and folders either.
    """
    first = {} if own is None else {own.casefold(): f"{own} of the environment (WOLKVOX_OPERATION)"}
    problems = []
    ambiguous = set()
    for table in filter(is_name, tables):  # the others never load, and may be tokens
        name = table.casefold()
        if name in first:
            problems.append(
                f"operation {table} has the same name as {first[name]}; rename one (capitals make no difference). "
                "Neither is loaded"
            )
            ambiguous.add(name)
        first.setdefault(name, table)
    return problems, ambiguous


def _switch(value: str) -> bool | None:
    """None where it is not clear what is meant."""
    word = value.strip().lower()
    return True if word in {"on", "true", "1"} else False if word in {"off", "false", "0"} else None


def _whole(value: str, least: int, most: int) -> int | None:
    """None where it is not a whole number from `least` to `most`."""
    fits = re.fullmatch(r"\s*[0-9]{1,5}\s*", value, re.ASCII) and least <= int(value) <= most
    return int(value) if fits else None
