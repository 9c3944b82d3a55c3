"""Whether a file can be trusted: the one place that decides it.

What belongs here: looking at every byte of a file, and at what its tables are; remembering what this process
has looked at and left. What doesn't: what follows from it (`files.py`), and what an older version becomes
(`replacing.py`).

DuckDB checks a block only when it reads it, so a file can open although half of it is gone. Each block begins
with a checksum of 8 bytes; all of them are checked here, at 10 GB/s (copying takes ten times as long).
Format: https://duckdb.org/docs/stable/internals/storage and DuckDB's `checksum.cpp`: the exclusive or of all
8-byte words, each times a constant. Should another DuckDB compute it differently, nothing breaks: what is not
proved whole in this way is read by DuckDB itself, to the last value, which only takes longer.

What a file became with one more checkpoint is looked at alone: DuckDB never writes to a block that the checkpoint
before still needs, or a crash would cost it both. It writes to free blocks, to new ones at the end, and to those of
its metadata, which it shares out in smaller parts. The tests hold that; and a slice of all the others, another one
each time, is looked at as well.
"""

import os
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from io import SEEK_END, RawIOBase
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt

from wolkvox_assets.report.reports import REPORTS
from wolkvox_assets.store.filled import literal
from wolkvox_assets.store.schema import tables_wanted
from wolkvox_assets.store.versions import VERSION

_ONE_AT_A_TIME = threading.Lock()

Words = npt.NDArray[np.uint64]

_BLOCK = "block"  # how a fault begins that DuckDB may know better
_NOWHERE = 2**64 - 1
_HEADER = 4096  # three of them: the file's own, and two of which the later one counts
_FACTOR, _SEED = np.uint64(0xBF58476D1CE4E5B9), np.uint64(5381)


# A file system's clock ticks every 10 ms at most: of two writes within one tick, `stat` shows one.
_TICK_NS = 20_000_000

# To look at so many bytes again takes longer than a tick.
_LONG_TO_READ = 100_000_000

State = tuple[int, ...]
"""What every write changes, whoever writes: device, inode, size, times of change of content and of inode."""

# A 64th of all blocks is looked at each time, whatever may have been written to.
_SLICES = 64


class Damaged(Exception):
    """The file is missing, not whole, or not one of ours. Says why."""


class Refused(Exception):
    """The file may be fine, but is not for this release to touch. Says why and what to do."""


class Layout(NamedTuple):
    """Of a file: the number of its last checkpoint, the first free block's place in a list, and where blocks lie."""

    checkpoint: int
    free_list: int
    blocks: int
    block_size: int
    start: int = 3 * _HEADER


@dataclass(frozen=True)
class Checkpoint:
    """A state in which all of a file was looked at. `number`: each checkpoint adds one. `blocks`: how many it has.
    `open`: those of them to which the next checkpoint may write."""

    number: int
    blocks: int
    open: frozenset[int]

    def leads_to(self, later: int) -> bool:
        """Whether a file with this number is the same one, after one more checkpoint at most."""
        return self.number <= later <= self.number + 1

    def may_have_changed(self, number: int) -> bool:
        """Whether the next checkpoint can have written to this block, or its slice's turn has come."""
        return number in self.open or number >= self.blocks or number % _SLICES == self.number % _SLICES


# Files that were whole and current when this process, which wrote them last, was done with them.
_left: dict[Path, tuple[State, Checkpoint | None]] = {}


@dataclass(frozen=True)
class Contents:
    """What a file that can be trusted holds. `missing`: tables of ours that it lacks. `checkpoint`: where it
    stood when it was looked at, if that could be told."""

    version: int
    missing: frozenset[str]
    checkpoint: Checkpoint | None = field(default=None, compare=False)

    @property
    def current(self) -> bool:
        return self.version == VERSION and not self.missing


def inspect(file: Path, before: Checkpoint | None = None, written: Collection[int] = frozenset()) -> Contents:
    """Looks at every byte of `file`, which nobody may have open for writing. Where all of it was looked at when it
    stood at `before`, only at what can have changed since, and at the blocks `written`.

    Raises `Damaged` or `Refused`; DuckDB's own error where another program has it open.
    """
    fault = found = _fault(file, before, written)
    if fault.startswith(_BLOCK):
        fault = _read_all(file, fault)
    if fault:
        raise Damaged(f"{file.name} {fault}")
    with opened(file) as con:
        held = contents(con, file)
        return held if found or log_of(file).exists() else replace(held, checkpoint=_checkpoint(con, file))


def state_of(file: Path) -> State:
    found = file.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def remember(file: Path, state: State, checkpoint: Checkpoint | None, *, renamed: bool = False) -> None:
    """`file` is whole and current as long as it is in this state: this process wrote it, and looked at every byte.

    Not where it has changed meanwhile, or so lately that another write might not show. `renamed`: it was, just now,
    which says nothing about its content.
    """
    changed = state[-2] if renamed else max(state[-2:])
    rest = changed + _TICK_NS - time.time_ns()
    if 0 <= rest <= _TICK_NS and state[2] >= _LONG_TO_READ:
        time.sleep((rest + 1_000_000) / 1e9)
    if state == state_of(file) and changed + _TICK_NS < time.time_ns():
        _left[file.absolute()] = state, checkpoint


def recall(file: Path) -> tuple[bool, Checkpoint | None]:
    """Whether `file` is as it was when it was remembered, and where it stood. It is forgotten by this: what comes next
    may fail."""
    state, checkpoint = _left.pop(file.absolute(), (None, None))
    known = state is not None and file.exists() and state == state_of(file) and not log_of(file).exists()
    return known, checkpoint if known else None


def inspect_once(file: Path) -> None:
    """As `inspect`, but not again as long as nobody wrote in the file."""
    state = state_of(file)
    if _inspected.get(file.absolute()) != state:
        inspect(file)
        if max(state[-2:]) + _TICK_NS < time.time_ns():
            _inspected[file.absolute()] = state


_inspected: dict[Path, State] = {}


def cut_short(con: duckdb.DuckDBPyConnection, file: Path) -> bool:
    """Whether an open file has less than all the blocks that its header speaks of. No proof of damage: the last
    ones can be unused."""
    ((blocks, size),) = con.execute(
        "SELECT total_blocks, block_size FROM pragma_database_size() WHERE database_name = current_database()"
    ).fetchall()
    return bool(file.stat().st_size < 3 * _HEADER + blocks * size)


@contextmanager
def opened(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only look into a file. An eighth of the cost of `duckdb.connect`: most of that is not the file, but a
    new DuckDB around it."""
    with _ONE_AT_A_TIME:
        try:
            con = _attach("look", file)
        except duckdb.Error as error:
            if "Could not set lock" in str(error):
                raise
            raise _not_opened(file, error) from error
        try:
            yield con
        finally:
            _detach("look", con)


def open_to_read(file: Path) -> duckdb.DuckDBPyConnection:
    """A read-only connection, in one thread of the process at a time: as cheap as `opened`. End it with `close`."""
    if _being_read:
        # A reading within that of another file, or of an earlier one.
        return duckdb.connect(file, read_only=True)
    state = state_of(file)
    con = _attach("read", file)
    _being_read.append(_BeingRead(con, file.absolute(), state))
    return con


def read_already(file: Path) -> duckdb.DuckDBPyConnection | None:
    """Another connection to what this thread is reading, where that is this file as it is now. Costs next to nothing,
    as it was looked at when it was opened. End it with `close`."""
    for con, name, state in _being_read:
        if name == file.absolute() and file.exists() and state == state_of(file):
            another = con.cursor()
            another.execute("USE attached")
            return another
    return None


def close(con: duckdb.DuckDBPyConnection) -> None:
    """Ends what `open_to_read` has opened; harmless where it has ended. The file is let go of."""
    if any(con is being_read.con for being_read in _being_read):
        _being_read.clear()
        _detach("read", con)
    con.close()


class _BeingRead(NamedTuple):
    con: duckdb.DuckDBPyConnection
    file: Path
    state: State


_being_read: list[_BeingRead] = []  # one at most


def _attach(use: str, file: Path) -> duckdb.DuckDBPyConnection:
    try:
        warm = _warm(use, os.getpid())
        warm.execute("DETACH DATABASE IF EXISTS attached")  # where a signal came in between
        warm.execute(f"ATTACH {literal(file)} AS attached (READ_ONLY)")
        con = warm.cursor()
        con.execute("USE attached")
    except duckdb.Error:
        _warm.cache_clear()  # an error can leave all of a DuckDB unusable
        raise
    return con


def _detach(use: str, con: duckdb.DuckDBPyConnection) -> None:
    con.close()
    try:
        _warm(use, os.getpid()).execute("DETACH DATABASE IF EXISTS attached")
    except duckdb.Error:
        _warm.cache_clear()


@cache
def _warm(_use: str, _process: int) -> duckdb.DuckDBPyConnection:
    """A DuckDB without threads of its own, one for looks and one for readings, in which a look may become necessary.
    A forked process must not share it."""
    return duckdb.connect(config={"threads": 1})


def contents(con: duckdb.DuckDBPyConnection, file: Path) -> Contents:
    """What an open file holds, without a look at its blocks. Raises `Damaged` or `Refused`."""
    tables = dict(
        con.execute(
            "SELECT table_name, sql FROM duckdb_tables()"
            " WHERE database_name = current_database() AND schema_name = 'main'"
        ).fetchall()
    )
    wanted = tables_wanted()
    version = 1
    if "schema_version" in tables:
        try:
            ((found,),) = con.execute("SELECT MAX(version) FROM schema_version").fetchall()
        except duckdb.Error as error:
            raise Damaged(f"{file.name} has a table schema_version of another kind ({error})") from error
        if not isinstance(found, int) or found < 1:
            raise Damaged(f"{file.name} says {found!r} where its version should stand")
        version = found
    if version > VERSION:
        raise Refused(
            f"{file} is version {version}, of a newer release; this release knows {VERSION}. "
            "Take a newer release of this project, or set WOLKVOX_DATA_DIR to another folder."
        )
    if not tables.keys() & {report.names.windows for report in REPORTS}:
        raise Damaged(f"{file.name} is a DuckDB database, but has no table {REPORTS[0].names.windows}")
    altered = sorted(name for name, sql in wanted.items() if tables.get(name, sql) != sql)
    if altered:
        raise Damaged(f"{file.name} has other columns than it should in {', '.join(altered)}")
    return Contents(version, frozenset(wanted.keys() - tables.keys()))


def table_names(con: duckdb.DuckDBPyConnection, database: str | None = None) -> list[str]:
    """All tables, also such as are not ours, quoted. `database`: another one than `con` uses."""
    found = con.execute(
        "SELECT '\"' || replace(table_name, '\"', '\"\"') || '\"' FROM duckdb_tables()"
        " WHERE database_name = COALESCE(?, current_database()) AND schema_name = 'main'",
        [database],
    ).fetchall()
    return [name for (name,) in found]


def log_of(file: Path) -> Path:
    """DuckDB's write-ahead log of this file: what is committed and not yet in the file itself."""
    return file.with_name(file.name + ".wal")


def _fault(file: Path, before: Checkpoint | None, written: Collection[int]) -> str:
    """What is wrong with the bytes of a file; an empty string where nothing is."""
    if file.exists() and not file.is_file():
        return "is no file, but a folder or the like"
    try:
        with file.open("rb", buffering=0) as raw:
            return _fault_of(raw, before, written)
    except FileNotFoundError:
        return "is missing"
    except PermissionError as error:
        raise Refused(
            f"{file} can't be read by this user ({error}). Start the pipeline as the user to whom it belongs, or "
            "give it to this one (chown)."
        ) from error
    except OSError as error:
        return f"can't be read ({error})"


def _fault_of(raw: RawIOBase, before: Checkpoint | None, written: Collection[int]) -> str:
    # Read, not mapped: a disk's error in a mapped file would kill the process.
    start = _words(raw, 3 * _HEADER)
    if start is None or start[1].tobytes()[:4] != b"DUCK":
        return "is empty" if not raw.seek(0, SEEK_END) else "is no DuckDB file"
    headers = np.split(start, 3)
    if not all(_intact(header) for header in headers):
        return "has a damaged header"
    layout = _layout(headers)
    unused, blocks, size = _unused(raw, layout), layout.blocks, layout.block_size
    if before is not None and not before.leads_to(layout.checkpoint):
        before = None
    for number in range(blocks):
        if before is not None and number not in written and not before.may_have_changed(number):
            continue
        if number not in unused:
            raw.seek(3 * _HEADER + number * size)
            block = _words(raw, size)
            if block is None or not _intact(block):
                return f"{_BLOCK} {number} of {blocks} {'is damaged' if block is not None else 'is cut off'}"
    return ""


def layout_of(file: Path) -> Layout | None:
    """By its headers; None where they are cut off."""
    with file.open("rb", buffering=0) as raw:
        start = _words(raw, 3 * _HEADER)
    return None if start is None else _layout(np.split(start, 3))


def _layout(headers: Sequence[Words]) -> Layout:
    newest = max(headers[1:], key=lambda header: int(header[1]))
    return Layout(int(newest[1]), int(newest[3]), int(newest[4]), int(newest[5]))


def _checkpoint(con: duckdb.DuckDBPyConnection, file: Path) -> Checkpoint | None:
    """Where a whole file stands that is open as `con`."""
    layout = layout_of(file)
    if layout is None:
        return None
    with file.open("rb", buffering=0) as raw:
        unused = _unused(raw, layout)
    metadata = con.execute("SELECT block_id FROM pragma_metadata_info()").fetchall()
    return Checkpoint(layout.checkpoint, layout.blocks, unused | {block for (block,) in metadata})


def _unused(raw: RawIOBase, layout: Layout) -> frozenset[int]:
    """The blocks that nothing uses: half written when a process was killed, or cut off at the file's end.

    A list of words, their count first, in a chain of parts (64 to a block) that begin with where the next one
    lies. A list that can't be read makes no block unused.
    """
    pointer, block_size = layout.free_list, layout.block_size
    part_size = block_size // 64 // 8 - 1  # words
    words: list[int] = []
    while pointer != _NOWHERE and (not words or len(words) <= words[0]):
        raw.seek(3 * _HEADER + (pointer & ~(0xFF << 56)) * block_size)
        block = _words(raw, block_size)
        if block is None or not _intact(block):
            return frozenset()
        start = 1 + (pointer >> 56) * part_size
        pointer = int(block[start])
        words.extend(int(word) for word in block[start + 1 : start + part_size])
    return frozenset(words[1 : words[0] + 1]) if words else frozenset()


def _words(raw: RawIOBase, size: int) -> Words | None:
    """The next `size` bytes, or None where there are not as many."""
    words = np.empty(size // 8, dtype=np.uint64)
    rest = memoryview(words.view(np.uint8).data)
    while rest and (read := raw.readinto(rest)):
        rest = rest[read:]
    return None if rest else words


def _intact(block: Words) -> bool:
    return bool(np.bitwise_xor.reduce(block[1:] * _FACTOR) ^ _SEED == block[0])


def _read_all(file: Path, fault: str) -> str:
    """`fault`, unless DuckDB can read every value in spite of it."""
    try:
        con = duckdb.connect(file, read_only=True)
    except duckdb.Error as error:
        if "Could not set lock" in str(error):
            raise
        if _other_format(error):
            raise _not_opened(file, error) from error
        return fault
    try:
        for name in table_names(con):
            con.execute(f"SELECT bit_xor(hash(t)) FROM {name} AS t").fetchall()  # noqa: S608  # quoted
    except duckdb.Error:
        return fault
    finally:
        con.close()
    return ""


def _other_format(error: duckdb.Error) -> bool:
    return "version number" in str(error) or "newer version" in str(error)


def _not_opened(file: Path, error: duckdb.Error) -> Exception:
    if _other_format(error) or not log_of(file).exists():
        return Refused(
            f"{file} can't be opened by DuckDB {duckdb.__version__}, although its blocks are whole ({error}). "
            "Was it written by a newer DuckDB? Take a newer release of this project, or set WOLKVOX_DATA_DIR "
            "to another folder."
        )
    return Damaged(f"{file.name} can't be opened together with its log {log_of(file).name} ({error})")
