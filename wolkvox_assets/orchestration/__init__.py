"""Dagster, thin: assets, jobs, schedules, sensors, and what a run tells.

What belongs here: all that knows Dagster. What doesn't: everything that can do without it (`pipeline/`).

`assets/` defines the assets, `run/` is what a run does and says, `automation/` starts runs, `instance/` is about
Dagster's own records.
"""
