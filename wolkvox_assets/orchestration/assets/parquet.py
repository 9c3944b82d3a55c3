"""`parquet_export`: the tables of an operation as Parquet files, a partition for each month. Off unless it is set.

A run without a partition writes the months that are out of date: the schedule starts one for all operations.
"""

from collections.abc import Iterator
from datetime import date

import dagster as dg

from wolkvox_assets.orchestration.assets.catalogue import PUBLISHED_FILE, of_operation
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.orchestration.partitions import month_partitions
from wolkvox_assets.orchestration.run.failures import as_failure
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store, StoreError
from wolkvox_assets.store.errors import explained
from wolkvox_assets.store.parquet import exported, folder_of, months_out_of_date, write_month

EXPORT = "export_parquet"

_DESCRIPTION = """\
The tables `{tables}` of the operation as Parquet files, each month one file of each, in
`{folder}/<table>/operation={name}/month=<2026-11>/data.parquet`.

**Backfill**: any months; without one, those whose files are out of date. Each file is replaced whole.
"""


def build_parquet(location: CodeLocation) -> dg.Definitions:
    """The assets `<operation>/parquet_export`, the job `export_parquet`, and its schedule; nothing if it is off."""
    settings = location.settings
    if not (settings.parquet and settings.operations):
        return dg.Definitions()
    assets = [_build(location, operation) for operation in settings.centres]
    job = dg.define_asset_job(
        EXPORT, assets, description="Writes the Parquet files of the months that are out of date."
    )
    schedule = location.schedule(EXPORT, "47 * * * *", "Each hour.")
    return dg.Definitions(assets=assets, jobs=[job], schedules=[schedule])


def _build(location: CodeLocation, operation: Operation) -> dg.AssetsDefinition:
    description = _DESCRIPTION.format(
        tables="`, `".join(exported()), folder=folder_of(location.settings.store), name=operation.name
    )

    @dg.asset(
        key=dg.AssetKey([operation.name, "parquet_export"]),
        # Not on windows and days: once inputs with partitions have marks, Dagster wants to know which of them a run is
        # for, and fails one that is for none.
        deps=[PUBLISHED_FILE],
        partitions_def=month_partitions(operation),
        backfill_policy=dg.BackfillPolicy.single_run(),
        output_required=False,
        required_resource_keys={"store"},
        kinds={"parquet"},
        code_version="1",
        description=description,
        **of_operation(operation),
    )
    def parquet_export(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
        store: Store = context.resources.store.store
        chosen = (
            context.partition_keys if context.has_partition_key or context.has_partition_key_range else ()
        )
        months = [date.fromisoformat(key) for key in chosen]
        try:
            with store.reading() as con:
                if con is None:
                    return
                for month in months or months_out_of_date(con, folder_of(store), operation.name):
                    with explained("writing Parquet files", store.folder, 0):
                        rows = write_month(con, store, operation.name, month)
                    if not rows:
                        context.log.warning(f"operation {operation.name}: nothing is known of {month:%Y-%m}.")
                        continue
                    counted = {"dagster/partition_row_count": rows.get(operation.report.names.windows, 0)}
                    context.log_event(
                        dg.AssetMaterialization(
                            context.asset_key, partition=f"{month}", metadata={**rows, **counted}
                        )
                    )
        except StoreError as error:
            raise as_failure(error, operation.name) from error
        yield from ()

    return parquet_export
