"""`operations.toml`, taken apart: which operations it names, and what it sets for each.

What belongs here: the file's form. What doesn't: what the values mean (`settings`).

What stands in the file is never repeated in a problem: it may be a token.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

KEYS = {
    "server": 'server = "0013"',
    "token_env": 'token_env = "WOLKVOX_TOKEN_NORTH"',
    "timezone": 'timezone = "America/Bogota"',
    "start": "start = 2026-11-01",
    "base_url": 'base_url = "http://127.0.0.1:8807"',
    "quota_reserve": "quota_reserve = 0.2",
    "owners": 'owners = ["ana@example.com", "team:reporting"]',
    "tags": 'tags = { domain = "service" }',
}
"""The keys an operation may have, each with a line as it should look."""

NO_TOKEN_HERE = (
    "the token itself must not stand in this file. Take it out, put it in the environment or in .env, "
    f"and name its variable here: {KEYS['token_env']}"
)

NO_SUCH_KEY = f"there is a key that an operation does not have; it has: {', '.join(KEYS)}"

ONLY_OPERATIONS = (
    "only tables [operations.NAME] can stand here, with letters, digits and _ for NAME; all else is left out"
)

_NOT_TOML = (
    "this is not TOML. Text stands in quotes, a day looks like 2026-11-01, and each table and key can be there "
    "once. No operation of this file is loaded until it is corrected"
)


def read(path: Path, *, needed: bool) -> tuple[dict[str, Any], list[str]]:
    """What this file sets, by operation, and what is wrong with its form. Without `needed` it need not be there."""
    try:
        text = path.read_bytes().decode("utf-8-sig")  # Windows' editors put a mark at the beginning
    except FileNotFoundError:
        return {}, [f"{path} is not there; correct WOLKVOX_OPERATIONS, which names it"] if needed else []
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return {}, [f"{path}, line {line}: this is not UTF-8 text; save the file as UTF-8"]
    except (OSError, ValueError) as error:  # ValueError: no possible name of a file
        return {}, [f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"]
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of 5000 digits, a thousand brackets
        where = re.search(r"line \d+, column \d+", str(error))
        return {}, [f"{path}, {where[0] if where else 'at its end'}: {_NOT_TOML}"]
    tables = content.pop("operations", {})
    fine = isinstance(tables, dict) and all(isinstance(table, dict) for table in tables.values())
    problems = [f"{path}: {ONLY_OPERATIONS}"] if content or not fine else []
    tables = tables if isinstance(tables, dict) else {}
    return {name: table for name, table in tables.items() if isinstance(table, dict)}, problems


def looks_like(key: str) -> str:
    """How this key is to be written."""
    return f"it must {'be text in quotes' if chr(34) in KEYS[key] else 'look'} like this: {KEYS[key]}"
