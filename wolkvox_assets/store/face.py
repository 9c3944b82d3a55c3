"""What a store is to all who use one, be it in files or in a lake."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar

import duckdb

Finding = tuple[bool, str, str]
"""Whether all is well with it, what it is about, and a line that says what to do."""

T = TypeVar("T")


class Store(Protocol):
    """The tables, of all operations. Everything raises `StoreError` where they can't be had."""

    @property
    def folder(self) -> Path:
        """Where this machine keeps what is made from the tables: reports, Parquet files. May not be there yet."""

    @property
    def where(self) -> str:
        """Where people find the tables, in words. Never a secret."""

    def transaction(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A connection whose changes everybody sees together at the end, or nobody does. Waits for its turn.

        An exception inside rolls everything back. After `StoreError` the caller can't know whether the change was
        committed: it must be repeated, and repeating is harmless.
        """

    def change(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """What `work` returns, given such a connection. Where what the store rests on goes away in the middle and comes
        back, this waits for it and calls `work` once more, unless the change counts already: so `work` must change
        nothing but the tables.
        """

    def reading(self) -> AbstractContextManager[duckdb.DuckDBPyConnection | None]:
        """A connection for reading one snapshot of all that is committed, or None where nothing was stored yet. The
        tables are those of this release. A reading within a reading sees the same."""

    def looking(self) -> AbstractContextManager[duckdb.DuckDBPyConnection | None]:
        """As `reading`, and changes and repairs nothing: None also where the tables can't be read as they are."""

    def tidy(self) -> bool:
        """Call it when there is nothing else to do: cleans up where that is worth it. Returns whether. Never raises."""

    def findings(self) -> Iterator[Finding]:
        """Everything about where the tables lie that a person should know. Changes nothing, raises nothing."""
