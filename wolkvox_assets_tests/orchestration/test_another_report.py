"""A report that is made up (`made_up_report.py`), from the simulator to SQL, by itself and beside `agent_9`.

What belongs here: that its description is all that it takes, and that two reports never mix. What doesn't: what is the
same for every report.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from wolkvox_assets.alerts.troubles import troubles
from wolkvox_assets.checks import Look, checks_of, evaluate, newest_of
from wolkvox_assets.commands import status
from wolkvox_assets.orchestration.instance import internals
from wolkvox_assets.report.definition import Measure, Report, Unit
from wolkvox_assets.report.reports import AGENT_9, REPORTS
from wolkvox_assets.report.windows import WINDOW
from wolkvox_assets.settings import Operation
from wolkvox_assets.simulator import Centre, Simulator
from wolkvox_assets.simulator.centre import Use
from wolkvox_assets.store.schema import schema, views
from wolkvox_assets.sync.sums import may_be_busy
from wolkvox_assets_tests import made_up_report
from wolkvox_assets_tests.made_up_report import AGENT_77
from wolkvox_assets_tests.orchestration.automation.conftest import DAY, HOUR, Location, located, noon
from wolkvox_assets_tests.project import ROOT

SECOND = timedelta(seconds=1)
OF_AGENT_9 = re.compile(r"agent_9|hold_|on hold|used hold|mute", re.IGNORECASE)


@dataclass
class Keeping:
    """A code location, and which reports it keeps."""

    location: Location

    def these(self, *reports: Report, **settings: str) -> None:
        REPORTS[:] = reports
        self.location.reload(**settings)

    def load(self, day: str, *assets: str) -> None:
        """A run for a day: of windows, or of totals."""
        first, last = (f"{day}T00:00", f"{day}T23:55") if len(assets) == 1 else (day, day)
        done = self.location.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.location.instance,
            asset_selection=[dg.AssetKey(["main", asset]) for asset in assets],
            tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last},
        )
        assert done.success

    def query(self, sql: str) -> list[tuple[object, ...]]:
        return self.location.project.query(sql)

    def rows(self, report: Report) -> list[tuple[object, ...]]:
        return self.query(
            f"SELECT window_start, agent_name, {', '.join(report.columns)} FROM {report.names.windows} ORDER BY ALL"
        )

    def true_rows(self, report: Report, first: datetime, windows: int) -> list[tuple[object, ...]]:
        truth = self.location.project.simulator.truth
        return [
            (start, agent, *usage)
            for start in (first + n * WINDOW for n in range(windows))
            for agent, usage in sorted(truth(start, start + WINDOW - SECOND, report=report).items())
        ]

    def marked(self, asset: str) -> set[str]:
        return self.location.instance.get_materialized_partitions(dg.AssetKey(["main", asset]))


@pytest.fixture
def keeping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeping]:
    """History begins on the day before the one that the clock shows."""
    before = list(REPORTS)
    start = noon().date() - DAY
    with (
        Simulator(Centre(4, profile="around_the_clock")) as simulator,
        located(tmp_path, simulator, start, monkeypatch) as location,
    ):
        yield Keeping(location)
    REPORTS[:] = before


def test_the_contributors_page_shows_its_file() -> None:
    page = (ROOT / "docs" / "contributing.md").read_text("utf-8")
    assert f"```python\n{Path(made_up_report.__file__).read_text('utf-8')}```" in page


def test_counts_alone_are_a_report_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """No duration, no total: each table, view and check can do without."""
    counts = [measure for measure in AGENT_77.measures if measure.unit is Unit.COUNT]
    counting = replace(AGENT_77, measures=(*counts, Measure("lost_count", "lost", Unit.COUNT, "Lost calls.")))
    monkeypatch.setattr("wolkvox_assets.store.schema.REPORTS", [counting])
    operation = Operation(server="0013", start=noon().date()).keeping(counting)
    with duckdb.connect() as con:
        con.execute(schema() + views())
        con.execute(
            f"INSERT INTO {counting.names.windows} SELECT 'main', w, w, w::DATE, 'Ana', 400, 1 FROM (SELECT $w AS w)",
            {"w": datetime(2026, 11, 16, 8)},
        )
        results = evaluate(Look(con, operation, noon()), checks_of(counting))
        assert con.execute(f"SELECT place FROM {counting.names.day_share}").fetchall() == []
    failed = {result.check.name for result in results if not result.passed}
    assert {"plausible_numbers", "rows_match_the_window_log", "equals_its_windows"} <= failed
    assert "no_negative_numbers" not in failed
    busy = {"Ana": counting.usage(60, 3)}
    assert may_be_busy(busy)
    assert not may_be_busy({"Ana": AGENT_77.usage(60, 3, 3)})


def test_by_itself_it_goes_all_the_way_and_nothing_speaks_of_another(keeping: Keeping) -> None:
    keeping.these(AGENT_77)
    location, names = keeping.location, AGENT_77.names
    yesterday = location.midnight - DAY
    day = f"{yesterday:%Y-%m-%d}"

    # A day of windows, exact, with its totals and views.
    keeping.load(day, names.windows)
    assert keeping.rows(AGENT_77) == keeping.true_rows(AGENT_77, yesterday, 288)
    keeping.load(day, names.agent_days, names.operation_days)
    truth = location.project.simulator.truth(yesterday, yesterday + DAY - SECOND, report=AGENT_77)
    assert keeping.query(
        f"SELECT agent_name, {', '.join(AGENT_77.columns)} FROM {names.agent_days} ORDER BY ALL"
    ) == [(agent, *usage) for agent, usage in sorted(truth.items())]
    in_all = tuple(map(sum, zip(*truth.values(), strict=True)))
    sums = ", ".join(f"SUM({column})::BIGINT" for column in AGENT_77.columns)
    for table in (names.operation_days, names.by_hour, names.day_share):
        assert keeping.query(f"SELECT {sums} FROM {table}") == [in_all]
    assert keeping.query(f"FROM {names.days_not_complete}") == []
    assert keeping.marked(names.agent_days) == keeping.marked(names.operation_days) == {day}
    counters = location.project.simulator.counters
    assert set(counters.by_api) == {"agent_77", "token_info"}
    assert counters.most_in_flight == 1

    # Its checks were made by these runs, and pass; none is about a total that it hasn't got.
    checks = [check for check in checks_of(AGENT_77) if check is not newest_of(AGENT_77)]
    keys = [dg.AssetCheckKey(dg.AssetKey(["main", check.asset]), check.name) for check in checks]
    assert internals.not_passed(location.instance, keys) == {}
    assert {check.name for check in checks_of(AGENT_9)} - {check.name for check in checks_of(AGENT_77)} == {
        "total_is_hold_plus_mute"
    }

    # A late record is found by a repeat, and told.
    window = yesterday + 9 * HOUR
    location.project.simulator.centre.add(Use(window, "Ana", "hold", 30))
    keeping.load(day, names.windows)
    assert keeping.rows(AGENT_77) == keeping.true_rows(AGENT_77, yesterday, 288)
    assert keeping.query(
        f"SELECT window_start, agent_name, old_value, new_value FROM {names.corrections}"
        " WHERE column_name = 'call_count'"
    ) == [(window, "Ana", 0, 1)]

    # What is wrong is seen.
    with location.project.store.transaction() as con:
        con.execute(f"UPDATE {names.windows} SET talk_seconds = -1 WHERE agent_name = 'Ana'")
    with location.project.sql() as con:
        results = evaluate(Look(con, location.operation, location.now), checks)
        failed = {f"{one.check.asset}/{one.check.name}" for one in results if not one.passed}
        written = con.execute(
            "SELECT concat_ws(' ', table_name, comment) FROM duckdb_tables() UNION ALL"
            " SELECT concat_ws(' ', view_name, comment) FROM duckdb_views() WHERE NOT internal UNION ALL"
            " SELECT concat_ws(' ', column_name, comment) FROM duckdb_columns() WHERE NOT internal UNION ALL"
            " SELECT concat_ws(' ', api, msg, body) FROM api_requests"
        ).fetchall()
    assert failed == {
        f"{names.windows}/no_negative_numbers",
        f"{names.agent_days}/equals_its_windows",
        f"{names.operation_days}/equals_its_windows",
    }

    # Nothing that people read speaks of another report.
    specs = location.definitions.resolve_all_asset_specs()
    logs = [one for run in location.instance.get_runs() for one in location.instance.all_logs(run.run_id)]
    texts = [
        *(text for (text,) in written),
        *(f"{spec.key} {spec.description} {spec.metadata}" for spec in specs),
        *(f"{one.name} {one.asset} {one.holds} {one.wrong} {one.remedy}" for one in checks),
        *(f"{one.user_message} {one.dagster_event}" for one in logs),
    ]
    assert [text for text in texts if OF_AGENT_9.search(text)] == []


def test_beside_another_each_has_its_own_and_one_tick_serves_both(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    location, api = keeping.location, keeping.location.project.simulator.api
    location.project.start = location.now.date()
    location.now -= 10 * HOUR + 55 * timedelta(minutes=1)  # 01:06
    with location.project.store.transaction():
        pass  # a store from before there was a second report; and what this process remembers of it, another doesn't
    monkeypatch.setattr("wolkvox_assets.store.integrity._left", {})
    keeping.these(AGENT_9, AGENT_77, WOLKVOX_PARQUET="on")

    # A server that lacks one of them: the other is loaded all the same.
    api.reports = [AGENT_9]
    assert not location.live().success
    assert keeping.rows(AGENT_9) == keeping.true_rows(AGENT_9, location.midnight, 13)
    assert keeping.rows(AGENT_77) == []
    assert [len(keeping.query(f"FROM {r.names.failed_attempts}")) for r in (AGENT_9, AGENT_77)] == [0, 1]
    assert set(troubles(location.code.settings, location.now)) == {"main_agent_77: UnknownReport"}

    api.reports = [AGENT_9, AGENT_77]
    location.now += 6 * HOUR
    assert location.live().success
    windows = 13 + 72
    for report in (AGENT_9, AGENT_77):
        names = report.names
        assert keeping.rows(report) == keeping.true_rows(report, location.midnight, windows)
        assert len(keeping.marked(names.windows)) == windows
        assert keeping.query(f"SELECT windows_known FROM {names.operation_days}") == [(windows,)]
        assert len(keeping.query(f"FROM {names.total_row_verdicts}")) == 1
    counters = location.project.simulator.counters
    assert counters.most_in_flight == 1
    made = keeping.query("SELECT api, COUNT(*) FROM api_requests GROUP BY ALL")
    assert dict(made) == dict(counters.by_api)  # type: ignore[arg-type]  # VARCHAR, BIGINT

    assert {sensor.name for sensor in location.definitions.sensors or ()} == {
        *("alerts", "main_gaps", "main_agent_77_gaps"),
    }
    assert status.run(as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)["operations"]
    assert {one["operation"]: one["stored"]["known"] for one in shown} == {
        "main": windows,
        "main_agent_77": windows,
    }
    export = location.definitions.resolve_job_def("export_parquet")
    assert export.execute_in_process(instance=location.instance, raise_on_error=False).success
    folders = {file.name for file in (location.project.folder / "data" / "parquet").iterdir()}
    assert folders == {*AGENT_9.names.published, *AGENT_77.names.published}
