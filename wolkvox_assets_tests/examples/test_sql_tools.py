"""The published file is read with the tools that people have, while it is published anew all the time.

What belongs here: each tool as a process of its own, from the environment that `make test` installs. What doesn't:
other versions of DuckDB (`store/test_versions.py`). JDBC and ODBC drivers are not tried: they are on no registry that
the tests can rest on.
"""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from wolkvox_assets.report.measures import Usage
from wolkvox_assets.store.daily import rebuild_days
from wolkvox_assets.store.files import FileStore
from wolkvox_assets_tests.project import ROOT, utc_now
from wolkvox_assets_tests.store.tables import agent_9, content, replace_windows, window

TOOLS = ROOT / ".sqltools" / "bin"
SUMS = (
    "SELECT (SELECT SUM(hold_seconds) FROM agent_9_windows)::BIGINT AS windows,"
    " (SELECT SUM(hold_seconds) FROM agent_hold_mute_daily)::BIGINT AS agents,"
    " (SELECT SUM(hold_seconds) FROM operation_hold_mute_daily)::BIGINT AS operations"
)

READERS = {
    "duckdb": "import duckdb; row = duckdb.connect(file, read_only=True).execute(sql).fetchone()",
    "pandas": "import duckdb; row = duckdb.connect(file, read_only=True).sql(sql).df().iloc[0].tolist()",
    "polars": "import duckdb; row = duckdb.connect(file, read_only=True).sql(sql).pl().row(0)",
    "sqlalchemy": """
from sqlalchemy import create_engine, inspect, text
engine = create_engine(f"duckdb:///{file}", connect_args={"read_only": True})
assert "agent_9_windows" in inspect(engine).get_table_names()
with engine.connect() as con:
    row = con.execute(text(sql)).fetchone()
""",
    "ibis": """
import ibis
con = ibis.duckdb.connect(file, read_only=True)
row = [
    con.table(name).hold_seconds.sum().execute()
    for name in ("agent_9_windows", "agent_hold_mute_daily", "operation_hold_mute_daily")
]
""",
}


def store_some(store: FileStore, seconds: int) -> None:
    with store.transaction() as con:
        usage = Usage(1, seconds, 1, seconds + 1)
        replace_windows(
            agent_9(con), [content(window(n), {"Ana Núñez": usage}) for n in range(20)], run_id="r"
        )
        rebuild_days(agent_9(con), {window(0).date(): 20}, utc_now())


@pytest.fixture
def published(store: FileStore) -> Iterator[Path]:
    """A file whose numbers change all the time; what belongs together changes together."""
    store_some(store, 1)
    stop, again = threading.Event(), threading.Event()

    def publish() -> None:
        seconds = 1
        while not stop.wait(0.1):
            seconds += 1
            store_some(store, seconds)
            again.set()

    thread = threading.Thread(target=publish)
    thread.start()
    again.wait(30)
    yield store.published
    stop.set()
    thread.join()
    assert query_one(store.published, SUMS)[0] > 20, "it was published anew"


def query_one(file: Path, sql: str) -> tuple[int, ...]:
    with duckdb.connect(file, read_only=True) as con:
        row = con.execute(sql).fetchone()
    assert row is not None
    return row


def tool(name: str, *arguments: str, **environment: str) -> str:
    program = TOOLS / name
    assert program.exists(), f"{name} is not installed in {TOOLS}: run make test"
    done = subprocess.run(
        [str(program), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("reader", READERS)
def test_from_python(reader: str, published: Path) -> None:
    read = f"import json, sys\nfile, sql = sys.argv[1:]\n{READERS[reader]}\nprint(json.dumps([int(n) for n in row]))"
    windows, agents, operations = json.loads(tool("python", "-c", read, str(published), SUMS))
    assert windows == agents == operations > 0


def test_with_the_duckdb_command_line(published: Path) -> None:
    (row,) = json.loads(tool("duckdb", "-readonly", "-json", str(published), SUMS))
    assert row["windows"] == row["agents"] == row["operations"] > 0


def test_with_dbt(published: Path, tmp_path: Path) -> None:
    """The project that is bundled as an example."""
    project = str(ROOT / "examples" / "dbt")
    own = tmp_path / "hold_and_mute.duckdb"
    folders = ["--target-path", str(tmp_path / "target"), "--log-path", str(tmp_path / "logs")]
    tool(
        "dbt",
        *("build", "--project-dir", project, "--profiles-dir", project, *folders),
        WOLKVOX_DUCKDB=str(published),
        HOLD_AND_MUTE_DUCKDB=str(own),
        DBT_SEND_ANONYMOUS_USAGE_STATS="false",
    )
    days, weeks = query_one(
        own,
        "SELECT (SELECT SUM(hold_seconds) FROM complete_days), (SELECT SUM(hold_seconds) FROM agent_weeks)",
    )
    assert days > 0
    assert days % 20 == weeks % 20 == 0, "each of twenty windows has the same seconds"
