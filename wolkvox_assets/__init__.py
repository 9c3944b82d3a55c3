"""A Dagster code location that keeps a DuckDB file true to Wolkvox's `agent_9` report.

The layers, from the inside out; imports point inwards only (a test holds that):

* `report/`: the words everything else is spoken in: measures, windows, time. Nothing but Python.
* `api/` (the Wolkvox client) and `sync/` (which requests to make): neither Dagster nor DuckDB.
* `store/` (the DuckDB files): no Dagster.
* `pipeline/` (from the clock to a commit) and `alerts/` (what is wrong, and telling it): no Dagster.
* `orchestration/`, `definitions`: Dagster, thin.
* `settings/`, `commands/`, `simulator/`: configuration, the command `wolkvox-assets`, the simulator of the API.
"""
