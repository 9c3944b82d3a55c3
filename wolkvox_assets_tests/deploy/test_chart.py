"""What Dagster's own chart makes of `deploy/values.yaml`. By hand: the chart is in no registry of packages.

    HELM_CHART=dagster/dagster HELM_CHART_VERSION=1.13.27 \\
        .venv/bin/python -m pytest -n 0 -m by_hand wolkvox_assets_tests/deploy/test_chart.py

after `helm repo add`; or `HELM_CHART` is the chart's folder, or its archive, and there is no version.

What belongs here: objects that `helm template` writes. What doesn't: a cluster that runs them.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from wolkvox_assets_tests.deploy.chart import Settings, dagster_yaml
from wolkvox_assets_tests.deploy.test_deploy import DEPLOY, run, settings_of

pytestmark = pytest.mark.by_hand

# The Secrets and ConfigMaps that README tells to make.
OURS = {"wolkvox-dagster-postgres", "wolkvox-objects", "wolkvox-tokens", "wolkvox-lake", "wolkvox-operations"}

# In an interpreter that has what the image has: each object by the client's models, which know all fields and
# their types; then the job of a run, as the launcher makes it with what the code location tells about itself.
LOOK = """
import json, re, sys
from types import SimpleNamespace
import kubernetes.config
from kubernetes import client
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.storage.dagster_run import DagsterRun
from dagster_k8s import K8sRunLauncher
from dagster_k8s.job import construct_dagster_k8s_job

def fits(value, kind, at):
    if value is None:
        return
    inner = re.fullmatch(r"(list|dict)\\[(?:str, )?(.*)\\]", kind)
    if inner:
        each = enumerate(value) if isinstance(value, list) else value.items()
        for key, one in each:
            fits(one, inner[2], f"{at}.{key}")
    elif kind in ("str", "int", "bool"):
        assert type(value).__name__ == kind, (at, value)
    elif kind not in ("object", "datetime", "float"):
        model = getattr(client.models, kind)
        names = {written: name for name, written in model.attribute_map.items()}
        for key, one in value.items():
            assert key in names, (at, key)
            fits(one, model.openapi_types[names[key]], f"{at}.{key}")

objects, config, context, image = json.load(sys.stdin)
for each in objects:
    fits(each, f"V1{each['kind']}", f"{each['kind']} {each['metadata']['name']}")
kubernetes.config.load_incluster_config = lambda: None  # there is none
launcher = K8sRunLauncher(**config, k8s_client_batch_api=SimpleNamespace(), k8s_client_core_api=SimpleNamespace())
code = RepositoryPythonOrigin("python", ModuleCodePointer("m", "defs"), image, container_context=context)
run = DagsterRun(job_name="live", job_code_origin=JobPythonOrigin("live", code))
its = launcher.get_container_context_for_run(run)
job = construct_dagster_k8s_job(
    its.get_k8s_job_config(image, launcher), ["dagster"], "run", its.run_k8s_config, component="run_worker"
)
job = client.ApiClient().sanitize_for_serialization(job)
fits(job, "V1Job", "the job")
print(json.dumps(job))
"""


@pytest.fixture(scope="module")
def objects() -> list[Settings]:
    chart, version = os.environ.get("HELM_CHART"), os.environ.get("HELM_CHART_VERSION")
    if not chart or not shutil.which("helm"):
        pytest.skip("HELM_CHART is not set, or there is no helm on the PATH")
    # Values are held against the chart's schema first.
    command = ["helm", "template", "dagster", chart, *(["--version", version] if version else [])]
    values = ["-n", "wolkvox", "-f", str(DEPLOY / "values.yaml"), "--set", "migrate.enabled=true"]
    done = subprocess.run([*command, *values], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def named(objects: list[Settings], kind: str, name: str) -> Settings:
    (found,) = (each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


def test_dagster_yaml_is_what_the_other_tests_take_it_for(objects: list[Settings]) -> None:
    written = yaml.safe_load(named(objects, "ConfigMap", "dagster-instance")["data"]["dagster.yaml"])
    assert written == dagster_yaml(settings_of("values.yaml"))
    workspace = named(objects, "ConfigMap", "dagster-workspace-yaml")["data"]["workspace.yaml"]
    (server,) = (each["grpc_server"] for each in yaml.safe_load(workspace)["load_from"])
    (port,) = named(objects, "Service", server["host"])["spec"]["ports"]
    assert server["port"] == port["port"]


def test_each_pod_is_shut_in_and_each_object_has_the_right_form(
    objects: list[Settings], tmp_path: Path
) -> None:
    config = yaml.safe_load(named(objects, "ConfigMap", "dagster-instance")["data"]["dagster.yaml"])
    pods = [each["spec"]["template"]["spec"] for each in objects if each["kind"] in ("Deployment", "Job")]
    (code,) = (
        container for pod in pods for container in pod["containers"] if "grpc" in container.get("args", ())
    )
    environment = {each["name"]: each.get("value") for each in code["env"]}
    context = json.loads(environment["DAGSTER_CLI_API_GRPC_CONTAINER_CONTEXT"])
    asked = [objects, config["run_launcher"]["config"], context, environment["DAGSTER_CURRENT_IMAGE"]]
    said = run("python", "-c", LOOK, cwd=tmp_path, stdin=json.dumps(asked))
    a_run = json.loads(said)["spec"]["template"]["spec"]
    assert a_run["containers"][0]["resources"] == code["resources"]
    assert a_run["terminationGracePeriodSeconds"] == 90
    assert "Secret" not in {each["kind"] for each in objects}
    assert len(pods) == 4  # with the job that migrates
    accounts = {each["metadata"]["name"] for each in objects if each["kind"] == "ServiceAccount"}
    for pod in [*pods, a_run]:
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["serviceAccountName"] in accounts
        mounted = {volume["name"]: volume for volume in pod["volumes"]}
        for container in [*pod["containers"], *pod.get("initContainers", ())]:
            shut_in(container)
            assert {mount["name"] for mount in container.get("volumeMounts", ())} <= mounted.keys()
            ports = {port["containerPort"] for port in container.get("ports", ())}
            for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
                assert container.get(probe, {}).get("httpGet", {}).get("port") in {None, *ports}
        for container in pod["containers"]:
            assert container["image"] == environment["DAGSTER_CURRENT_IMAGE"]
            made = {each["metadata"]["name"] for each in objects if each["kind"] == "ConfigMap"}
            assert needed(container) <= OURS | made


def shut_in(container: Settings) -> None:
    context = container["securityContext"]
    assert context["readOnlyRootFilesystem"], container["name"]
    assert not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}


def needed(container: Settings) -> set[str]:
    """The Secrets and ConfigMaps without which it does not start."""
    sources = [
        source
        for each in container.get("envFrom", ())
        for source in each.values()
        if not source.get("optional")
    ]
    sources += [each["valueFrom"]["secretKeyRef"] for each in container["env"] if "valueFrom" in each]
    return {source["name"] for source in sources}


def test_the_launcher_may_start_and_end_runs(objects: list[Settings]) -> None:
    daemon = named(objects, "Deployment", "dagster-daemon")["spec"]["template"]["spec"]
    (binding,) = (
        each
        for each in objects
        if each["kind"] == "RoleBinding" and each["subjects"][0]["name"] == daemon["serviceAccountName"]
    )
    allowed = {
        (resource, verb)
        for rule in named(objects, "Role", binding["roleRef"]["name"])["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    for resource, verb in (("jobs", "create"), ("jobs", "delete"), ("jobs", "get"), ("pods", "list")):
        assert {(resource, verb), (resource, "*")} & allowed


def test_neither_the_code_location_nor_a_run_may_start_jobs(objects: list[Settings]) -> None:
    bound = {
        subject["name"] for each in objects if each["kind"] == "RoleBinding" for subject in each["subjects"]
    }
    assert bound == {"dagster"}
