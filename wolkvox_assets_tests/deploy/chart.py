"""What Dagster's Helm chart makes of `deploy/values.yaml`, as far as Dagster itself reads it.

What belongs here: the chart's rules, told in Python, since the chart is in no registry of packages. That they are
its rules, `test_chart.py` shows where the chart is at hand. What doesn't: the pods; only the chart writes those.
"""

from typing import Any

Settings = dict[str, Any]


def snake(values: Settings) -> Settings:
    """The chart's names as Dagster's."""
    words = {name: "".join(f"_{c.lower()}" if c.isupper() else c for c in name) for name in values}
    return {words[name]: value for name, value in values.items()}


def dagster_yaml(values: Settings) -> Settings:
    """`dagster.yaml` of the release `dagster` in the namespace `wolkvox`."""
    daemon, concurrency = values["dagsterDaemon"], concurrency_of(values)
    (logs,) = values["computeLogManager"]["config"].values()
    by_default = {"failure": -1, "skipped": 7, "started": -1, "success": -1}
    return {
        "scheduler": {"module": "dagster.core.scheduler", "class": "DagsterDaemonScheduler"},
        **{
            f"{name}_storage": {
                "module": f"dagster_postgres.{module}",
                "class": kind,
                "config": {"postgres_db": postgres(values["postgresql"])},
            }
            for name, module, kind in (
                ("schedule", "schedule_storage", "PostgresScheduleStorage"),
                ("run", "run_storage", "PostgresRunStorage"),
                ("event_log", "event_log", "PostgresEventLogStorage"),
            )
        },
        "run_launcher": {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": launcher(values)},
        "run_coordinator": coordinator(daemon["runCoordinator"], queue_has_no_limit=bool(concurrency)),
        "compute_logs": {
            "module": "dagster_aws.s3.compute_log_manager",
            "class": values["computeLogManager"]["type"],
            "config": {"verify": True, **snake(logs)},
        },
        "python_logs": snake(values["pythonLogs"]),
        "run_monitoring": snake(daemon["runMonitoring"]),
        "run_retries": snake(daemon["runRetries"]),
        "sensors": snake(daemon["sensors"]),
        "schedules": {"use_threads": True, "num_workers": 4},
        "telemetry": values["telemetry"],
        "retention": {
            "auto_materialize": {"purge_after_days": by_default},
            **{kind: snake(values["retention"][kind]) for kind in ("schedule", "sensor")},
        },
        **concurrency,
        **values["additionalInstanceConfig"],
    }


def postgres(values: Settings) -> Settings:
    return {
        "username": values["postgresqlUsername"],
        "password": {"env": "DAGSTER_PG_PASSWORD"},
        "hostname": values["postgresqlHost"],
        "db_name": values["postgresqlDatabase"],
        "port": 5432,
        "params": {},
        "scheme": values["postgresqlScheme"],
    }


def launcher(values: Settings) -> Settings:
    set_here = snake(values["runLauncher"]["config"]["k8sRunLauncher"])
    return {
        "job_namespace": "wolkvox",
        "service_account_name": "dagster",
        "dagster_home": "/opt/dagster/dagster_home",
        "instance_config_map": "dagster-instance",
        "postgres_password_secret": values["global"]["postgresqlSecretName"],
        **{name: value for name, value in set_here.items() if value != []},
        "run_k8s_config": snake(set_here["run_k8s_config"]),
    }


def coordinator(values: Settings, *, queue_has_no_limit: bool) -> Settings:
    if not values["enabled"]:
        module = "dagster._core.run_coordinator.sync_in_memory_run_coordinator"
        return {"module": module, "class": "SyncInMemoryRunCoordinator"}
    limit = {} if queue_has_no_limit else {"max_concurrent_runs": -1}
    threads = {"dequeue_use_threads": True, "dequeue_num_workers": 4}
    return {
        "module": "dagster.core.run_coordinator",
        "class": values["type"],
        "config": {**limit, **threads, **snake(values["config"]["queuedRunCoordinator"])},
    }


def concurrency_of(values: Settings) -> Settings:
    set_here = dict(values.get("concurrency", {"enabled": False}))
    if not set_here.pop("enabled"):
        return {}
    return {"concurrency": {name: snake(limits) for name, limits in set_here.items()}}
