"""Dagster, thin: assets, jobs, schedules, sensors, and what a run tells.

What belongs here: all that knows Dagster. What doesn't: everything that can do without it (`pipeline/`).

`assets/` defines the assets, `run/` is what a run does and says, `automation/` starts runs, `instance/` is about
Dagster's own records.
"""

import atexit
import gc

# All that was imported lives until the process ends. Python's search for garbage goes through it again and again while
# more is imported, and once more at the end: half a second of the CPU that a run takes which does nothing else.
gc.freeze()
atexit.register(gc.freeze)
# Nor does a run leave much that it has to find: looking each time that 700 objects were made took 0.06 s more.
gc.set_threshold(20_000)
