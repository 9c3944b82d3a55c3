"""The processes of the machines in `test_machines.py`: what a tick does, or a backfill of each operation.

What belongs here: that. What doesn't: which processes there are, and what becomes of them.

`python -m wolkvox_assets_tests.machine` imports all that takes long, and then makes a process of each line it is
given, as `Order.line` writes it: `live`, which ends when there is a file of the name that is given, or `backfill` of
a range, of each operation until it is loaded. It answers with the process's number, and waits for it when it is given
that number.
"""

import ctypes
import json
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import dagster as dg

from wolkvox_assets.api import client, postgres_lock
from wolkvox_assets.day_report.drawing import Reports
from wolkvox_assets.definitions import build_definitions
from wolkvox_assets.orchestration.automation.live import LIVE
from wolkvox_assets.orchestration.instance import dead_runs
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.settings import load_settings

ANSWER_SECONDS, SPARE_SECONDS = 2.0, 1.0
"""In place of 120 and 5: what is killed is waited for that long."""


PAUSE_SECONDS = 5
"""Between two ticks, in place of five minutes."""


class Order(NamedTuple):
    """`folder`: the machine's, named after it, with its `operations.toml` and `dagster.yaml`. `user`: the machine's
    own, a number without a name, or 0 for the one that runs this. `clock`: see `clock`.
    """

    folder: str
    user: int
    environment: tuple[tuple[str, str], ...]
    clock: str
    role: str
    what: str
    operations: tuple[str, ...]

    @property
    def log(self) -> Path:
        return Path(self.folder) / f"{self.role}.log"

    @property
    def line(self) -> str:
        return json.dumps(self)


def clock(said: str) -> Callable[[], datetime]:
    """The clock that `said` describes: two moments in ISO format and a factor."""
    was, at, speed = said.split()
    shown, real = datetime.fromisoformat(was), datetime.fromisoformat(at)
    return lambda: shown + (datetime.now(UTC) - real) * float(speed)


GROUP = 20000
"""Of the users of all machines."""


def become(user: int) -> None:
    """Only root may. What is left of root's rights is to read everything: Python itself may lie in root's folder."""
    prctl, read_everything = ctypes.CDLL(None).prctl, 1 << 2  # CAP_DAC_READ_SEARCH
    os.setgroups([GROUP])
    os.setgid(user)
    prctl(8, 1)  # PR_SET_KEEPCAPS
    os.setuid(user)
    # Of the capabilities 0 to 31 and 32 to 63: effective, permitted, inheritable.
    rights = (ctypes.c_uint32 * 6)(read_everything, read_everything)
    if ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), rights):
        raise OSError("capset")
    prctl(4, 1)  # PR_SET_DUMPABLE: else what is in /proc of this process is root's


def obey(order: Order) -> None:
    """Raises what ends a process: Dagster's records can't be had, say. Then it is to be started again."""
    with suppress(OSError):  # only root may
        if ctypes.CDLL(None).unshare(0x04000000) == 0:  # CLONE_NEWUTS
            socket.sethostname(Path(order.folder).name)
    if order.user:
        become(order.user)
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: gone when the tests are, even if killed
    os.environ.update(dict(order.environment))
    os.chdir(order.folder)
    tempfile.tempdir = os.environ["TMPDIR"]
    log = os.open(order.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    client.ANSWER_SECONDS, postgres_lock.SPARE_SECONDS = ANSWER_SECONDS, SPARE_SECONDS
    location = CodeLocation(load_settings(), clock(order.clock))
    if location.settings.problems:
        raise RuntimeError(" ".join(location.settings.problems))
    definitions = build_definitions(location)
    with dg.DagsterInstance.from_config(order.folder) as instance:
        # As the sensors do: who was killed on this machine gives its places back.
        dead_runs.end_dead_runs(instance, datetime.now(UTC))
        if order.role == "live":
            job, maintain = definitions.resolve_job_def(LIVE), definitions.resolve_job_def("maintain_lake")
            while not Path(order.what).exists():
                job.execute_in_process(instance=instance, raise_on_error=False)
                # Small changes make no files: without it there is nothing that the other user could not read or delete.
                maintain.execute_in_process(instance=instance, raise_on_error=False)
                dead_runs.end_dead_runs(instance, datetime.now(UTC))
                time.sleep(PAUSE_SECONDS)
            return
        first, _, last = order.what.partition("...")
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        for operation in order.operations:
            while not dg.materialize(
                list(definitions.assets or []),  # type: ignore[arg-type]  # never the cacheable kind
                selection=[dg.AssetKey([operation, "agent_9_windows"])],
                resources=definitions.resources,
                tags=tags,
                instance=instance,
                raise_on_error=False,
            ).success:
                print(f"{operation} once more", flush=True)
            print(f"{operation} is loaded", flush=True)


def main() -> None:
    # Pages take longer than all the rest, and are not what this is about.
    Reports.pictures = lambda *_: {}  # type: ignore[method-assign]
    Reports.pages = lambda *_, **__: None  # type: ignore[method-assign]
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if isinstance(asked, int):
            print(os.waitstatus_to_exitcode(os.waitpid(asked, 0)[1]), flush=True)
            continue
        process = os.fork()
        if process:
            print(process, flush=True)
            continue
        code = 1
        try:
            obey(Order(*asked))
            code = 0
        except Exception:  # noqa: BLE001  # whatever it is: the process ends here
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


if __name__ == "__main__":
    main()
