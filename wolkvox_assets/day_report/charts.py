"""Columns of hold and mute over time, as SVG.

What belongs here: axes, columns and labels. What doesn't: what is drawn, the words (`span_chart.py`).

A chart is text and rectangles: that is less to write than to take out of what a library makes, and 12 to 19 ms of CPU
less for each. How they look, light, dark and in print, is said in `chart.css`.
"""

from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple
from xml.etree import ElementTree as ET  # it writes; nothing is parsed here

SVG = {"xmlns": "http://www.w3.org/2000/svg", "class": "chart", "role": "img"}

CSS = resources.files(__package__).joinpath("chart.css").read_text("utf-8")

_WIDTH, _HEIGHT = 960, 260
_TOP, _BOTTOM = 10, 32  # beside the columns: half a line of text, and the labels
_LETTER = 9  # the width of a wide one
_BAR = 0.85  # of a column's width
_STEPS = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_MOST_LINES = 5


class Column(NamedTuple):
    """`unknown`: the share, 0 to 1, of its windows that is not known."""

    hold_seconds: int
    mute_seconds: int
    unknown: float


class Caption(NamedTuple):
    """What is written in a chart, in one language. `title` and `description` are for those who can't see it. `labels`:
    below each column, if anything. `hints`: what a pointer that rests on each column tells; or none at all.
    """

    language: str
    title: str
    description: str
    labels: Sequence[str]
    hints: Sequence[str] = ()


def draw(columns: Sequence[Column], caption: Caption, *, style: str = "") -> str:
    """The chart with this caption.

    `style`: CSS, where it stands for itself: then it has a background as well, since nobody knows what it will lie on.
    """
    root = ET.Element("svg", SVG | {"viewBox": f"0 0 {_WIDTH} {_HEIGHT}", "lang": caption.language})
    for tag, text in (("title", caption.title), ("desc", caption.description), ("style", style)):
        if text:
            ET.SubElement(root, tag).text = text
    if style:
        size = {"width": f"{_WIDTH}", "height": f"{_HEIGHT}"}
        root.attrib |= size
        ET.SubElement(root, "rect", {"class": "paper", **size})
    amounts = _amounts(max((c.hold_seconds + c.mute_seconds for c in columns), default=0))
    left = _LETTER * (1 + max(len(duration(seconds)) for seconds in amounts))
    width, height = _WIDTH - left, _HEIGHT - _TOP - _BOTTOM
    plot = ET.SubElement(root, "g", {"transform": f"translate({left} {_TOP})"})
    _add_amounts(plot, amounts, width, height)
    _add_columns(plot, columns, amounts[-1], width, height)
    labels, each = ET.SubElement(plot, "g", {"class": "x"}), width / len(columns)
    for place, label in enumerate(caption.labels):
        if label:
            at = {"x": f"{each * (place + 0.5):.1f}", "y": f"{height + 22}"}
            ET.SubElement(labels, "text", at).text = label
    for place, hint in enumerate(caption.hints):
        over = {
            "class": "hint",
            "x": f"{each * place:.1f}",
            "y": "0",
            "width": f"{each:.1f}",
            "height": f"{height}",
        }
        ET.SubElement(ET.SubElement(plot, "rect", over), "title").text = hint
    return ET.tostring(root, encoding="unicode")


def _add_amounts(plot: ET.Element, amounts: Sequence[int], width: int, height: int) -> None:
    """The lines, and how much each stands for."""
    group = ET.SubElement(plot, "g", {"class": "y"})
    for seconds in amounts:
        y = height * (1 - seconds / amounts[-1])
        ET.SubElement(group, "path", {"d": f"M0 {y:.1f}h{width}"})
        ET.SubElement(group, "text", {"x": "-5", "y": f"{y + 5:.1f}"}).text = duration(seconds)


def _add_columns(plot: ET.Element, columns: Sequence[Column], most: int, width: int, height: int) -> None:
    """One upon the other: what is not known reaches as high as it could."""
    paths = {"hold": "", "mute": "", "unknown": ""}
    each = width / len(columns)
    for place, (hold, mute, unknown) in enumerate(columns):
        bottom = 0.0
        for name, seconds in zip(paths, (hold, mute, unknown * (most - hold - mute)), strict=True):
            x, bar, up = each * (place + (1 - _BAR) / 2), each * _BAR, height * seconds / most
            if seconds > 0:
                y = height * (1 - bottom / most)
                paths[name] += f"M{x:.1f} {y:.1f}v{-up:.1f}h{bar:.1f}v{up:.1f}z"
            bottom += seconds
    for name, path in paths.items():
        if path:
            ET.SubElement(plot, "path", {"class": name, "d": path})


def duration(seconds: int) -> str:
    """`2 h 05 min`, `3 min 20 s`: the same in Spanish and English."""
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    if hours:
        return f"{hours} h {minutes:02} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {rest:02} s" if rest else f"{minutes} min"
    return f"{rest} s"


def _amounts(most: int) -> list[int]:
    """Round numbers of seconds from 0 to at least the most."""
    step = next((s for s in _STEPS if most <= s * _MOST_LINES), None)
    while step is None or most > step * _MOST_LINES:
        step = (step or _STEPS[-1]) * 2
    return [step * n for n in range(max(1, -(-most // step)) + 1)]
