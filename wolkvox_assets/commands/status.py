"""`wolkvox-assets status`: what is known, verified, missing, due and waiting, for each operation.

What belongs here: telling what is stored, and what the next tick and run will do. What doesn't: whether anything is
wrong (`doctor.py`). It makes no request.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from wolkvox_assets.pipeline import to_do
from wolkvox_assets.pipeline.pauses import reason_to_wait, standings
from wolkvox_assets.pipeline.quota import quota_group
from wolkvox_assets.report.plain_text import visible
from wolkvox_assets.settings import Operation, Settings, load_settings
from wolkvox_assets.store import StoreError
from wolkvox_assets.store.attempts import Work
from wolkvox_assets.store.overview import Overview, overview
from wolkvox_assets.store.tables import Tables

if TYPE_CHECKING:
    from wolkvox_assets.store.lake.examine import Holdings

_PLACES_SHOWN = 3


@dataclass(frozen=True)
class Status:
    """Of one operation (`Operation.label`), in windows of its wall clock.

    `missing`: over for more than an hour, and not known; `missing_in`: where, newest first. `due`: closed lately and
    not known yet. `due_to_verify`: known, and to be asked about again. `waits`: why nothing is asked at the moment, by
    kind of work. `quota_read_today`: whether the reading of the quota, if there is one, is of today.
    """

    operation: str
    history_from: date
    stored: Overview
    missing: int
    missing_in: list[str]
    due: int
    due_to_verify: int
    waits: dict[str, str]
    quota_read_today: bool


def run(*, as_json: bool) -> int:
    """Print it. Returns the exit code: 1 where no operation can work."""
    settings = load_settings()
    now = datetime.now(UTC)
    found = _all(settings, now)
    lake = _lake(settings) if found else None
    if as_json:
        print(_as_json(settings, found, lake))
    else:
        for line in _lines(settings, found):
            print(line)
        if lake is not None:
            print(f"{settings.store.where}: {lake}")
    return 0 if found else 1


def _all(settings: Settings, now: datetime) -> list[Status]:
    """Of each operation. Where the store can't be mended (a folder that may not be written), of what is published."""
    try:
        return [_status(operation, settings, now) for operation in settings.operations]
    except StoreError as error:
        with settings.store.looking() as con:
            if con is None:
                raise
            # Readings within this one find it open.
            found = [_status(operation, settings, now) for operation in settings.operations]
        print(f"What is published, read as it is, since what is stored can't be: {error}", file=sys.stderr)
        return found


def _lake(settings: Settings) -> "Holdings | None":
    if settings.lake is None:
        return None
    from wolkvox_assets.store.lake.store import LakeStore  # needs the extra `scale`

    return LakeStore(settings.data_dir, settings.lake).holdings()


def _status(operation: Operation, settings: Settings, now: datetime) -> Status:
    store = settings.store
    live_first = len(quota_group(operation, settings.operations)) if settings.automation else 0
    standing = standings(store, [operation], now)[operation.label]
    reasons = {
        str(work): reason_to_wait(standing, operation, work, now, live_first)
        for work in (Work.LIVE, Work.RECENT, Work.HISTORY)
    }
    with store.reading() as con:
        stored = overview(Tables(con, operation.name, operation.report)) if con else Overview()
    missing = to_do.missing(store, operation, now)
    known = to_do.known_of(store, [operation], now)[operation.label]
    return Status(
        operation=operation.label,
        history_from=operation.start,
        stored=stored,
        missing=sum(map(len, missing)),
        missing_in=[f"{range_}" for range_ in missing],
        due=len(to_do.live_windows(operation, known, now, settings.live_delay)),
        due_to_verify=len(to_do.to_verify(store, operation, known, now)),
        waits={work: visible(reason) for work, reason in reasons.items() if reason},
        quota_read_today=_is_of_today(stored.quota_read_at, operation, now),
    )


def _is_of_today(read_at: datetime | None, operation: Operation, now: datetime) -> bool:
    clock = operation.clock
    return read_at is not None and clock.now(read_at.replace(tzinfo=UTC)).date() == clock.now(now).date()


def _as_json(settings: Settings, found: Sequence[Status], lake: "Holdings | None") -> str:
    operations = [{**asdict(status), "stored": status.stored._asdict()} for status in found]
    content: dict[str, object] = {"problems": settings.problems, "operations": operations}
    if lake is not None:
        content["lake"] = lake._asdict()
    return json.dumps(content, default=str, ensure_ascii=False, indent=2)


def _lines(settings: Settings, found: Sequence[Status]) -> Iterator[str]:
    for problem in settings.problems:
        yield f"invalid settings: {problem}"
    rows = [_TITLES, *map(_row, found)] if found else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
    for status in found:
        yield from _details(status)


_TITLES = (
    "operation",
    "newest window",
    "known",
    "missing",
    "due",
    "to verify",
    "days complete",
    "quota used",
)


def _row(status: Status) -> tuple[str, ...]:
    stored = status.stored
    days = stored.days_complete + stored.days_not_complete
    return (
        status.operation,
        f"{stored.newest_window:%Y-%m-%d %H:%M}" if stored.newest_window else "none",
        f"{stored.known}",
        f"{status.missing}",
        f"{status.due}",
        f"{status.due_to_verify}",
        f"{stored.days_complete} of {days}",
        _quota(stored),
    )


def _quota(stored: Overview) -> str:
    """As it was last read: most requests are made between two readings."""
    if stored.quota_read_at is None:
        return "never read"
    return f"{stored.quota_used} of {stored.quota_limit} at {stored.quota_read_at:%m-%d %H:%M} UTC"


def _details(status: Status) -> Iterator[str]:
    name, stored = status.operation, status.stored
    if stored.verified_at is not None:
        yield f"{name}: every complete day was verified since {stored.verified_at:%Y-%m-%d %H:%M} UTC"
    if status.missing:
        more = len(status.missing_in) - _PLACES_SHOWN
        yield (
            f"{name}: missing from {status.history_from} on: {', '.join(status.missing_in[:_PLACES_SHOWN])}"
            f"{f', and {more} more' if more > 0 else ''}"
        )
    if stored.quota_read_at is not None and not status.quota_read_today:
        read_at = f"{stored.quota_read_at:%Y-%m-%d %H:%M} UTC"
        yield f"{name}: the quota was last read on {read_at}: what is used today is not known"
    for work, reason in status.waits.items():
        yield f"{name}: waits ({work}): {reason}"
