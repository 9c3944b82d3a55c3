"""Other processes around the store: writers of ours, strangers with DuckDB, and how they are ended.

What belongs here: the programs that run in them, and starting and ending them. What doesn't: assertions.
A round's content can be told from its numbers: in round r each window of the batch has `1 + (r + window) % 4`
agents with `hold_mute_count` r, and the log has run_id `<writer>-<r>`. So a torn window or batch shows.
"""

import importlib
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NoReturn, TextIO

import duckdb
from filelock import FileLock
from pydantic import SecretStr

from wolkvox_assets.report.clocks import moment
from wolkvox_assets.report.measures import Usage
from wolkvox_assets.store import Store, disk, files, replacing
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.lake.place import Lake
from wolkvox_assets.store.lake.store import LakeStore
from wolkvox_assets.store.windows import WindowContent
from wolkvox_assets_tests import forked
from wolkvox_assets_tests.store.tables import agent_9, content, replace_windows, window

ROOT = Path(__file__).parents[2]
BATCHES, BATCH = 3, 8  # a writer's rounds go through so many batches of so many windows


def batch_of(round_number: int, first: int = 0) -> list[WindowContent]:
    """The windows of this round, from window number `first` on."""
    batch = round_number % BATCHES
    return [
        content(
            window(first + batch * BATCH + n),
            {
                f"Agent {a}": Usage(round_number, a, n, a + n)
                for a in range(agents_of(round_number, first + batch * BATCH + n))
            },
        )._replace(moment=moment())
        for n in range(BATCH)
    ]


def agents_of(round_number: int, number: int) -> int:
    return 1 + (round_number + number) % 4


def store_round(store: Store, writer: str, round_number: int, first: int = 0) -> None:
    with store.transaction() as con:
        replace_windows(agent_9(con), batch_of(round_number, first), run_id=f"{writer}-{round_number}")


# What runs in them


def write(data_dir: Path, writer: str, first_window: int, first_round: int, rounds: int) -> None:
    """Wait for a line, then store round after round and tell each once it is stored. Tells at the end how
    often DuckDB turned it away."""
    turned_away = 0
    connect = duckdb.connect

    def counting(*args: object, **kwargs: object) -> duckdb.DuckDBPyConnection:
        nonlocal turned_away
        try:
            return connect(*args, **kwargs)  # type: ignore[arg-type]  # handed through
        except duckdb.Error:
            turned_away += 1
            raise

    files.duckdb.connect = counting  # type: ignore[attr-defined]  # in a writer's own process
    store = FileStore(data_dir)
    say(f"ready {os.getpid()}")
    sys.stdin.readline()
    for round_number in range(first_round, first_round + rounds):
        store_round(store, writer, round_number, first_window)
        say(f"stored {round_number}")
    say(f"turned away {turned_away}")


def write_to_lake(
    address: str, data: str, writer: str, first_window: int, first_round: int, rounds: int
) -> None:
    """As `write`, to the lake in this database, whose data lies there."""
    store = LakeStore(Path(), Lake(SecretStr(address), data))
    say(f"ready {os.getpid()}")
    sys.stdin.readline()
    for round_number in range(first_round, first_round + rounds):
        store_round(store, writer, round_number, first_window)
        say(f"stored {round_number}")


def write_again_and_again(data_dir: Path, times: int, rounds: int) -> None:
    """Start writers, one after the other has ended: forked, which is quicker than starting Python anew."""
    for n in range(times):
        child = os.fork()
        if not child:
            write(data_dir, f"w{n}", 0, 1 + n * rounds, rounds)
            os._exit(0)
        os.waitpid(child, 0)
        say("ended")


def publish_by(way: str) -> None:
    """From now on this process publishes by this way: `whole`, `spare` or `shared`."""
    if way != "shared":
        setattr(replacing, "share", lambda *_: False)  # noqa: B010  # a process of its own, as below
    replacing._SPARE_FROM_BYTES = 0 if way == "spare" else 2**63


def die(data_dir: Path, moment: str, way: str = "whole") -> None:
    """Store round 1 and be killed at this moment of it."""
    publish_by(way)
    store = FileStore(data_dir)
    if moment in (moments := _moments(store)):
        setattr(*moments[moment])
    with store.transaction() as con:
        replace_windows(agent_9(con), batch_of(1), run_id="dying-1")
        if moment == "before the commit":
            _killed()
        if moment == "right after the commit":
            con.execute("COMMIT")
            _killed()


def _killed(*_: object, **__: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def _moments(store: FileStore) -> dict[str, tuple[object, str, Callable[..., object]]]:
    """What to put in whose place, so that it comes to an end just there."""
    pwrite, replace, keep_private = os.pwrite, Path.replace, disk.keep_private

    def half_a_copy(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
        _killed()

    def half_a_block(descriptor: int, block: bytes, at: int) -> None:
        pwrite(descriptor, block[: len(block) // 2], at)
        _killed()

    def replace_or_die(new: Path, target: Path) -> Path:
        return _killed() if target == store.published else replace(new, target)

    def keep_private_or_die(file: Path) -> None:
        return _killed() if file == replacing.spare_name(store.published) else keep_private(file)

    return {
        "before the copy": (files.FileStore, "_publish", _killed),
        "in the copy": (shutil, "copyfile", half_a_copy),
        "in a block": (os, "pwrite", half_a_block),
        "after the copy": (Path, "replace", replace_or_die),
        "before the spare is private": (replacing, "keep_private", keep_private_or_die),
    }


def start_and_be_killed(tidy: bool = False) -> None:
    """For each line of stdin, `folder step N` or `folder after SECONDS`: start a process that makes that folder's files
    sound, or tidies them; kill it at the Nth step it takes among them, or after that time. Tells what became of it, how
    many steps it took where it ended by itself, and in what time."""
    files._REST_BETWEEN_REWRITES = timedelta(0)
    importlib.import_module("pandas")  # DuckDB would, in each of them
    for line in sys.stdin:
        folder, kind, number = line.split()
        began = time.perf_counter()
        child = os.fork()
        if not child:
            steps = 0

            def count(event: str, arguments: tuple[object, ...]) -> None:
                nonlocal steps
                if event in _STEPS and any(str(a).startswith(folder) for a in arguments):  # noqa: B023
                    steps += 1
                    if kind == "step" and steps == int(number):  # noqa: B023
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(count)
            try:
                if tidy:
                    assert FileStore(Path(folder)).tidy()
                else:
                    with FileStore(Path(folder)).transaction():
                        pass
                say(f"ended {steps}")
            finally:
                os._exit(0)
        if kind == "after":
            time.sleep(float(number))
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        say(f"{code} {time.perf_counter() - began}")


# What Python tells before it does it.
_STEPS = {"open", "os.rename", "os.remove", "os.link", "os.chmod", "os.utime", "shutil.copyfile"}


def copy_slowly(file: Path) -> None:
    """Read a file as `cp` does: the first byte now, and the rest after a line of stdin. Tells how often its content is
    what it was at first, and of how many bytes."""
    with file.open("rb") as opened:
        whole = file.read_bytes()
        first = opened.read(1)
        say("open")
        sys.stdin.readline()
        say(f"{first + opened.read() == whole} {len(whole)}")


def keep_open(file: Path, read_only: bool, statement: str) -> None:
    """Open a file as a person with DuckDB does; then, line by line of stdin, execute and tell."""
    con = duckdb.connect(file, read_only=read_only)
    if statement:
        con.execute(statement)
    say("open")
    for line in sys.stdin:
        say(repr(con.execute(line).fetchall()))
    con.close()


def hold_lock(lock: Path) -> None:
    """Hold the writers' lock until stdin ends."""
    with FileLock(lock):
        say("held")
        sys.stdin.read()


def say(line: str) -> None:
    print(line, flush=True)


# Starting and ending them


class Process:
    """A running program of this module, spoken to line by line."""

    def __init__(self, process: ForkServerProcess, line: socket.socket, said: TextIO) -> None:
        self._process, self._line, self._said = process, line, said

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.is_alive()

    @property
    def code(self) -> int | None:
        """Its exit code, once it has ended."""
        return self._process.exitcode

    def hear(self) -> str:
        """Its next line; where it has ended, an empty one."""
        return self._said.readline().rstrip("\n")

    def rest(self) -> list[str]:
        """All it still says, until it has ended."""
        said = self._said.read().splitlines()
        self._process.join()
        return said

    def tell(self, line: str = "") -> None:
        self._line.sendall(f"{line}\n".encode())

    def ask(self, sql: str) -> str:
        self.tell(sql)
        return self.hear()

    def tell_no_more(self) -> None:
        """It hears that, and ends."""
        self._line.shutdown(socket.SHUT_WR)

    def end(self) -> None:
        """Let it end by itself."""
        self.tell_no_more()
        self._process.join()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


@contextmanager
def running(program: Callable[..., None], *arguments: object) -> Iterator[Process]:
    """This function of this module in a process of its own, gone at the end in any case."""
    ours, theirs = socket.socketpair()
    with ours, ours.makefile("r", encoding="utf-8") as said:
        with theirs:
            process = forked.call(_run, program, arguments, theirs, dict(os.environ))
        try:
            yield Process(process, ours, said)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid or 0, signal.SIGKILL)
            process.kill()
            process.join()


def _run(
    program: Callable[..., None],
    arguments: Sequence[object],
    line: socket.socket,
    environment: Mapping[str, str],
) -> None:
    os.setsid()  # so that its children end with it
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    for stream in (0, 1):
        os.dup2(line.fileno(), stream)
    line.close()
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  # `multiprocessing` takes it away
    program(*arguments)
