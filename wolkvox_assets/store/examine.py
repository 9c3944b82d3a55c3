"""How the files are, for `doctor`: looked at, and left as they are."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from wolkvox_assets.store.disk import (
    LocksUnusable,
    access_lost,
    file_system,
    nearest,
    obstacle,
    require_locks,
)
from wolkvox_assets.store.errors import StoreBusy, StoreError
from wolkvox_assets.store.face import Finding
from wolkvox_assets.store.integrity import Contents, Damaged, Refused, inspect, log_of
from wolkvox_assets.store.versions import VERSION

if TYPE_CHECKING:
    from wolkvox_assets.store.files import FileStore

# Longer than any commit takes.
_PATIENCE_SECONDS = 10.0
_LEAST_ROOM = 100_000_000


def findings(store: "FileStore") -> Iterator[Finding]:
    """Everything about the files that a person should know. Changes nothing."""
    there = nearest(store.folder.absolute())
    try:
        require_locks(there)
    except LocksUnusable as error:
        yield False, "files", str(error)
        return
    except OSError as error:
        yield False, "files", f"cannot write in {there}: {error}. Correct that, or set WOLKVOX_DATA_DIR."
        return
    yield True, "files", f"{store.folder.absolute()} can be written, and has locks ({file_system(there)})"
    if not (store.own.exists() or store.published.exists()):
        yield True, "published file", f"{store.published} is not there yet: nothing has been stored yet"
        return
    yield from _contents(store)
    yield from _room(store)
    yield from _access(store)
    yield from _replaceable(store.published)
    for backup in _kept(store):
        damaged = (
            " since it was damaged (check the disk) or not left by a run"
            if ".damaged-" in backup.name
            else ""
        )
        yield (
            True,
            "files",
            f"{backup} is an old store that was kept{damaged}: delete it when you no longer want it",
        )


def _kept(store: "FileStore") -> list[Path]:
    return sorted(
        file
        for file in store.folder.glob(f"{store.own.name}.*")
        if ".damaged-" in file.name or "-backup" in file.name
    )


def _contents(store: "FileStore") -> Iterator[Finding]:
    try:
        # Without the lock a change that is just being written would look like damage.
        if store.lock.exists():
            with store.turn(_PATIENCE_SECONDS):
                own, published, in_step = _files(store)
        else:
            own, published, in_step = _files(store)
    except StoreBusy:
        yield True, "store", f"{store.own} is being written to; run this again later to have it looked at"
        return
    except StoreError as error:
        yield False, "store", str(error)
        return
    except duckdb.Error as error:
        yield False, "store", f"a file in {store.folder} is open in another program: close it. ({error})"
        return
    refused = [found for found in (own, published) if isinstance(found, Refused)]
    if isinstance(own, Contents):
        yield True, "store", f"{store.own} is whole{_version(own)}"
        if isinstance(published, Contents) and in_step:
            yield True, "published file", f"{store.published} is whole, and what the store holds"
        elif isinstance(published, Refused):
            yield False, "published file", str(published)
        else:
            why = str(published) if isinstance(published, Damaged) else "is not what the store holds now"
            yield False, "published file", f"{store.published}: {why}. The next run replaces it by itself"
    elif refused:
        yield False, "store", str(refused[0])
    elif isinstance(published, Contents):
        yield (
            False,
            "store",
            f"{own}. The next run restores it from {store.published}, which is whole, and keeps what lies there",
        )
    else:
        yield (
            False,
            "store",
            (
                f"{own}, and {published}. Put a backup of one of the two back in its place in {store.folder}; or move "
                "both away, and everything is requested again"
            ),
        )


def _files(store: "FileStore") -> tuple[Contents | Damaged | Refused, Contents | Damaged | Refused, bool]:
    """The store, the published file, and whether they are in step."""
    own, published = _look(store.own), _look(store.published)
    if isinstance(own, Contents):
        try:
            store.require_ours()
        except Damaged as verdict:
            own = verdict
    return own, published, store.in_step()


def _room(store: "FileStore") -> Iterator[Finding]:
    """Beside the two files, a third lies there while one is replaced, and a fourth while both are written anew."""
    takes = sum(file.stat().st_size for file in (store.own, store.published) if file.exists())
    # The published file may be a link to another disk.
    folders = [Path(os.path.realpath(store.published)).parent, store.folder.absolute()]
    for folder in {folder.stat().st_dev: folder for folder in folders if folder.exists()}.values():
        free = shutil.disk_usage(folder).free
        said = f"{_megabytes(free)} free in {folder}, where the files take {_megabytes(takes)}"
        if free > max(takes, _LEAST_ROOM):
            yield True, "room", said
        else:
            yield (
                False,
                "room",
                f"{said}: too little for the next changes. Make room; nothing is lost until then",
            )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


def _look(file: Path) -> Contents | Damaged | Refused:
    try:
        return inspect(file)
    except (Damaged, Refused) as verdict:
        return verdict


def _version(found: Contents) -> str:
    if found.version == VERSION:
        return f" (schema version {VERSION})"
    return f", of schema version {found.version}: the next run upgrades it to {VERSION} and keeps the old one"


def _access(store: "FileStore") -> Iterator[Finding]:
    for file in (store.own, log_of(store.own), *_kept(store)):
        if file.exists() and (mode := _mode(file)) & 0o077:
            yield False, "store", f"others may read or write {file} ({mode:04o}): chmod go= {file}"
    if store.published.exists() and (mode := _mode(store.published)) & 0o007:
        yield (
            True,
            "published file",
            (
                f"everybody on this machine can read {store.published} ({mode:04o}); if that is not meant: "
                f"chmod 640 {store.published} (its mode and group are kept)"
            ),
        )
    if store.folder.exists() and (mode := _mode(store.folder)) & 0o002 and not mode & stat.S_ISVTX:
        yield (
            False,
            "files",
            f"everybody can put files into {store.folder} ({mode:04o}): chmod o-w {store.folder}",
        )


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _replaceable(published: Path) -> Iterator[Finding]:
    if why := obstacle(published):
        yield False, "published file", why
    elif published.exists() and os.geteuid() != 0:
        model = published.stat()
        gid = model.st_gid if model.st_gid in {os.getegid(), *os.getgroups()} else os.getegid()
        becomes = os.stat_result((model.st_mode, 0, 0, 1, os.geteuid(), gid, 0, 0, 0, 0))
        if lost := access_lost(becomes, model):
            yield False, "published file", f"{published}: with the next change {lost}"
