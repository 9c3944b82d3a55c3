"""Putting a checked file in the place of another, so that a kill at any moment leaves a whole one there.

What belongs here: publishing, restoring, making and upgrading a file. What doesn't: when that is right, and
who has the turn (`files.py`). All of it builds a new file beside the old one, looks at it as at any other
(`integrity.py`), and renames it. What a killed process left behind is built anew by the next.
"""

import filecmp
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from wolkvox_assets.store import origin
from wolkvox_assets.store.copying import bring_up_to_date, readers_show, share
from wolkvox_assets.store.disk import (
    NotReplaceable,
    flush,
    keep_private,
    make_empty,
    obstacle,
    same_access,
    target_of,
)
from wolkvox_assets.store.filled import literal
from wolkvox_assets.store.integrity import (
    Checkpoint,
    Contents,
    Damaged,
    inspect,
    layout_of,
    log_of,
    recall,
    remember,
    state_of,
    table_names,
)
from wolkvox_assets.store.schema import schema
from wolkvox_assets.store.versions import VERSION, raise_version

logger = logging.getLogger(__name__)

# Files that DuckDB 1.2 to 2.0 read. It counts when a file is made: an older file has to be written anew.
CONFIG: dict[str, str | bool | int | float | list[str]] = {"storage_compatibility_version": "v1.2.0"}

# Smaller files are copied whole as quickly, and need no room for a third one.
_SPARE_FROM_BYTES = 16_000_000


def new_name(file: Path) -> Path:
    """Where the next `file` is built: in its folder, or renaming would be copying."""
    return file.with_name(f".{file.name}.new")


def spare_name(target: Path) -> Path:
    """Where the published file before the last lies, to become the next: most of it is as it should be."""
    return target.with_name(f".{target.name}.spare")


def publish(own: Path, published: Path, before: Checkpoint | None) -> Contents:
    """Copies `own`, which must be closed, to `published`, or to where that name points. Returns what it holds.

    `before`: where `own` stood when all of it was looked at. Raises `Damaged` where the copy can't be trusted,
    `NotReplaceable` where it can't be put there: then nothing was published.
    """
    target = target_of(published)
    new, spare = new_name(target), spare_name(target)
    try:
        # What the published file is a copy of is known where this process made it, and nobody touched it since.
        last = before if before is not None and recall(target) == (True, before) else None
        found, shared = _next(own, new, spare, before, last)
        same_access(new, target, mode=0o640)
        _same_time(new, own)
        # A reader who opened the published file for writing may have left a log that belongs to the old
        # content; DuckDB would refuse the new one beside it.
        for file in {published, target}:
            log_of(file).unlink(missing_ok=True)
        if not shared:
            _keep_spare(target, spare)
        new.replace(target)
        remember(target, state_of(target), found.checkpoint, renamed=True)
        keep_private(spare)  # after the renaming: until then it is the published file
        if spare.exists():
            remember(spare, state_of(spare), last, renamed=True)
    except OSError as error:
        if why := obstacle(published):
            raise NotReplaceable(why) from error
        raise
    finally:
        with suppress(OSError):  # where it could not even be made, it can't be looked for
            new.unlink(missing_ok=True)
    return found


def drop_spare(published: Path) -> None:
    """Makes room: what it is for can be had by copying."""
    with suppress(OSError, NotReplaceable):
        spare_name(target_of(published)).unlink(missing_ok=True)


def clear(own: Path) -> None:
    """Removes what a killed process was building beside `own`."""
    _remove(new_name(own))
    for unfinished in own.parent.glob(f".{own.name}.*-backup*.new"):
        unfinished.unlink(missing_ok=True)


def restore(own: Path, published: Path, fault: str) -> None:
    """Puts a copy of `published` in the place of `own`, and keeps what lay there.

    Raises `Damaged` where `published` can't be trusted: then nothing was touched.
    """
    with _put_in_place(own) as new:
        _copy(published, new)
        same_access(new, own if own.exists() else published.resolve())
        new.chmod(0o600)
        _same_time(new, published)
        kept = _set_aside(own)
    logger.warning(
        "%s: %s was restored from %s. What was stored after that was published is requested again by itself. %s",
        fault,
        own,
        published.name,
        f"What lay there is kept as {kept}: delete it when you no longer want it." if kept else "",
    )


def create(own: Path) -> None:
    """Makes an empty store."""
    with _put_in_place(own) as new:
        with_schema(_new_database(new), 0)
        inspect(new)
        same_access(new, own, mode=0o600)
        flush(new)


def compact(own: Path) -> None:
    """Writes `own`, which must be closed, without a log and of this version, anew: without what changes leave in it."""
    with _put_in_place(own) as new:
        _write_anew(own, new, VERSION)


def upgrade(own: Path, old_version: int) -> None:
    """Writes `own`, which must be closed and without a log, anew as `VERSION`, and keeps the old one."""
    with _put_in_place(own) as new:
        _write_anew(own, new, old_version)
        kept = _keep(own, f"v{old_version}-backup")
    logger.warning(
        "%s was upgraded from version %d to %d. The old one is kept as %s: delete it when you no longer want it.",
        own,
        old_version,
        VERSION,
        kept,
    )


@contextmanager
def _put_in_place(own: Path) -> Iterator[Path]:
    """Where the next `own` is to be built, which takes its place when that is done."""
    new = new_name(own)
    try:
        yield new
        origin.about_to_change(own, new)
        new.replace(own)
        flush(own.parent)
    finally:
        _remove(new)


def with_schema(con: duckdb.DuckDBPyConnection, old_version: int) -> None:
    """Brings an open database from `old_version` (0: it is new) to `VERSION` in one transaction, and closes it."""
    try:
        con.execute("BEGIN")
        raise_version(con, old_version)
        if not old_version:
            con.execute("INSERT INTO store_rewrites VALUES (?, 0)", [datetime.now(UTC).replace(tzinfo=None)])
        con.execute("COMMIT")
        con.execute("CHECKPOINT")
    finally:
        con.close()


def _next(
    own: Path, new: Path, spare: Path, before: Checkpoint | None, last: Checkpoint | None
) -> tuple[Contents, bool]:
    """Makes `new` a copy of `own` by the cheapest way there is. Returns what it holds, and whether they share blocks.

    Whatever way it is, each block of `new` was looked at: just now; or when `own` was, or the spare, and is as it was.
    """
    _require_file(own)
    make_empty(new)
    if share(own, new):
        spare.unlink(missing_ok=True)
        flush(new)
        return inspect(new, before), True
    written = _from_spare(own, new, spare, before, last)
    if written is None:
        return _copy(own, new), False
    flush(new)
    return inspect(new, before, written), False


def _from_spare(
    own: Path, new: Path, spare: Path, before: Checkpoint | None, last: Checkpoint | None
) -> set[int] | None:
    """Makes `new` out of the spare, if there is one that nobody has open. Returns the blocks that were written."""
    if spare.is_symlink() or not spare.is_file():
        return None
    _, earlier = recall(spare)
    # From now on nobody can open it by a name they know; and whoever finds it half done will not trust it.
    spare.replace(new)
    # Another name of it can be the published one, where a process was killed before that went to the next file.
    if not (_worth_it(own) and _ours(new) and new.stat().st_nlink == 1 and readers_show(new.parent)):
        return None
    keep_private(new)
    with suppress(OSError, AttributeError):  # who might read the file that it was may not be let in any more
        os.removexattr(new, "system.posix_acl_access")
    layout = layout_of(own)
    if layout is None:
        return None
    since = [at for at in (earlier, last) if at is not None]
    known = len(since) == 2 and all(
        at.leads_to(number) for at, number in zip(since, (since[1].number, layout.checkpoint), strict=True)
    )
    return bring_up_to_date(
        new, own, layout, lambda number: not known or any(at.may_have_changed(number) for at in since)
    )


def _keep_spare(target: Path, spare: Path) -> None:
    """Gives the published file a second name just before it loses its own."""
    with suppress(OSError):  # a file system without hard links
        spare.unlink(missing_ok=True)
        if not (target.is_file() and _worth_it(target) and _ours(target) and readers_show(target.parent)):
            return
        if target.stat().st_nlink == 1:  # else somebody keeps it, as it is
            spare.hardlink_to(target)


def _worth_it(file: Path) -> bool:
    return file.stat().st_size >= _SPARE_FROM_BYTES


def _ours(file: Path) -> bool:
    return os.geteuid() in {0, file.stat().st_uid}


def _copy(source: Path, new: Path) -> Contents:
    _require_file(source)
    make_empty(new)
    shutil.copyfile(source, new)
    flush(new)  # the name must never point to a copy that a power cut emptied
    return inspect(new)


def _require_file(source: Path) -> None:
    if not source.is_file():
        raise Damaged(f"{source.name} is {'no file' if source.exists() else 'missing'}")


def _same_time(new: Path, source: Path) -> None:
    """The two files are in step as long as they have one size and one time of change."""
    found = source.stat()
    os.utime(new, ns=(found.st_atime_ns, found.st_mtime_ns))


def _write_anew(own: Path, new: Path, old_version: int) -> None:
    """Makes `new` hold what `own` holds, as `VERSION`, and makes sure of it."""
    with closing(_new_database(new)) as con:
        _take_rows(con, own)
        con.execute("CHECKPOINT")
        con.execute(
            "INSERT INTO store_rewrites VALUES (?, ?)",
            [datetime.now(UTC).replace(tzinfo=None), new.stat().st_size],
        )
        with_schema(con, old_version)
    inspect(new)
    same_access(new, own)
    new.chmod(0o600)
    flush(new)


def _take_rows(con: duckdb.DuckDBPyConnection, own: Path) -> None:
    """All of `own`. Table by table: to copy the database would keep how its columns are packed, and `schema.sql` says
    how they are now."""
    con.execute(f"ATTACH {literal(own)} AS old (READ_ONLY)")
    con.execute(schema())
    for name in table_names(con, "old"):
        con.execute(f"CREATE TABLE IF NOT EXISTS {name} AS FROM old.{name} LIMIT 0")
        con.execute(f"INSERT INTO {name} BY NAME FROM old.{name}")
        there, here = (con.table(of).count("*").fetchall()[0][0] for of in (f"old.{name}", name))
        if there != here:
            raise Damaged(f"the new {own.name} has {here} rows in {name}, the old one has {there}")
    con.execute("DETACH old")


def _new_database(new: Path) -> duckdb.DuckDBPyConnection:
    _remove(new)
    con = duckdb.connect(new, config=CONFIG)
    keep_private(new)
    return con


def _remove(new: Path) -> None:
    new.unlink(missing_ok=True)
    log_of(new).unlink(missing_ok=True)


def _set_aside(own: Path) -> str:
    """Renames the damaged store and its log. Returns the store's new name, empty where there was none."""
    stamp = f"damaged-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    name = _free_name(own, stamp)
    if log_of(own).exists():
        log_of(own).rename(log_of(name))
        keep_private(log_of(name))
    if not own.exists():
        return ""
    own.rename(name)
    keep_private(name)
    return name.name


def _keep(own: Path, suffix: str) -> str:
    """A second name for what lies at `own`, so that there is a store at every moment. Returns the name."""
    name = _free_name(own, suffix)
    for earlier in own.parent.glob(f"{own.name}.{suffix}*"):
        if filecmp.cmp(earlier, own, shallow=False):
            return earlier.name  # a process was killed right after this
    try:
        name.hardlink_to(own)
    except OSError:  # a file system without hard links
        with suppress(FileNotFoundError):
            new_name(name).unlink()
        shutil.copy2(own, new_name(name))
        flush(new_name(name))
        new_name(name).replace(name)
    name.chmod(0o600)
    return name.name


def _free_name(own: Path, suffix: str) -> Path:
    """`own` with this suffix; an earlier backup is never overwritten."""
    name = own.with_name(f"{own.name}.{suffix}")
    number = 2
    while name.exists() or log_of(name).exists():
        name = own.with_name(f"{own.name}.{suffix}-{number}")
        number += 1
    return name
