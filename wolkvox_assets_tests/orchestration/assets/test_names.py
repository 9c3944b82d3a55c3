"""Agents' names that are no names: from a real server to the published file, and to all that people see."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from wolkvox_assets.commands import doctor, source
from wolkvox_assets.simulator import Centre, Simulator, Use
from wolkvox_assets_tests.project import Project

DAY = date(2026, 11, 18)

NAMES = [
    "![x](http://evil.example/x.png)",
    "<img src=x onerror=alert(1)>",
    "a | b | c",
    "\x1b[31mred\x1b[0m\x07",
    "right\u202eleft\u2066",
    "zero\u200bwidth",
    "nul\x00nul",
    "nul",
    "'; DROP TABLE agent_9_windows; --",
    "{0} %s {name!r}",
    "Ana",
    "ANA",
    "Ana 😀",
    "x" * 1_000_000,
    "x" * 1_000_000 + "y",
]


def test_names_are_stored_as_they_are_and_shown_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Simulator(Centre(1, profile="empty")) as simulator:
        project = Project(tmp_path, simulator, DAY)
        window = project.windows_of(DAY)[120]
        simulator.centre.add(*(Use(window, name, "hold", n) for n, name in enumerate(NAMES, start=1)))
        seen: list[Sequence[dg.EventLogEntry]] = []
        with dg.DagsterInstance.ephemeral() as instance:
            for _ in range(2):
                result = project.materialize(
                    "agent_9_windows", monkeypatch, partition=f"{window:%Y-%m-%dT%H:%M}", instance=instance
                )
                assert result.success
                assert [(row[1], row[3]) for row in project.rows()] == sorted(
                    (name, n * (1 + len(seen))) for n, name in enumerate(NAMES, start=1)
                )
                # Late records: each number is another, and in the table of corrections.
                simulator.centre.add(*(Use(window, name, "hold", n) for n, name in enumerate(NAMES, start=1)))
                seen.append(instance.all_logs(result.run_id))
        [metadata] = [
            event.dagster_event.asset_observation_data.asset_observation.metadata
            for event in seen[1]
            if event.dagster_event and event.dagster_event.event_type_value == "ASSET_OBSERVATION"
        ]
        table = str(metadata["corrections"].value)
        assert len(table) < 50_000
        assert "<img" not in table
        assert "![" not in table
        doctor.run()
        source.run("main", keep=False, move_to=None, drop=False)
        shown = [*table.splitlines(), *capsys.readouterr().out.splitlines()]
        shown += [
            line for events in seen for event in events for line in (event.user_message or "").splitlines()
        ]
        assert all(line.isprintable() for line in shown), [line for line in shown if not line.isprintable()]
        assert max(map(len, shown)) < 5_000
