"""`agent_9`: how often and how long each agent used hold and mute [D]."""

from dataclasses import replace

from wolkvox_assets.report.definition import Measure, Names, Report, Total, Unit

AGENT_9 = Report(
    api="agent_9",
    # Names that people's SQL rests on; those that bear no report's name are from before there could be a second one.
    names=replace(
        Names.of("agent_9", "hold_mute"),
        additivity_proofs="additivity_proofs",
        total_row_verdicts="total_row_verdicts",
        failed_attempts="failed_attempts",
        day_share="agent_day_share",
        days_not_complete="days_not_complete",
    ),
    measures=(
        Measure("hold_mute_count", "count", Unit.COUNT, "How often hold or mute was used."),
        Measure("hold_seconds", "hold_time", Unit.SECONDS, "Seconds on hold."),
        Measure("mute_seconds", "mute_time", Unit.SECONDS, "Seconds muted."),
        Measure(
            "total_seconds",
            "total_time",
            Unit.SECONDS,
            "Seconds of both, as the API says it: hold + mute, where the API keeps to that.",
        ),
    ),
    total=Total("total_seconds", ("hold_seconds", "mute_seconds"), "hold + mute"),
    did="used hold or mute",
    windows="How often and how long each agent had customers on hold or muted",
    days="how often and how long hold and mute were used",
)
