"""An operation, as it is set: each value validated, with a sentence about what is wrong with it.

What belongs here: what an operation may be. What doesn't: where it is set (`environment.py`, `operations_file.py`).
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PrivateAttr, ValidationError

from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.reports import AGENT_9, label
from wolkvox_assets.report.windows import WallClock
from wolkvox_assets.settings.secrets import ConfigurationProblem, is_http_address, read_token
from wolkvox_assets.store.sources import OperationSource


def is_name(value: str) -> bool:
    """Whether an operation can have this name. It becomes part of asset keys, group and pool names: Dagster takes these
    characters and no others.
    """
    return bool(re.fullmatch(r"[A-Za-z0-9_]+", value))


def checked_name(value: str) -> str:
    """Raises `ValueError` where an operation cannot have this name."""
    if not is_name(value):
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
            "WOLKVOX_TOKEN_NORTH; the token itself is set in that variable only"
        )
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # unknown; not a possible name; a folder such as "America"
        raise ValueError("is not a time zone; it must be an IANA name such as America/Bogota") from None
    return value


# Before it there was no such platform, and years of three digits break Dagster's partition keys.
_FIRST_YEAR = 2000


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
    if not is_http_address(value):
        raise ValueError("must look like http://127.0.0.1:8807")
    parts = urlsplit(value)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be only scheme, host, port and path")
    return value.rstrip("/")


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError("must be a number from 0 to 1")
    return value


def _fresh(value: int) -> int:
    # Requested up to four minutes after its end by a tick every five, the newest window ended eleven minutes ago at
    # most.
    if not 15 <= value <= 1440:
        raise ValueError("must be whole minutes from 15 to 1440")
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
    """One Wolkvox contact centre, with one report that is kept of it. With several reports there are several of these,
    which differ in nothing else.

    `token_env` names the environment variable of its token. `start` is the first day of its history, on its own wall
    clock (`timezone`). `base_url`: a simulator, in place of the real server. `quota_reserve`: the share (0 to 1) of
    the day's requests that is never touched. `fresh_minutes`: how old its newest window may be. `owners` (addresses,
    or `team:name`) and `tags` (pairs): what Dagster's catalogue shows with its assets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, AfterValidator(checked_name)] = "main"
    server: Annotated[str, AfterValidator(_server)]
    token_env: Annotated[str, AfterValidator(_token_env)] = "WOLKVOX_TOKEN"  # noqa: S105  # the name of a variable
    timezone: Annotated[str, AfterValidator(_zone)] = "America/Bogota"
    start: Annotated[date, BeforeValidator(_start)]
    base_url: Annotated[str, AfterValidator(_base_url)] | None = None
    quota_reserve: Annotated[float, AfterValidator(_share)] = 0.2
    fresh_minutes: Annotated[int, AfterValidator(_fresh)] = 15
    owners: Annotated[tuple[str, ...], BeforeValidator(_owners)] = ()
    tags: Annotated[tuple[tuple[str, str], ...], BeforeValidator(_tags)] = ()
    # Not a setting: each report is kept of each operation.
    _report: Report = PrivateAttr(default_factory=lambda: AGENT_9)  # as a default it would be copied

    @property
    def report(self) -> Report:
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
        return WallClock(self.timezone)

    @property
    def old_after(self) -> timedelta:
        """When its newest window is older than it should be."""
        return timedelta(minutes=self.fresh_minutes)

    @property
    def stale_after(self) -> timedelta:
        """Several ticks in a row have brought nothing."""
        return 2 * self.old_after

    @property
    def source(self) -> OperationSource:
        """Where its data comes from, by these settings."""
        address = self.base_url or f"https://wv{self.server}.wolkvox.com"
        return OperationSource.of(address, self.server, self.timezone)


class Wrong(NamedTuple):
    """What is wrong with a field. `kind`: pydantic's word for it, where pydantic found it; a problem with the token is
    a whole sentence, which names the operation and the variable.
    """

    field: str
    sentence: str
    kind: str = ""


def judged(values: dict[str, Any], *, strict: bool = False) -> tuple[Operation | None, list[Wrong]]:
    """The operation with these values, and everything that is wrong with them; None where that keeps it from working.
    `strict`: a number is not text."""
    operation, wrong = None, list[Wrong]()
    try:
        operation = Operation.model_validate(values, strict=strict)
    except ValidationError as error:
        wrong = [
            Wrong(str(one["loc"][0]), one["msg"].removeprefix("Value error, "), one["type"])
            for one in error.errors(include_input=False)
        ]
    # The problem would show the name, and what is not a name may be a token.
    if not {"name", "token_env"} & {one.field for one in wrong}:
        try:
            read_token(values.get("name", "main"), values.get("token_env", "WOLKVOX_TOKEN"))
        except ConfigurationProblem as problem:
            wrong.append(Wrong("token_env", str(problem)))
    if operation is not None and not wrong:
        today = operation.clock.now(datetime.now(UTC)).date()
        if operation.start > today:
            future = (
                f"{operation.start} is in the future: today is {today} in {operation.timezone}, by this machine's "
                "clock. Nothing is requested before that day; reload the code location when this is no longer so"
            )
            # It works all the same: this clock may be wrong for a moment, when the machine comes up.
            return operation, [Wrong("start", future)]
    return None if wrong else operation, wrong


def with_simulator(values: dict[str, Any]) -> dict[str, Any]:
    """With a server code where there is a simulator, which needs none."""
    return {"server": "0000", **values} if "base_url" in values else values
