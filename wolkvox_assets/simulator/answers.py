"""The truth written down as an answer of the API, with the quirks of real servers.

What belongs here: bodies, columns, number formats, error texts, quirks (odd answers that are still right).
What doesn't: what is true (`centre.py`), when which answer is due (`endpoints.py`), answers that are broken
(`faults.py`). Where a claim about the API comes from is marked as in the contract: [D], [D+], [F], [?].
"""

import json
import unicodedata
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from wolkvox_assets.report.definition import Report, Unit
from wolkvox_assets.report.measures import Usage

Quirk = Literal[
    "string_code",  # "200" in place of 200 [D+][F]
    "bom",  # a UTF-8 byte-order mark before the JSON [?]
    "stray_blanks",  # " 2 records were found" [D+]
    "total_row",  # a row TOTAL with the sum of all agents [?]
    "blank_total_row",  # the same without a name; with both, by turns [?]
    "empty_list",  # 200 with an empty list in place of 404 [?]
    "split_agents",  # one agent of each answer in two rows [F: names are not unique]
    "odd_names",  # double blanks, blanks at the ends, accents as characters of their own [F]
    "odd_durations",  # plain seconds, MM:SS, and for zero also "", " " and null [?]
    "extra_columns",  # columns that nobody announced [?]
    "numbers",  # counts as JSON numbers in place of strings [?]
    "zero_fractions",  # 00:00:50.000000 [?]
    "dashes",  # "-" for a duration of nothing [D+]
    "null_data",  # 200 with `data: null` beside "0 records were found" in place of 404 [?]
    "null_error",  # the text "null" in place of null [D+]
    "token_info_object",  # token_info with `data` as an object, and the hours to its restart [D+, of the CRM API]
]
QUIRKS: tuple[Quirk, ...] = get_args(Quirk)

Row = dict[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: HTTP status, body, and what happened in one word for the counters."""

    status: int
    body: bytes
    outcome: str
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class TotalRow(NamedTuple):
    """The quirk of that name. `most`: seconds that its durations are cut down to, as a database's TIME type does
    (838:59:59 [?]).
    """

    name: str = "TOTAL"
    most: int | None = None


_ERRORS = {
    # outcome: (status, error, msg) — the table of the contract [D+]
    "wrong_api": (400, "BAD REQUEST", "THE API YOU WANT TO CONSULT DOES NOT EXIST"),
    "bad_dates": (400, "BAD REQUEST", "SOME PARAMETERS ARE REQUIRED"),
    # What a server says to a range over 31 days is not published. It is no matter for waiting, so it gets
    # the text for parameters that will not do [?].
    "too_long": (400, "BAD REQUEST", "SOME PARAMETERS ARE REQUIRED"),
    "no_token": (401, "UNAUTHORIZED", "PLEASE ENTER THE WOLKVOX-TOKEN"),
    "wrong_token": (403, "FORBIDDEN", "PLEASE VALIDATE TOKEN"),
    "quota": (403, "FORBIDDEN", "TOKEN LIMIT EXCEEDED"),
    "busy": (403, "FORBIDDEN", "EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS PER TOKEN (2)"),
    # Made up: the real text is not published, and nothing may rest on it [?].
    "maintenance": (403, "FORBIDDEN", "SERVICE SUSPENDED WHILE A BACKUP IS MADE"),
    "empty": (404, "NOT FOUND", "Validate dates entered"),
    "server_error": (500, "INTERNAL SERVER ERROR", "AN UNEXPECTED ERROR OCCURRED"),
}


def error(outcome: str, *, http_status: int | None = None, limit: int = 2) -> Answer:
    """One row of the contract's table; `http_status` 200 for the servers that tell it in the body alone [?]."""
    status, name, msg = _ERRORS[outcome]
    msg = msg.replace("(2)", f"({limit})")
    body = {"code": str(status), "error": name, "msg": msg}
    return Answer(http_status or status, json.dumps(body).encode(), outcome)


def report(
    report: Report,
    truth: dict[str, Usage],
    quirks: frozenset[Quirk],
    number: int,
    total_row: TotalRow,
) -> Answer:
    """The answer of a report. `number`: of the request; quirks that come by turns take turns by it."""
    if not truth:
        return _nothing(quirks, number)
    people = [(name, truth[name]) for name in sorted(truth)]
    if "split_agents" in quirks:
        people = _split_one(report, people)
    if "odd_names" in quirks:
        people = [(_odd_name(name, number + place), usage) for place, (name, usage) in enumerate(people)]
    if quirks & {"total_row", "blank_total_row"}:
        total = report.usage(*(sum(numbers) for numbers in zip(*truth.values(), strict=True)))
        if total_row.most is not None:
            total = report.usage(
                *(n if p in total.counts else min(n, total_row.most) for p, n in enumerate(total))
            )
        named = "blank_total_row" not in quirks or ("total_row" in quirks and number % 2 == 0)
        people.append((total_row.name if named else "", total))
    rows = [_row(report, name, usage, quirks, number + place) for place, (name, usage) in enumerate(people)]
    return _ok(rows, "ok", quirks)


def token_info(
    limit: int, used_by_token: int, used_by_all: int, hours_to_restart: int, quirks: frozenset[Quirk]
) -> Answer:
    """The answer of `token_info`: all strings [D+]. `hours_to_restart`: of the quirk `token_info_object`."""
    row: Row = {
        "description": "Simulator",
        "token_limit": _number(limit, quirks),
        "token_use_today": _number(used_by_token, quirks),
        "all_token_today": _number(used_by_all, quirks),
        "available_consumption_options": _number(max(0, limit - used_by_all), quirks),
    }
    if "token_info_object" in quirks:
        return _ok({**row, "hours_to_restart_count": hours_to_restart}, "ok", quirks)
    return _ok([row], "ok", quirks)


def _nothing(quirks: frozenset[Quirk], number: int) -> Answer:
    forms: dict[Quirk, list[Row] | None] = {"empty_list": [], "null_data": None}
    wanted = [form for quirk, form in forms.items() if quirk in quirks]
    return _ok(wanted[number % len(wanted)], "empty", quirks) if wanted else error("empty")


def duration(seconds: int) -> str:
    """`HH:MM:SS`; the hours go on past 24 [F]."""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _ok(data: list[Row] | Row | None, outcome: str, quirks: frozenset[Quirk]) -> Answer:
    records = 1 if isinstance(data, dict) else len(data or ())
    msg = f"{records} records were found"
    body = json.dumps(
        {
            "code": "200" if "string_code" in quirks else 200,
            "error": "null" if "null_error" in quirks else None,
            "msg": f" {msg} " if "stray_blanks" in quirks else msg,
            "data": data,
        },
        ensure_ascii=False,
    )
    return Answer(200, (b"\xef\xbb\xbf" if "bom" in quirks else b"") + body.encode(), outcome)


def _row(report: Report, name: str, usage: Usage, quirks: frozenset[Quirk], turn: int) -> Row:
    row: Row = {"agent_name": name}
    place = 0
    for measure, number in zip(report.measures, usage, strict=True):
        if measure.unit is Unit.COUNT:
            row[measure.field] = _number(number, quirks)
        else:
            row[measure.field] = _duration(number, quirks, turn + place)
            place += 1
    if "extra_columns" in quirks:
        row |= {"agent_id": str(1000 + turn), "campaign": None}
    return row


def _split_one(report: Report, people: list[tuple[str, Usage]]) -> list[tuple[str, Usage]]:
    """The first agent with two uses or more stands in two rows, not next to each other where others are."""
    for place, (name, usage) in enumerate(people):
        if usage[0] > 1:
            parts = {column: usage[p] // (p + 1) if p else 1 for p, column in enumerate(report.columns)}
            if report.total is not None:
                parts[report.total.column] = sum(parts[part] for part in report.total.parts)
            half = report.usage(*parts.values())
            return [*people[:place], (name, usage.minus(half)), *people[place + 1 :], (name, half)]
    return people


def _odd_name(name: str, turn: int) -> str:
    forms = (name.replace(" ", "  "), unicodedata.normalize("NFD", name), f" {name} ", name)
    return forms[turn % len(forms)]


def _number(number: int, quirks: frozenset[Quirk]) -> str | int:
    return number if "numbers" in quirks else str(number)


def _duration(seconds: int, quirks: frozenset[Quirk], turn: int) -> str | None:
    """One of the forms that the quirks give it, by turns."""
    forms: list[str | None] = []
    if "odd_durations" in quirks:
        forms += [duration(seconds), str(seconds)]
        if seconds < 3600:
            forms.append(f"{seconds // 60:02}:{seconds % 60:02}")
        if seconds == 0:
            forms += ["", " ", None]
    if "dashes" in quirks and seconds == 0:
        forms.append("-")
    elif "zero_fractions" in quirks:
        forms.append(f"{duration(seconds)}.000000")
    return forms[turn % len(forms)] if forms else duration(seconds)
