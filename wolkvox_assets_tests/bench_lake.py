"""What a lake costs beside the local files: part of `make bench`.

`make bench LAKE=1000` measures this alone: so many windows stored by four processes at once, each window a commit of
its own; then a year of one operation. It needs the Postgres that the tests use.
"""

import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb
from pydantic import SecretStr

from wolkvox_assets.report.clocks import moment
from wolkvox_assets.report.measures import Usage
from wolkvox_assets.report.windows import WINDOW
from wolkvox_assets.store import Store, StoreError, open_store
from wolkvox_assets.store.daily import rebuild_days
from wolkvox_assets.store.lake.examine import holdings
from wolkvox_assets.store.lake.place import Lake
from wolkvox_assets.store.lake.turn import asking
from wolkvox_assets.store.windows import WindowContent
from wolkvox_assets_tests import lakes
from wolkvox_assets_tests.bench_commits import _LAST_DAY, _YEAR
from wolkvox_assets_tests.store.tables import agent_9, replace_windows

WINDOWS, WRITERS = 1000, 4
ROUNDS = 9
_MONTH_AGO = f"start > TIMESTAMP '{_LAST_DAY - timedelta(days=30)}'"

Place = tuple[Path, str, str] | tuple[Path, None, None]
"""Of a store, so that another process can be told: the data folder, and the lake's database and data."""


def _store(place: Place) -> Store:
    folder, address, data = place
    return open_store(folder, None if address is None else Lake(SecretStr(address), data or ""))


def commit_window(store: Store, operation: str, number: int) -> float:
    """Stores a window as a tick does, totals and all. Returns the seconds it took."""
    start = _LAST_DAY + number * WINDOW
    agents = {f"Agente Número {agent}": Usage(1, agent, 5, agent + 5) for agent in range(8)}
    content = WindowContent(
        start, start.replace(tzinfo=UTC) + timedelta(hours=5), agents, "asked", datetime.now(UTC), moment()
    )

    def store_it(con: duckdb.DuckDBPyConnection) -> None:
        replace_windows(agent_9(con, operation), [content], run_id=f"{number:032x}")
        rebuild_days(agent_9(con, operation), {start.date(): 288}, datetime.now(UTC))

    began = time.perf_counter()
    store.change(store_it)
    return time.perf_counter() - began


def _write(place: Place, operation: str, windows: int) -> list[float | None]:
    """The seconds of each commit; None of one that failed."""
    store, seconds = _store(place), list[float | None]()
    for number in range(windows):
        try:
            seconds.append(commit_window(store, operation, number))
        except StoreError as error:
            say(f"{error}")
            seconds.append(None)
    return seconds


def at_once(place: Place, windows: int) -> list[float | None]:
    with multiprocessing.get_context("spawn").Pool(WRITERS) as pool:
        tasks = [(place, f"op{writer}", windows // WRITERS) for writer in range(WRITERS)]
        return [seconds for each in pool.starmap(_write, tasks) for seconds in each]


def writers(windows: int, folder: Path) -> list[tuple[str, ...]]:
    """A table: the files and the lake."""
    rows: list[tuple[str, ...]] = [("each window a commit", "commits", "failed", "p50", "p95", "files made")]
    say(f"{windows} windows by {WRITERS} processes at once, into files")
    seconds = at_once((folder / "files", None, None), windows)
    rows.append(("local files", *_told(seconds), "–"))
    say(f"{windows} windows by {WRITERS} processes at once, into a lake")
    with lakes.new_lake(folder) as lake:
        seconds = at_once((folder / "data", lake.postgres.get_secret_value(), lake.data), windows)
        with asking(lake) as con:
            made = holdings(con).files
    rows.append(("lake", *_told(seconds), f"{made}"))
    return rows


def _told(seconds: Sequence[float | None]) -> tuple[str, ...]:
    """How many, how many of them failed, p50, p95."""
    done = sorted(one for one in seconds if one is not None)
    p50, p95 = (done[int(len(done) * share)] * 1000 for share in (0.5, 0.95))
    return f"{len(seconds)}", f"{len(seconds) - len(done)}", f"{p50:.0f} ms", f"{p95:.0f} ms"


def year(folder: Path) -> list[tuple[str, ...]]:
    """A table: what it takes with a month and with a year of one operation, medians."""
    with lakes.new_lake(folder) as lake:
        stores = {"local files": _store((folder / "year", None, None)), "lake": open_store(folder, lake)}
        found: dict[str, list[str]] = {name: [] for name in stores}
        for name, store in stores.items():
            for span, condition in (("a month", _MONTH_AGO), ("a year", f"NOT ({_MONTH_AGO})")):
                say(f"{name}, {span} of one operation")
                _fill(store, condition)
                found[name].append(_milliseconds(partial(_totals_of_a_day, store)))
                numbers = iter(range(100 if span == "a month" else 150, 200))  # new ones, of the same day
                found[name].append(_milliseconds(partial(_next_commit, store, numbers)))
    titles = ("", "a month: day's totals", "a live commit", "a year: day's totals", "a live commit")
    return [titles, *((name, *cells) for name, cells in found.items())]


def _fill(store: Store, condition: str) -> None:
    """As much of the year as this is true of, with the totals."""
    with store.transaction() as con:
        for insert in _YEAR.split(";\n")[:-1]:
            limited = insert.replace(
                "range(105120) AS r(n)", f"range(105120) AS r(n) WHERE {_of_n(condition)}"
            )
            limited = limited.replace(
                "range(25920) AS r(n)", f"range(25920) AS r(n) WHERE {_of_n(condition)}"
            )
            con.execute(limited, {"operation": "op0", "last": _LAST_DAY})
        days = [_LAST_DAY.date() - timedelta(days=n) for n in range(366)]
        rebuild_days(agent_9(con, "op0"), dict.fromkeys(days, 288), datetime.now(UTC))


def _next_commit(store: Store, numbers: Iterator[int]) -> None:
    commit_window(store, "op0", next(numbers))


def _of_n(condition: str) -> str:
    return condition.replace("start", "$last::TIMESTAMP - to_minutes(5 * n)")


def _totals_of_a_day(store: Store) -> None:
    day = (_LAST_DAY - timedelta(days=5)).date()
    with store.reading() as con:
        assert con is not None
        con.execute(
            "SELECT agent_name, SUM(hold_mute_count), SUM(total_seconds) FROM agent_9_windows WHERE operation = 'op0'"
            " AND local_date = ? GROUP BY ALL ORDER BY 3 DESC",
            [day],
        ).fetchall()
        con.execute(
            "FROM agent_hold_mute_daily WHERE operation = 'op0' AND local_date = ? ORDER BY total_seconds DESC",
            [day],
        ).fetchall()


def _milliseconds(work: Callable[[], object]) -> str:
    """Of the clock, and of this process's CPU: other work on the machine moves that less."""
    seconds, busy = [], []
    for _ in range(ROUNDS + 2):
        began, before = time.perf_counter(), time.process_time()
        work()
        seconds.append(time.perf_counter() - began)
        busy.append(time.process_time() - before)
    clock, cpu = (statistics.median(each[2:]) * 1000 for each in (seconds, busy))
    return f"{clock:.0f} ms ({cpu:.0f} CPU)"


def say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def rows(windows: int, folder: Path) -> list[list[tuple[str, ...]]]:
    """Both tables."""
    return [writers(windows, folder), year(folder)]


def alone(windows: int) -> list[list[tuple[str, ...]]]:
    with tempfile.TemporaryDirectory(prefix="wolkvox-bench-") as folder:
        return rows(windows, Path(folder))
