"""Columns of hold and mute over time, as SVG.

What belongs here: pygal, and what is taken out of its answer. What doesn't: what is drawn, the words (`span_chart.py`).

pygal lays it out, and writes it for a page of its own: with a script, a style sheet, comments that name the day of
drawing, and a description of each number for its tooltips. What is taken over is axes and rectangles: a twentieth of
the size, the same for the same numbers, and no script. How they look is said in `chart.css`.
"""

import re
import sys
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple
from xml.etree import ElementTree as ET  # it writes; nothing is parsed here

import pygal
from pygal.style import Style

SVG = {"xmlns": "http://www.w3.org/2000/svg", "class": "chart", "role": "img"}

# For maps, which are other packages, it puts a finder of an old kind into every import of the process: Python 3.11
# warns of it wherever a module is not found.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]

CSS = resources.files(__package__).joinpath("chart.css").read_text("utf-8")

_WIDTH, _HEIGHT = 960, 260
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


def draw(columns: Sequence[Column], captions: Sequence[Caption], *, style: str = "") -> list[str]:
    """The chart with each of these captions.

    `style`: CSS, where it stands for itself: then it has a background as well, since nobody knows what it will lie on.
    """
    drawn = _drawn_by_pygal(columns)  # nearly all of the time goes there, so once
    return [_svg(drawn, caption, style) for caption in captions]


def _drawn_by_pygal(columns: Sequence[Column]) -> ET.Element:
    amounts = _amounts(max((c.hold_seconds + c.mute_seconds for c in columns), default=0))
    chart = pygal.StackedBar(
        style=Style(label_font_size=15, major_label_font_size=15),  # what it leaves room for
        js=[],
        css=[],
        no_prefix=True,
        width=_WIDTH,
        height=_HEIGHT,
        margin=0,
        margin_top=6,
        spacing=12,
        show_legend=False,
        print_values=False,
        range=(0, amounts[-1]),
        x_labels=[f"{place}" for place in range(len(columns))],
        y_labels=[{"value": seconds, "label": duration(seconds)} for seconds in amounts],
    )
    chart.add("hold", [c.hold_seconds for c in columns])
    chart.add("mute", [c.mute_seconds for c in columns])
    chart.add("unknown", [c.unknown * (amounts[-1] - c.hold_seconds - c.mute_seconds) for c in columns])
    return chart.render_tree()  # type: ignore[no-any-return]  # pygal has no types


def _svg(drawn: ET.Element, caption: Caption, style: str) -> str:
    root = ET.Element("svg", SVG | {"viewBox": f"0 0 {_WIDTH} {_HEIGHT}", "lang": caption.language})
    for tag, text in (("title", caption.title), ("desc", caption.description), ("style", style)):
        if text:
            ET.SubElement(root, tag).text = text
    if style:
        size = {"width": f"{_WIDTH}", "height": f"{_HEIGHT}"}
        root.attrib |= size
        ET.SubElement(root, "rect", {"class": "paper", **size})
    plot = _found(drawn, "plot")[0]
    inner = ET.SubElement(root, "g", {"transform": plot.attrib["transform"]})
    _add_amounts(inner, _found(plot, "axis y")[0])
    _add_labels(inner, _found(plot, "axis x")[0], caption.labels)
    bars = [_bars(series) for series in _found(plot, "series")]
    for name, rectangles in zip(("hold", "mute", "unknown"), bars, strict=True):
        if path := "".join(f"M{x:g} {y:g}h{w:g}v{h:g}h{-w:g}z" for x, y, w, h in rectangles if h > 0):
            ET.SubElement(inner, "path", {"class": name, "d": path})
    for hint, (x, _, width, _) in zip(caption.hints, bars[0], strict=False):
        over = {"class": "hint", "x": f"{x:g}", "y": "0", "width": f"{width:g}", "height": f"{_HEIGHT - 25}"}
        ET.SubElement(ET.SubElement(inner, "rect", over), "title").text = hint
    return ET.tostring(root, encoding="unicode")


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


def _found(node: ET.Element, kind: str) -> list[ET.Element]:
    """The groups below it of this class, alone or with others after it."""
    return [g for g in node.iter("g") if f"{g.attrib.get('class', '')} ".startswith(f"{kind} ")]


def _add_amounts(onto: ET.Element, axis: ET.Element) -> None:
    """The lines, and how much each stands for."""
    group = ET.SubElement(onto, "g", {"class": "y"})
    for guides in _found(axis, "guides"):
        for line in guides.iter("path"):
            [(start, length)] = re.findall(r"M0\.0+ ([0-9.]+) h([0-9.]+)", line.attrib["d"])
            ET.SubElement(group, "path", {"d": f"M0 {float(start):.1f}h{float(length):.1f}"})
        for text in guides.iter("text"):
            ET.SubElement(group, "text", _place(text)).text = text.text


def _add_labels(onto: ET.Element, axis: ET.Element, labels: Sequence[str]) -> None:
    group = ET.SubElement(onto, "g", {"class": "x"})
    for label, text in zip(labels, axis.iter("text"), strict=True):
        if label:
            ET.SubElement(group, "text", _place(text)).text = label


def _place(text: ET.Element) -> dict[str, str]:
    return {at: f"{float(text.attrib[at]):.1f}" for at in ("x", "y")}


def _bars(series: ET.Element) -> list[tuple[float, float, float, float]]:
    """x, y, width and height of each."""
    return [
        tuple(round(float(bar.attrib[of]), 1) for of in ("x", "y", "width", "height"))  # type: ignore[misc]  # four
        for bar in series.iter("rect")
    ]
