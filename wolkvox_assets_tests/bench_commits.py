"""What a live commit costs in a large store, beside one that copies the whole file: part of `make bench`.

`make bench STORE=720` measures this alone, at so many MB (made in minutes, in a temporary folder); `STORE=182,720` at
several. Each change is three windows of one operation, stored and published.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from wolkvox_assets.report.clocks import moment
from wolkvox_assets.report.measures import Usage
from wolkvox_assets.report.windows import WINDOW
from wolkvox_assets.store import replacing
from wolkvox_assets.store.disk import file_system
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.windows import WindowContent
from wolkvox_assets_tests.store.tables import agent_9, replace_windows

SIZES = (182, 720)  # MB
ROUNDS, WARM_UP = 15, 3
_LAST_DAY = datetime(2026, 11, 16)

# A year of an operation: windows in office hours, and the answers of the last 90 days with a body each.
_YEAR = """
INSERT INTO agent_9_windows
SELECT $operation, start, start + INTERVAL 5 HOUR, start::DATE, 'Agente Número ' || agent, 1 + (random() * 5)::INTEGER,
    (random() * 300)::INTEGER, (random() * 300)::INTEGER, (random() * 600)::INTEGER
FROM (SELECT $last::TIMESTAMP - to_minutes(5 * n) AS start FROM range(105120) AS r(n)), range(50) AS a(agent)
WHERE hour(start) BETWEEN 7 AND 18 AND random() < 0.15;
INSERT INTO agent_9_window_log
SELECT $operation, start, start::DATE, 8, 'asked', fetched, fetched + to_seconds((random() * 9e4)::INTEGER),
    md5(start::DATE::VARCHAR)
FROM (SELECT $last::TIMESTAMP - to_minutes(5 * n) AS start, start + to_seconds(60 + (random() * 99)::INTEGER) AS fetched
    FROM range(105120) AS r(n));
INSERT INTO api_requests
SELECT $operation, start, 'agent_9', strftime(start, '%Y%m%d%H%M%S'), strftime(start, '%Y%m%d%H%M59'), 200, '200', 'ok',
    8, random(), md5(start::VARCHAR), '{"code":"200","data":[' || string_agg('{"agent_name":"Agente Número '
    || agent || '","count":' || (random() * 9)::INTEGER || ',"hold":"00:0' || (random() * 5)::INTEGER || ':'
    || (10 + random() * 49)::INTEGER || '","mute":"00:0' || (random() * 5)::INTEGER || '"}', ',') || ']}'
FROM (SELECT $last::TIMESTAMP - to_minutes(5 * n) AS start FROM range(25920) AS r(n)), range(8) AS a(agent)
GROUP BY start;
"""


class Commits(NamedTuple):
    """The median of a live commit. `written`: MB that it wrote."""

    seconds: float
    written: float


def filled(store: FileStore, megabytes: int) -> None:
    """Makes a store of about so many MB: as many operations as it takes, with a year each."""
    operations = 0
    for more in (2, None):
        if more is None:
            more = max(1, round(megabytes / (store.own.stat().st_size / 1e6 / operations)) - operations)
        with store.transaction() as con:
            for _ in range(more):
                for insert in _YEAR.split(";\n")[:-1]:
                    con.execute(insert, {"operation": f"op{operations}", "last": _LAST_DAY})
                operations += 1


def live_commits(store: FileStore) -> Commits:
    seconds, written = [], []
    for number in range(WARM_UP + ROUNDS):
        windows = [
            WindowContent(
                start := _LAST_DAY + (number + n) * WINDOW,
                start.replace(tzinfo=UTC) + timedelta(hours=5),
                {f"Agente Número {agent}": Usage(number, agent, n, agent) for agent in range(7)},
                "asked",
                datetime.now(UTC),
                moment(),
            )
            for n in range(3)
        ]
        before, began = _written(), time.perf_counter()
        with store.transaction() as con:
            replace_windows(agent_9(con, "op1"), windows, run_id=f"{number:032x}")
        seconds.append(time.perf_counter() - began)
        written.append((_written() - before) / 1e6)
    return Commits(statistics.median(seconds[WARM_UP:]), statistics.median(written[WARM_UP:]))


def _written() -> int:
    """Bytes that this process has had written to disks so far."""
    return int(Path("/proc/self/io").read_text("ascii").partition("\nwrite_bytes: ")[2].split()[0])


@contextmanager
def whole_copies() -> Iterator[None]:
    """As it was before what changed was published alone: the baseline."""
    share, least = replacing.share, replacing._SPARE_FROM_BYTES  # type: ignore[attr-defined]
    setattr(replacing, "share", lambda *_: False)  # noqa: B010
    replacing._SPARE_FROM_BYTES = 2**63
    try:
        yield
    finally:
        setattr(replacing, "share", share)  # noqa: B010
        replacing._SPARE_FROM_BYTES = least


def rows(sizes: Sequence[int], folder: Path) -> list[tuple[str, ...]]:
    """A table: a line for each size."""
    found: list[tuple[str, ...]] = [
        ("a live commit at", "file system", "whole copy", "what changed", "ratio", "MB written", "instead of")
    ]
    for megabytes in sizes:
        print(f"… a live commit at {megabytes} MB", file=sys.stderr, flush=True)
        store = FileStore(folder / f"commits_{megabytes}")
        filled(store, megabytes)
        size = store.own.stat().st_size / 1e6
        with whole_copies():
            whole = live_commits(store)
        now = live_commits(store)
        assert store.own.read_bytes() == store.published.read_bytes()
        found.append(
            (
                f"{size:.0f} MB",
                file_system(folder),
                f"{whole.seconds * 1000:.0f} ms",
                f"{now.seconds * 1000:.0f} ms",
                f"{now.seconds / whole.seconds:.2f}",
                f"{now.written:.1f}",
                f"{whole.written:.0f}",
            )
        )
    return found


def alone(sizes: Sequence[int]) -> list[tuple[str, ...]]:
    with tempfile.TemporaryDirectory(prefix="wolkvox-bench-") as folder:
        return rows(sizes, Path(folder))
