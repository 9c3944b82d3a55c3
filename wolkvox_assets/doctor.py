"""`wolkvox-assets doctor`: what is set, what answers, what is stored: a line each, and what to do.

What belongs here: looking and telling. What doesn't: changing anything. It makes one request for each
operation (`token_info`, which counts against the day's quota).
"""

import stat
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from wolkvox_assets import dagster_doctor
from wolkvox_assets.api import QuotaUsedUp, RetryPolicy, WolkvoxError
from wolkvox_assets.resources import WolkvoxResource
from wolkvox_assets.settings import (
    ENV_FILE,
    ConfigurationProblem,
    Operation,
    load_settings,
    unknown_variables,
)
from wolkvox_assets.store import Store


def run() -> int:
    """Print the findings. Returns the exit code: 1 where something is wrong."""
    wrong = 0
    for fine, what, finding in _findings():
        wrong += not fine
        print(f"{'ok   ' if fine else 'WRONG'}  {what:<18} {finding}")
    return 1 if wrong else 0


def _findings() -> Iterator[tuple[bool, str, str]]:
    settings = load_settings()
    for problem in settings.problems:
        yield False, "settings", problem
    for name in unknown_variables(settings):
        yield (
            False,
            "settings",
            f"{name} is set and means nothing here: is it misspelt? README.md has all names.",
        )
    for operation in settings.operations:
        where = operation.base_url or f"https://wv{operation.server}.wolkvox.com"
        yield True, f"{operation.name}: settings", f"{where}, history from {operation.start}"
        yield _clock(operation)
        yield _quota(operation)
    yield from _secrets()
    yield _folder(settings.data_dir)
    for finding in dagster_doctor.future_ticks():
        yield False, "Dagster", finding
    yield from _published(settings.data_dir)


def _clock(operation: Operation) -> tuple[bool, str, str]:
    now = datetime.now(UTC)
    wall = operation.clock.now(now)
    return (
        True,
        f"{operation.name}: clock",
        f"its wall clock ({operation.timezone}) shows {wall:%Y-%m-%d %H:%M:%S}; if not, set this machine's",
    )


def _quota(operation: Operation) -> tuple[bool, str, str]:
    what = f"{operation.name}: token, quota"
    try:
        with WolkvoxResource.of(operation).open_client(
            lambda _: None, time.sleep, RetryPolicy(attempts=3, deadline_seconds=30)
        ) as client:
            quota = client.token_info()
    except QuotaUsedUp as error:
        return True, what, str(error)  # nothing to mend
    except (ConfigurationProblem, WolkvoxError) as error:
        return False, what, str(error)
    return True, what, f"accepted; {quota.used_today_all_tokens} of {quota.limit} requests used today"


def _secrets() -> Iterator[tuple[bool, str, str]]:
    """Only what others can read is said."""
    if ENV_FILE.exists() and (mode := ENV_FILE.stat().st_mode) & 0o077:
        yield (
            False,
            "files",
            f"{ENV_FILE} holds tokens and is open to other users (mode {stat.S_IMODE(mode):o}): chmod 600 {ENV_FILE}",
        )


def _folder(data_dir: Path) -> tuple[bool, str, str]:
    there = next(path for path in (data_dir.absolute(), *data_dir.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return False, "files", f"cannot write in {there}: {error}. Mend that, or set WOLKVOX_DATA_DIR."
    return True, "files", f"{data_dir.absolute()} can be written"


def _published(data_dir: Path) -> Iterator[tuple[bool, str, str]]:
    store = Store(data_dir)
    with store.reading() as con:
        if con is None:
            yield True, "published file", f"{store.published} is not there yet: nothing was stored so far"
            return
        rows = con.execute(
            "SELECT operation, COUNT(*), MIN(window_start), MAX(window_start) FROM agent_9_window_log GROUP BY ALL"
        ).fetchall()
    for name, known, first, last in rows:
        yield (
            True,
            f"{name}: windows",
            f"{known} known, from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}, in {store.published}",
        )
