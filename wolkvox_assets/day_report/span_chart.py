"""The chart of a day, a week or a month: from figures to columns with labels, hints and a description.

What belongs here: what is drawn. What doesn't: drawing (`charts.py`), the words (`words.py`).
"""

from wolkvox_assets.day_report import charts
from wolkvox_assets.day_report.charts import Caption, Column, duration
from wolkvox_assets.day_report.figures import Figures, Part
from wolkvox_assets.day_report.spans import Kind, Span
from wolkvox_assets.day_report.words import LANGUAGES, long_date, say, weekday


def picture(figures: Figures, language: str) -> str:
    """As SVG that stands for itself, as an image."""
    [svg] = charts.draw(_columns(figures), [_caption(figures, language, hints=False)], style=charts.CSS)
    return svg


def in_page(figures: Figures) -> dict[str, str]:
    """As SVG for a page that has `charts.CSS`, by language, with hints for pointers."""
    captions = [_caption(figures, language, hints=True) for language in LANGUAGES]
    return dict(zip(LANGUAGES, charts.draw(_columns(figures), captions), strict=True))


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


def _columns(figures: Figures) -> list[Column]:
    return [
        Column(
            part.usage.hold_seconds,
            part.usage.mute_seconds,
            1 - part.known / part.expected if part.expected else 0.0,
        )
        for part in figures.parts
    ]


def _caption(figures: Figures, language: str, *, hints: bool) -> Caption:
    return Caption(
        language,
        f"{figures.operation} {figures.span.name}",
        described(figures, language),
        [_label(figures.span, part, language) for part in figures.parts],
        [_hint(figures.span, part, language) for part in figures.parts] if hints else (),
    )


def _label(span: Span, part: Part, language: str) -> str:
    match span.kind:
        case Kind.DAY:
            return "" if part.start.hour % 2 or part.start.minute else f"{part.start:%H:%M}"
        case Kind.WEEK:
            return f"{weekday(part.start.date(), language)} {part.start.day}"
        case Kind.MONTH:
            return f"{part.start.day}"


def _hint(span: Span, part: Part, language: str) -> str:
    return say(
        "column" if part.known == part.expected else "column_unknown",
        language,
        part=part_name(span, part, language),
        hold=duration(part.usage.hold_seconds),
        mute=duration(part.usage.mute_seconds),
        known=part.known,
        expected=part.expected,
    )
