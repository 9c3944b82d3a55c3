"""What `wolkvox-assets status` says, without a request."""

import errno
import json
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from wolkvox_assets.commands.cli import main
from wolkvox_assets.report.windows import WallClock
from wolkvox_assets.settings import load_settings
from wolkvox_assets.simulator import Centre, Operation, Simulator
from wolkvox_assets.store.attempts import FailedAttempt, FailureScope, Work, record_attempt
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.quota_readings import QuotaReading, record_quota
from wolkvox_assets_tests.project import Project
from wolkvox_assets_tests.store.tables import agent_9, content, replace_windows

TODAY = WallClock("America/Bogota").now(datetime.now(UTC)).date()
TOKEN = "a-token-that-nobody-must-see-7391"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """History begins the day before yesterday."""
    with Simulator(Operation(Centre(12, profile="around_the_clock"), tokens=[TOKEN])) as simulator:
        project = Project(tmp_path, simulator, TODAY - timedelta(days=2))
        for name, value in project.settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield project


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(["status", *arguments])
    output = capsys.readouterr().out
    assert TOKEN not in output
    return end.value.code, output


def test_nothing_is_stored_yet(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    code, output = said(capsys)
    assert code == 0
    title, row, missing = output.splitlines()
    assert title.split()[:4] == ["operation", "newest", "window", "known"]
    assert row.split()[:3] == ["main", "none", "0"]
    assert missing.startswith(f"main: missing from {project.start} on: {project.start} 00:00:00 to ")
    assert project.simulator.counters.requests == 0
    assert not FileStore(project.folder / "data").own.exists()


def test_a_day_is_stored_and_the_token_is_refused(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    day = project.start + timedelta(days=1)
    result = project.materialize(
        "agent_9_windows", monkeypatch, partition_range=(f"{day}T00:00", f"{day}T23:55")
    )
    assert result.success
    with project.store.transaction() as con:
        failed = FailedAttempt(
            Work.LIVE, datetime.now(UTC), FailureScope.TEMPORARY, "TimedOut", "No answer.", "", "a-run"
        )
        record_attempt(agent_9(con), failed)
    project.simulator.reset_counters()
    code, output = said(capsys, "--json")
    assert code == 0
    content = json.loads(output)
    assert content["problems"] == []
    (status,) = content["operations"]
    assert status["operation"] == "main"
    stored = status["stored"]
    assert stored["newest_window"] == f"{day} 23:55:00"
    assert (stored["known"], stored["days_complete"], stored["days_not_complete"]) == (288, 1, 0)
    assert stored["quota_limit"] == 12_000
    assert status["missing"] >= 288
    assert status["missing_in"][-1] == f"{project.start} 00:00:00 to {project.start} 23:59:59"
    assert "TimedOut" in status["waits"]["live"]
    assert project.simulator.counters.requests == 0
    _, output = said(capsys)
    assert "288" in output.splitlines()[1]
    read_at = datetime.fromisoformat(stored["quota_read_at"])
    assert f"{stored['quota_used']} of 12000 at {read_at:%m-%d %H:%M} UTC" in output.splitlines()[1]
    assert (
        "main: waits (live): operation main: one attempt failed (live) with TimedOut in run a-run" in output
    )


def test_a_quota_that_was_not_read_today(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    now = datetime.now(UTC)
    for days, told in ((0, False), (2, True)):
        with project.store.transaction() as con:
            con.execute("DELETE FROM quota_readings")
            read_at = now - timedelta(days=days)
            record_quota(con, "main", QuotaReading(read_at, 12_000, 7), run_id="made-up")
        _, output = said(capsys)
        words = (
            f"main: the quota was last read on {read_at:%Y-%m-%d %H:%M} UTC: what is used today is not known"
        )
        assert (words in output.splitlines()) is told


def test_without_an_operation_it_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings().operations == ()
    code, output = said(capsys)
    assert code == 1
    assert output.startswith("invalid settings: no operation is configured.")


def test_a_backup_in_a_folder_that_may_not_be_written_is_read(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with project.store.transaction() as con:
        replace_windows(agent_9(con), [content(datetime.combine(project.start, time()))], run_id="run")
    project.store.own.unlink()

    def read_only(folder: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", f"{folder}")

    monkeypatch.setattr("wolkvox_assets.store.files.locks_tried", read_only)
    code, output = said(capsys)
    assert code == 0
    assert output.splitlines()[1].split()[:4] == ["main", f"{project.start}", "00:00", "1"]
    assert not project.store.own.exists()
