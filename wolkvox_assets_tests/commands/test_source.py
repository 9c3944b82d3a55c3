"""Stored data of one server or time zone never passes for another's; and the ways out of it."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from wolkvox_assets.commands.cli import main
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.settings import load_settings
from wolkvox_assets.simulator import Centre, Operation, Simulator
from wolkvox_assets.store import sources
from wolkvox_assets.store.attempts import FailureScope, Work, failed_attempts
from wolkvox_assets_tests.project import Command, Project

DAY = date(2026, 11, 18)
MORNING = (f"{DAY}T09:00", f"{DAY}T09:55")
NOON = (f"{DAY}T12:00", f"{DAY}T12:55")

Say = Callable[..., tuple[int | str | None, str]]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """With an hour of the simulator's stored. Nothing is to be changed in it: copy it."""
    folder = tmp_path_factory.mktemp("stored")
    with pytest.MonkeyPatch.context() as patch, Simulator(Centre(5)) as simulator:
        patch.chdir(folder)
        project = Project(folder, simulator, DAY)
        assert load(project, patch).success
        yield project


@pytest.fixture
def stand_in(stored: Project) -> Simulator:
    stored.simulator.reset_counters()
    return stored.simulator


@pytest.fixture
def real() -> Iterator[Simulator]:
    """Another centre at another address, with the same token."""
    with Simulator(Centre(7, seed=99)) as simulator:
        yield simulator


@pytest.fixture
def project(tmp_path: Path, stored: Project, stand_in: Simulator) -> Project:
    shutil.copytree(stored.store.folder, tmp_path / "data")
    return Project(tmp_path, stand_in, DAY)


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """`wolkvox-assets …` with the project's settings: its exit code (or last words), and what it printed."""

    def run(project: Project, *arguments: str, **settings: str) -> tuple[int | str | None, str]:
        for name, value in {**project.settings, **settings}.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        said = capsys.readouterr()
        return end.value.code, said.out + said.err

    return run


def load(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    windows: tuple[str, str] = MORNING,
    instance: dg.DagsterInstance | None = None,
) -> dg.ExecuteInProcessResult:
    return project.materialize("agent_9_windows", monkeypatch, partition_range=windows, instance=instance)


def why(result: dg.ExecuteInProcessResult) -> str:
    (failure,) = (event for event in result.all_events if event.is_step_failure)
    data = failure.step_failure_data.user_failure_data
    assert data is not None
    return str(data.description)


def everything(project: Project) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables, but for what failed."""
    tables = [str(row[0]) for row in project.query("SELECT table_name FROM duckdb_tables()")]
    return {
        t: sorted(project.query(f"FROM {t}"), key=repr)
        for t in tables
        if t not in {"schema_version", "store_rewrites", "failed_attempts"}
    }


def test_another_server_is_refused_before_it_is_asked(
    project: Project, stand_in: Simulator, real: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(project)
    project.simulator = real
    for windows in (MORNING, NOON):
        result = load(project, monkeypatch, windows)
        assert not result.success
        for words in ("operation main", stand_in.url, real.url, "--keep", "--move-to NAME", "--drop"):
            assert words in why(result)
    assert real.counters.requests == 0
    with project.store.transaction() as con:
        met = [(failed.work, failed.error, failed.scope) for failed in failed_attempts(con, AGENT_9)["main"]]
        con.execute("DELETE FROM failed_attempts")
    assert met == [(Work.RANGE, "OtherSource", FailureScope.OPERATION)] * 2
    assert everything(project) == before


@pytest.mark.parametrize("asset", ["agent_hold_mute_daily", "operation_hold_mute_daily"])
def test_the_totals_are_not_rebuilt_either(
    asset: str, project: Project, real: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert project.materialize(asset, monkeypatch, partition=f"{DAY}").success
    project.simulator = real
    assert real.url in why(project.materialize(asset, monkeypatch, partition=f"{DAY}"))


@pytest.mark.parametrize(
    ("variable", "value"), [("WOLKVOX_SERVER", "0014"), ("WOLKVOX_TIMEZONE", "America/Santiago")]
)
def test_another_server_code_or_time_zone_is_refused(
    variable: str, value: str, project: Project, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(project)
    project.simulator.reset_counters()
    monkeypatch.setattr(Project, "settings", {**project.settings, variable: value})
    assert value in why(load(project, monkeypatch))
    assert project.simulator.counters.requests == 0
    code, said = say(project, "doctor")
    assert code == 1
    assert re.search(f"WRONG  main: source .*{value}", said)
    assert everything(project) == before


def test_the_doctor_says_it_with_the_same_words(
    project: Project, real: Simulator, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = say(project, "doctor")
    assert code == 0
    assert f"stored data is from {project.simulator.url} (server code 0013" in said
    project.simulator = real
    words = why(load(project, monkeypatch))
    code, said = say(project, "doctor")
    assert code == 1
    assert f"WRONG  main: source       {words}\n" in said


@pytest.mark.parametrize("spelt", ["HTTP://127.0.0.1:{port}/", "http://127.0.0.1:{port}//"])
def test_the_same_address_spelt_otherwise_is_the_same(
    spelt: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = spelt.format(port=project.simulator.url.rpartition(":")[2])
    monkeypatch.setattr(Project, "settings", {**project.settings, "WOLKVOX_BASE_URL": address})
    assert load(project, monkeypatch).success


def test_kept_data_counts_for_the_new_address_and_what_was_found_out_about_the_server_does_not(
    project: Project, stand_in: Simulator, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove(project)
    rows = project.rows()
    with Simulator(Centre(5)) as renumbered:
        project.simulator = renumbered
        code, said = say(project, "source", "main", "--keep")
        assert code == 0
        assert "12 windows from 2026-11-18 09:00 to 2026-11-18 09:55" in said
        assert renumbered.counters.requests == 0
        assert project.query("FROM additivity_proofs") == project.query("FROM quota_readings") == []
        assert project.query("SELECT address FROM operation_sources") == [(renumbered.url,)]
        assert load(project, monkeypatch).success
        assert renumbered.counters.requests == 2  # one for its quota, one for all windows
    assert project.rows() == rows
    assert project.query("SELECT COUNT(*) FROM agent_9_corrections") == [(0,)]
    project.simulator = stand_in
    assert renumbered.url in why(load(project, monkeypatch))


def test_dropped_data_is_gone_and_the_new_server_is_loaded(
    project: Project, real: Simulator, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove(project)
    stand_in, project.simulator = project.simulator, real
    code, said = say(project, "source", "main", "--drop")
    assert code == 0
    for words in ("12 windows from 2026-11-18 09:00", "12 rows in agent_9_window_log", "main_gaps", real.url):
        assert words in said
    left = everything(project)
    assert [row[:4] for row in left.pop("operation_sources")] == [
        ("main", real.url, "0013", "America/Bogota")
    ]
    assert set(map(tuple, left.values())) == {()}
    # Whoever still runs with the old settings stores nothing for it any more.
    project.simulator = stand_in
    assert real.url in why(load(project, monkeypatch))
    project.simulator = real
    assert load(project, monkeypatch).success
    assert project.rows() == project.true_rows(project.known())
    assert real.counters.requests >= 12


def test_moved_data_is_found_under_its_new_name(
    project: Project, real: Simulator, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove(project)
    before = everything(project)
    stand_in, project.simulator = project.simulator, real
    assert say(project, "source", "main", "--move-to", "trial")[0] == 0
    after = everything(project)
    assert [row[1] for row in after["operation_sources"]] == [real.url, stand_in.url]
    for table in before.keys() - {"operation_sources"}:
        assert after[table] == [("trial", *row[1:]) for row in before[table]]
    assert load(project, monkeypatch).success
    trial = "SELECT COUNT(*) FROM agent_9_window_log WHERE operation = 'trial'"
    assert project.query(trial) == [(12,)]
    # Set as an operation of its own, it goes on where it was.
    project.simulator = stand_in
    monkeypatch.setattr(Project, "settings", {**project.settings, "WOLKVOX_OPERATION": "trial"})
    code, said = say(project, "source", "trial")
    assert (code, "WRONG" in said) == (0, False)


@pytest.mark.parametrize("name", ["trial", "TRIAL", "main", "Main"])
def test_no_data_is_moved_to_a_name_that_has_some(
    name: str, project: Project, real: Simulator, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    with project.store.transaction() as con:
        con.execute("INSERT INTO quota_readings VALUES ('trial', now()::TIMESTAMP, 1, 1, 'x')")
    before = everything(project)
    project.simulator = real
    code, _ = say(project, "source", "main", "--move-to", name)
    assert "Nothing was moved" in str(code)
    assert everything(project) == before


@pytest.mark.parametrize("name", ["", "north-east", "../trial", "año"])
def test_no_data_is_moved_to_a_name_that_no_operation_can_have(name: str, project: Project, say: Say) -> None:
    before = everything(project)
    assert "letters, digits and _" in str(say(project, "source", "main", "--move-to", name)[0])
    assert everything(project) == before


def test_another_time_zone_can_keep_the_data_only_where_its_windows_are_the_same(
    project: Project, say: Say
) -> None:
    before = everything(project)
    code, _ = say(project, "source", "main", "--keep", WOLKVOX_TIMEZONE="America/Santiago")
    assert "window_start_utc" in str(code)
    assert "--keep`" not in str(code)
    assert everything(project) == before
    assert say(project, "source", "main", "--keep", WOLKVOX_TIMEZONE="America/Lima")[0] == 0
    assert project.query("SELECT timezone FROM operation_sources") == [("America/Lima",)]


def test_the_command_shows_what_is_stored_and_from_where(
    project: Project, real: Simulator, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = project.simulator.url
    project.simulator = real
    code, said = say(project, "source", "main")
    assert code == 1
    for words in (f"stored from   {stand_in}", f"set now       {real.url}", "12 windows", "WRONG"):
        assert words in said
    code, _ = say(project, "source", "mian")
    assert "operation mian is neither set nor stored" in str(code)
    assert "Stored are: main" in str(code)
    assert real.counters.requests == 0


def test_an_operation_that_is_no_longer_set_can_be_moved_and_dropped(
    project: Project, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"WOLKVOX_OPERATION": "other"}
    assert "not set" in str(say(project, "source", "main", "--keep", **settings)[0])
    assert say(project, "source", "main", "--move-to", "old", **settings)[0] == 0
    assert project.query("SELECT operation FROM operation_sources") == [("old",)]
    assert say(project, "source", "old", "--drop", **settings)[0] == 0
    assert set(map(tuple, everything(project).values())) == {()}


def test_an_operation_that_was_renamed_is_told_and_its_data_can_follow(
    project: Project, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the same contact centre is in all tables twice, and nobody says so."""
    before = everything(project)["agent_9_windows"]
    new = {"WOLKVOX_OPERATION": "bogota"}
    code, said = say(project, "doctor", **new)
    assert code == 0
    assert "main: source" in said
    assert "no operation of this name is set" in said
    with project.store.transaction() as con:
        remark = sources.claim(con, "bogota", load_settings().operations[0].source)
    assert remark is not None
    assert "main" in remark
    assert "`wolkvox-assets source main --move-to bogota`" in remark
    assert say(project, "source", "bogota", "--drop", **new)[0] == 0
    assert say(project, "source", "main", "--move-to", "bogota", **new)[0] == 0
    assert everything(project)["agent_9_windows"] == [("bogota", *row[1:]) for row in before]
    assert project.query("SELECT operation FROM operation_sources") == [("bogota",)]
    assert "no operation of this name" not in say(project, "doctor", **new)[1]


def test_an_installation_without_sources_is_taken_over_with_a_word(
    project: Project, real: Simulator, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    with project.store.transaction() as con:
        con.execute("DELETE FROM operation_sources")
    code, said = say(project, "doctor")
    assert code == 0
    assert "the next run records it" in said
    with dg.DagsterInstance.ephemeral() as instance:
        result = load(project, monkeypatch, instance=instance)
        assert result.success
        log = [entry.user_message for entry in instance.all_logs(result.run_id)]
    (line,) = (text for text in log if "not recorded yet from where" in text)
    assert project.simulator.url in line
    assert project.query("SELECT address FROM operation_sources") == [(project.simulator.url,)]
    assert len(project.known()) == 12
    project.simulator = real
    assert not load(project, monkeypatch).success


def test_an_installation_without_sources_is_not_taken_over_with_another_time_zone(
    project: Project, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    with project.store.transaction() as con:
        con.execute("DELETE FROM operation_sources")
    project.simulator.reset_counters()
    project.timezone = "Europe/Madrid"
    assert "another time zone than Europe/Madrid" in why(load(project, monkeypatch))
    assert project.simulator.counters.requests == 0
    assert "WRONG  main: source" in say(project, "doctor")[1]
    assert "--keep" not in why(load(project, monkeypatch))


def test_a_server_that_never_gave_anything_keeps_no_other_out(
    tmp_path: Path, real: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Simulator(Operation(Centre(5), tokens=["another-token"])) as mistyped:
        project = Project(tmp_path, mistyped, DAY)
        with monkeypatch.context() as mistake:
            mistake.setattr(Project, "settings", {**project.settings, "WOLKVOX_TOKEN": real.token})
            assert not load(project, mistake).success
        assert mistyped.counters.requests > 0
    project.simulator = real
    assert load(project, monkeypatch).success
    assert project.query("SELECT address FROM operation_sources") == [(real.url,)]
    assert project.query("SELECT COUNT(*) FROM api_requests WHERE http_status = 403") == [(0,)]


def test_data_that_is_dropped_during_a_run_does_not_come_back(
    project: Project, real: Simulator, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = project.simulator
    monkeypatch.setattr(stand_in.faults, "latency", 0.15)
    command = project.command(
        "main/agent_9_windows", partition_range="...".join((f"{DAY}T13:00", f"{DAY}T20:55"))
    )
    while stand_in.counters.requests < 20:
        time.sleep(0.01)
    project.simulator = real
    assert say(project, "source", "main", "--drop")[0] == 0
    assert "its stored data came from" in command.finish(expect=1)
    assert project.known() == []


def test_of_two_processes_with_different_servers_one_is_refused(
    tmp_path: Path, stand_in: Simulator, real: Simulator
) -> None:
    ours, theirs = Project(tmp_path, stand_in, DAY), Project(tmp_path, real, DAY)
    commands: dict[str, tuple[Command, Project]] = {}
    for project, name in ((ours, "ours"), (theirs, "theirs")):
        home = tmp_path / name
        home.mkdir()
        (home / "dagster.yaml").write_bytes((project.home / "dagster.yaml").read_bytes())
        project.folder = tmp_path
        project._commands = 10 * len(commands)
        commands[project.simulator.url] = (
            project.command("main/agent_9_windows", partition_range="...".join(MORNING), home=home),
            project,
        )
    codes = {url: command.ended() for url, (command, _) in commands.items()}
    ((won,),) = ours.query("SELECT address FROM operation_sources")
    assert sorted(codes.values()) == [0, 1]
    assert codes[str(won)] == 0
    winner = commands[str(won)][1]
    assert winner.rows() == winner.true_rows(winner.known())
    assert len(winner.known()) == 12


def prove(project: Project) -> None:
    """As if it had been found out that the server's answers add up."""
    with project.store.transaction() as con:
        con.execute(
            "INSERT INTO additivity_proofs VALUES ('main', now()::TIMESTAMP, true, 'made up', 'made-up')"
        )


def test_the_real_address_and_its_server_code_are_what_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SERVER": "0013", "TOKEN": "t", "START": "2026-11-01"}.items():
        monkeypatch.setenv(f"WOLKVOX_{name}", value)
    (operation,) = load_settings().operations
    expected = sources.OperationSource("https://wv0013.wolkvox.com", "0013", "America/Bogota")
    assert operation.source == expected
    assert sources.OperationSource.of("HTTPS://WV0013.wolkvox.com:443/", "0013", "America/Bogota") == expected
