"""What the person who runs this has set: the operations, where their tokens stand, where the files lie.

What belongs here: reading and validating the environment, `.env` and `operations.toml`. What doesn't: what
is done with it, how a line of `operations.toml` is read (`operations_file`), and how a lake is named (`lake`).

Where a variable stands in both, `.env` counts. A secret (a token, the webhook's address) is read at the
moment it is needed and is never part of a setting, so that no repr, run config or page of the UI can show it. The
address of the lake's Postgres, in which there may be a password, is one that doesn't show itself (`SecretStr`).
"""

import os
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PrivateAttr,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.reports import AGENT_9, REPORTS, label
from wolkvox_assets.report.windows import WallClock
from wolkvox_assets.settings import operations_file
from wolkvox_assets.settings.lake import judged_lake
from wolkvox_assets.store import Store, open_store
from wolkvox_assets.store.lake.place import Lake
from wolkvox_assets.store.sources import OperationSource

ENV_FILE = Path(".env")
OPERATIONS_FILE = Path("operations.toml")


class ConfigurationProblem(Exception):
    """Something that is set, or isn't, keeps an operation from working. Says what to set."""


# It becomes part of asset keys, group and pool names: Dagster takes these characters and no others.
_NAME = re.compile(r"[A-Za-z0-9_]+")


def checked_name(value: str) -> str:
    """Raises `ValueError` where no operation can be called so."""
    if not _NAME.fullmatch(value):
        raise ValueError("must be made of letters, digits and _ (it becomes part of asset keys)")
    return value


def _server(value: str) -> str:
    # People write it as they see it in the address of their own pages.
    if not (digits := re.fullmatch(r"(?:wv)?([0-9]{4})", value, re.IGNORECASE | re.ASCII)):
        raise ValueError("must be four digits: 0013 for a server named wv0013")
    return digits[1]


def _token_env(value: str) -> str:
    # The name is shown where the variable is missing. What looks like a token, put here by mistake, is not.
    if not re.fullmatch(r"[A-Z][A-Z0-9]*_[A-Z0-9_]+", value):
        raise ValueError(
            "must be the name of an environment variable, in capitals and with a _, such as "
            "WOLKVOX_TOKEN_NORTH; the token itself stands in that variable only"
        )
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # unknown, not a name at all, a folder such as "America"
        raise ValueError("is no time zone; it must be an IANA name such as America/Bogota") from None
    return value


_FIRST_YEAR = (
    2000  # before it there was no such platform; years of three digits break Dagster's partition keys
)


def _start(value: object) -> object:
    # pydantic would take 2026, "0" or "86400" for seconds since 1970, and history would begin there.
    if isinstance(value, date) and not isinstance(value, datetime):
        day = value
    else:
        try:
            day = datetime.strptime(str(value).strip(), "%Y-%m-%d").date()
        except ValueError:
            raise ValueError("must be a day such as 2026-11-01") from None
    if day.year < _FIRST_YEAR:
        raise ValueError(
            f"must not be before {_FIRST_YEAR}, but {day} is; write the year in full: 2026-11-01"
        )
    return day


def _base_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        wrong = parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0
    except ValueError:  # a port that is no number, or out of range; an address with half a bracket
        wrong = True
    if wrong:
        raise ValueError("must look like http://127.0.0.1:8807")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be only scheme, host, port and path")
    return value.rstrip("/")


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError("must be a number from 0 to 1")
    return value


def _owners(value: object) -> tuple[str, ...]:
    owners = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(owners, list) or not all(_is_owner(owner) for owner in owners):
        raise ValueError("must be addresses or teams, such as ana@example.com, team:reporting")
    return tuple(owners)


def _is_owner(value: object) -> bool:
    # What Dagster takes for an owner, and no more.
    return isinstance(value, str) and bool(re.fullmatch(r"team:\S(.*\S)?|[^@\s]+@[^@\s]+\.[^@\s.]+", value))


def _tags(value: object) -> tuple[tuple[str, str], ...]:
    if isinstance(value, str):
        pairs = (part.partition("=") for part in value.split(","))
        value = {key.strip(): tag.strip() for key, _, tag in pairs}
    if not isinstance(value, dict) or not all(_is_tag(*tag) for tag in value.items()):
        raise ValueError("must be tags such as domain=service, tier=gold, of letters, digits, _, - and .")
    return tuple(value.items())


def _is_tag(key: object, value: object) -> bool:
    # Dagster's rule for both; what begins with dagster/ is its own.
    return all(
        isinstance(one, str) and re.fullmatch(rf"[A-Za-z0-9_.-]{{{least},63}}", one, re.ASCII)
        for one, least in ((key, 1), (value, 0))
    )


class Operation(BaseModel):
    """One Wolkvox contact centre, and the report that is kept of it: with several reports there are several of these,
    which are alike but for that.

    `token_env` names the environment variable its token stands in. `start` is the first day of its
    history, on its own wall clock (`timezone`). `base_url`: a simulator, in place of the real one.
    `quota_reserve`: the share (0 to 1) of the day's requests that is never touched. `owners` (addresses, or
    `team:name`) and `tags` (pairs): what Dagster's catalogue shows of its assets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, AfterValidator(checked_name)] = "main"
    server: Annotated[str, AfterValidator(_server)]
    token_env: Annotated[str, AfterValidator(_token_env)] = "WOLKVOX_TOKEN"  # noqa: S105  # the name of a variable
    timezone: Annotated[str, AfterValidator(_zone)] = "America/Bogota"
    start: Annotated[date, BeforeValidator(_start)]
    base_url: Annotated[str, AfterValidator(_base_url)] | None = None
    quota_reserve: Annotated[float, AfterValidator(_share)] = 0.2
    owners: Annotated[tuple[str, ...], BeforeValidator(_owners)] = ()
    tags: Annotated[tuple[tuple[str, str], ...], BeforeValidator(_tags)] = ()
    # Nothing that is set: each report is kept of each operation.
    _report: Report = PrivateAttr(default_factory=lambda: AGENT_9)  # as a default it would be copied

    @property
    def report(self) -> Report:
        """The report."""
        return self._report

    @property
    def label(self) -> str:
        """Tells it from all others, also of the same name: see `label`."""
        return label(self.name, self.report)

    def keeping(self, report: Report) -> "Operation":
        """The same operation with this report."""
        other = self.model_copy()
        other._report = report  # noqa: SLF001  # of the same class
        return other

    @property
    def clock(self) -> WallClock:
        """Its wall clock."""
        return WallClock(self.timezone)

    @property
    def source(self) -> OperationSource:
        """Where its data comes from, by these settings."""
        address = self.base_url or f"https://wv{self.server}.wolkvox.com"
        return OperationSource.of(address, self.server, self.timezone)


def _env_file() -> dict[str, str | None]:
    try:
        return dotenv_values(ENV_FILE)
    except (OSError, UnicodeDecodeError) as error:
        # Not "from error": a UnicodeDecodeError carries the whole text with it, the token as well.
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text; save it as UTF-8"
        raise ConfigurationProblem(f"{ENV_FILE} cannot be read: {why}.") from None


def _secret(variable: str) -> str:
    # `.env` first, as Dagster has it. It copies the file into the environment when the code server starts: what
    # is corrected there since stands in the file alone.
    return (_env_file().get(variable) or os.environ.get(variable) or "").strip()


def read_token(operation: str, variable: str) -> SecretStr:
    """The token that stands in this variable now, in the environment or in `.env`.

    Raises `ConfigurationProblem` where there is none, or not a possible one.
    """
    value = _secret(variable)
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


def alert_webhook() -> SecretStr | None:
    """Where alerts go to now, if anywhere: `WOLKVOX_ALERT_WEBHOOK` in the environment or in `.env`.

    Who knows the address can post there: it is as secret as a token. Raises `ConfigurationProblem` where
    it is no address.
    """
    value = _secret("WOLKVOX_ALERT_WEBHOOK")
    if not value:
        return None
    try:
        parts = urlsplit(value)
        wrong = parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    if wrong or not re.fullmatch(r"[\x21-\x7e]+", value):
        raise ConfigurationProblem(
            "WOLKVOX_ALERT_WEBHOOK: must be a whole address that begins with https:// (or http://); no alert "
            "can be sent until it is. Copy it again (it is a secret and not shown here)."
        )
    return SecretStr(value)


class Settings(NamedTuple):
    """All that is set: the operations that can work, each with each report, and for the others what to correct.

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
        """`.env` before the environment: Dagster's commands have it so, and no command should differ."""
        return dotenv_settings, env_settings

    server: str | None = None
    operation: str | None = None
    timezone: str | None = None
    start: str | None = None
    base_url: str | None = None
    quota_reserve: str | None = None
    owners: str | None = None
    tags: str | None = None
    operations: Path | None = None
    data_dir: Path = Path("data")
    automation: str = "on"
    live_delay_seconds: str = "60"
    run_history_days: str = "14"
    parquet: str = "off"
    store: SecretStr = SecretStr("")
    store_data: str | None = None


NOTHING_SET = (
    "no operation is configured. Set WOLKVOX_SERVER (the four digits of wv0013), WOLKVOX_TOKEN and "
    "WOLKVOX_START (the first day of history, such as 2026-11-01) in the environment or in .env, and reload. "
    "For several operations copy operations.example.toml to operations.toml."
)


def load_settings() -> Settings:
    """What is set now. Never raises for a wrong setting: it stands in `problems`, with what to do."""
    try:
        env_file = _env_file()
    except ConfigurationProblem as problem:
        # No operation of `operations.toml` either: the folder its data belongs in may stand in .env.
        return Settings((), (str(problem),), Path(os.environ.get("WOLKVOX_DATA_DIR") or "data"))
    env = _Environment()
    try:
        lake = read_lake()
    except ConfigurationProblem as problem:
        # No operation: what is asked would be stored in files, beside the lake that is meant.
        return Settings((), (str(problem),), env.data_dir)
    file = env.operations or OPERATIONS_FILE
    tables, problems_of_file = operations_file.read(file, needed=env.operations is not None)
    token = env_file.get("WOLKVOX_TOKEN") or os.environ.get("WOLKVOX_TOKEN")
    own = _own(env, token, tables, beside_file=bool(tables or problems_of_file))

    found: list[Operation | None] = []
    problems: list[str] = []
    if own is not None:
        operation, wrong = _judge(own)
        found.append(operation)
        problems += (_of_variable(one) for one in wrong)
    problems += problems_of_file
    for name, values in tables.items():
        operation, mistakes = _judge_table(name, values)
        found.append(operation)
        problems += (f"{file}: {mistake}" for mistake in mistakes)
    clashes, ambiguous = _same_name(None if own is None else own.get("name", "main"), tables)
    problems += (f"{file}: {clash}" for clash in clashes)
    if not found and not problems:
        problems.append(NOTHING_SET)

    automation = _switch(env.automation)
    if automation is None:
        # Off: who sets it at all most likely wants it off, and what isn't asked today can be asked tomorrow.
        problems.append(
            "WOLKVOX_AUTOMATION: must be on or off; until it is, no schedule or sensor runs by itself"
        )
    parquet = _switch(env.parquet)
    if parquet is None:
        problems.append("WOLKVOX_PARQUET: must be on or off; until it is, no Parquet files are written")
    live_delay = _live_delay(env.live_delay_seconds, problems)
    run_history = _run_history(env.run_history_days, problems)
    try:
        alert_webhook()  # said now, not when the first alert can't be sent
    except ConfigurationProblem as problem:
        problems.append(str(problem))
    good = (one for one in found if one is not None and one.name.casefold() not in ambiguous)
    operations = tuple(one.keeping(report) for one in good for report in REPORTS)
    return Settings(
        operations,
        tuple(problems),
        env.data_dir,
        bool(automation),
        live_delay,
        run_history,
        bool(parquet),
        lake,
    )


def read_lake() -> Lake | None:
    """The lake that is set now, in the environment or in `.env`; None where what is stored lies in files.

    Raises `ConfigurationProblem` where what is set is no lake that can be used.
    """
    env = _Environment()
    try:
        return judged_lake(env.store.get_secret_value().strip(), (env.store_data or "").strip(), _secret)
    except ValueError as wrong:
        raise ConfigurationProblem(f"{wrong}. Until it is corrected no operation is loaded.") from None


def unknown_variables(settings: Settings) -> list[str]:
    """Variables that look like ours and are none: a misspelt one would be passed over without a word."""
    known = {f"WOLKVOX_{field}".upper() for field in _Environment.model_fields}
    known |= {"WOLKVOX_ALERT_WEBHOOK", *(operation.token_env for operation in settings.operations)}
    try:
        names = {*os.environ, *_env_file()}
    except ConfigurationProblem:
        names = set(os.environ)
    # Any name will do for a token, and its operation may be one that has still to be corrected.
    return sorted(n for n in names - known if n.startswith("WOLKVOX_") and not n.startswith("WOLKVOX_TOKEN"))


def _own(
    env: _Environment, token: str | None, tables: dict[str, Any], *, beside_file: bool
) -> dict[str, Any] | None:
    """What the environment sets for an operation of its own; `None` if it is not meant to be one."""
    fields = ("server", "timezone", "start", "base_url", "quota_reserve", "owners", "tags")
    values = {field: value for field in fields if (value := getattr(env, field)) is not None}
    if env.operation is not None:
        values["name"] = env.operation
    # Beside a file, a start left over in a copied .env means nothing, nor does a token that the file uses.
    meant = {"server", "base_url"} if beside_file else {"server", "base_url", "start"}
    if any(table.get("token_env") == "WOLKVOX_TOKEN" for table in tables.values()):
        token = None
    return _with_simulator(values) if token or values.keys() & meant else None


def _with_simulator(values: dict[str, Any]) -> dict[str, Any]:
    return {"server": "0000", **values} if "base_url" in values else values  # a simulator has no server code


class _Wrong(NamedTuple):
    """What is wrong with a field. `kind`: pydantic's word for it, where it is pydantic that found it."""

    field: str
    sentence: str
    kind: str = ""


def _judge(values: dict[str, Any], *, strict: bool = False) -> tuple[Operation | None, list[_Wrong]]:
    """The operation with these values, or what keeps it from working. `strict`: a number is not text."""
    try:
        operation = Operation.model_validate(values, strict=strict)
    except ValidationError as error:
        wrong = [
            _Wrong(str(one["loc"][0]), one["msg"].removeprefix("Value error, "), one["type"])
            for one in error.errors(include_input=False)
        ]
        if all(one.field != "token_env" for one in wrong):
            # All that is to be corrected is said at once.
            wrong += _wrong_token(values.get("name", "main"), values.get("token_env", "WOLKVOX_TOKEN"))
        return None, wrong
    wrong = _wrong_token(operation.name, operation.token_env)
    today = operation.clock.now(datetime.now(UTC)).date()
    if operation.start > today:
        future = f"{operation.start} is in the future: today is {today} in {operation.timezone}"
        wrong.append(_Wrong("start", future))
    return None if wrong else operation, wrong


def _wrong_token(operation: str, variable: str) -> list[_Wrong]:
    try:
        read_token(operation, variable)
    except ConfigurationProblem as problem:
        return [_Wrong("token_env", str(problem))]
    return []


def _of_variable(wrong: _Wrong) -> str:
    if wrong.field == "token_env":
        return wrong.sentence  # names the variable and the operation itself
    variable = "WOLKVOX_OPERATION" if wrong.field == "name" else f"WOLKVOX_{wrong.field.upper()}"
    return f"{variable}: {'is not set' if wrong.kind == 'missing' else wrong.sentence}"


def _judge_table(name: str, values: dict[str, Any]) -> tuple[Operation | None, list[str]]:
    """The same of a table. It must name its token's variable: WOLKVOX_TOKEN is the environment's own."""
    known = {key: value for key, value in values.items() if key in operations_file.KEYS}
    operation, wrong = _judge(_with_simulator({"token_env": None, **known, "name": name}), strict=True)
    # What is no name may be a token.
    whose = f"operation {name}:" if _NAME.fullmatch(name) else "an operation:"
    problems = []
    for key in values.keys() - known.keys():
        token = "token" in key.lower()
        problems.append(f"{whose} {operations_file.NO_TOKEN_HERE if token else operations_file.NO_SUCH_KEY}")
    for field, sentence, kind in wrong:
        if field == "name":
            problems.append(f"an operation's name {sentence}")
        elif field not in values:
            problems.append(f"{whose} {field} is missing; add a line like {operations_file.KEYS[field]}")
        elif kind == "value_error":
            problems.append(f"{whose} {field} {sentence}")
        elif kind:
            problems.append(f"{whose} {field}: {operations_file.looks_like(field)}")
        elif field == "token_env":
            problems.append(sentence)  # names the operation itself
        else:
            problems.append(f"{whose} {field} {sentence}")
    return None if problems else operation, sorted(set(problems))


def _same_name(own: str | None, tables: Iterable[str]) -> tuple[list[str], set[str]]:
    """Operations of one name, and these names. Which of them owns the data is not ours to guess: none loads.

    Capitals make no difference: they make none in the names of files and folders everywhere either.
    """
    first = {} if own is None else {own.casefold(): f"{own} of the environment (WOLKVOX_OPERATION)"}
    problems = []
    ambiguous = set()
    for table in tables:
        if not _NAME.fullmatch(table):
            continue  # never loads, and says so already
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
    """None where what is meant can't be told."""
    word = value.strip().lower()
    return True if word in {"on", "true", "1"} else False if word in {"off", "false", "0"} else None


def _live_delay(value: str, problems: list[str]) -> timedelta:
    if re.fullmatch(r"\s*[0-9]{1,3}\s*", value, re.ASCII) and int(value) <= 240:
        return timedelta(seconds=int(value))
    problems.append(
        "WOLKVOX_LIVE_DELAY_SECONDS: must be whole seconds from 0 to 240; until it is, 60 are used"
    )
    return timedelta(seconds=60)


def _run_history(value: str, problems: list[str]) -> timedelta:
    if re.fullmatch(r"\s*[0-9]{1,5}\s*", value, re.ASCII) and int(value) > 0:
        return timedelta(days=int(value))
    problems.append("WOLKVOX_RUN_HISTORY_DAYS: must be whole days from 1 to 99999; until it is, 14 are used")
    return timedelta(days=14)
