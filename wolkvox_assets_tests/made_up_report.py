"""`agent_77`: how many calls each agent took, how long they talked, and worked on after it. Made up."""

from wolkvox_assets.report.definition import Measure, Names, Report, Unit

AGENT_77 = Report(
    api="agent_77",
    names=Names.of("agent_77", "calls"),
    measures=(
        Measure("call_count", "calls", Unit.COUNT, "Calls taken."),
        Measure("after_call_seconds", "acw_time", Unit.SECONDS, "Seconds of work after calls."),
        Measure("talk_seconds", "talk_time", Unit.SECONDS, "Seconds talked."),
    ),
    did="took a call",
    windows="How many calls each agent took, and how long they talked and worked on after it",
    days="how many calls were taken, and how long",
)
