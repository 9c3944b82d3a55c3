"""The containers of `deploy/compose.yaml`, running. By hand: it takes an engine (Docker 20.10 or newer), the images,
and some twenty minutes.

    .venv/bin/python -m pytest -n 0 -m by_hand wolkvox_assets_tests/deploy/test_containers.py

What belongs here: what only shows when they run. What doesn't: what the tools say of the files (`test_deploy.py`).
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from wolkvox_assets_tests.deploy.test_deploy import DEPLOY, IMAGE
from wolkvox_assets_tests.project import ROOT

pytestmark = pytest.mark.by_hand

PASSWORD, SECRET, TOKEN = "hidden-pg-7391", "hidden-s3-7391", "hidden-token-7391"
DAYS = 12
RUNS = "{runsOrError(limit: 100) {... on Runs {results {runId status jobName}}}}"

# In the code location: each whole day as the server tells it, and as it is stored.
COMPARE = """
import json, requests
from wolkvox_assets.settings import load_settings
from wolkvox_assets.settings.secrets import read_token

settings = load_settings()
(operation,) = settings.operations
with settings.store.reading() as con:
    stored = con.execute(
        "SELECT strftime(local_date, '%Y%m%d'), sum(agents.hold_seconds), sum(agents.mute_seconds)"
        " FROM agent_hold_mute_daily AS agents JOIN operation_hold_mute_daily AS days USING (operation, local_date)"
        " WHERE days.complete GROUP BY local_date"
    ).fetchall()
differ = []
for day, *seconds in stored:
    rows = requests.get(
        operation.base_url + "/api/v2/reports_manager.php",
        {"api": "agent_9", "date_ini": day + "000000", "date_end": day + "235959"},
        headers={"wolkvox-token": read_token(operation.name, operation.token_env).get_secret_value()},
    ).json()["data"]
    said = [
        sum(60**place * int(part) for row in rows for place, part in enumerate(row[name].split(":")[::-1]))
        for name in ("hold_time", "mute_time")
    ]
    if said != seconds:
        differ.append((day, said, seconds))
print(json.dumps([len(stored), differ]))
"""


class Stack:
    """The project's containers, in a folder of their own, with a simulator in the code location's network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def compose(self, *words: str) -> str:
        return self._said([str(IMAGE / "docker-compose"), *words])

    def inside(self, service: str, *words: str) -> str:
        # Not by Compose: as it comes from PyPI it returns 0 whatever the command does.
        container = self.compose("ps", "--quiet", service).strip()
        return self._said(["docker", "exec", container, *words])

    def _said(self, command: list[str]) -> str:
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def up(self) -> None:
        self.compose("up", "--detach", "--wait", "--no-build")
        # It lives in the network of a container that may be a new one.
        self.compose("up", "--detach", "--no-deps", "--force-recreate", "wolkvox")

    def code(self, *words: str) -> str:
        return self.inside("code", *words)

    def status(self) -> dict[str, Any]:
        (operation,) = json.loads(self.code("wolkvox-assets", "status", "--json"))["operations"]
        return dict(operation)

    def runs(self) -> dict[str, tuple[str, str]]:
        """Status and job of each run, the newest first."""
        address = self.compose("port", "webserver", "3000").strip()
        said = requests.post(f"http://{address}/graphql", json={"query": RUNS}, timeout=30).json()
        return {
            run["runId"]: (run["status"], run["jobName"]) for run in said["data"]["runsOrError"]["results"]
        }


def until(what: str, holds: Callable[[], bool], minutes: float) -> None:
    end = time.monotonic() + minutes * 60
    while not holds():
        assert time.monotonic() < end, f"not within {minutes} minutes: {what}"
        time.sleep(2)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True).returncode:
        pytest.skip("no container engine")
    subprocess.run(
        ["docker", "build", "-q", "-f", "deploy/Dockerfile", "-t", "wolkvox-assets:0.1.0", "."],
        cwd=ROOT,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        check=True,
    )
    folder = tmp_path_factory.mktemp("stack")
    for name in ("compose.yaml", "lake.sql"):
        shutil.copy(DEPLOY / name, folder)
    compose = (folder / "compose.yaml").read_text()
    # Its own port and name: the machine may have the real one.
    compose = compose.replace("127.0.0.1:3000:3000", "127.0.0.1::3000").replace(
        "name: wolkvox-assets", f"name: wolkvox-assets-{os.getpid()}"
    )
    (folder / "compose.yaml").write_text(compose)
    (folder / "compose.override.yaml").write_text(
        f"""
services:
  wolkvox:
    image: wolkvox-assets:0.1.0
    command: [wolkvox-assets, simulate, --token, {TOKEN}, --latency, "0.2"]
    network_mode: service:code
    healthcheck: {{disable: true}}
    profiles: [simulator]
"""
    )
    for name in ("secrets", "wolkvox"):
        (folder / name).mkdir(mode=0o700)
    start = datetime.now(UTC).date() - timedelta(days=DAYS)
    written = {
        "secrets/postgres_password": PASSWORD,
        "secrets/dagster.env": f"DAGSTER_POSTGRES_URL=postgresql+psycopg2://wolkvox:{PASSWORD}@postgres:5432/dagster\n"
        f"AWS_ACCESS_KEY_ID=key\nAWS_SECRET_ACCESS_KEY={SECRET}\n",
        "secrets/objects_keys.json": json.dumps(
            {
                "identities": [
                    {
                        "name": "wolkvox",
                        "credentials": [{"accessKey": "key", "secretKey": SECRET}],
                        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                    }
                ]
            }
        ),
        "wolkvox/.env": f"WOLKVOX_STORE=ducklake:postgres:host=postgres dbname=lake user=wolkvox password={PASSWORD}\n"
        f"WOLKVOX_TOKEN_NORTH={TOKEN}\n",
        "wolkvox/operations.toml": "[operations.north]\n"
        f'base_url = "http://127.0.0.1:8807"\ntoken_env = "WOLKVOX_TOKEN_NORTH"\nstart = {start}\n',
    }
    for name, text in written.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    for path in (folder / "wolkvox", *(folder / "wolkvox").iterdir()):
        os.chown(path, 10001, 10001)
    stack = Stack(folder)
    try:
        stack.up()
        yield stack
    finally:
        stack.compose("--profile", "simulator", "down", "--volumes", "--timeout", "1")


def test_history_is_loaded_whole_through_a_kill_and_a_restart_of_postgres(stack: Stack) -> None:
    def loading() -> list[str]:
        return [run for run, (status, job) in stack.runs().items() if status == "STARTED" and job != "live"]

    until("a run that loads history", lambda: bool(loading()), 8)
    killed = loading()
    stack.compose("kill", "code")
    stack.up()
    until("what died is seen", lambda: all(stack.runs()[run][0] == "FAILURE" for run in killed), 3)
    # Until the next tick has had its windows, should one have come before the simulator was there again.
    until("a run goes on", lambda: bool(loading()), 12)
    stack.compose("restart", "postgres")
    until("history is known", lambda: stack.status()["missing"] == 0, 15)
    compared, differ = json.loads(stack.code("python", "-c", COMPARE).splitlines()[-1])
    assert differ == []
    assert compared >= DAYS - 4  # without Sundays on which nobody works
    stack.code("wolkvox-assets", "doctor")  # which ends with 1 where something is wrong


def test_nobody_is_root_and_no_secret_is_where_it_is_not_needed(stack: Stack) -> None:
    for name in ("webserver", "daemon", "code"):
        assert stack.inside(name, "id", "-u").strip() == "10001"
        said = stack.inside(name, "sh", "-c", "touch /opt/x 2>&1 || true; env")
        assert "Read-only file system" in said
        assert TOKEN not in said
    logs = stack.compose("logs", "--no-color")
    assert not any(hidden in logs for hidden in (PASSWORD, SECRET, TOKEN))
