"""The chart of a day, a week or a month: from figures to columns with labels, hints and a description.

What belongs here: what is drawn. What doesn't: drawing (`charts.py`), the words (`words.py`).
"""

from wolkvox_assets.day_report import charts
from wolkvox_assets.day_report.charts import Column, duration
from wolkvox_assets.day_report.figures import Figures, Part
from wolkvox_assets.day_report.spans import Kind, Span
from wolkvox_assets.day_report.words import long_date, say, weekday


def chart(figures: Figures, language: str, *, alone: bool) -> str:
    """As SVG. `alone`: it stands for itself, as an image; else in a page with `charts.CSS`, with hints for pointers."""
    return charts.columns(
        [_column(figures.span, part, language, with_hint=not alone) for part in figures.parts],
        title=f"{figures.operation} {figures.span.name}",
        description=described(figures, language),
        language=language,
        style=charts.CSS if alone else "",
    )


def described(figures: Figures, language: str) -> str:
    """What the chart shows, for those who can't see it."""
    most = ""
    if figures.busiest is not None:
        most = say(
            "chart_most",
            language,
            part=part_name(figures.span, figures.busiest, language),
            seconds=duration(figures.busiest.usage.total_seconds),
        )
    return say(
        "chart" if figures.span.kind is Kind.DAY else "chart_by_day",
        language,
        span=f"{figures.span.name}",
        hold=duration(figures.usage.hold_seconds),
        mute=duration(figures.usage.mute_seconds),
        most=most,
    ).strip()


def part_name(span: Span, part: Part, language: str) -> str:
    """`08:30`, or `lunes 16 de noviembre de 2026`."""
    return f"{part.start:%H:%M}" if span.kind is Kind.DAY else long_date(part.start.date(), language)


def _column(span: Span, part: Part, language: str, *, with_hint: bool) -> Column:
    match span.kind:
        case Kind.DAY:
            label, labelled = f"{part.start:%H:%M}", part.start.minute == 0 and part.start.hour % 2 == 0
        case Kind.WEEK:
            label, labelled = f"{weekday(part.start.date(), language)} {part.start.day}", True
        case Kind.MONTH:
            label, labelled = f"{part.start.day}", True
    hint = ""
    if with_hint:
        hint = say(
            "column" if part.known == part.expected else "column_unknown",
            language,
            part=part_name(span, part, language),
            hold=duration(part.usage.hold_seconds),
            mute=duration(part.usage.mute_seconds),
            known=part.known,
            expected=part.expected,
        )
    unknown = 1 - part.known / part.expected if part.expected else 0.0
    return Column(label, labelled, part.usage.hold_seconds, part.usage.mute_seconds, unknown, hint)
