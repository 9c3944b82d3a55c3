"""`make demo`: a finished day from the simulator, through Dagster, to SQL, compared with the truth.

What belongs here: the show. It runs the same commands a person would type, in a folder of its own
(`data/demo`), so that it touches neither this project's settings nor its data.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import duckdb

from wolkvox_assets.report.measures import Usage
from wolkvox_assets.report.windows import WallClock
from wolkvox_assets.simulator import Simulator
from wolkvox_assets.store import Store, sources
from wolkvox_assets.store.disk import make_folder
from wolkvox_assets.store.files import PUBLISHED, FileStore

_ZONE = "America/Bogota"


def run() -> int:
    """Run the demo and print it. Returns the exit code: 0 when the totals equal the simulator's truth."""
    folder = Path("data", "demo").absolute()
    make_folder(folder)
    settings = Path("dagster.yaml")
    if settings.exists():
        shutil.copyfile(settings, folder / "dagster.yaml")
    day = _last_office_day()
    with _running_simulator(FileStore(folder)) as simulator:
        print(f"The simulator answers at {simulator.url}. Loading {day:%A %Y-%m-%d} from it:")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WOLKVOX_")}
        environment |= {
            "WOLKVOX_BASE_URL": simulator.url,
            "WOLKVOX_SERVER": "0000",
            "WOLKVOX_TOKEN": simulator.token,
            "WOLKVOX_TIMEZONE": _ZONE,
            "WOLKVOX_START": f"{day}",
            "WOLKVOX_DATA_DIR": str(folder),
            "DAGSTER_HOME": str(folder),
        }
        windows = ["--select", "main/agent_9_windows", "--partition-range", f"{day}T00:00...{day}T23:55"]
        days = [
            "--select",
            "main/agent_hold_mute_daily,main/operation_hold_mute_daily",
            "--partition",
            f"{day}",
        ]
        for arguments in (windows, days):
            if not _materialize(arguments, environment, folder):
                return 1
        start = datetime.combine(day, datetime.min.time())
        truth = simulator.truth(start, start + timedelta(days=1, seconds=-1))
        requests = simulator.counters.requests
    return _show(folder / PUBLISHED, day, truth, requests)


@contextmanager
def _running_simulator(store: Store) -> Iterator[Simulator]:
    """The made-up centre, at the address of the last time: from another one, its stored day would be refused."""
    with store.reading() as con:
        known = sources.recorded(con, "main") if con else None
    last_port = urlsplit(known[0].address).port if known else None
    try:
        simulator = Simulator(address=("127.0.0.1", last_port or 0)).start()
    except OSError:  # another program has the port now
        simulator = Simulator().start()
    try:
        if known is not None and known[0].address != simulator.url:
            with store.transaction() as con:  # it is the same centre all the same
                sources.keep(con, "main", known[0]._replace(address=simulator.url))
        yield simulator
    finally:
        simulator.stop()


def _last_office_day() -> date:
    day = WallClock(_ZONE).now(datetime.now(UTC)).date() - timedelta(days=1)
    while day.weekday() > 4:
        day -= timedelta(days=1)
    return day


def _materialize(arguments: list[str], environment: dict[str, str], folder: Path) -> bool:
    command = ["dagster", "asset", "materialize", *arguments, "-m", "wolkvox_assets.definitions"]
    print(f"  $ {' '.join(command)}", flush=True)
    log = folder / "demo.log"
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        for line in process.stdout or ():
            file.write(line)
            if " requests made, " in line:
                print("    " + line.rsplit(" - ", 1)[-1].strip(), flush=True)
    if process.returncode:
        print(f"that failed; {log} has the whole output, which ends with:\n{log.read_text('utf-8')[-3000:]}")
    return process.returncode == 0


def _show(published: Path, day: date, truth: dict[str, Usage], requests: int) -> int:
    totals = (
        "SELECT agent_name, hold_mute_count, hold_seconds, mute_seconds, total_seconds, active_windows"
        f" FROM agent_hold_mute_daily WHERE local_date = '{day}' ORDER BY total_seconds DESC"
    )
    operation = f"SELECT * EXCLUDE (operation) FROM operation_hold_mute_daily WHERE local_date = '{day}'"
    with duckdb.connect(published, read_only=True) as con:
        stored = {row[0]: Usage(*row[1:5]) for row in con.execute(totals).fetchall()}
        print(f"\nThe day by agent, as anyone can ask for it:\n  {totals};")
        con.sql(totals).show(max_rows=60)
        print(f"and the operation:\n  {operation};")
        con.sql(operation).show(max_width=200)
    equal = stored == truth
    print(
        f"Equal to the simulator's own truth: {'yes' if equal else 'NO'} ({len(truth)} agents, {requests} requests)."
    )
    print(f"The published file: {published}")
    print(f"The day as a page:  {published.parent / 'reports' / 'main' / f'{day}.html'}")
    return 0 if equal else 1
