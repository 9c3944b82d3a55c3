"""The published file is read with every DuckDB from 1.2 to 2.0: BI tools and drivers carry versions of their own.

`make test` installs them, each in a folder of its own under `.duckdb/`, from the files `duckdb-<version>.txt`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from wolkvox_assets.report.measures import Usage
from wolkvox_assets.store.daily import rebuild_days
from wolkvox_assets.store.files import FileStore
from wolkvox_assets_tests.project import utc_now
from wolkvox_assets_tests.store.tables import agent_9, content, query, replace_windows, window

ROOT = Path(__file__).parents[2]
VERSIONS = sorted(path.stem.removeprefix("duckdb-") for path in Path(__file__).parent.glob("duckdb-*.txt"))

READ = """
import duckdb, json, sys
con = duckdb.connect(sys.argv[1], read_only=True)
tables = [row[0] for row in con.execute(
    "SELECT table_name FROM duckdb_tables() UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal"
).fetchall()]
print(json.dumps([duckdb.__version__, {t: sorted(map(repr, con.execute(f"FROM {t}").fetchall())) for t in tables}]))
"""


def test_the_oldest_and_the_newest_are_among_them() -> None:
    minors = {tuple(map(int, version.split(".")[:2])) for version in VERSIONS}
    own = tuple(map(int, duckdb.__version__.split(".")[:2]))
    assert minors | {own} == {(1, 2), (1, 3), (1, 4), (1, 5), (2, 0)}


@pytest.mark.parametrize("version", [*VERSIONS, duckdb.__version__])
def test_every_table_and_view_is_read(version: str, store: FileStore) -> None:
    with store.transaction() as con:
        replace_windows(
            agent_9(con),
            [content(window(n), {"Ana Núñez": Usage(n, 1, 2, 3)}) for n in range(20)],
            run_id="r",
        )
        rebuild_days(agent_9(con), {window(0).date(): 288}, utc_now())
        con.execute(
            "INSERT INTO api_requests (operation, requested_at, api, seconds, run_id, body)"
            " SELECT 'main', now()::TIMESTAMP, 'agent_9', 0.5, 'r', repeat('ñ', 5000) || i FROM range(50) r(i)"
        )
    assert ("ZSTD",) in query(
        store.published,
        "SELECT compression FROM pragma_storage_info('api_requests') WHERE column_name = 'body'",
    )
    place = ROOT / ".duckdb" / version
    if version != duckdb.__version__:
        assert (place / "ready").exists(), f"DuckDB {version} is not installed in {place}: run make test"
    # Without the project's environment its own DuckDB is not there.
    path = str(place) if version != duckdb.__version__ else str(Path(duckdb.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-S", "-c", READ, str(store.published)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    used, found = json.loads(done.stdout)
    assert used == version
    with duckdb.connect(store.published, read_only=True) as con:
        tables = [
            row[0]
            for row in con.execute(
                "SELECT table_name FROM duckdb_tables()"
                " UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal"
            ).fetchall()
        ]
        expected = {t: sorted(map(repr, con.execute(f"FROM {t}").fetchall())) for t in tables}
    assert found == expected
    assert len(found["agent_9_windows"]) == 20
    assert len(found["agent_day_share"]) == len(found["days_not_complete"]) == 1
