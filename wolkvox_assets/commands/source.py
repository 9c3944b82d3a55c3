"""`wolkvox-assets source OPERATION`: where stored data came from, and what becomes of it when the settings change.

What belongs here: the words around keeping, moving and dropping. What doesn't: doing it (`store/sources.py`), and
refusing another source (there as well).

Each is one transaction, and the published file follows at once. Afterwards the operation belongs to what is set now,
so that a process which still runs with the old settings can't store anything for it any more.
"""

from argparse import ArgumentParser
from collections.abc import Mapping

import duckdb

from wolkvox_assets.report.plain_text import counted
from wolkvox_assets.report.reports import REPORTS, label
from wolkvox_assets.settings import ConfigurationProblem, Operation, Settings, checked_name, load_settings
from wolkvox_assets.store import Store, sources


def add_arguments(parser: ArgumentParser) -> None:
    """The options of `wolkvox-assets source`."""
    parser.add_argument("operation", help="its name, as in the column `operation`")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument(
        "--keep", action="store_true", help="the stored data is right for what is set now as well: keep it"
    )
    ways.add_argument("--move-to", metavar="NAME", help="give the stored data another operation's name")
    ways.add_argument("--drop", action="store_true", help="delete the stored data")


def run(operation: str, *, keep: bool, move_to: str | None, drop: bool) -> int:
    """Do one of the three, or show what is stored. Returns the exit code.

    Raises `ConfigurationProblem`, and `StoreError`, where it can't be done: then nothing was changed.
    """
    settings = load_settings()
    store = settings.store
    current = next((one for one in settings.operations if one.name == operation), None)
    _refuse_unknown(operation, current, store)
    if keep:
        _keep(store, operation, current)
    elif move_to is not None:
        _move(store, operation, _free_name(move_to, operation, settings, store), current)
    elif drop:
        _drop(store, operation, current)
    else:
        return _show(store, operation, current)
    return 0


def _refuse_unknown(operation: str, current: Operation | None, store: Store) -> None:
    with store.reading() as con:
        names = sources.operations(con) if con else []
    if current is None and operation not in names:
        stored = f"Stored are: {', '.join(names)}." if names else "Nothing is stored yet."
        raise ConfigurationProblem(
            f"operation {operation} is neither set nor stored in {store.where}. {stored}"
        )


def _show(store: Store, operation: str, current: Operation | None) -> int:
    with store.reading() as con:
        found = sources.recorded(con, operation) if con else None
        lines = _rows(sources.rows_of(con, operation)) if con else []
        range_ = _windows(con, operation) if con else None
        objection = sources.objection(con, operation, current.source) if con and current else None
    print(
        f"stored from   {f'{found[0]}, since {found[1]:%Y-%m-%d %H:%M} UTC' if found else 'not recorded yet'}"
    )
    print(
        f"set now       {current.source if current else 'not set, or it has a mistake: see wolkvox-assets doctor'}"
    )
    print(f"windows       {range_ or 'none'}")
    for line in lines:
        print(f"              {line}")
    if objection is not None:
        print(f"WRONG         {objection}")
    return 1 if objection is not None else 0


def _keep(store: Store, operation: str, current: Operation | None) -> None:
    if current is None:
        raise ConfigurationProblem(
            f"operation {operation} is not set, or has a mistake (see wolkvox-assets doctor): there are no settings "
            "to keep its data for. Nothing was changed."
        )
    with store.transaction() as con:
        sources.keep(con, operation, current.source)
        range_ = _windows(con, operation)
    print(
        f"Kept what is stored of {operation} ({range_ or 'no windows'}). It counts as data from {current.source}. "
        "Whether that server's answers add up, and its quota, are determined again."
    )


def _move(store: Store, operation: str, name: str, current: Operation | None) -> None:
    with store.transaction() as con:
        range_ = _windows(con, operation)
        moved = sources.move(con, operation, name)
        _give_to(con, current)
    print(f"Moved what is stored of {operation} to {name}: {range_ or 'no windows'}.")
    print("\n".join(_rows(moved)))
    print(_what_comes_next(operation, current))


def _drop(store: Store, operation: str, current: Operation | None) -> None:
    with store.transaction() as con:
        range_ = _windows(con, operation)
        dropped = sources.drop(con, operation)
        _give_to(con, current)
    print(f"Dropped what was stored of {operation}: {range_ or 'no windows'}.")
    print("\n".join(_rows(dropped)))
    print(_what_comes_next(operation, current))


def _give_to(con: duckdb.DuckDBPyConnection, current: Operation | None) -> None:
    if current is not None:
        sources.record(con, current.name, current.source)


def _free_name(name: str, operation: str, settings: Settings, store: Store) -> str:
    """Raises `ConfigurationProblem` where the data can't have this name; what is stored under it, the store knows."""
    try:
        checked_name(name)
    except ValueError as wrong:
        raise ConfigurationProblem(f"--move-to {name}: the name {wrong}. Nothing was moved.") from None
    with store.reading() as con:
        found = sources.recorded(con, operation) if con else None
    for other in settings.operations:
        if other.name.casefold() == name.casefold() and (found is None or other.source != found[0]):
            raise ConfigurationProblem(
                f"--move-to {name}: operation {other.name} is set, and its data comes from {other.source}. Nothing "
                "was moved. Choose another name (capitals make no difference)."
            )
    return name


def _what_comes_next(operation: str, current: Operation | None) -> str:
    if current is None:
        return f"{operation} is not set, so nothing is loaded for it."
    sensors = " or ".join(f"{label(operation, report)}_gaps" for report in REPORTS)
    assets = " and ".join(f"{operation}/{report.names.windows}" for report in REPORTS)
    return (
        f"From now on {operation} is loaded from {current.source}. Its windows are no longer known, although "
        f"Dagster still shows their partitions as materialised. The sensor {sensors} requests them by itself, "
        f"from {current.start} on; if it is off, materialise {assets}."
    )


def _rows(counts: Mapping[str, int]) -> list[str]:
    return [f"{counted(count, 'row')} in {table}" for table, count in sorted(counts.items())]


def _windows(con: duckdb.DuckDBPyConnection, operation: str) -> str | None:
    found = []
    for report in REPORTS:
        count, first, last = con.execute(
            f"SELECT COUNT(*), MIN(window_start), MAX(window_start) FROM {report.names.window_log}"  # a fixed name
            " WHERE operation = ?",
            [operation],
        ).fetchall()[0]
        of = "" if report is REPORTS[0] else f" of {report.api}"
        found += (
            [f"{counted(count, 'window')}{of} from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"]
            if count
            else []
        )
    return ", ".join(found) or None
