"""A day in a picture, as Markdown: for the metadata of the daily totals in Dagster's UI.

The picture is an SVG within the Markdown, which Dagster's UI shows. It has a background of its own, since the UI's
theme need not be that of the browser.
"""

from base64 import b64encode

from wolkvox_assets.day_report.charts import duration
from wolkvox_assets.day_report.figures import Figures
from wolkvox_assets.day_report.span_chart import described, picture
from wolkvox_assets.day_report.words import say
from wolkvox_assets.report.plain_text import counted, markdown

_AGENTS = 5


def markdown_of(day: Figures) -> str:
    """Hold and mute through the day, the agents with the most, how much of it is known."""
    language = "en"  # as Dagster's UI
    state = say("closed" if day.closed else "complete" if day.complete else "partial", language)
    known = f"{day.known} of {counted(day.expected, 'window')} known"
    if not day.complete and day.until:
        known += f", up to {day.until:%H:%M}"
    svg = b64encode(picture(day, language).encode()).decode()
    totals = (
        f"{day.operation}, {day.span.first}, **{state.lower()}**: {known}. "
        f"Hold (blue) {duration(day.usage.hold_seconds)}, mute (orange) {duration(day.usage.mute_seconds)}, "
        f"{counted(day.usage.hold_mute_count, 'use')} by {counted(len(day.agents), 'agent')}."
    )
    lines = [
        f"![{described(day, language)}](data:image/svg+xml;base64,{svg})",
        "",
        totals,
    ]
    if day.agents:
        lines += ["", "| agents with the most | hold | mute | total | uses |", "|---|--:|--:|--:|--:|"]
    lines += [
        f"| {markdown(agent.name)} | {duration(agent.usage.hold_seconds)} | {duration(agent.usage.mute_seconds)} "
        f"| {duration(agent.usage.total_seconds)} | {agent.usage.hold_mute_count} |"
        for agent in day.agents[:_AGENTS]
    ]
    return "\n".join(lines)
