"""The tags that our runs carry, for people who look for them in the list of runs."""

OPERATION = "wolkvox/operation"
"""The operation that a run of the automation is for."""

WORK = "wolkvox/work"
"""Why windows are asked for: `live`, `history`; `prune_run_history` for clearing up."""

BACKFILL = "dagster/backfill"
"""Dagster's own: the run belongs to a backfill."""

LAUNCHED_BY = ".dagster/grpc_info"
"""Dagster's own: the address of the code server that was to start the run's process."""
