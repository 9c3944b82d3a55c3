"""What `wolkvox-assets doctor` says, and with which exit code, against a simulator."""

import json
import shutil
import socket
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, TickData, TickStatus
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from wolkvox_assets import settings
from wolkvox_assets.commands.cli import main
from wolkvox_assets.commands.doctor import _newest
from wolkvox_assets.settings import load_settings
from wolkvox_assets.simulator import Centre, Operation, Simulator
from wolkvox_assets.store.attempts import FailedAttempt, FailureScope, Work, record_attempt
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.quota_readings import QuotaReading, record_quota
from wolkvox_assets.store.sources import record
from wolkvox_assets_tests.lakes import POSTGRES
from wolkvox_assets_tests.project import Project
from wolkvox_assets_tests.store.tables import agent_9
from wolkvox_assets_tests.store.test_trust import HARMS, put

DAY = date(2026, 11, 18)
TOKEN = "a-token-that-nobody-must-see-7391"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(Operation(Centre(5), tokens=[TOKEN])) as simulator:
        yield simulator


def doctor(
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    **settings: str,
) -> tuple[int, list[str]]:
    """The exit code, and the lines."""
    for name, value in {**Project(tmp_path, simulator, DAY).settings, **settings}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        main(["doctor"])
    said = capsys.readouterr()
    assert TOKEN not in said.out + said.err
    code = end.value.code
    assert isinstance(code, int)
    return code, said.out.splitlines()


def test_all_is_well(
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
    assert code == 0
    assert all(line.startswith("ok ") for line in lines)
    for words in (
        simulator.url,
        "America/Bogota",
        "requests used today",
        "can be written",
        "is not there yet",
    ):
        assert any(words in line for line in lines)
    assert simulator.counters.requests == 1
    Project(tmp_path, simulator, DAY).materialize("agent_9_windows", monkeypatch, partition=f"{DAY}T10:00")
    _, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
    assert any("1 known, from 2026-11-18 10:00" in line for line in lines)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"WOLKVOX_TOKEN": "not-the-token"}, "Set the operation's current token"),
        ({"WOLKVOX_START": "2026-13-01"}, "WOLKVOX_START: must be a day such as 2026-11-01"),
        ({"WOLKVOX_TIMZONE": "America/Lima"}, "WOLKVOX_TIMZONE is set but unknown"),
        ({"WOLKVOX_DATA_DIR": "/proc/nowhere"}, "or set WOLKVOX_DATA_DIR"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(
    settings: dict[str, str],
    words: str,
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, lines = doctor(tmp_path, simulator, monkeypatch, capsys, **settings)
    assert code == 1
    (wrong,) = (line for line in lines if line.startswith("WRONG "))
    assert words in wrong


@pytest.mark.parametrize(("used", "reached"), [(798, False), (799, True)])
def test_a_reserve_that_is_all_that_is_left_is_told(
    used: int,
    reached: bool,
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of 1,000 requests 800 are ours. This one counts as well."""
    simulator.api.operations[0].daily_limit = 1000
    simulator.api.operations[0].spend(used, datetime.now(UTC))
    code, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
    assert code == 0
    assert any(f"{used + 1} of 1000 requests used today" in line for line in lines)
    assert any("only the reserve of 20% is left" in line for line in lines) is reached


@pytest.mark.parametrize("limit", ["0", "many"])
def test_a_quota_that_cannot_be_read(
    limit: str,
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Odd(int):
        def __str__(self) -> str:
            return limit

    simulator.api.operations[0].daily_limit = Odd(1000)
    code, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
    assert code == 1
    (wrong,) = (line for line in lines if line.startswith("WRONG "))
    assert "token_limit" in wrong
    assert "the reserve of 20% is not kept" in wrong


def test_who_shares_a_quota_and_what_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    accounts = [
        Operation(Centre(2), tokens=("token-one", "token-two")),
        Operation(Centre(2), tokens=("token-three",)),
    ]
    # It is about noon there: what is kept for live windows depends on how much of the day is left.
    zone = f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
    with Simulator(*accounts) as simulator:
        file = tmp_path / "operations.toml"
        file.write_text(
            "\n".join(
                f'[operations.{name}]\nserver = "{server}"\ntoken_env = "WOLKVOX_TOKEN_{name.upper()}"\n'
                f'start = {DAY}\nbase_url = "{simulator.url}"\ntimezone = "{zone}"'
                for name, server in (("north", "0013"), ("south", "0013"), ("far", "0014"))
            )
        )
        for name, token in (("NORTH", "one"), ("SOUTH", "two"), ("FAR", "three")):
            monkeypatch.setenv(f"WOLKVOX_TOKEN_{name}", f"token-{token}")
        monkeypatch.setenv("WOLKVOX_OPERATIONS", str(file))
        monkeypatch.setenv("WOLKVOX_DATA_DIR", str(tmp_path / "data"))

        def quotas() -> dict[str, str]:
            with pytest.raises(SystemExit):
                main(["doctor"])
            lines = [line[7:].partition(": quota ") for line in capsys.readouterr().out.splitlines()]
            return {name: said.strip() for name, _, said in lines if said}

        assert quotas() == {
            "north": "shared with south: the same server",
            "south": "shared with north: the same server",
        }
        looked_at = datetime.now(UTC)
        with FileStore(tmp_path / "data").transaction() as con:
            for operation in load_settings().operations:
                record(con, operation.name, operation.source)
            record_quota(con, "south", QuotaReading(looked_at, 1000, 850), run_id="r")
        found = quotas()
        assert set(found) == {"north", "south"}
        for said in found.values():
            assert "the same server; used up at the last reading: nothing is requested before" in said
        with FileStore(tmp_path / "data").transaction() as con:
            record_quota(con, "south", QuotaReading(looked_at, 200, 150), run_id="r")
        for said in quotas().values():
            assert "only live windows are requested before" in said


@pytest.mark.parametrize(("hours", "words"), [(-6, "ahead of the server's"), (6, "behind the server's")])
def test_clocks_that_disagree_are_told(
    hours: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    served = Operation(Centre(5), tokens=[TOKEN])
    with Simulator(served, clock=lambda: datetime.now(UTC) + timedelta(hours=hours)) as simulator:
        code, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
    assert code == 1
    (wrong,) = (line for line in lines if line.startswith("WRONG "))
    assert words in wrong
    assert "Set this machine's clock" in wrong


def test_a_server_that_tells_no_time_is_nothing_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Simulator(Operation(Centre(5), tokens=[TOKEN])) as simulator:
        simulator.api.date_header = False
        code, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
    assert code == 0
    assert any("the server did not send its time" in line for line in lines)


def test_tokens_of_other_operations_are_no_misspelt_variables(
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _ = doctor(tmp_path, simulator, monkeypatch, capsys, WOLKVOX_TOKEN_NORTH="x")
    assert code == 0


def test_what_kubernetes_says_of_a_service_is_no_misspelt_variable(
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    of_the_service = {
        "WOLKVOX_ASSETS_SERVICE_HOST": "10.0.0.1",
        "WOLKVOX_ASSETS_SERVICE_PORT": "4000",
        "WOLKVOX_ASSETS_SERVICE_PORT_GRPC": "4000",
        "WOLKVOX_ASSETS_PORT": "tcp://10.0.0.1:4000",
        "WOLKVOX_ASSETS_PORT_4000_TCP": "tcp://10.0.0.1:4000",
        "WOLKVOX_ASSETS_PORT_4000_TCP_ADDR": "10.0.0.1",
    }
    assert doctor(tmp_path, simulator, monkeypatch, capsys, **of_the_service)[0] == 0


def test_an_env_file_that_others_can_read(
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = Path(".env")
    file.write_text("WOLKVOX_LIVE_DELAY_SECONDS=60\n")
    file.chmod(0o644)
    code, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
    assert code == 1
    assert any("chmod 600 .env" in line for line in lines)
    file.chmod(0o600)
    assert doctor(tmp_path, simulator, monkeypatch, capsys)[0] == 0


def test_what_runs_have_logged_is_not_for_everybody(
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = Path(".dagster")
    folder.mkdir()
    folder.chmod(0o755)
    code, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
    assert code == 1
    assert any("chmod 700 .dagster" in line for line in lines)
    folder.chmod(0o700)
    assert doctor(tmp_path, simulator, monkeypatch, capsys)[0] == 0


@pytest.mark.parametrize("name", ["store.duckdb", "wolkvox.duckdb"])
def test_files_in_any_state_are_told_of(
    name: str,
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = FileStore(tmp_path / "data")
    put(store, 1)
    file = store.folder / name
    before = file.read_bytes()
    for harm in HARMS:
        harm(file)
        code, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
        assert code == 1
        assert any(line.startswith("WRONG") and "The next run" in line for line in lines), harm
        file.write_bytes(before)


@pytest.mark.parametrize(
    ("status", "hours", "code", "words"),
    [
        # As a clock that was ahead and is set back leaves it.
        (InstigatorStatus.RUNNING, 6, 1, "main_gaps starts nothing before {tick}"),
        (InstigatorStatus.RUNNING, -1, 1, "main_gaps last ticked at {tick}"),
        (InstigatorStatus.STOPPED, -1, 0, "main_gaps is off"),
    ],
)
def test_a_sensor_that_starts_nothing(
    status: InstigatorStatus,
    hours: int,
    code: int,
    words: str,
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = Project(tmp_path, simulator, DAY)
    monkeypatch.chdir(project.home)
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    for name, value in project.settings.items():
        monkeypatch.setenv(name, value)
    tick = datetime.now(UTC) + timedelta(hours=hours)
    with dg.DagsterInstance.from_config(str(project.home)) as instance:
        for name in ("main_gaps", "somebody_elses"):
            state = InstigatorState(
                RemoteInstigatorOrigin(
                    RemoteRepositoryOrigin(InProcessCodeLocationOrigin(LoadableTargetOrigin()), "r"), name
                ),
                InstigatorType.SENSOR,
                status,
            )
            instance.add_instigator_state(state)
            instance.create_tick(
                TickData(
                    state.instigator_origin_id,
                    name,
                    InstigatorType.SENSOR,
                    TickStatus.SKIPPED,
                    tick.timestamp(),
                    selector_id=state.selector_id,
                )
            )
    found, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
    assert found == code
    (said,) = (line for line in lines if "  Dagster " in line and "has all that it should" not in line)
    assert words.format(tick=f"{tick:%Y-%m-%d %H:%M}") in said


def test_a_place_in_a_pool_that_a_run_left_behind(
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = Project(tmp_path, simulator, DAY)
    monkeypatch.chdir(project.home)
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))

    @dg.job
    def nothing() -> None: ...

    with dg.DagsterInstance.from_config(str(project.home)) as instance:
        run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)
        storage = instance.event_log_storage
        storage.set_concurrency_slots("wolkvox_main", 1)
        assert storage.claim_concurrency_slot("wolkvox_main", run.run_id, "step").is_claimed
        Path(".dagster/schedules").mkdir(exist_ok=True)
        assert doctor(tmp_path, simulator, monkeypatch, capsys)[0] == 0
        instance.report_run_failed(run, "as if it had died")
        found, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
    assert found == 1
    assert any(f"pool wolkvox_main is held by run {run.run_id}" in line for line in lines)


def test_for_programs(
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in {**Project(tmp_path, simulator, DAY).settings, "WOLKVOX_TIMZONE": "x"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        main(["doctor", "--json"])
    assert end.value.code == 1
    found = json.loads(capsys.readouterr().out)
    assert {"ok": True, "what": "main: server"}.items() <= found[2].items()
    assert [one["ok"] for one in found].count(False) == 1
    assert all(one.keys() == {"ok", "what", "finding"} for one in found)


def test_windows_that_are_old_and_gaps(
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = Project(tmp_path, simulator, DAY)
    project.materialize("agent_9_windows", monkeypatch, partition=f"{DAY}T10:00")
    for failed, words in ((False, "newer ones are requested while Dagster runs"), (True, "Unavailable")):
        if failed:
            attempt = FailedAttempt(
                Work.LIVE, datetime.now(UTC), FailureScope.TEMPORARY, "Unavailable", "x", "", "r"
            )
            with project.store.transaction() as con:
                for _ in range(5):
                    record_attempt(agent_9(con), attempt)
        code, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
        assert code == int(failed)
        (freshness,) = (line for line in lines if "main: freshness" in line)
        assert "the newest window ended" in freshness
        assert words in freshness
        (gaps,) = (line for line in lines if "main: gaps" in line)
        assert "windows since 2026-11-18, in 2 places" in gaps


@pytest.mark.parametrize(("fresh_minutes", "old"), [(15, True), (30, False)])
def test_how_old_the_newest_window_may_be_is_set(tmp_path: Path, fresh_minutes: int, *, old: bool) -> None:
    operation = settings.Operation(server="0013", start=DAY, fresh_minutes=fresh_minutes)
    now = datetime(2026, 11, 18, 15, 45, tzinfo=UTC)  # 40 minutes after the window's end
    _, _, said = _newest(FileStore(tmp_path), operation, datetime(2026, 11, 18, 10, 0), now)
    assert said.startswith("the newest window ended 40 min 0 s ago")
    assert ("newer ones are requested" in said) is old


def test_a_full_disk(
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Project(tmp_path, simulator, DAY).materialize("agent_9_windows", monkeypatch, partition=f"{DAY}T10:00")
    usage = shutil.disk_usage(tmp_path)
    for free, code in ((5_000_000, 1), (500_000_000, 0)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        found, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
        (room,) = (line for line in lines if "  room " in line)
        assert found == code
        assert room.startswith("WRONG") == bool(code)


@pytest.mark.parametrize("full", ["published", "home"])
def test_another_disk_that_is_full(
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    full: str,
) -> None:
    """That of a published file elsewhere, or that of Dagster's records."""
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has no other disk to look at")
    project = Project(tmp_path, simulator, DAY)
    project.materialize("agent_9_windows", monkeypatch, partition=f"{DAY}T10:00")
    usage = shutil.disk_usage(tmp_path)
    with TemporaryDirectory(dir=elsewhere) as folder:
        if full == "published":
            shutil.move(project.store.published, folder)
            project.store.published.symlink_to(Path(folder, "wolkvox.duckdb"))
        where = Path(folder) if full == "published" else tmp_path / "home" / ".dagster"
        monkeypatch.setattr(
            shutil, "disk_usage", lambda of: usage._replace(free=5_000_000 if Path(of) == where else 10**9)
        )
        monkeypatch.setenv("DAGSTER_HOME", str(project.home))
        monkeypatch.chdir(project.home)
        with dg.DagsterInstance.from_config(str(project.home)):
            pass
        found, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
    assert found == 1
    [told] = [line for line in lines if f"5 MB free in {where}" in line]
    assert told.startswith("WRONG")
    assert "Make room" in told


def test_a_dagster_yaml_of_an_earlier_release(
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = Project(tmp_path, simulator, DAY)
    settings = project.home / "dagster.yaml"
    monkeypatch.chdir(settings.parent)
    monkeypatch.setenv("DAGSTER_HOME", str(settings.parent))
    text = settings.read_text()
    assert text.count("granularity: run") == 1
    for granularity, expected in (("run", 0), ("op", 1)):
        settings.write_text(text.replace("granularity: run", f"granularity: {granularity}"))
        with dg.DagsterInstance.from_config(str(settings.parent)):
            pass
        code, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
        assert code == expected
        assert any("no `granularity: run`" in line for line in lines) is bool(expected)
        fine = f"ok     Dagster            {settings} has all that it should: "
        assert any(line.startswith(fine) for line in lines) is not bool(expected)


def test_an_instance_that_is_set_up_for_others(
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = tmp_path / "theirs"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    code, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
    assert (code, list(home.iterdir())) == (0, [])  # nothing was stored in it, and nothing is made
    (home / "dagster.yaml").touch()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for name in ("alerts", "live_schedule"):  # of another code location
            origin = RemoteInstigatorOrigin(
                RemoteRepositoryOrigin(InProcessCodeLocationOrigin(LoadableTargetOrigin()), "theirs"), name
            )
            state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.STOPPED)
            instance.add_instigator_state(state)
        code, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
        assert code == 1
        said = [line.split(None, 2) for line in lines if "  Dagster " in line]
        assert [(fine, words.partition("dagster.yaml: ")[2][:19]) for fine, _, words in said] == [
            ("WRONG", "no limit of one for"),
            ("WRONG", "no `granularity: ru"),
            ("ok", "at most 10 runs at "),
            ("WRONG", "run_monitoring is n"),
            ("ok", "no retention for ti"),
            ("ok", "Dagster's own SQLit"),
            ("ok", ""),
        ]
        assert "wolkvox_main, wolkvox_main_live" in said[0][2]
        # As somebody may do it in their UI.
        for pool in ("wolkvox_main", "wolkvox_main_live"):
            instance.event_log_storage.set_concurrency_slots(pool, 1)
        _, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
        assert not any("no limit of one" in line for line in lines)
    (home / "dagster.yaml").write_text(
        "storage:\n  postgres:\n    postgres_url: postgresql+psycopg2://ana:hidden-7391@127.0.0.1:9/none\n"
    )
    code, lines = doctor(tmp_path, simulator, monkeypatch, capsys)
    (line,) = (line for line in lines if "  Dagster " in line)
    assert code == 1
    assert "cannot be opened" in line
    assert "hidden-7391" not in line


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("host=127.0.0.1 port={silent} user=postgres dbname=x password=se_kret", "nothing answers there"),
        ("host=127.0.0.1 port=1 user=postgres dbname=x password=se_kret", "nothing listens there"),
        (f"{POSTGRES} dbname=no_such_database password=se_kret", "it has no such database"),
        ("host=127.0.0.1 port=5432 user=nobody dbname=postgres password=se_kret", "it has no such role"),
    ],
)
def test_a_lake_whose_postgres_can_t_be_used_is_told_soon(
    address: str,
    what: str,
    tmp_path: Path,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lake = str(tmp_path / "lake")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = f"ducklake:postgres:{address.format(silent=silent.getsockname()[1])}"
        began = time.monotonic()
        code, lines = doctor(
            tmp_path, simulator, monkeypatch, capsys, WOLKVOX_STORE=store, WOLKVOX_STORE_DATA=lake
        )
        assert time.monotonic() - began < 20
    assert code == 1
    (said,) = [line for line in lines if line.split()[1] == "lake"]
    assert f"its Postgres can't be used: {what}" in said
    assert "se_kret" not in " ".join(lines)
    assert sum("not checked: the lock of its token" in line for line in lines) == 1
