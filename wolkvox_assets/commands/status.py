"""`wolkvox-assets status`: what is known, verified, missing, due and waiting, for each operation.

What belongs here: telling what is stored and what the next tick and run will do. What doesn't: whether anything is
wrong (`doctor.py`). It makes no request and changes nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta

import duckdb

from wolkvox_assets.pipeline import to_do
from wolkvox_assets.pipeline.pauses import reason_to_wait
from wolkvox_assets.pipeline.quota import quota_group
from wolkvox_assets.report.plain_text import visible
from wolkvox_assets.report.windows import Range
from wolkvox_assets.settings import Operation, Settings, load_settings
from wolkvox_assets.store import Store
from wolkvox_assets.store.attempts import Work
from wolkvox_assets.store.gaps import holes

_PLACES_SHOWN = 5


@dataclass(frozen=True)
class Status:
    """Of one operation. Windows are counted; days and `newest_window` are its wall clock's, `*_at` are UTC.

    `missing`: windows that are over and not known. `new`, `to_verify`: what is due now. `waits`: why nothing is asked
    at the moment, by kind of work.
    """

    operation: str
    history_from: date
    newest_window: datetime | None
    known: int
    missing: int
    missing_in: list[str]
    new: int
    to_verify: int
    days_complete: int
    days_not_complete: int
    verified_at: datetime | None
    corrections: int
    left_out: int
    requests_last_day: int
    quota_used: int | None
    quota_limit: int | None
    quota_read_at: datetime | None
    waits: dict[str, str]


def run(*, as_json: bool) -> int:
    """Print it. Returns the exit code: 0, or 1 where no operation can work."""
    settings = load_settings()
    now = datetime.now(UTC)
    found = [_status(operation, settings, now) for operation in settings.operations]
    if as_json:
        content = {"problems": settings.problems, "operations": [asdict(status) for status in found]}
        print(json.dumps(content, default=str, ensure_ascii=False, indent=2))
    else:
        for problem in settings.problems:
            print(f"invalid settings: {problem}")
        print("\n\n".join(_as_text(status) for status in found))
    return 0 if found else 1


def _status(operation: Operation, settings: Settings, now: datetime) -> Status:
    store, name = Store(settings.data_dir), operation.name
    new = to_do.live_windows(store, operation, now, settings.live_delay)
    live_first = len(quota_group(operation, settings.operations)) if settings.automation else 0
    waits = {
        str(work): reason
        for work in (Work.LIVE, Work.RECENT, Work.HISTORY)
        if (reason := reason_to_wait(store, operation, work, now, live_first))
    }
    with store.looking() as con:
        missing = _missing(con, operation, now)
        return Status(
            operation=name,
            history_from=operation.start,
            missing=sum(len(range_) for range_ in missing),
            missing_in=[f"{range_}" for range_ in missing],
            new=len(new),
            to_verify=len(to_do.to_verify(store, operation, now)),
            waits={work: visible(reason) for work, reason in waits.items()},
            **_stored(con, name, now),
        )


def _missing(con: duckdb.DuckDBPyConnection | None, operation: Operation, now: datetime) -> list[Range]:
    """Newest first; what is `new` is not in it."""
    start = datetime.combine(operation.start, datetime.min.time())
    end = to_do.live_from(operation, now)
    if start >= end:
        return []
    found = holes(con, operation.name, start, end, now) if con else [Range(start, end)]
    return [piece for hole in found for piece in operation.clock.shown(hole)]


def _stored(con: duckdb.DuckDBPyConnection | None, name: str, now: datetime) -> dict[str, object]:
    raise NotImplementedError


def _as_text(status: Status) -> str:
    raise NotImplementedError
