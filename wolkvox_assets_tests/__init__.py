"""The tests. They are of `agent_9`, whatever else is kept, in each process that imports anything from here: another
report takes none but its own."""

from wolkvox_assets.report.reports import AGENT_9, REPORTS

ALL_REPORTS = tuple(REPORTS)
"""Those that are kept, for what has to hold of each."""

REPORTS[:] = [AGENT_9]
