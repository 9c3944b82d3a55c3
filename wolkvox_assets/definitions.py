"""The only wiring: settings in, Definitions out.

What belongs here: putting together what the other modules define. What doesn't: defining anything.
"""

import warnings
from functools import cache

import dagster as dg

from wolkvox_assets.orchestration.assets.catalogue import build_surroundings, with_links_to_code
from wolkvox_assets.orchestration.assets.daily import build_daily_assets
from wolkvox_assets.orchestration.assets.lake import build_lake
from wolkvox_assets.orchestration.assets.parquet import build_parquet
from wolkvox_assets.orchestration.assets.windows import build_windows
from wolkvox_assets.orchestration.automation import build_automation
from wolkvox_assets.orchestration.checks import build_checks
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.orchestration.resources import build_resources
from wolkvox_assets.settings import load_settings

# `backfill_policy` is marked beta in every 1.x so far, and Dagster itself passes `owners` on when it copies a
# sensor; each process would say so several times an operation.
warnings.filterwarnings("ignore", category=dg.BetaWarning, message="Parameter `(backfill_policy|owners)`")


def build_definitions(location: CodeLocation) -> dg.Definitions:
    """Fresh definitions: the code location's, and each test's own."""
    settings = location.settings
    ours: list[dg.AssetsDefinition] = []
    checks: list[dg.AssetChecksDefinition] = []
    for operation in settings.operations:
        ours += [build_windows(location, operation), *build_daily_assets(location, operation)]
        checks += build_checks(location, operation)
    assets: list[dg.AssetsDefinition | dg.AssetSpec] = [
        *with_links_to_code(ours),
        *(build_surroundings(settings, [a.key for a in ours]) if ours else []),
    ]
    if settings.problems:
        assets.insert(0, _invalid(settings.problems))
        for problem in settings.problems:
            # For the command line, which else says only that it knows no such asset.
            dg.get_dagster_logger().warning(f"invalid settings: {problem}")
    defined = dg.Definitions(
        assets=assets,
        asset_checks=checks,
        resources=build_resources(settings),
        # Steps run in the run's own process: each of our runs has few, and a process for each would cost 4 s.
        executor=dg.in_process_executor,
    )
    return dg.Definitions.merge(
        defined, build_parquet(location), build_lake(location), build_automation(location)
    )


# Once a process: the command line asks for them five times, at 130 ms for forty operations.
@dg.definitions
@cache
def defs() -> dg.Definitions:
    return build_definitions(CodeLocation(load_settings()))


def _invalid(problems: tuple[str, ...]) -> dg.AssetSpec:
    """What keeps an operation from working, where a person who opens the UI sees it."""
    return dg.AssetSpec(
        "invalid_settings",
        group_name="settings",
        description="Some settings have to be corrected:\n\n"
        + "\n".join(f"* {problem}" for problem in problems),
    )
