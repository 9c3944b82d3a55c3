"""Processes of their own, forked from one that has imported what they take longest with: commands of `dagster`, and
functions of the tests.

What belongs here: starting them. What doesn't: which ones, and what becomes of them (`project.py`,
`store/processes.py`).

They differ from started ones in that alone: pid, environment, folder, output and exit code are their own, and signals
reach them as they would.
"""

import atexit
import gc
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NamedTuple

# Each imports some of what a run takes, and `dagster` only when it comes to it.
IMPORTS = [
    "alembic.context",
    "dagster._cli",
    "dagster._core.definitions.antlr_asset_selection.antlr_asset_selection",
    "dagster._core.executor.in_process",
    "dagster._core.instance.factory",
    "dagster._core.storage.local_compute_log_manager",
    "upath",
    "wolkvox_assets.day_report.pages",
    "wolkvox_assets.definitions",
    "wolkvox_assets.orchestration.instance.storage",
    "wolkvox_assets_tests.forked",
    "wolkvox_assets_tests.store.processes",
]


class Order(NamedTuple):
    words: Sequence[str]
    """After `dagster`."""
    environment: Mapping[str, str]
    folder: Path
    output: Path


def start(order: Order) -> ForkServerProcess:
    return call(_obey, order)


def call(function: Callable[..., None], *arguments: object) -> ForkServerProcess:
    """`function`: of a module."""
    context = multiprocessing.get_context("forkserver")
    # The process they are forked from has one thread: this one, with its simulators, has many.
    context.set_forkserver_preload(IMPORTS)
    process = context.Process(target=function, args=arguments, daemon=True)  # ended with the tests
    process.start()
    return process


def _obey(order: Order) -> None:
    gc.freeze()  # as in `conftest.py`
    output = os.open(order.output, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.folder)
    # As `python -m` has them.
    sys.path[0] = str(order.folder)
    sys.argv = ["dagster", *order.words]
    from dagster._cli import main

    try:
        main()  # type: ignore[no-untyped-call]
    finally:
        atexit._run_exitfuncs()
