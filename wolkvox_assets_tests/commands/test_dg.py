"""Dagster's own command line of today, `dg`, works in a checkout."""

import json
import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from wolkvox_assets.simulator import Centre, Simulator
from wolkvox_assets_tests import ALL_REPORTS
from wolkvox_assets_tests.project import ROOT, Project

DAY = date(2026, 11, 18)


def dg(project: Project, *arguments: str) -> str:
    environment = {**os.environ, **project.settings, "DAGSTER_HOME": str(project.home), "CI": "1"}
    shutil.copyfile(ROOT / "pyproject.toml", project.home / "pyproject.toml")
    shutil.copytree(ROOT / "wolkvox_assets", project.home / "wolkvox_assets", dirs_exist_ok=True)
    done = subprocess.run(
        [str(Path(sys.executable).with_name("dg")), *arguments],
        cwd=project.home,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.simulator.token not in done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.long
def test_it_checks_lists_and_launches(tmp_path: Path) -> None:
    with Simulator(Centre(5)) as simulator:
        project = Project(tmp_path, simulator, DAY)
        assert "All definitions loaded successfully" in dg(project, "check", "defs")
        listed = dg(project, "list", "defs", "--json")
        keys = {asset["asset_key"] for asset in json.loads(listed[listed.index("{") :])["assets"]}
        of_reports = {
            f"main/{name}"
            for report in ALL_REPORTS
            for name in (
                f"wolkvox_{report.api}",
                report.names.windows,
                report.names.agent_days,
                report.names.operation_days,
            )
        }
        assert keys == of_reports | {"wolkvox_duckdb"}
        hour = f"{DAY}T09:00...{DAY}T09:55"
        dg(project, "launch", "--assets", "main/agent_9_windows", "--partition-range", hour)
        assert project.rows() == project.true_rows(project.known())
        assert len(project.known()) == 12
