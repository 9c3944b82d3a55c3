"""`operations.toml`: which operations it names, and what is wrong with each.

What belongs here: the file's form, and the words for its mistakes. What doesn't: what the values mean
(`operation.py`).

What stands in the file is never repeated in a problem: it may be a token.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

from wolkvox_assets.settings.operation import Operation, is_name, judged, with_simulator

KEYS = {
    "server": 'server = "0013"',
    "token_env": 'token_env = "WOLKVOX_TOKEN_NORTH"',
    "timezone": 'timezone = "America/Bogota"',
    "start": "start = 2026-11-01",
    "base_url": 'base_url = "http://127.0.0.1:8807"',
    "quota_reserve": "quota_reserve = 0.2",
    "fresh_minutes": "fresh_minutes = 15",
    "owners": 'owners = ["ana@example.com", "team:reporting"]',
    "tags": 'tags = { domain = "service" }',
}
"""The keys an operation may have, each with a line as it should look."""

_NO_TOKEN_HERE = (
    "the token itself must not be in this file. Take it out, put it in the environment or in .env, "
    f"and name its variable here: {KEYS['token_env']}"
)

_LIKE_A_KEY = re.compile(r"[a-z_]{1,30}")
"""What else stands in place of a key may be a token, and is not shown."""

_ONLY_OPERATIONS = (
    "only tables [operations.NAME] can be here, with letters, digits and _ for NAME; all else is left out"
)

_NOT_TOML = (
    "this is not TOML. Text needs quotes, a day looks like 2026-11-01, and each table and key can be there "
    "once. No operation of this file is loaded until it is corrected"
)


def read(path: Path, *, needed: bool) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What this file sets, by operation, and what is wrong with its form. Unless `needed`, it may be missing."""
    try:
        text = path.read_bytes().decode("utf-8-sig")  # Windows' editors put a mark at the beginning
    except FileNotFoundError:
        return {}, [f"{path} is not there; correct WOLKVOX_OPERATIONS, which names it"] if needed else []
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return {}, [f"{path}, line {line}: this is not UTF-8 text; save the file as UTF-8"]
    except (OSError, ValueError) as error:  # ValueError: not a possible name of a file
        return {}, [f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"]
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of 5000 digits, a thousand brackets
        where = re.search(r"line \d+, column \d+", str(error))
        return {}, [f"{path}, {where[0] if where else 'at its end'}: {_NOT_TOML}"]
    operations = content.pop("operations", {})
    if not isinstance(operations, dict):
        return {}, [f"{path}: {_ONLY_OPERATIONS}"]
    tables = {name: table for name, table in operations.items() if isinstance(table, dict)}
    return tables, [f"{path}: {_ONLY_OPERATIONS}"] if content or tables != operations else []


def judged_table(name: str, values: dict[str, Any]) -> tuple[Operation | None, list[str]]:
    """The operation of this table, and everything that is wrong with it; None where that keeps it from working."""
    known = {key: value for key, value in values.items() if key in KEYS}
    # It must name its token's variable: WOLKVOX_TOKEN is that of the environment's own operation.
    operation, wrong = judged(with_simulator({"token_env": None, **known, "name": name}), strict=True)
    # What is not a name may be a token.
    whose = f"operation {name}" if is_name(name) else "an operation"
    problems = {
        f"{whose}: {_NO_TOKEN_HERE if 'token' in key.lower() else _no_such_key(key)}"
        for key in values.keys() - known.keys()
    }
    for field, sentence, kind in wrong:
        if field == "name":
            problems.add(f"an operation's name {sentence}")
        elif field not in values:
            problems.add(f"{whose}: {field} is missing; add a line like {KEYS[field]}")
        elif field == "token_env" and not kind:
            problems.add(sentence)
        elif kind in {"", "value_error"}:
            problems.add(f"{whose}: {field} {sentence}")
        else:
            must = "be text in quotes" if '"' in KEYS[field] else "look"
            problems.add(f"{whose}: {field}: it must {must} like this: {KEYS[field]}")
    return None if values.keys() - known.keys() else operation, sorted(problems)


def _no_such_key(key: str) -> str:
    shown = (
        f"{key!r}" if _LIKE_A_KEY.fullmatch(key) else "a key that is not shown here, as it may be a token,"
    )
    return f"{shown} is not a key of an operation; the keys are: {', '.join(KEYS)}"
