"""`wolkvox-assets doctor`: what is set, what answers, what is stored: a line each, and what to do.

What belongs here: looking and telling. What doesn't: changing anything. It makes one request for each
operation (`token_info`, which counts against the day's quota).
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from wolkvox_assets.api import QuotaUsedUp, RetryPolicy, WolkvoxError
from wolkvox_assets.resources import WolkvoxResource
from wolkvox_assets.settings import ConfigurationProblem, Operation, load_settings, unknown_variables
from wolkvox_assets.store import Store, examine


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
    store = Store(settings.data_dir)
    yield from examine.findings(store)
    yield from _windows(store)


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


def _windows(store: Store) -> Iterator[tuple[bool, str, str]]:
    with store.looking() as con:
        if con is None:
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
