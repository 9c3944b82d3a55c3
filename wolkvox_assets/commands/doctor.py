"""`wolkvox-assets doctor`: what is set, what answers, what is stored: a line each, and what to do.

What belongs here: looking and telling. What doesn't: changing anything. It makes one request for each
operation (`token_info`, which counts against the day's quota).
"""

import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from wolkvox_assets.api import Asking, QuotaUsedUp, RetryPolicy, WolkvoxError
from wolkvox_assets.commands import dagster_doctor, server_doctor
from wolkvox_assets.orchestration.resources import WolkvoxResource
from wolkvox_assets.pipeline import to_do
from wolkvox_assets.pipeline.pauses import reason_to_wait, standings
from wolkvox_assets.pipeline.quota import UNREADABLE, quota_group, reserve_not_kept, seen_by, share_of
from wolkvox_assets.report.clocks import Clocks, told
from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.plain_text import counted, visible
from wolkvox_assets.report.reports import REPORTS, label
from wolkvox_assets.settings import (
    ENV_FILE,
    ConfigurationProblem,
    Operation,
    Settings,
    load_settings,
    unknown_variables,
)
from wolkvox_assets.store import Store, sources
from wolkvox_assets.store.attempts import Work
from wolkvox_assets.store.daily import known_without_a_row, nothing_ever
from wolkvox_assets.store.tables import Tables
from wolkvox_assets.store.total_rows import any_answer_had_rows, latest_total_row

_A_DAY = 288  # windows: an operation that is so quiet for longer is to be looked at

_CLOCKS_APART = timedelta(minutes=1)


def run(*, as_json: bool = False) -> int:
    """Print the findings. Returns the exit code: 1 where something is wrong."""
    found = []
    for fine, what, finding in _findings():
        found.append({"ok": fine, "what": what, "finding": finding})
        if not as_json:  # each as it comes: some take a while
            print(f"{'ok   ' if fine else 'WRONG'}  {what:<18} {finding}", flush=True)
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
    return 0 if all(one["ok"] for one in found) else 1


def _findings() -> Iterator[tuple[bool, str, str]]:
    settings = load_settings()
    for problem in settings.problems:
        yield False, "settings", problem
    for name in unknown_variables(settings):
        yield (
            False,
            "settings",
            f"{name} is set but unknown: is it misspelt? docs/settings.md lists all names.",
        )
    no_lock = _lake_out_of_reach(settings)
    for operation in settings.centres:
        yield (
            True,
            f"{operation.name}: settings",
            f"{operation.source.address}, history from {operation.start}",
        )
        clocks = Clocks()
        fine, words = server_doctor.finding(operation.source.address)
        yield fine, f"{operation.name}: server", words
        yield _without_a_lock(operation) if no_lock else _quota(operation, clocks)
        yield _clock(operation, clocks)
    yield from _secrets()
    for fine, finding in dagster_doctor.findings(settings):
        yield fine, "Dagster", finding
    store = settings.store
    yield from store.findings()
    if no_lock:
        return  # each further look would take as long as the first, to say the same
    yield from _sources(settings, store)
    yield from _quotas(settings, store)
    yield from _windows(settings, store)


def _clock(operation: Operation, there: Clocks) -> tuple[bool, str, str]:
    what, now = f"{operation.name}: clock", datetime.now(UTC)
    wall = operation.clock.now(now)
    if there.server_time is None:
        compared = "the server did not send its time; if this is not the time there, set this machine's clock"
    elif abs(apart := now - there.server_time) > _CLOCKS_APART:
        ahead = "ahead of" if apart > timedelta(0) else "behind"
        finding = (
            f"this machine's is {told(apart)} {ahead} the server's, which shows {there.server_time:%Y-%m-%d %H:%M:%S} "
            "UTC. "
            "Windows are requested when both say that they are over, so they come late. Set this machine's clock (NTP)"
        )
        return False, what, finding
    else:
        compared = "the server's agrees"
    return True, what, f"its wall clock ({operation.timezone}) shows {wall:%Y-%m-%d %H:%M:%S}; {compared}"


def _lake_out_of_reach(settings: Settings) -> bool:
    if settings.lake is None:
        return False
    from wolkvox_assets.api.postgres import why_not  # with the extra `scale` only

    return why_not(settings.lake.postgres) is not None


def _without_a_lock(operation: Operation) -> tuple[bool, str, str]:
    said = "not checked: the lock of its token lies in the lake's Postgres, which can't be used (see lake, below)"
    return False, f"{operation.name}: token, quota", said


def _quota(operation: Operation, clocks: Clocks) -> tuple[bool, str, str]:
    what = f"{operation.name}: token, quota"
    try:
        asking = Asking(
            lambda seen: clocks.heard(seen.server_time, seen.requested_at),
            RetryPolicy(attempts=3, deadline_seconds=30),
        )
        with WolkvoxResource.of(operation).open_client(asking) as client:
            quota = client.token_info()
    except QuotaUsedUp as error:
        return True, what, str(error)  # nothing to correct
    except UNREADABLE as error:
        return False, what, f"{error} While this lasts, {reserve_not_kept(operation.quota_reserve)}."
    except (ConfigurationProblem, WolkvoxError) as error:
        return False, what, str(error)
    said = f"accepted; {quota.used_today_all_tokens} of {quota.limit} requests used today"
    if quota.used_today_all_tokens >= quota.limit * (1 - operation.quota_reserve):
        said += (
            f": only the reserve of {operation.quota_reserve:.0%} is left, so nothing more is requested today"
        )
    return True, what, said


def _secrets() -> Iterator[tuple[bool, str, str]]:
    """Only what others can read is said."""
    for path, holds, chmod in ((ENV_FILE, "tokens", 600), (Path(".dagster"), "what runs have logged", 700)):
        if path.exists() and (mode := path.stat().st_mode) & 0o077:
            yield (
                False,
                "files",
                f"{path} holds {holds} and is open to other users (mode {stat.S_IMODE(mode):o}): chmod {chmod} {path}",
            )


def _sources(settings: Settings, store: Store) -> Iterator[tuple[bool, str, str]]:
    with store.looking() as con:
        if con is None:
            return
        for operation in settings.centres:
            what = f"{operation.name}: source"
            objection = sources.objection(con, operation.name, operation.source)
            found = sources.recorded(con, operation.name)
            if objection is not None:
                yield False, what, objection
            elif found is not None:
                yield True, what, f"stored data is from {found[0]}"
            elif sources.rows_of(con, operation.name):
                yield (
                    True,
                    what,
                    f"stored data is taken to be from {operation.source}; the next run records it",
                )
        names = {operation.name for operation in settings.centres}
        for operation in settings.centres:
            # No fault: somebody may keep what is over.
            for other in sorted(sources.of_server(con, operation.source) - names):
                said = f"no operation of this name is set. {sources.same_centre(operation.name, other)}"
                yield True, f"{other}: source", said


def _quotas(settings: Settings, store: Store) -> Iterator[tuple[bool, str, str]]:
    """Who shares the day's requests, and what is waited for; nothing where there is neither."""
    now = datetime.now(UTC)
    for operation in settings.centres:
        with store.looking() as con:
            seen = seen_by(con, operation, now)
        group = quota_group(operation, settings.operations)
        others = list(dict.fromkeys(other.name for other in group if other.name != operation.name))
        said = [f"shared with {', '.join(others)}: the same server"] if others else []
        for work, who in ((Work.LIVE, "nothing is"), (Work.HISTORY, "only live windows are")):
            until = share_of(work, operation, len(group)).waits_until(seen, now)
            if until is not None:
                said.append(
                    f"used up at the last reading: {who} requested before the next reading, after "
                    f"{until:%Y-%m-%d %H:%M} UTC"
                )
                break
        if said:
            yield True, f"{operation.name}: quota", "; ".join(said)


def _windows(settings: Settings, store: Store) -> Iterator[tuple[bool, str, str]]:
    now = datetime.now(UTC)
    with store.looking() as con:
        if con is None:
            return
        rows = [
            (report, *row)
            for report in REPORTS
            for row in con.execute(
                f"SELECT operation, COUNT(*), MIN(window_start), MAX(window_start) FROM {report.names.window_log}"
                " GROUP BY ALL"
            ).fetchall()
        ]
        states = {label(name, report): list(_answers(con, name, report)) for report, name, *_ in rows}
    operations = {operation.label: operation for operation in settings.operations}
    for report, name, known, first, last in rows:
        which = label(name, report)
        yield from states[which]
        said = f"{known} known, from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}, in {store.where}"
        yield True, f"{which}: windows", said
        if which in operations:
            yield _newest(store, operations[which], last, now)
            yield from _gaps(store, operations[which], now)


def _newest(store: Store, operation: Operation, last: datetime, now: datetime) -> tuple[bool, str, str]:
    what, age = f"{operation.label}: freshness", now - operation.clock.end_utc(last)
    said = f"the newest window ended {told(age)} ago"
    if age <= operation.stale_after:  # a tick that failed is made up by the next
        return True, what, said
    standing = standings(store, [operation], now)[operation.label]
    waits = reason_to_wait(standing, operation, Work.LIVE, now, 0)
    if waits is not None:
        return False, what, f"{said}: {visible(waits)}"
    return True, what, f"{said}; newer ones are requested while Dagster runs (make dev)"


def _gaps(store: Store, operation: Operation, now: datetime) -> Iterator[tuple[bool, str, str]]:
    missing = to_do.missing(store, operation, now)
    if missing:
        said = (
            f"not known yet: {counted(sum(map(len, missing)), 'window')} since {operation.start}, in "
            f"{counted(len(missing), 'place')}, newest {missing[0]}. While Dagster runs they are requested, as "
            "far as the day's quota goes"
        )
        yield True, f"{operation.label}: gaps", said


def _answers(con: duckdb.DuckDBPyConnection, name: str, report: Report) -> Iterator[tuple[bool, str, str]]:
    """What the stored answers can't tell, or were found to have."""
    which = label(name, report)
    if without := known_without_a_row(Tables(con, name, report)):
        yield without < _A_DAY, f"{which}: answers", nothing_ever(report, without)
    verdict = latest_total_row(Tables(con, name, report))
    what = f"{which}: total row"
    if verdict is not None:
        yield True, what, f"{'none' if verdict.name is None else repr(verdict.name)}. {verdict.evidence}"
    elif any_answer_had_rows(Tables(con, name, report)):
        yield (
            False,
            what,
            "not decided yet whether there is one: windows in doubt are not known. More answers will decide it",
        )
