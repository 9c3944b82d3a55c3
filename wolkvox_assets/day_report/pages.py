"""The HTML pages: a report of a span, and the index.

What belongs here: filling in the templates. What doesn't: figures, words, files.

A page is whole by itself: style, script and charts are in it, and a policy in it forbids the browser everything else.
Both languages are in it; `page.js` switches between them. jinja2 escapes whatever is put in.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib import resources

import jinja2
from markupsafe import Markup

from wolkvox_assets.day_report import charts, words
from wolkvox_assets.day_report.charts import duration
from wolkvox_assets.day_report.figures import Beside, Day, Figures
from wolkvox_assets.day_report.span_chart import in_page, part_name
from wolkvox_assets.day_report.spans import Kind, Span
from wolkvox_assets.report.plain_text import short
from wolkvox_assets.report.windows import WINDOW


def report(figures: Figures, beside: Beside, timezone: str, written: Iterable[Span]) -> str:
    """The page of a span. `written`: the days that have pages, for links."""
    return (
        _environment()
        .get_template("report.html")
        .render(
            figures=figures,
            span=figures.span,
            beside=beside,
            timezone=timezone,
            written=set(written),
            state=state(figures),
            # ElementTree has escaped what is in them.
            charts={language: Markup(svg) for language, svg in in_page(figures).items()},  # noqa: S704
        )
    )


def index(operation: str, listed: Iterable[Day]) -> str:
    """The page that leads to all of an operation. `listed`: newest first."""
    months: dict[Span, list[Day]] = {}
    for day in listed:
        months.setdefault(Span.of(Kind.MONTH, day.span.first), []).append(day)
    return _environment().get_template("index.html").render(operation=operation, months=months)


def operations_index(operations: Sequence[str]) -> str:
    """The page that leads to all operations."""
    return _environment().get_template("operations.html").render(operations=operations)


def state(figures: Figures | Day) -> str:
    """The key of the words for how final it is."""
    return "closed" if figures.closed else "complete" if figures.complete else "partial"


@cache
def _environment() -> jinja2.Environment:
    script = _text("page.js")
    found = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["minute"] = minute
    found.globals |= {
        "style": Markup(_text("page.css") + charts.CSS),  # noqa: S704  # our own files
        "script": Markup(script),  # noqa: S704
        "script_hash": b64encode(sha256(script.encode()).digest()).decode(),
        "t": _both,
        "title": lambda span: _in_both({of: words.title(span, of) for of in words.LANGUAGES}),
        "long_date": lambda day: _in_both({of: words.long_date(day, of) for of in words.LANGUAGES}),
        "weekday": lambda day: _in_both({of: words.weekday(day, of) for of in words.LANGUAGES}),
        "part_name": lambda span, part: _in_both({of: part_name(span, part, of) for of in words.LANGUAGES}),
        "duration": duration,
        "short": short,
        "percent": percent,
        "change": change,
        "number": number,
        "state_of": state,
        "Span": Span,
        "Kind": Kind,
        "WINDOW": WINDOW,
    }
    return found


def _text(name: str) -> str:
    return resources.files(__package__).joinpath("templates", name).read_text("utf-8")


def _both(key: str, **values: object) -> Markup:
    """The words in both languages; values are escaped, and may be in both languages themselves."""
    return _in_both({of: Markup(getattr(words.WORDS[key], of)).format(**values) for of in words.LANGUAGES})  # noqa: S704


def _in_both(texts: Mapping[str, str]) -> Markup:
    if len(set(texts.values())) == 1:
        return Markup("{}").format(next(iter(texts.values())))
    return Markup("").join(
        Markup('<span lang="{}">{}</span>').format(language, text) for language, text in texts.items()
    )


def number(count: int) -> str:
    """With a narrow blank between thousands, as both languages have it."""
    return f"{count:,}".replace(",", "\u202f")


def percent(part: int, whole: int) -> str:
    """Whole percents, and never 100 where anything is missing."""
    if not whole:
        return "0"
    return str(min(round(100 * part / whole), 99)) if part < whole else "100"


def change(now: int, then: int) -> str | Markup:
    """`+12%`, `−5%`; nothing where there was nothing."""
    if not then:
        return "–"
    by = round(100 * (now - then) / then)
    return _both("percent", part=f"{'+' if by > 0 else '−' if by < 0 else ''}{abs(by)}")


def minute(at: datetime) -> Markup:
    """Within `<time>`, which is how `files.py` finds it."""
    return Markup("<time>{}</time>").format(f"{at:%Y-%m-%d %H:%M}")
