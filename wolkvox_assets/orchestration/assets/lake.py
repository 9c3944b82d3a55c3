"""`wolkvox_lake`: what the lake is made of, and keeping it small. Only there where what is stored lies in a lake."""

import dagster as dg

from wolkvox_assets.orchestration.assets.catalogue import PUBLISHED_FILE
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.settings import ConfigurationProblem
from wolkvox_assets.store import StoreError

MAINTAIN = "maintain_lake"

_DESCRIPTION = """\
The files of the lake in `{data}`. Rows that lie in its catalog become files, small files become larger ones, and files
that nothing has needed for two days are deleted. What the tables hold stays the same; each step is looked at before it
counts. Writers and readers go on meanwhile, and it can be stopped at any time.
"""


def build_lake(location: CodeLocation) -> dg.Definitions:
    """The asset, the job `maintain_lake` and its schedule; nothing where there is no lake."""
    lake = location.settings.lake
    if lake is None or not location.settings.operations:
        return dg.Definitions()

    @dg.asset(
        deps=[PUBLISHED_FILE],
        required_resource_keys={"store"},
        group_name="published",
        kinds={"ducklake"},
        code_version="1",
        description=_DESCRIPTION.format(data=lake.data),
    )
    def wolkvox_lake(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        from wolkvox_assets.store.lake.store import LakeStore  # needs the extra `scale`

        try:
            store = context.resources.store.store
            assert isinstance(store, LakeStore)  # noqa: S101  # else it raises
            done = store.maintain()
            held = store.holdings()
        except (ConfigurationProblem, StoreError) as error:
            raise dg.Failure(f"{error}") from error
        for left in done.left:
            context.log.warning(f"{left}. It is tried again with the next run.")
        return dg.MaterializeResult(
            metadata={
                "files": held.files,
                "bytes": held.bytes,
                "snapshots": held.snapshots,
                "rows in the catalog": held.inlined_rows,
                "rows made files": done.flushed_rows,
                "files written": done.files_written,
                "files deleted": done.files_deleted,
            }
        )

    job = dg.define_asset_job(
        MAINTAIN,
        [wolkvox_lake],
        description="Moves rows from the lake's catalog to files, and merges small files.",
    )
    # Not less often: a commit reads the rows in the catalog of the tables it changes.
    schedule = location.schedule(MAINTAIN, "17 */3 * * *", "Every three hours.")
    return dg.Definitions(assets=[wolkvox_lake], jobs=[job], schedules=[schedule])
