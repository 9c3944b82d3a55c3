"""The lake as a store: transactions, readings, and what `doctor` says of it.

What belongs here: when a change counts, and what a person is told where it doesn't. What doesn't: the turn
(`turn.py`), attaching (`duck.py`), SQL on the tables, which the files have in common with it.

A change counts with DuckDB's one commit to the catalog, in which DuckLake writes all that belongs to it. Writers take
turns; and should two have the turn at once, since one has lost it without knowing, DuckLake refuses the second: each
commit touches the same row, and of two that did so without having seen each other one is a conflict.

Where Postgres goes away in the middle and comes back, a change is made once more (`LakeStore.change`). Whether one
counts whose COMMIT was not answered, the catalog tells: each has a mark in its snapshot. A reading waits for it to come
back before it begins; one that has begun has a snapshot, and can't go on with another.
"""

import logging
import math
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Generic, NamedTuple

import duckdb
import psycopg2
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
)

from wolkvox_assets.api.postgres import trouble, without_secrets
from wolkvox_assets.report.reports import REPORTS
from wolkvox_assets.store.disk import make_folder
from wolkvox_assets.store.errors import StoreError, StoreFull, disk_full, stoppable
from wolkvox_assets.store.face import Finding, T
from wolkvox_assets.store.filled import filled
from wolkvox_assets.store.lake import duck, examine, maintenance
from wolkvox_assets.store.lake.folder import NotTheLakes, mark, require, share_newest
from wolkvox_assets.store.lake.place import Lake
from wolkvox_assets.store.lake.turn import TurnLost, asking, turn
from wolkvox_assets.store.schema import tables_wanted
from wolkvox_assets.store.versions import VERSION, raise_version

logger = logging.getLogger(__name__)

# After 0.25 s, and then twice as long each time: a minute in all, which a restart of Postgres does not take.
_ATTEMPTS, _FIRST_WAIT_SECONDS = 9, 0.25
# Of a reading, since sensors and people wait for it; each attempt may take five seconds where nothing answers.
_ATTEMPTS_TO_READ, _SECONDS_TO_READ = 6, 8.0

_OTHER_DATA = "does not match existing data path"  # DuckLake's words
_NOT_ALLOWED = "permission denied"  # Postgres's; with a capital, the system's

_FENCE = "UPDATE schema_version SET version = version WHERE version = ?"

# So that a window's rows lie in few files, and a commit reads no more of them as history grows.
_LAYOUT = {"api_requests": "operation, year(requested_at), month(requested_at)"}
_LAYOUT_OF_A_REPORT = {
    "{windows}": "operation, year(local_date), month(local_date)",
    "{window_log}": "operation, year(local_date), month(local_date)",
    "{agent_days}": "operation, year(local_date)",
}


class NewerRelease(Exception):
    """The lake's tables are of a newer release. Says what to do."""


class Unknown(Exception):
    """Nobody can tell any more whether a change counts. Says why."""


# What to do stands in them.
_SAYS_ALL = (duck.NotInstalled, NewerRelease, NotTheLakes)


class LakeStore:
    """The lake that several machines share. `folder`: this machine's, for reports and Parquet files."""

    def __init__(self, folder: Path, lake: Lake) -> None:
        self.folder = folder
        self.lake = lake

    @property
    def where(self) -> str:
        return f"the lake in {self.lake.data}"

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """See `Store`. Where the turn is lost in mid-commit, either the change counts whole, or it is refused."""
        with self._explained("storing a change"), turn(self.lake) as still_ours, self._writing() as con:
            yield con
            still_ours()
            con.execute("COMMIT")
            share_newest(self.lake)

    def change(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """See `Store`. What breaks is waited for a minute or so."""
        again = self._again("Storing a change in the lake broke off", _ATTEMPTS, math.inf)
        with self._explained("storing a change"):
            return again(_Change(self.lake, self._writing, work).made)

    def _again(self, happened: str, attempts: int, seconds: float) -> Retrying:
        return Retrying(
            retry=retry_if_exception(self._may_pass),
            stop=stop_after_attempt(attempts) | stop_after_delay(seconds),
            wait=wait_exponential(multiplier=_FIRST_WAIT_SECONDS),
            before_sleep=partial(self._say_so, happened, attempts),
            reraise=True,
        )

    def _may_pass(self, error: BaseException) -> bool:
        match error:
            case psycopg2.Error():
                return trouble(error, self.lake.postgres).may_pass
            case duckdb.Error():
                # A connection that broke is no kind of error of its own; what never passes only takes a minute longer.
                of_the_data = isinstance(error, duckdb.IntegrityError | duckdb.DataError)
                said = str(error)
                never = _OTHER_DATA in said or _NOT_ALLOWED in said.lower()
                return not (of_the_data or disk_full(error) or never)
            case _:
                return isinstance(error, TurnLost)

    def _say_so(self, happened: str, attempts: int, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        logger.warning(
            "%s: %s. It is tried again by itself in %.1f s (%d of %d times).",
            happened,
            _why(error, self.lake) if error else "",
            state.upcoming_sleep,
            state.attempt_number,
            attempts - 1,
        )

    @contextmanager
    def _writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Within the turn: a transaction that writes, to be committed."""
        is_new = not self._has_data()
        if is_new and not self.lake.s3:
            make_folder(Path(self.lake.data))
        with self._begun() as (con, found):
            if is_new:
                self._mark_data()
            if not found.current:
                _bring_up_to_date(con, found)
            con.execute(_FENCE, [VERSION])
            yield con

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """See `Store`. Each thread has a snapshot of its own."""
        open_readings = _readings()
        if self.lake in open_readings:
            yield open_readings[self.lake]
            return
        again = self._again("The lake can't be read", _ATTEMPTS_TO_READ, _SECONDS_TO_READ)
        # The caller's own OSError, of a file it writes, is none of the lake's.
        with self._explained("reading the lake"), ExitStack() as stack:
            con = again(lambda: stack.enter_context(self._current()))
            open_readings[self.lake] = con
            try:
                yield con
            except OSError as error:
                theirs = error
            else:
                return
            finally:
                del open_readings[self.lake]
        raise theirs

    @contextmanager
    def looking(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """See `Store`."""
        with ExitStack() as stack:
            try:
                with self._explained("reading the lake"):
                    con, found = stack.enter_context(self._begun()) if self._has_catalog() else (None, _NONE)
            except StoreError:
                con, found = None, _NONE
            with self._explained("reading the lake"):
                yield con if found.current else None

    def tidy(self) -> bool:
        """Nothing: what swells a file, many small changes, lies in the catalog here."""
        return False

    def version(self) -> int:
        """Of its tables, as they are; 0 where there are none. Raises `StoreError`."""
        with self._explained("reading the lake"):
            if not self._has_catalog():
                return 0
            with self._begun() as (_, found):
                return found.version

    def holdings(self) -> examine.Holdings:
        """What it is made of. Raises `StoreError`."""
        with self._explained("reading the lake"), asking(self.lake) as con:
            return examine.holdings(con) if examine.has_catalog(con) else examine.Holdings(0, 0, 0, 0)

    def maintain(self) -> maintenance.Maintained:
        """Makes files of small changes, and few files of many: see `maintenance`. Raises `StoreError`."""
        with self._explained("cleaning up"):
            self.require_data()
            return maintenance.maintain(self.lake, lambda con: con.execute(_FENCE, [VERSION]))

    def findings(self) -> Iterator[Finding]:
        """See `examine`."""
        return examine.findings(self)

    def require_data(self) -> None:
        """Raises `StoreError` where its data is not where this machine looks for it."""
        with self._explained("reading the lake"):
            self._has_data()

    def _has_data(self) -> bool:
        """Whether anything was ever stored. Raises `NotTheLakes` where that is not in the folder. (Of object storage
        there is one, wherever one looks from.)"""
        if self.lake not in _identities:
            with asking(self.lake) as catalog:
                identity, in_use = examine.identity(catalog)
            if not in_use:
                return False
            _identities[self.lake] = identity
        if not self.lake.s3:
            require(Path(self.lake.data), _identities[self.lake])
        return True

    def _mark_data(self) -> None:
        """Before the first change counts."""
        if not self.lake.s3:
            with asking(self.lake) as catalog:
                mark(Path(self.lake.data), examine.identity(catalog)[0])

    @contextmanager
    def _current(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """A transaction in which the tables are this release's; an older lake is upgraded first. None where there is
        nothing yet."""
        if not self._has_catalog():
            yield None
            return
        self._has_data()
        with self._begun() as (con, found):
            if found.current or not found.version:
                yield con if found.current else None
                return
        with self.transaction():
            pass
        with self._begun() as (con, _):
            yield con

    @contextmanager
    def _begun(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, "_Tables"]]:
        """A transaction, and what it finds. It is rolled back at the end where it was not committed."""
        with ExitStack() as stack:
            con, found = self._answering(stack)
            try:
                yield con, found
            except duckdb.Error:
                duck.forget(self.lake)
                raise

    def _answering(self, stack: ExitStack) -> tuple[duckdb.DuckDBPyConnection, "_Tables"]:
        """Of the process's DuckDB; where that has lost its Postgres (started anew, say), of another one."""
        warm = duck.is_warm(self.lake)
        try:
            con = stack.enter_context(duck.cursor(self.lake))
            return con, _tables(con, self.lake)
        except duckdb.Error:
            duck.forget(self.lake)
            if not warm:
                raise
        con = stack.enter_context(duck.cursor(self.lake))
        return con, _tables(con, self.lake)

    def _has_catalog(self) -> bool:
        """Whether anything was ever stored. To attach a lake makes one, for which this may be the wrong moment."""
        if duck.is_warm(self.lake):
            return True
        with asking(self.lake) as con:
            return examine.has_catalog(con)

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Turns what DuckDB, Postgres or the system raises inside into a `StoreError`, without the password."""
        try:
            with stoppable():
                yield
        except (duckdb.Error, psycopg2.Error, OSError, TurnLost, Unknown, *_SAYS_ALL) as error:
            # From None: what others say of a connection may have its password in it.
            raise _explained(error, doing, self.lake) from None


class _Change(Generic[T]):
    """A change that can be made again until it counts, once."""

    def __init__(
        self,
        lake: Lake,
        writing: Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]],
        work: Callable[[duckdb.DuckDBPyConnection], T],
    ) -> None:
        self._lake, self._writing, self._work = lake, writing, work
        self._sent: list[_Sent[T]] = []

    def made(self) -> T:
        with turn(self._lake) as still_ours, self._writing() as con:
            # Postgres may carry out a COMMIT long after its connection broke. Asked only now that this transaction has
            # begun: one that comes later still is a conflict with it.
            for sent in self._sent:
                if sent.counts(self._lake):
                    return sent.result
            result = self._work(con)
            ((before,),) = con.execute(f"FROM ducklake_current_snapshot('{duck.NAME}')").fetchall()
            mark = secrets.token_hex(16)
            con.execute(
                f"CALL ducklake_set_commit_message('{duck.NAME}', 'wolkvox-assets', '', extra_info => '{mark}')"
            )
            still_ours()
            self._sent.append(_Sent(result, before, mark))
            con.execute("COMMIT")
            share_newest(self._lake)
            return result


class _Sent(NamedTuple, Generic[T]):
    """A COMMIT. `before`: the newest snapshot then. `mark`: of the one that it makes."""

    result: T
    before: int
    mark: str

    def counts(self, lake: Lake) -> bool:
        """Call it in the turn. Raises `Unknown`."""
        with asking(lake) as con, con.cursor() as cursor:
            cursor.execute(
                "SELECT COUNT(*) FILTER (WHERE commit_extra_info = %s), MIN(snapshot_id) FROM public.ducklake_snapshot"
                " LEFT JOIN public.ducklake_snapshot_changes USING (snapshot_id)",
                [self.mark],
            )
            ((found, oldest),) = cursor.fetchall()
        if not found and oldest > self.before:
            raise Unknown(
                "the connection to the lake's Postgres broke, and the lake was cleaned up before it was back"
            )
        return bool(found)


class _Tables(NamedTuple):
    """`version`: 0 where there are none."""

    version: int
    complete: bool

    @property
    def current(self) -> bool:
        return self.version == VERSION and self.complete


def _tables(con: duckdb.DuckDBPyConnection, lake: Lake) -> _Tables:
    """Raises `NewerRelease`."""
    try:
        ((version,),) = con.execute("SELECT MAX(version) FROM schema_version").fetchall()
    except duckdb.CatalogException:
        return _NONE
    if version > VERSION:
        raise NewerRelease(
            f"the lake is version {version}, of a newer release; this release knows {VERSION}. Take a newer release of "
            "this project on this machine, too."
        )
    # Once in a process: to list the tables takes as long as a commit.
    if lake not in _complete:
        found = con.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = 'main'"
        ).fetchall()
        if tables_wanted().keys() - {name for (name,) in found}:
            return _Tables(version, complete=False)
        _complete.add(lake)
    return _Tables(version, complete=True)


_NONE = _Tables(0, complete=False)
# What this process has found so.
_complete: set[Lake] = set()
_identities: dict[Lake, str] = {}
_thread = threading.local()


def _readings() -> dict[Lake, duckdb.DuckDBPyConnection | None]:
    """What this thread is reading."""
    found: dict[Lake, duckdb.DuckDBPyConnection | None] = _thread.__dict__.setdefault("readings", {})
    return found


def _bring_up_to_date(con: duckdb.DuckDBPyConnection, found: _Tables) -> None:
    """In the caller's transaction, and so together with its change."""
    raise_version(con, found.version, lake=True)
    layout = dict(_LAYOUT)
    for report in REPORTS:
        layout |= {filled(table, report): parts for table, parts in _LAYOUT_OF_A_REPORT.items()}
    for table, parts in layout.items():
        con.execute(f"ALTER TABLE {table} SET PARTITIONED BY ({parts})")
    for table in tables_wanted():
        maintenance.begin_statistics(con, table)


# What DuckDB says of a connection to Postgres that broke, in whatever kind of error, around the whole of its SQL.
_BROKE = re.compile(
    "closed the connection unexpectedly|no connection to the server|terminating connection|connection to server"
    '|could not (receive|send) data|SSL SYSCALL|Failed to execute query "ROLLBACK"|vector of size 0'
    "|transaction is aborted"
)


def _why(error: BaseException, lake: Lake) -> str:
    """What happened, in one line and without the password."""
    if isinstance(error, psycopg2.Error):
        return trouble(error, lake.postgres).said
    said = without_secrets(str(error).strip(), lake.postgres)
    if isinstance(error, duckdb.Error):
        return "the connection to the lake's Postgres broke" if _BROKE.search(said) else _without_sql(said)
    return said


def _without_sql(said: str) -> str:
    """DuckDB's first line, up to the SQL in it that is DuckLake's, and the reason: what Postgres said, which stands
    after the SQL, or else the last line."""
    first, *sql = re.split(r' "(?=[A-Z]+ )', said.partition("\n")[0], maxsplit=1)
    postgres = re.search(r"ERROR:\s+([^\n]+)", said)
    reason = postgres[1] if postgres else "" if sql else said.rpartition("\n")[2]
    parts = [part.strip().rstrip(".") for part in (first, "" if reason in first else reason)]
    return ": ".join(filter(None, parts))


def _explained(error: BaseException, doing: str, lake: Lake) -> StoreError:
    said = _why(error, lake)
    match error:
        case duck.NotInstalled() | NewerRelease() | NotTheLakes():
            return StoreError(f"{doing}: {said} Nothing was changed.")
        case TurnLost():
            return StoreError(
                f"{doing}: {said}. Nothing of this change was stored; repeat the run, repeating is harmless."
            )
        case Unknown():
            return StoreError(
                f"{doing}: {said}. Whether this change was stored can't be told; repeat the run, repeating is harmless."
            )
        case psycopg2.Error():
            return StoreError(
                f"{doing}: the lake's Postgres can't be used: {said}. Nothing was changed. Check that it is "
                "running and can be reached from here, and that WOLKVOX_STORE is right; then repeat the run, "
                "repeating is harmless."
            )
        case duckdb.Error() if _OTHER_DATA in str(error):
            return StoreError(
                f"{doing}: WOLKVOX_STORE_DATA is {lake.data}, and the data of this lake lies elsewhere "
                # What follows is advice that would make it worse.
                f"({said.partition(' You can ')[0]}). "
                "Nothing was changed. Set it to that place, on all machines."
            )
        case duckdb.Error() if "conflict" in str(error).lower():
            return StoreError(
                f"{doing}: something else was stored in the lake at the same moment, and out of turn: the connection "
                "that holds the turn had been lost. Nothing of this change was stored; repeat the run, repeating is "
                f"harmless. ({said})"
            )
    if disk_full(error):
        return StoreFull(
            f"{doing}: no room left, on the disk of {lake.data} or of Postgres. What was committed before is intact. "
            f"Make room and repeat the run: repeating is harmless. ({said})"
        )
    if isinstance(error, OSError):
        return StoreError(
            f"{doing}: {said}. What was committed before is intact. See that {lake.data} is there on this machine and "
            "can be written by this user; then repeat the run."
        )
    return StoreError(
        f"{doing} in {lake.data} failed: {said}. What was committed before is intact; repeat the run, "
        "repeating is harmless."
    )


@contextmanager
def reader(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of its own with the lake attached for reading. Raises `StoreError`."""
    try:
        con = duck.attached(lake, read_only=True)
    except (duckdb.Error, OSError, duck.NotInstalled) as error:
        raise _explained(error, "reading the lake", lake) from None
    try:
        yield con
    finally:
        con.close()
