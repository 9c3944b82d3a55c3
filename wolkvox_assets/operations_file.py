"""`operations.toml`, taken apart: which tables it has, what they set, and in which line each thing stands.

What belongs here: the file's form. What doesn't: what the values mean (`settings`).

The file is read line by line: each key stands on a line of its own, so that a mistake spoils its own
operation and no other, and its line is known. TOML as a whole would be refused for one wrong sign in it.
What stands in a line is never repeated in a problem: it may be a token.
"""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

KEYS = {
    "server": 'server = "0013"',
    "token_env": 'token_env = "WOLKVOX_TOKEN_NORTH"',
    "timezone": 'timezone = "America/Bogota"',
    "start": "start = 2026-11-01",
    "base_url": 'base_url = "http://127.0.0.1:8807"',
    "quota_reserve": "quota_reserve = 0.2",
}
"""The keys an operation may have, each with a line as it should look."""

NO_TOKEN_HERE = (
    "the token itself must not stand in this file. Take it out, put it in the environment or in .env, "
    f"and name its variable here: {KEYS['token_env']}"
)

NO_OPERATION = (
    "only [operations.NAME] can stand here, with letters, digits and _ for NAME. "
    "This table is left out, down to the next one"
)


class Problem(NamedTuple):
    """A line to mend, and how. Line 0: the file as a whole."""

    line: int
    sentence: str

    def in_file(self, file: Path) -> str:
        """All of it, for a person."""
        return f"{file}, line {self.line}: {self.sentence}" if self.line else f"{file} {self.sentence}"


@dataclass
class Table:
    """`[operations.NAME]`: where it begins, what it sets, and in which line."""

    name: str
    line: int
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    readable: bool = True
    """Whether all its lines could be read. If not, what seems to be missing may stand in those."""


def read(path: Path, *, needed: bool) -> tuple[list[Table], list[Problem]]:
    """What this file holds, and what is wrong with its form. Without `needed` it need not be there."""
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")  # Windows' editors put a mark at the beginning
    except FileNotFoundError:
        return [], [Problem(0, "is not there; mend WOLKVOX_OPERATIONS, which names it")] if needed else []
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return [], [Problem(line, "this is not UTF-8 text; save the file as UTF-8")]
    except (OSError, ValueError) as error:  # ValueError: no possible name of a file
        return [], [Problem(0, f"cannot be read: {getattr(error, 'strerror', None) or error}")]
    return parse(text)


def parse(text: str) -> tuple[list[Table], list[Problem]]:
    """What this text holds, and what is wrong with its form."""
    tables: list[Table] = []
    problems: list[Problem] = []
    table: Table | None = None
    told = False  # one problem for a stretch that belongs to no operation, not one for each line of it
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        mistake = None
        if re.fullmatch(r"\s*(#.*)?", line):
            continue
        if line.lstrip().startswith("["):
            name = _name(line)
            table, told = None if name is None else Table(name, number), True
            if table:
                tables.append(table)
            else:
                mistake = NO_OPERATION
        elif table:
            mistake = _take(line, number, table)
            table.readable = table.readable and not mistake
        elif not told:
            told, mistake = (
                True,
                "this stands before the first [operations.NAME], where only comments may stand",
            )
        if mistake:
            problems.append(Problem(number, mistake))
    return tables, problems


def looks_like(key: str) -> str:
    """How this key is to be written."""
    return f"it must {'be text in quotes' if chr(34) in KEYS[key] else 'look'} like this: {KEYS[key]}"


def _name(header: str) -> str | None:
    """NAME, if this is `[operations.NAME]`."""
    match _toml(header):
        case {"operations": {**named}} if list(named.values()) == [{}]:
            return str(next(iter(named)))
    return None


def _take(line: str, number: int, table: Table) -> str | None:
    """Adds what this line sets to its table, or says why it can't."""
    parsed = _toml(line)
    # Of a line that is not TOML at least the key: what to write instead depends on it.
    written = re.match(r"\s*[\"']?([\w-]*)", line)
    key = next(iter(parsed)) if parsed else written[1] if written else ""
    if "token" in key.lower() and key != "token_env":
        return NO_TOKEN_HERE
    if key not in KEYS:
        return f"there is no such key. An operation has: {', '.join(KEYS)}"
    if parsed is None:
        return f"{key} is not written as TOML; {looks_like(key)}"
    if key in table.lines:
        return f"{key} is set in line {table.lines[key]} already; keep one of the two"
    table.values[key] = parsed[key]
    table.lines[key] = number
    return None


def _toml(line: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(line)
    except (ValueError, RecursionError):  # also a number of 5000 digits, a thousand brackets
        return None
