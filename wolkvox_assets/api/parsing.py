"""From the bytes of an answer to numbers, or to an error that says where it is wrong.

What belongs here: the shape of each answer, strictly, and the report's own quirks (one name twice). What
doesn't: what a status means (`errors.py`), which row is a total (`total_row.py`), sending (`client.py`),
storing. Errors raised here say what is wrong and where in the answer; the client adds operation and range.

Never a silent zero: a duration is zero where the contract says so (blank, null), and else an error.
"""

import re
import reprlib
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar

import jiter
from pydantic import BaseModel, BeforeValidator, ValidationError, create_model, model_validator

from wolkvox_assets.api.body import weigh
from wolkvox_assets.api.errors import AnswerTooLarge, AnswerUnreadable, RowsMissing, says_empty
from wolkvox_assets.report.definition import Report, Unit
from wolkvox_assets.report.measures import Usage, by_name
from wolkvox_assets.report.plain_text import counted, quoted, visible

MAX_RECORDS = 60_000
"""The API's limit of records in one answer [D+]: an answer this long may lack some."""

# For values in messages: short whatever came, and not to be broken by how deeply it is nested.
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100

_COLUMNS_NOTED = 10  # unknown ones, of one answer

_LARGEST = 2**31 - 1  # the columns it ends in are 32-bit INTEGERs


@dataclass(frozen=True, slots=True)
class Note:
    """Something odd in an answer that was taken all the same.

    `kind`: `total_row_left_out`, `total_row_cut`, `duplicate_name`, `total_time_differs` (the total's field),
    `more_records_than_said`, `unknown_columns`. `text`: one sentence, for people.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a report says about a range.

    `rows`: names and numbers, as they came: a name can come twice, and one row may be the total of all others, which
    one answer alone can't tell (`total_row.py`). Empty when there is nothing to tell; a row without a name has
    the name `""`. `records`: how many rows. `notes`: what was odd.
    """

    rows: tuple[tuple[str, Usage], ...]
    notes: tuple[Note, ...]
    records: int

    @property
    def agents(self) -> dict[str, Usage]:
        """The rows added up by name, a total row like any other."""
        return by_name(self.rows)


@dataclass(frozen=True, slots=True)
class Quota:
    """What `token_info` says [D+].

    `limit`: requests a day, all tokens of the operation together. `used_today`: by this token.
    `used_today_all_tokens`: by all of them. `hours_to_restart`: to when the count begins again, where the server says
    so.
    """

    limit: int
    used_today: int
    used_today_all_tokens: int
    hours_to_restart: float | None = None


# --- the envelope: code, msg, data ---


class NotWhole(ValueError):
    """The body is not JSON, or stops before its end: a web page, a cut-off answer."""


class NotAsAgreed(ValueError):
    """The body is whole, and still nothing the contract describes."""


def _code(value: object) -> int | None:
    """A number on some servers, a string on others [D+][F]."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 <= value < 10**9 else None
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return int(value)
    return None


def _text(value: object) -> str | None:
    """Any value as text that can be written anywhere (a lone surrogate cannot)."""
    if value is None:
        return None
    text = value[:1000] if isinstance(value, str) else _shown(value)
    return text.encode("utf-8", "replace").decode()


def _error(value: object) -> str | None:
    """The text of an error; None where there is none, which can come as the text "null" [D+]."""
    if value is None or value is False or value in ([], {}) or (type(value) in (int, float) and value == 0):
        return None
    text = _text(value) or ""
    return None if text.strip().casefold() in {"", "-", "null", "none", "false"} else text


class Envelope(BaseModel):
    """What each body is: also that of an error, so everything may be missing here."""

    code: Annotated[int | None, BeforeValidator(_code)] = None
    error: Annotated[str | None, BeforeValidator(_error)] = None
    msg: Annotated[str | None, BeforeValidator(_text)] = None
    data: Any = None

    @property
    def records(self) -> int | None:
        rows = self._listed()
        return None if rows is None else len(rows)

    def hand_over(self) -> list[object]:
        """`data`, which an answer must have. It is the caller's from now on, and what is read of it can be let go."""
        rows = self._listed()
        if rows is None:
            raise AnswerUnreadable(f"'data' is not a list but {_shown(self.data)}.")
        if len(rows) >= MAX_RECORDS:
            raise AnswerTooLarge(
                f"It has {len(rows)} records, the limit is {MAX_RECORDS}: some may be missing."
            )
        self.data = None
        return rows

    def _listed(self) -> list[object] | None:
        """`data` as a list. PHP writes an empty list, one row, or a list with gaps as other things [D+]."""
        if isinstance(self.data, list):
            return self.data
        if self.data is None or self.data in ({}, ""):
            return [] if _claimed(self.msg) == 0 or says_empty(self.msg) else None
        if not isinstance(self.data, dict):
            return None
        numbered = [key for key in self.data if re.fullmatch(r"[0-9]{1,9}", key)]
        if len(numbered) == len(self.data):
            return [self.data[key] for key in sorted(self.data, key=int)]
        if numbered:
            return None  # one row, or several? Whichever were taken, the other would be lost
        return [self.data] if self.data.keys() & {"agent_name", "token_limit"} else None


def _claimed(msg: str | None) -> int | None:
    """N, where `msg` is like 'N records were found'."""
    said = re.match(r"\s*([0-9]{1,9})\s+(?:records?|registros?)\b", msg or "", re.IGNORECASE)
    return int(said[1]) if said else None


# What the parser says of JSON that is whole and cannot be read for sure, and what it means.
_NOT_FOR_SURE = {
    "recursion limit exceeded": "it is nested too deeply",
    "number out of range": "it holds a number of thousands of digits",
    "Detected duplicate key": "it has the same key twice",
    "hex escape": "it holds half a character (a lone surrogate)",
    "invalid unicode code point": "it is not UTF-8",
}


def open_envelope(body: bytes) -> Envelope:
    """Raises `NotWhole`, `NotAsAgreed` or `TooHeavy`."""
    weigh(body)
    try:
        opened = jiter.from_json(body, catch_duplicate_keys=True)
    except ValueError as problem:
        said = str(problem)
        where = f"{visible(said[-200:])}{_around(body, said)}"
        for words, meaning in _NOT_FOR_SURE.items():
            if words in said:
                raise NotAsAgreed(f"{meaning} ({where})") from None
        raise NotWhole(f"it is not JSON, or cut off ({where})") from None
    if not isinstance(opened, dict):
        raise NotAsAgreed(f"it is not a JSON object but {_shown(opened)}")
    return Envelope.model_validate(opened)


def _around(body: bytes, said: str) -> str:
    """What stands before the place where the parser stopped."""
    place = re.search(r"line ([0-9]{1,4}) column ([0-9]+)$", said)
    if not place:
        return ""
    start = 0
    for _ in range(int(place[1]) - 1):
        start = body.index(b"\n", start) + 1
    end = start + int(place[2])
    before = body[max(start, end - 60) : end].decode("utf-8", "replace")
    return f", after {quoted(before)}" if before else ""


# --- one row of a report ---

# Compiled here: to look them up at each value took a quarter of the time that reading an answer takes.
_WHOLE_NUMBER = re.compile(r"[0-9]+")
# Over an hour's worth of minutes is taken in MM:SS, where they are the largest unit, and not in HH:MM:SS.
_DURATION = re.compile(r"(?:([0-9]+):([0-5][0-9])|([0-9]+)):([0-5][0-9])(?:\.0+)?")


def seconds_of(value: object) -> int:
    """A duration in seconds: `HH:MM:SS` (hours may pass 24 [F]) or `MM:SS`, with a fraction of zeros or none; plain
    seconds as text or number; blank, null or "-" for nothing [?][D+]. "5.000" as text may be five thousand.

    Raises `ValueError` for everything else.
    """
    if is_nothing(value):
        return 0
    text = _digits(value)
    if _WHOLE_NUMBER.fullmatch(text):
        return _fitting(_number(text))
    parts = _DURATION.fullmatch(text)
    if not parts:
        raise ValueError("is not a duration (HH:MM:SS, MM:SS or seconds)")
    hours, minutes, only_minutes, seconds = parts.groups(default="0")
    return _fitting(_number(hours) * 3600 + (int(minutes) + _number(only_minutes)) * 60 + int(seconds))


def count_of(value: object) -> int:
    """A whole number, as a number or in ASCII digits. Raises `ValueError` for everything else, blank and null too."""
    text = _digits(value)
    if not _WHOLE_NUMBER.fullmatch(text):
        raise ValueError("is not a whole number")
    return _fitting(_number(text))


def is_nothing(value: object) -> bool:
    """Whether it stands for no value: null, blank, "-" [D+]."""
    return value is None or (isinstance(value, str) and value.strip() in {"", "-"})


def _digits(value: object) -> str:
    """A number or a text as text; a number with a fraction, and true and false, are neither."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(min(value, _LARGEST + 1))
    return _string(value).strip()


def name_of(value: object) -> str:
    """Stripped, inner blanks folded, Unicode NFC, else as it comes; null is blank, a whole number is its digits.

    Raises `ValueError` for what is no text, or no text that can be stored.
    """
    if value is None:
        return ""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else _string(value)
    name = " ".join(unicodedata.normalize("NFC", text).split())
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError("is half a character (a lone surrogate)") from None
    return name


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"is not a string but {type(value).__name__}")  # noqa: TRY004 (pydantic takes ValueError)
    return value


def _number(digits: str) -> int:
    if len(digits.lstrip("0")) > 10:  # and Python would refuse thousands of them in words of its own
        raise ValueError(f"is over {_LARGEST}")
    return int(digits)


def _fitting(number: int) -> int:
    if number > _LARGEST:
        raise ValueError(f"is over {_LARGEST}")
    return number


_Seconds = Annotated[int, BeforeValidator(seconds_of)]
_Count = Annotated[int, BeforeValidator(count_of)]


_FIELDS: dict[Unit, Any] = {Unit.COUNT: (_Count, ...), Unit.SECONDS: (_Seconds, ...)}


class _Row(BaseModel):
    numbers: ClassVar[tuple[str, ...]] = ()
    """The names of the fields beside the agent's."""
    agent_name: Annotated[str, BeforeValidator(name_of)]

    @model_validator(mode="before")
    @classmethod
    def _no_count_of_nothing(cls, row: Any) -> Any:
        """A count that stands for no value is 0 where all of the row is nothing; else it is an error."""
        if isinstance(row, dict) and all(is_nothing(row.get(column, ...)) for column in cls.numbers):
            return {**row, **dict.fromkeys(cls.numbers, 0)}
        return row


@cache
def _row_of(report: Report) -> type[_Row]:
    """The model of a row, with a field for each measure."""
    fields = {measure.field: _FIELDS[measure.unit] for measure in report.measures}
    model: type[_Row] = create_model("_RowOfReport", __base__=_Row, **fields)
    model.numbers = tuple(fields)
    return model


_Model = TypeVar("_Model", bound=BaseModel)


def _read_rows(model: type[_Model], raw: list[object]) -> list[_Model]:
    """Lets go of each row of `raw` when it is read: they may be hundreds of MB."""
    rows = []
    for number, item in enumerate(raw, start=1):
        raw[number - 1] = None
        try:
            rows.append(model.model_validate(item))
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
        else:
            continue
        # Raised out here: inside the handler the pydantic error would hang on to the whole row.
        raise _row_error(number, item, problem["loc"], problem["type"], problem.get("ctx", {}))
    return rows


def _row_error(
    number: int, item: object, where: tuple[int | str, ...], kind: str, context: dict[str, Any]
) -> AnswerUnreadable:
    if not isinstance(item, dict) or not where:
        return AnswerUnreadable(f"Row {number} of 'data' is not a JSON object but {_shown(item)}.")
    column = str(where[0])
    agent = _text(item.get("agent_name")) or ""
    wrong = "is missing" if kind == "missing" else f"{context.get('error', kind)}: {_shown(item.get(column))}"
    return AnswerUnreadable(f"Row {number} of 'data', agent {quoted(agent)}, column {column!r} {wrong}.")


def _shown(value: object) -> str:
    """A value as one can read it in a message, whatever its size."""
    return _SHORT.repr(value)


# --- a report as a whole ---


def read_report(report: Report, envelope: Envelope) -> Answer:
    """The report's answer. Raises `AnswerUnreadable`, `AnswerTooLarge`, `RowsMissing`."""
    raw = envelope.hand_over()
    model = _row_of(report)
    columns = {column for row in raw if isinstance(row, dict) for column in row} - model.model_fields.keys()
    rows = [
        (row.agent_name, report.usage(*[getattr(row, name) for name in model.numbers]))
        for row in _read_rows(model, raw)
    ]
    notes = _checked_against_msg(envelope.msg, [usage for _, usage in rows])
    notes += _differing_totals(report, rows)
    notes += [
        Note("unknown_columns", f"There is an unknown column: {quoted(column)}.")
        for column in sorted(columns)[:_COLUMNS_NOTED]
    ]

    answer = Answer(tuple(rows), tuple(notes), records=len(rows))
    times = Counter(name for name, _ in answer.rows)
    added_up = answer.agents
    for name in [name for name, count in times.items() if count > 1]:
        if max(added_up[name]) > _LARGEST:
            raise AnswerUnreadable(f"The rows of agent {quoted(name)} add up to more than {_LARGEST}.")
        notes.append(Note("duplicate_name", f"{times[name]} rows have the name {quoted(name)}: added up."))
    return replace(answer, notes=tuple(notes))


def _differing_totals(report: Report, rows: list[tuple[str, Usage]]) -> list[Note]:
    """A total is the sum of its parts, where the report has one [D+]. Where not, what came is kept."""
    if report.total is None:
        return []
    total, *parts = map(report.columns.index, (report.total.column, *report.total.parts))
    odd = [(name, row) for name, row in rows if row[total] != sum(row[part] for part in parts)]
    if not odd:
        return []
    examples = "; ".join(
        f"{quoted(name)}: {row[total]}, not {' + '.join(str(row[part]) for part in parts)}"
        for name, row in odd[:3]
    )
    more = "; …" if len(odd) > 3 else ""
    field = report.measures[total].field
    words = " + ".join(report.measures[part].field for part in parts)
    return [
        Note(
            f"{field}_differs",
            f"{field} is not {words} in {len(odd)} of {counted(len(rows), 'row')} ({examples}{more}); "
            "kept as they came.",
        )
    ]


def _checked_against_msg(msg: str | None, found: list[Usage]) -> list[Note]:
    """Holds 'N records were found' against the rows; a total row may be counted in it or not."""
    claimed, rows = _claimed(msg), len(found)
    if claimed is None:
        return []
    if rows < claimed:
        raise RowsMissing(f"It has {rows} of {counted(claimed, 'row')}.")
    if claimed == rows or (claimed == rows - 1 and _one_adds_up(found)):
        return []
    return [
        Note(
            "more_records_than_said", f"It has {counted(rows, 'row')}, but msg says {claimed}; all were kept."
        )
    ]


def _one_adds_up(rows: list[Usage]) -> bool:
    everything = rows[0].minus(rows[0])
    for row in rows:
        everything = everything.plus(row)
    return any(everything.minus(row) == row for row in rows)


# --- token_info ---


_MOST_HOURS = 25  # of a day in which clocks go back


def _hours(value: object) -> float | None:
    """Advice: what can't be read, or can't be, is not there."""
    text = (_text(value) or "").strip()
    hours = float(text) if re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)?", text) else None
    return hours if hours is not None and hours <= _MOST_HOURS else None


def _limit(value: object) -> int:
    limit = count_of(value)
    if limit == 0:
        raise ValueError("is not a possible number of requests a day")
    return limit


class _QuotaRow(BaseModel):
    token_limit: Annotated[int, BeforeValidator(_limit)]
    token_use_today: _Count
    all_token_today: _Count
    hours_to_restart_count: Annotated[float | None, BeforeValidator(_hours)] = None


def read_token_info(envelope: Envelope) -> Quota:
    """The quota, in `data[0]`. Raises `AnswerUnreadable`."""
    first = envelope.hand_over()[:1]
    if not first:
        raise AnswerUnreadable("'data' has no row.")
    row = _read_rows(_QuotaRow, first)[0]
    return Quota(
        limit=row.token_limit,
        used_today=row.token_use_today,
        used_today_all_tokens=row.all_token_today,
        hours_to_restart=row.hours_to_restart_count,
    )
