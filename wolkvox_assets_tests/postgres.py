"""A Postgres of the tests' own, which they may stop and start as they like.

What belongs here: the server and its databases. What doesn't: what is tested with it.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

PLACES = Path("/usr/lib/postgresql")  # Debian's; elsewhere the programs are on the PATH
NOTHING_LOST_BY_IT = "-c fsync=off -c full_page_writes=off -c shared_buffers=16MB -c max_connections=60"
TEMPORARY = tempfile.gettempdir()  # the tests' own is for one test only


class Cluster:
    """A running server. Reached by a socket in its folder, whose path no other program takes."""

    def __init__(self, programs: Path, folder: Path, user: str | None) -> None:
        self._programs, self._folder, self._user = programs, folder, user
        self._server: subprocess.Popen[bytes] | None = None
        if user:
            shutil.chown(folder, user)
        initdb = f"{programs}/initdb --no-sync -D {folder}/data -U postgres -A trust -E UTF8"
        subprocess.run(initdb.split(), check=True, capture_output=True, user=user, cwd=folder)
        self.start()

    def address(self, database: str = "postgres") -> str:
        return f"host={self._folder} user=postgres dbname={database}"

    @property
    def runs(self) -> bool:
        return self._server is not None and self._server.poll() is None

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [
                    self._programs / "postgres",
                    *("-D", self._folder / "data", "-k", self._folder, "-c", "listen_addresses="),
                    *NOTHING_LOST_BY_IT.split(),
                ],
                stdout=log,
                stderr=log,
                user=self._user,
                cwd=self._folder,
            )
        until = time.monotonic() + 20
        while True:
            try:
                psycopg2.connect(self.address()).close()
            except psycopg2.OperationalError:
                if time.monotonic() > until or not self.runs:
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self, signal: int) -> None:
        """`SIGINT`: ends all connections, and then itself. `SIGQUIT`: as if it had crashed."""
        if self._server is not None:
            self._server.send_signal(signal)
            self._server.wait(20)

    def ask(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        connection = psycopg2.connect(self.address(database))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    @contextmanager
    def database(self) -> Iterator[str]:
        """The address of an empty database; dropped at the end."""
        name = f"wolkvox_{uuid.uuid4().hex}"
        self.ask(f"CREATE DATABASE {name}")
        try:
            yield self.address(name)
        finally:
            self.ask(f"DROP DATABASE {name} WITH (FORCE)")


def programs() -> Path | None:
    """Where the server's programs are, the newest version's."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    versions = [path.parent for path in PLACES.glob("*/bin/initdb")]
    return max(versions, key=lambda path: float(path.parent.name), default=None)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A server as long as this lasts. Skips, and with `CI` fails, where there are no programs for one."""
    found = programs()
    user = "postgres" if os.getuid() == 0 else None  # it refuses to run as root
    missing = ""
    if found is None:
        missing = f"no Postgres server: neither initdb on the PATH nor below {PLACES}"
    elif user and user not in {entry.pw_name for entry in pwd.getpwall()}:
        missing = f"Postgres does not run as root, and there is no user {user!r}"
    if found is None or missing:
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with tempfile.TemporaryDirectory(prefix="pg", dir=TEMPORARY) as folder:
        running = Cluster(found, Path(folder), user)
        try:
            yield running
        finally:
            running.stop(3)  # SIGQUIT
