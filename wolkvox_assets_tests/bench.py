"""`make bench`: what a day and a week cost, beside a bare loop over the same windows in the same run.

What belongs here: measuring, and printing figures with their baseline. What doesn't: limits that fail; times
depend on the machine and on what else it does, so only ratios within one run mean anything.

All of it goes to the simulator in a process of its own, so that it shares no interpreter with those
who ask. Whatever was loaded is held against the simulator's truth: a quick wrong answer counts for nothing.

Three ways to know a range of windows:

* *bare loop*: `requests` with keep-alive, one window after the other; nothing is checked, retried or stored;
* *direct*: our client, one request a window, stored and published (`loading.load`, without Dagster);
* *sync*: the same, with as few requests as possible, after a proof on another day.

Figures with a `~` are not measured but worked out: windows x the measured time of one request.
"""

import argparse
import itertools
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import duckdb
import requests

from wolkvox_assets.orchestration.resources import WolkvoxResource
from wolkvox_assets.pipeline.loading import load
from wolkvox_assets.pipeline.reconcile import Site, Task, reconcile
from wolkvox_assets.report.clocks import Clocks
from wolkvox_assets.report.windows import Range, one
from wolkvox_assets.settings import Operation
from wolkvox_assets.simulator import Centre
from wolkvox_assets.store.attempts import Work
from wolkvox_assets.store.files import FileStore
from wolkvox_assets_tests import bench_commits, bench_lake, bench_ticks
from wolkvox_assets_tests.browser import CHROMIUM
from wolkvox_assets_tests.ui import bench_year

ROOT = Path(__file__).parents[1]
AGENTS = 50
DAY = timedelta(days=1)
MONTH = 30 * DAY
FAST, SLOW = 0.02, 0.3  # seconds a request
WINDOWS_OF_A_DAY = 288
_RUN_ID = "be9c4be9c4"  # a hexadecimal number, as Dagster's are: it draws the audits


class Cost(NamedTuple):
    """What a range cost. `measured`: False where it was worked out from another measurement."""

    requests: int
    seconds: float
    measured: bool = True

    @property
    def each(self) -> float:
        return self.seconds / self.requests

    def times(self, windows: int) -> "Cost":
        """As many requests at the same pace."""
        return Cost(windows, windows * self.each, measured=False)


# The days


class Days(NamedTuple):
    """The ranges that are measured, and the day additivity is proved on before."""

    proof: Range
    busy: Range
    quiet: Range
    week: Range


def choose_days() -> Days:
    """The newest office week that lies within one month, is over for a while and has no holiday."""
    centre = Centre(AGENTS)

    def day(at: date) -> Range:
        midnight = datetime.combine(at, datetime.min.time())
        return Range(midnight, midnight + DAY)

    def is_busy(at: date) -> bool:
        truth = centre.truth(day(at).start, day(at).last_second)
        return sum(usage.hold_mute_count for usage in truth.values()) > 10 * AGENTS

    today = datetime.now(UTC).date()
    monday = today - timedelta(days=today.weekday() + 7)
    while not (
        (monday + 4 * DAY).month == monday.month
        and all(is_busy(monday + n * DAY) for n in (-6, 0, 1, 2, 3, 4))
    ):
        monday -= 7 * DAY
    return Days(
        proof=day(monday - 6 * DAY),
        busy=day(monday + 2 * DAY),
        quiet=day(monday - DAY),
        week=Range(day(monday).start, day(monday + 5 * DAY).start),
    )


# The simulator


@dataclass
class StandIn:
    """A simulator in another process."""

    url: str
    token: str

    def set_latency(self, seconds: float) -> None:
        requests.post(
            f"{self.url}/_simulator/settings", json={"latency": seconds}, timeout=10
        ).raise_for_status()

    def count_anew(self) -> None:
        requests.post(f"{self.url}/_simulator/reset", timeout=10).raise_for_status()

    def requests(self) -> int:
        state = requests.get(f"{self.url}/_simulator/state", timeout=10).json()
        return int(state["counters"]["requests"])

    def truth(self, range_: Range) -> dict[str, list[int]]:
        """Agent to count, hold, mute and total seconds."""
        answer = requests.get(f"{self.url}/_simulator/truth", params=_as_sent(range_), timeout=60)
        found: dict[str, list[int]] = answer.json()
        return found


@contextmanager
def stand_in(token: str) -> Iterator[StandIn]:
    """`token`: another for each that is used at the same time, since the lock between processes goes by token."""
    options = ["--port", "0", "--agents", f"{AGENTS}", "--token", token, "--daily-limit", "10000000"]
    with subprocess.Popen(
        [sys.executable, "-c", "from wolkvox_assets.commands.cli import main; main()", "simulate", *options],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield StandIn(line.removeprefix("Simulator on ").split(",", 1)[0], token)
        finally:
            process.terminate()


def _as_sent(range_: Range) -> dict[str, str]:
    return {
        "date_ini": f"{range_.start:%Y%m%d%H%M%S}",
        "date_end": f"{range_.last_second:%Y%m%d%H%M%S}",
    }


# The three ways


def bare_loop(server: StandIn, range_: Range) -> Cost:
    """What a script of ten lines takes."""
    windows = 0
    began = time.perf_counter()
    with requests.Session() as session:
        session.headers["wolkvox-token"] = server.token
        for window in range_.windows():
            answer = session.get(
                f"{server.url}/api/v2/reports_manager.php",
                params={"api": "agent_9", **_as_sent(one(window))},
                timeout=60,
            )
            assert answer.status_code in (200, 404), answer.text
            answer.json()
            windows += 1
    return Cost(windows, time.perf_counter() - began)


@dataclass
class Project:
    """A data folder and the settings that go with it."""

    folder: Path
    server: StandIn
    start: date

    @property
    def store(self) -> FileStore:
        return FileStore(self.folder / "data")

    def copy(self, name: str) -> "Project":
        """With the same things known."""
        folder = self.folder.with_name(name)
        shutil.copytree(self.folder, folder)
        return Project(folder, self.server, self.start)

    def load(self, range_: Range, *, direct: bool = False, proves: bool = False) -> Cost:
        """Through the library."""
        os.environ["WOLKVOX_TOKEN"] = self.server.token
        operation = Operation(server="0000", start=self.start, base_url=self.server.url)
        site = Site(
            operation,
            self.store,
            _RUN_ID,
            WolkvoxResource.of(operation).open_client,
            live=0,
            now=lambda: datetime.now(UTC),
        )
        task = Task(list(range_.windows()), Work.RANGE, Clocks(), direct=direct)
        self.server.count_anew()
        began = time.perf_counter()
        with closing(load(self.store, _RUN_ID, [partial(reconcile, site, task)])) as commits:
            verdicts = [v for stored in commits for batch in stored.values() for v in batch.verdicts]
        cost = Cost(self.server.requests(), time.perf_counter() - began)
        assert not proves or [verdict.holds for verdict in verdicts] == [True], verdicts
        self._check(range_)
        return cost

    def command_line(self, range_: Range, *, direct: bool = False) -> Cost:
        """Through Dagster, as a person does: from the command to its end, start-up included."""
        last = range_.end - timedelta(minutes=5)
        command = ["--select", "main/agent_9_windows"]
        command += ["--partition-range", f"{range_.start:%Y-%m-%dT%H:%M}...{last:%Y-%m-%dT%H:%M}"]
        if direct:
            config = {"ops": {"main__agent_9_windows": {"config": {"direct": True}}}}
            command += ["--config-json", json.dumps(config)]
        self.server.count_anew()
        settings = {
            "WOLKVOX_BASE_URL": self.server.url,
            "WOLKVOX_TOKEN": self.server.token,
            "WOLKVOX_START": f"{self.start}",
            "WOLKVOX_DATA_DIR": f"{self.folder / 'data'}",
        }
        seconds = materialize(self.folder / "home", "wolkvox_assets.definitions", command, settings)
        self._check(range_)
        return Cost(self.server.requests(), seconds)

    def _check(self, range_: Range) -> None:
        with closing(duckdb.connect(self.store.published, read_only=True)) as con:
            known = con.execute(
                "SELECT COUNT(*) FROM agent_9_window_log WHERE window_start >= ? AND window_start < ?",
                [range_.start, range_.end],
            ).fetchall()
            rows = con.execute(
                "SELECT agent_name, SUM(hold_mute_count)::BIGINT, SUM(hold_seconds)::BIGINT,"
                " SUM(mute_seconds)::BIGINT, SUM(total_seconds)::BIGINT FROM agent_9_windows"
                " WHERE window_start >= ? AND window_start < ? GROUP BY agent_name",
                [range_.start, range_.end],
            ).fetchall()
        assert known == [(len(range_),)], f"{known} windows of {range_} are known"
        assert {row[0]: list(row[1:]) for row in rows} == self.server.truth(range_), f"{range_} is not true"


def materialize(home: Path, module: str, arguments: Sequence[str], settings: dict[str, str]) -> float:
    """Seconds that `dagster asset materialize` takes."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / "dagster.yaml", home / "dagster.yaml")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WOLKVOX_")}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "asset", "materialize", *arguments, "-m", module],
        env={**clean, **settings, "DAGSTER_HOME": f"{home}", "PYTHONPATH": f"{home}{os.pathsep}{ROOT}"},
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    assert done.returncode == 0, done.stdout[-5000:]
    return seconds


NOTHING_TO_DO = """\
import dagster as dg

@dg.asset
def nothing():
    pass

@dg.asset(
    partitions_def=dg.TimeWindowPartitionsDefinition(
        cron_schedule="*/5 * * * *", start="2026-01-01T00:00", end="2026-01-02T00:00", fmt="%Y-%m-%dT%H:%M"
    ),
    backfill_policy=dg.BackfillPolicy.single_run(),
    output_required=False,
)
def nothing_for_a_day():
    yield from ()

defs = dg.Definitions([nothing, nothing_for_a_day], executor=dg.in_process_executor)
"""


def start_of_a_run(home: Path) -> float:
    """The same command for an asset that does nothing, in Dagster's quickest executor."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "nothing_to_do.py").write_text(NOTHING_TO_DO)
    return materialize(home, "nothing_to_do", ["--select", "nothing"], {})


def start_of_a_range(home: Path) -> float:
    """And for one with a day of windows, for each of which Dagster writes down that it is planned."""
    windows = ["--partition-range", "2026-01-01T00:00...2026-01-01T23:55"]
    return materialize(home, "nothing_to_do", ["--select", "nothing_for_a_day", *windows], {})


def proved(folder: Path, server: StandIn, days: Days) -> Project:
    """A project that knows the day of the proof, and nothing else."""
    server.set_latency(0)
    project = Project(folder, server, days.proof.start.date())
    project.load(days.proof, proves=True)
    return project


# Part 1: a day of windows, each asked directly, through Dagster


class DayOfWindows(NamedTuple):
    loop: float
    start: float
    start_of_range: float
    whole: float

    @property
    def limit(self) -> float:
        return 1.7 * self.loop + self.start


def a_day_of_windows(base: Project, days: Days, rounds: int) -> DayOfWindows:
    """The median of each, measured in turn so that what else the machine does meets all of them."""
    found = []
    for n in range(rounds):
        say(f"a day of windows at 20 ms, round {n + 1} of {rounds}")
        base.server.set_latency(FAST)
        loop = bare_loop(base.server, days.busy).seconds
        project = base.copy(f"day_{n}")
        start = start_of_a_run(project.folder / "nothing")
        start_of_range = start_of_a_range(project.folder / "nothing")
        cost = project.command_line(days.busy, direct=True)
        assert WINDOWS_OF_A_DAY <= cost.requests <= WINDOWS_OF_A_DAY + 1, cost  # and perhaps `token_info`
        found.append((loop, start, start_of_range, cost.seconds))
    return DayOfWindows(*(statistics.median(column) for column in zip(*found, strict=True)))


# Part 2: history through Dagster, with nothing to wait for


def history_at_no_latency(base: Project, days: Days, rounds: int) -> list[tuple[str, ...]]:
    """A day and a month by command line, each beside the start of a run at the same time."""
    base.server.set_latency(0)
    month = Range(days.proof.start - MONTH, days.proof.start)
    rows: list[tuple[str, ...]] = [("what", "windows", "requests", "seconds", "start of a run", "ratio")]
    for what, range_, times in (("a busy day", days.busy, rounds + 1), ("a month of history", month, 1)):
        found = []
        for n in range(times):
            say(f"{what} through Dagster's command line at no latency, round {n + 1} of {times}")
            project = replace(base.copy(f"{what}_{n}"), start=range_.start.date())
            start = start_of_a_run(project.folder / "nothing")
            found.append((start, *project.command_line(range_)[:2]))
        start, made, seconds = (statistics.median(column) for column in zip(*found, strict=True))
        rows.append(
            (
                what,
                f"{len(range_):,}",
                f"{made:,.0f}",
                f"{seconds:.1f}",
                f"{start:.1f}",
                f"{seconds / start:.1f}",
            )
        )
    return rows


# Part 3: busy day, quiet day, week, unchanged week


SCENES = ("a busy day, 50 agents", "a quiet Sunday", "a working week", "an unchanged week")
WAYS = ("bare loop", "direct", "sync")
Costs = dict[tuple[str, str], Cost]


def fast_costs(base: Project, days: Days, *, quick: bool) -> Costs:
    """At 20 ms. `quick`: loops and direct asking are measured on one day only."""
    busy, quiet, week, unchanged = SCENES
    base.server.set_latency(FAST)
    costs: Costs = {}
    names = (f"fast_{n}" for n in itertools.count())

    ways: dict[str, Callable[[Range], Cost]] = {
        "bare loop": partial(bare_loop, base.server),
        "direct": lambda range_: base.copy(next(names)).load(range_, direct=True),
    }
    for way, ask in ways.items():
        say(f"20 ms: {way}")
        costs[busy, way] = ask(days.busy)
        costs[quiet, way] = costs[busy, way].times(WINDOWS_OF_A_DAY) if quick else ask(days.quiet)
        costs[week, way] = costs[busy, way].times(len(days.week)) if quick else ask(days.week)
        # Neither knows what changed: all of it again.
        costs[unchanged, way] = costs[week, way]._replace(measured=False)
    say("20 ms: sync")
    costs[busy, "sync"] = base.copy(next(names)).load(days.busy)
    costs[quiet, "sync"] = base.copy(next(names)).load(days.quiet)
    known = base.copy(next(names))
    costs[week, "sync"] = known.load(days.week)
    costs[unchanged, "sync"] = known.load(days.week)
    return costs


def slow_costs(base: Project, days: Days, fast: Costs) -> tuple[Costs, Cost]:
    """At 300 ms, and the busy day through Dagster's command line."""
    busy, quiet, week, unchanged = SCENES
    costs: Costs = {}
    # A week takes minutes, nearly all of it waiting: in another process, with another simulator, meanwhile.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as aside:
        in_a_while = aside.submit(slow_week, base.folder.with_name("slow_week"), days)
        base.server.set_latency(SLOW)
        say("300 ms: bare loop over a busy day; the sync of a week meanwhile")
        costs[busy, "bare loop"] = bare_loop(base.server, days.busy)
        say("300 ms: the busy day through Dagster's command line")
        whole = base.copy("slow_dagster").command_line(days.busy)
        say("300 ms: sync")
        costs[busy, "sync"] = base.copy("slow_busy").load(days.busy)
        costs[quiet, "sync"] = base.copy("slow_quiet").load(days.quiet)
        say("300 ms: waiting for the week")
        costs[week, "sync"], costs[unchanged, "sync"] = in_a_while.result()
    loop = costs[busy, "bare loop"]
    slower = loop.each - fast[busy, "bare loop"].each
    for scene in (quiet, week, unchanged):
        costs[scene, "bare loop"] = loop.times(fast[scene, "bare loop"].requests)
    for scene in SCENES:
        made, seconds, _ = fast[scene, "direct"]
        costs[scene, "direct"] = Cost(made, seconds + made * slower, measured=False)
    return costs, whole


def slow_week(folder: Path, days: Days) -> tuple[Cost, Cost]:
    """The sync of a week at 300 ms, and again with nothing changed."""
    with stand_in("bench-token-week") as server:
        project = proved(folder, server, days)
        server.set_latency(SLOW)
        return project.load(days.week), project.load(days.week)


# Printing


def say(text: str) -> None:
    """How far it is, beside the figures."""
    print(f"… {text}", file=sys.stderr, flush=True)


def table(*rows: Sequence[str]) -> str:
    """Markdown, aligned: the first column to the left, the others to the right. The first row is the head."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)),
        ]
        return f"| {' | '.join(cells)} |"

    ruler = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(rows[0]), line(ruler), *(line(row) for row in rows[1:])])


def seconds_and_ratio(cost: Cost, loop: Cost) -> tuple[str, str]:
    about = "" if cost.measured else "~"
    guessed = "" if cost.measured and loop.measured else "~"
    digits = 1 if cost.seconds < 10 else 0
    return f"{about}{cost.seconds:.{digits}f} s", f"{guessed}{cost.seconds / loop.seconds:.2f}"


def print_day(day: DayOfWindows, rounds: int) -> None:
    print(f"\nA day of 288 windows, each asked by itself, at 20 ms a request (median of {rounds}):\n")
    print(
        table(
            ("what", "seconds"),
            ("a bare loop over the windows", f"{day.loop:.1f}"),
            (
                "the start of one Dagster run: `dagster asset materialize` of an asset that does nothing",
                f"{day.start:.1f}",
            ),
            ("the same of an asset with 288 partitions that does nothing", f"{day.start_of_range:.1f}"),
            (
                "`dagster asset materialize` of the 288 windows, `direct: true`, start and all",
                f"{day.whole:.1f}",
            ),
            ("1.7 x the loop + the start", f"{day.limit:.1f}"),
        )
    )
    print(
        f"\n{day.whole:.1f} s is {day.whole / day.limit:.2f} of {day.limit:.1f} s"
        f" ({'within' if day.whole <= day.limit else 'OVER'} the limit)."
        f" Without the start it is {(day.whole - day.start) / day.loop:.2f} x the loop."
    )


def print_costs(fast: Costs, slow: Costs) -> None:
    print(
        "\nRequests and wall time, and the ratio to the bare loop (through the library, without Dagster):\n"
    )
    head = ["range", "how", "requests", "at 20 ms", "ratio"]
    rows = [head + (["at 300 ms", "ratio"] if slow else [])]
    for scene, way in itertools.product(SCENES, WAYS):
        row = [scene, way, f"{fast[scene, way].requests:,}"]
        for costs in (fast, slow):
            if costs:
                row += seconds_and_ratio(costs[scene, way], costs[scene, "bare loop"])
        rows.append(row)
    print(table(*rows))
    print("\n~ is worked out from the measured time of a request, not measured.")


def print_whole(latency: str, whole: Cost, loop: Cost) -> None:
    print(
        f"\nA busy day at {latency} a request through Dagster's command line, start and all: {whole.seconds:.0f} s"
        f" with {whole.requests} requests; a bare loop over its {loop.requests} windows: {loop.seconds:.0f} s"
        f" (ratio {whole.seconds / loop.seconds:.2f})."
    )


def print_history(rows: Sequence[Sequence[str]]) -> None:
    print("\nHistory through Dagster's command line, start and all, at no latency:\n")
    print(table(*rows))


def print_commits(rows: Sequence[Sequence[str]]) -> None:
    print("\nA live commit: three windows of one operation, stored and published.\n")
    print(table(*rows))


def print_ticks(rows: Sequence[Sequence[str]]) -> None:
    print("\nA tick: one window of each operation, each with a token of its own.\n")
    print(table(*rows))


def print_lake(tables: Sequence[Sequence[Sequence[str]]]) -> None:
    print("\nThe lake beside the local files.")
    for rows in tables:
        print(f"\n{table(*rows)}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description="What a day and a week cost.")
    parser.add_argument("--quick", action="store_true", help="at 20 ms only, one round: under two minutes")
    parser.add_argument(
        "--store", metavar="MB,MB", help="live commits in stores of these sizes, and nothing else"
    )
    parser.add_argument("--ticks", metavar="N,N", help="ticks of so many operations, and nothing else")
    parser.add_argument(
        "--history", action="store_true", help="a day and a month at no latency, and nothing else"
    )
    parser.add_argument("--lake", metavar="N", type=int, help="so many windows in a lake, and nothing else")
    arguments = parser.parse_args()
    if arguments.lake:
        print_lake(bench_lake.alone(arguments.lake))
        return 0
    if arguments.ticks:
        print_ticks(bench_ticks.alone([int(size) for size in arguments.ticks.split(",")]))
        return 0
    if arguments.store:
        print_commits(bench_commits.alone([int(size) for size in arguments.store.split(",")]))
        return 0
    quick = arguments.quick
    # So that a bench that is stopped ends its servers and removes its folder.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rounds = 1 if quick else 2
    began = time.perf_counter()
    days = choose_days()
    with tempfile.TemporaryDirectory(prefix="wolkvox-bench-") as folder, stand_in("bench-token") as server:
        base = proved(Path(folder, "proved"), server, days)
        print_history(history_at_no_latency(base, days, rounds))
        if arguments.history:
            return 0
        print_day(a_day_of_windows(base, days, rounds), rounds)
        fast = fast_costs(base, days, quick=quick)
        server.set_latency(FAST)
        say("20 ms: the busy day through Dagster's command line")
        fast_whole = base.copy("fast_dagster").command_line(days.busy)
        slow, slow_whole = ({}, None) if quick else slow_costs(base, days, fast)
        print_costs(fast, slow)
        busy_loop = (SCENES[0], "bare loop")
        print_whole("20 ms", fast_whole, fast[busy_loop])
        if slow_whole is not None:
            print_whole("300 ms", slow_whole, slow[busy_loop])
        print_commits(bench_commits.rows((40,) if quick else bench_commits.SIZES, Path(folder)))
        print_ticks(bench_ticks.rows((1, 10) if quick else bench_ticks.SIZES, Path(folder)))
        print_lake(bench_lake.rows(40 if quick else bench_lake.WINDOWS, Path(folder, "lakes")))
        if CHROMIUM:
            say("pages of Dagster's UI with a year of windows")
            print(f"\n{table(*bench_year.rows(Path(folder, 'year')))}")
    load = " ".join(f"{average:.1f}" for average in os.getloadavg())
    print(
        f"\nMeasured in {time.perf_counter() - began:.0f} s on {os.cpu_count()} cores, load averages at the end {load}."
        "\nOther work on the machine moves times, and ratios less; the bench itself keeps about one core busy."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
