"""The words: the same in Spanish and English, and all that the templates ask for."""

import re
from datetime import date
from importlib import resources
from string import Formatter

from wolkvox_assets.day_report.spans import Kind, Span
from wolkvox_assets.day_report.words import LANGUAGES, WORDS, long_date, title

SOURCES = [
    entry.read_text("utf-8")
    for folder in ("", "templates")
    for entry in (resources.files("wolkvox_assets.day_report") / folder).iterdir()
    if entry.name.endswith((".py", ".html")) and entry.name != "words.py"
]


def test_both_languages_say_all_with_the_same_values() -> None:
    for key, words in WORDS.items():
        values = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in words]
        assert values[0] == values[1], key
        assert all(text.strip() for text in words), key
        assert words._fields == LANGUAGES


def test_every_word_is_said_somewhere() -> None:
    """What a key is made of in a template (`compared_` and a kind) counts as well."""
    made = {f"compared_{kind}" for kind in Kind} | {
        f"{state}_means" for state in ("closed", "complete", "partial")
    }
    made |= {"hold_mute_count", "hold_seconds", "mute_seconds", "total_seconds"}
    said = set(re.findall(r'"([a-z_]+)"', "".join(SOURCES))) | made
    assert WORDS.keys() - said == set()


def test_dates() -> None:
    day = date(2026, 3, 1)
    assert long_date(day, "es") == "domingo 1 de marzo de 2026"
    assert long_date(day, "en") == "Sunday 1 March 2026"
    assert title(Span.of(Kind.DAY, day), "es") == "Domingo 1 de marzo de 2026"
    assert title(Span.of(Kind.WEEK, day), "es") == "Semana 9, 2026 (23 feb – 1 mar)"
    assert title(Span.of(Kind.WEEK, day), "en") == "Week 9, 2026 (23 Feb – 1 Mar)"
    assert title(Span.of(Kind.MONTH, day), "es") == "Marzo de 2026"
