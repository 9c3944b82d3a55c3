"""Events in Dagster's SQLite files, packed: a tenth of what they take as JSON.

An event has 0.5 to 3 KB, nearly all of it words that are the same in each event of its kind. They are left out with
zlib and the events of `typical_events.txt`, which are part of the format: another text, and nothing that was packed
with this one can be read. Events that an earlier release has stored as text are read as they are.
"""

import zlib
from functools import lru_cache
from importlib import resources

from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

_TYPICAL = resources.files(__package__).joinpath("typical_events.txt").read_bytes()
# Copied for each event: to read the typical ones anew took two thirds of the time of packing one.
_PACKING = zlib.compressobj(zdict=_TYPICAL)


@lru_cache(maxsize=512)  # each of the 300 events of a batch goes to two files
def pack(event: str) -> bytes:
    packing = _PACKING.copy()
    return packing.compress(event.encode()) + packing.flush()


def unpack(stored: str | bytes) -> str:
    if isinstance(stored, str):
        return stored
    return zlib.decompressobj(zdict=_TYPICAL).decompress(stored).decode()


class _Packed(TypeDecorator[str]):
    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else pack(value)

    def process_result_value(self, value: str | bytes | None, dialect: Dialect) -> str | None:
        return None if value is None else unpack(value)


def pack_events() -> None:
    """From now on this process packs and unpacks the events of SQLite files, and of no other database."""
    for column in (SqlEventLogStorageTable.c.event, AssetCheckExecutionsTable.c.evaluation_event):
        column.type = column.type.with_variant(_Packed(), "sqlite")
