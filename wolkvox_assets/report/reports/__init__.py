"""The reports that are kept of each operation: a module with what is particular to each, and the list of them."""

from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.reports.agent_9 import AGENT_9

REPORTS: list[Report] = [AGENT_9]
"""Another one is added here."""


def label(operation: str, report: Report) -> str:
    """Tells an operation's work on one report from that on others: its name, with the report's but for `agent_9`, which
    was there first."""
    return operation if report is AGENT_9 else f"{operation}_{report.api}"


__all__ = ["AGENT_9", "REPORTS", "label"]
