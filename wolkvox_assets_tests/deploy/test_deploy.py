"""What is in `deploy/` is what the tools that read it take: Docker Compose, a linter for Dockerfiles, Dagster itself in
an environment of just what the image has, on a real Postgres.

What belongs here: what can be said without a container engine or a cluster. What doesn't: what only shows when the
containers run (`test_containers.py`), or what Helm makes of the values (`test_chart.py`).
"""

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from wolkvox_assets_tests.deploy.chart import Settings, dagster_yaml
from wolkvox_assets_tests.lakes import dagster_database
from wolkvox_assets_tests.project import ROOT

DEPLOY = ROOT / "deploy"
IMAGE = ROOT / ".image" / "bin"
TOKEN_LIKE = ("token", "password", "secret", "key")

# In an interpreter that has what the image has and nothing else.
LOOK = """
import json, os, sys
import dagster as dg
from dagster._config import process_config
from dagster_k8s import K8sRunLauncher
from wolkvox_assets.commands import dagster_doctor
from wolkvox_assets.definitions import defs
from wolkvox_assets.settings import load_settings

said = []
for home in sys.argv[1:3]:
    os.environ["DAGSTER_HOME"] = home
    with dg.DagsterInstance.from_config(home) as instance:
        logs = instance.compute_log_manager
        said.append({
            "storage": type(instance.event_log_storage).__name__,
            "logs": [type(logs).__name__, logs._s3_bucket],
            "url": str(instance.event_log_storage.postgres_url),
            "lacks": [lack for ok, lack in dagster_doctor.findings(load_settings()) if not ok],
        })
launcher = process_config(K8sRunLauncher.config_type(), json.loads(sys.argv[3]))
said.append([error.message for error in launcher.errors or []])
said.append(sorted(job.name for job in defs().jobs))
print(json.dumps(said))
"""


# What the installed packages require of each other with extras.
EXTRAS = """
import json
from importlib.metadata import distributions
from packaging.requirements import Requirement

named = set()
for package in distributions():
    for line in package.requires or ():
        required = Requirement(line)
        if required.extras and (required.marker is None or required.marker.evaluate({"extra": ""})):
            named.add(f"{required.name}[{','.join(sorted(required.extras))}]")
print(json.dumps(sorted(named)))
"""


def run(*command: str, cwd: Path = ROOT, stdin: str = "", **environment: str) -> str:
    if not (IMAGE / "python").exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no .image: `make test` makes it")
    done = subprocess.run(
        [str(IMAGE / command[0]), *command[1:]],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **environment},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def settings_of(name: str) -> Settings:
    return dict(yaml.safe_load((DEPLOY / name).read_text()))


def test_the_containers_settings_are_those_of_the_project_but_for_where_things_lie() -> None:
    elsewhere = {"storage", "local_artifact_storage", "compute_logs"}
    ours = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    theirs = settings_of("dagster.yaml")
    assert theirs.keys() == ours.keys()
    assert {k: v for k, v in theirs.items() if k not in elsewhere} == {
        k: v for k, v in ours.items() if k not in elsewhere
    }
    chart = dagster_yaml(settings_of("values.yaml"))
    for name in ("concurrency", "nux", "python_logs", "run_retries", "telemetry"):
        assert chart[name] == ours[name]
    assert chart["run_coordinator"]["class"] == "QueuedRunCoordinator"
    assert chart["run_coordinator"]["config"].items() >= ours["run_queue"].items()
    assert chart["run_monitoring"].items() >= ours["run_monitoring"].items()
    for kind, kept in ours["retention"].items():
        assert chart["retention"][kind]["purge_after_days"].items() >= kept["purge_after_days"].items()


def test_dagster_takes_both_with_what_the_image_has(tmp_path: Path) -> None:
    values = settings_of("values.yaml")
    containers, chart = tmp_path / "containers", tmp_path / "chart"
    for home in (containers, chart):
        home.mkdir()
    shutil.copy(DEPLOY / "dagster.yaml", containers)
    with dagster_database() as url:
        values["postgresql"] |= {
            "postgresqlHost": "127.0.0.1",
            "postgresqlUsername": "postgres",
            "postgresqlDatabase": url.rpartition("/")[2],
        }
        as_written = dagster_yaml(values)
        (chart / "dagster.yaml").write_text(yaml.safe_dump(as_written))
        launcher = json.dumps(as_written["run_launcher"]["config"])
        said = run(
            *("python", "-c", LOOK, str(containers), str(chart), launcher),
            cwd=tmp_path,
            PYTHONPATH=str(ROOT),
            DAGSTER_POSTGRES_URL=url,
            DAGSTER_PG_PASSWORD="x",
            DAGSTER_LOGS_BUCKET="dagster-logs",
            AWS_REGION="us-east-1",
            WOLKVOX_SERVER="0013",
            WOLKVOX_TOKEN="x",
            WOLKVOX_START="2026-11-01",
        )
    first, second, errors, jobs = json.loads(said.splitlines()[-1])
    for found, bucket in ((first, "dagster-logs"), (second, "wolkvox-dagster-logs")):
        assert found["storage"] == "PostgresEventLogStorage"
        assert found["url"].startswith("postgresql+psycopg2://")
        assert found["logs"] == ["S3ComputeLogManager", bucket]
        assert found["lacks"] == []  # says doctor
    assert errors == []
    assert "live" in jobs


def test_the_image_has_the_versions_that_were_tested() -> None:
    # A package can be there twice, for other versions of Python.
    tested, image = (
        set(re.findall(r"^([a-z0-9-]+)(?:\[[^]]+\])?==([^ ]+)", file.read_text(), re.MULTILINE))
        for file in (ROOT / "requirements.lock", DEPLOY / "requirements.lock")
    )
    both = {name for name, _ in tested} & {name for name, _ in image}
    assert {pin for pin in image if pin[0] in both} <= tested
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["scale"],
        *project["dependency-groups"]["image"],
    ]
    assert {re.split(r"[^a-z0-9-]", line)[0] for line in wanted} <= {name for name, _ in image}
    assert "pytest" not in {name for name, _ in image}


def test_the_lock_names_the_extras_that_packages_ask_for() -> None:
    """With hashes, pip takes `gql==4.0.0` for no answer to `gql[requests]`, and installs nothing."""
    asked = json.loads(run("python", "-c", EXTRAS).splitlines()[-1])
    assert {"gql[requests]", "uvicorn[standard]"} <= set(asked)
    lock = (DEPLOY / "requirements.lock").read_text()
    assert [extra for extra in asked if f"\n{extra}==" not in lock] == []


def composed(tmp_path: Path) -> Settings:
    """The compose file as Docker Compose has read it, with files that hold what must not be seen."""
    for name in ("compose.yaml", "lake.sql"):
        shutil.copy(DEPLOY / name, tmp_path)
    for folder, name in (
        ("wolkvox", ".env"),
        ("secrets", "postgres_password"),
        ("secrets", "objects_keys.json"),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text("hidden-7391")
    (tmp_path / "secrets" / "dagster.env").write_text("DAGSTER_POSTGRES_URL=postgresql+psycopg2://there\n")
    said = run("docker-compose", "-f", "compose.yaml", "config", "--format", "json", cwd=tmp_path)
    assert "hidden-7391" not in said
    return dict(json.loads(said))


def test_compose_takes_it_and_each_container_is_shut_in(tmp_path: Path) -> None:
    composed_whole = composed(tmp_path)
    services = composed_whole["services"]
    assert services.keys() == {"webserver", "daemon", "code", "buckets", "postgres", "objects"}
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} <= limits.keys(), name
        assert not service.get("privileged"), name
        # Our image's own, which is not root. The object store's image differs in this from version to version.
        assert ("user" in service) is (name == "objects"), name
        # That of the code location is in the image; `buckets` ends.
        assert (name == "code") is ("healthcheck" not in service), name
        # What is open to other machines: nothing.
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ())), name
        # Tokens, and the lake's password, are in the code location alone: in a folder, since a file that is mounted by
        # itself doesn't change when an editor puts another in its place.
        mounted = {volume["target"]: volume for volume in service.get("volumes", ())}
        assert ("/etc/wolkvox" in mounted) is (name == "code"), name
        # Compose can't write a config's `content` into a container whose root is read-only.
        assert all("file" in composed_whole["configs"][each["source"]] for each in service.get("configs", ()))
    # The one that its entry point starts first, to set it up, can't be reached by that.
    assert "127.0.0.1" in services["postgres"]["healthcheck"]["test"]
    for name in ("webserver", "daemon"):
        assert services[name]["depends_on"].keys() >= {"postgres", "code"}
        assert not any(variable.startswith("WOLKVOX_") for variable in services[name]["environment"])
    assert services["daemon"].get("scale", 1) == 1
    # Where it is kept which runs live, and under which name: the next container has to find it.
    code = services["code"]
    kept = settings_of("dagster.yaml")["local_artifact_storage"]["config"]["base_dir"]
    assert any(volume["type"] == "volume" and volume["target"] == kept for volume in code["volumes"])
    assert code["hostname"] == "code"
    assert code["volumes"][0] == {
        "type": "bind",
        "source": str(tmp_path / "wolkvox"),
        "target": code["working_dir"],  # where `.env` is looked for
        "read_only": True,
        "bind": {"create_host_path": True},
    }


def test_the_dockerfile() -> None:
    run("hadolint", str(DEPLOY / "Dockerfile"))
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
    user = [line for line in lines if line.startswith("USER ")]
    assert user == ["USER 10001:10001"]
    assert any("pip install --require-hashes" in line for line in lines)
    let_in = {
        line[1:]
        for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        source.removeprefix("./")
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    assert copied == let_in
    assert all((ROOT / source).exists() for source in copied)


@pytest.mark.parametrize(
    "name", ["compose.yaml", "values.yaml", "dagster.yaml", "Dockerfile", "workspace.yaml"]
)
def test_no_secret_has_a_value(name: str) -> None:
    """Only names of files, variables and Kubernetes' Secrets."""
    for line in (DEPLOY / name).read_text().splitlines():
        code = line.partition("#")[0]
        variable, _, value = code.replace("=", ":").partition(":")
        if any(word in variable.lower() for word in TOKEN_LIKE) and value.strip():
            assert value.strip().startswith(("wolkvox-", "false", "/run/secrets/", "[", "&", "*")), line


def test_what_the_chart_does_not_adapt_by_itself() -> None:
    values = settings_of("values.yaml")
    # The web server's probe asks port 80 unless told otherwise, and the pod would never be ready.
    web = values["dagsterWebserver"]
    assert web["readinessProbe"]["httpGet"]["port"] == web["service"]["port"]
    # The schema wants all or none.
    for kind in ("schedule", "sensor"):
        purged = values["retention"][kind]["purgeAfterDays"]
        assert purged.keys() == {"skipped", "success", "failure", "started"}
    # Runs get those of the code location: others for the launcher would be read by nobody.
    assert "resources" not in values["runLauncher"]["config"]["k8sRunLauncher"]


def test_the_chart_runs_nothing_as_root() -> None:
    values = settings_of("values.yaml")
    (code,) = values["dagster-user-deployments"]["deployments"]
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    a_run = {
        **launcher,
        "podSecurityContext": launcher["runK8sConfig"]["podSpecConfig"]["securityContext"],
        "resources": code["resources"],
    }
    pods = [values["dagsterWebserver"], values["dagsterDaemon"], code, a_run]
    for pod in pods:
        assert pod["podSecurityContext"]["runAsNonRoot"]
        assert pod["podSecurityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["readOnlyRootFilesystem"]
        assert pod["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert pod["resources"]["limits"].keys() == pod["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "wolkvox-tokens" in [secret["name"] for secret in code["envSecrets"]]
    for pod in pods[:2]:
        assert [secret["name"] for secret in pod["envSecrets"]] == ["wolkvox-objects"]
