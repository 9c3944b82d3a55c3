"""`wolkvox-assets copy --to lake`, or `--to files`: copies all that is stored from one kind of store to the other
(`store/transfer.py`), and says how far it is.
"""

from collections.abc import Mapping
from datetime import date

from wolkvox_assets.report import plain_text
from wolkvox_assets.report.reports import REPORTS
from wolkvox_assets.settings import ConfigurationProblem, load_settings, read_lake
from wolkvox_assets.store import open_store
from wolkvox_assets.store.transfer import Counted, copy

TARGETS = ("lake", "files")


def run(to: str) -> int:
    """Copy, and print each table of each operation. Returns the exit code.

    Raises `ConfigurationProblem` where no lake is set, and `StoreError`.
    """
    lake = read_lake()
    if lake is None:
        raise ConfigurationProblem(
            "WOLKVOX_STORE and WOLKVOX_STORE_DATA are not set: they name the lake, to copy to it or from it."
        )
    folder = load_settings().data_dir
    files, in_lake = open_store(folder, None), open_store(folder, lake)
    source, target = (files, in_lake) if to == "lake" else (in_lake, files)
    print(f"Copying what is stored in {source.where} to {target.where}.")
    line = _Line()
    try:
        found = copy(source, target, line.tell)
    finally:
        line.end()
    for operation, tables in found.items():
        print("\n".join(_lines(operation, tables)))
    target.tidy()
    print(
        f"All of it is equal. Nothing was changed in {source.where}; what is stored there from now on is not in "
        f"{target.where}."
    )
    return 0


class _Line:
    """One line for each operation, which grows by the months that are there."""

    def __init__(self) -> None:
        self._operation = ""

    def tell(self, operation: str, month: date | None) -> None:
        if self._operation != operation:
            self.end()
            print(f"{operation}:", end="")
            self._operation = operation
        print(f" {month:%Y-%m}" if month else " and the rest", end="", flush=True)

    def end(self) -> None:
        if self._operation:
            print(flush=True)
            self._operation = ""


def _lines(operation: str, tables: Mapping[str, Counted]) -> list[str]:
    measures = dict.fromkeys(column for report in REPORTS for column in report.columns)
    return [
        f"{operation}: {table}: {plain_text.counted(counted.rows, 'row')} equal"
        + "".join(f", {name} {counted.sums[name]:,}" for name in measures if name in counted.sums)
        for table, counted in tables.items()
        if counted.rows
    ]
