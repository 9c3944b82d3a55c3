"""The three assets of each operation and report: the windows, and the daily totals by agent and by operation; and what
is around them in the graph.

What belongs here: Dagster's side of them: keys, partitions, metadata. What doesn't: what is asked (`sync/`), how
(`api/`), what is stored (`store/`), what a run does (`run/`).
"""
