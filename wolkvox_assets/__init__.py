"""A Dagster code location that keeps a DuckDB file true to Wolkvox's `agent_9` report.

The layers, from the inside out; imports point inwards only (a test holds that):

* `usage`, `windows`: the two words everything else is spoken in.
* `api/` (the Wolkvox client) and `sync/` (which requests to make): neither Dagster nor DuckDB.
* `store/` (the DuckDB files): no Dagster.
* `resources`, `assets/`, `checks/`, `automation/`, `definitions`: Dagster, thin.
* `settings`, `cli`, `simulator/`: configuration, the commands, the stand-in server.
"""
