"""A Dagster code location that keeps a DuckDB file true to Wolkvox's `agent_9` report.

The layers, from the inside out; imports point inwards only (a test holds that):

* `usage`, `windows`: the two words everything else is spoken in.
* `api/` (the Wolkvox client) and `sync/` (which requests to make): neither Dagster nor DuckDB.
* `store/` (the DuckDB files): no Dagster.
* `loading`, `duties`, `quota`: between them: commits as it goes, what is due, what may be asked. No Dagster.
* `resources`, `executor`, `assets/`, `automation/`, `definitions`: Dagster, thin.
* `settings`, `operations_file`, `cli`, `demo`, `doctor`, `source`, `simulator/`: configuration, commands, the stand-in
  server.
"""
