"""Columns of hold and mute over time, as SVG.

What belongs here: pygal, and what is taken out of its answer. What doesn't: what is drawn, the words.

pygal lays it out, and writes it for a page of its own: with a script, a style sheet, comments that name the day of
drawing, and a description of each number for its tooltips. What is taken over is axes and rectangles: a twentieth of
the size, the same for the same numbers, and no script. How they look is said in `chart.css`.
"""

import re
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple
from xml.etree import ElementTree as ET  # it writes; nothing is parsed here

import pygal
from pygal.style import Style

SVG = {"xmlns": "http://www.w3.org/2000/svg", "class": "chart", "role": "img"}

CSS = resources.files(__package__).joinpath("chart.css").read_text("utf-8")

_WIDTH, _HEIGHT = 960, 260
_STEPS = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_MOST_LINES = 5


class Column(NamedTuple):
    """`label`: shown below it where `labelled`. `unknown`: the share, 0 to 1, of its windows that is not known.
    `hint`: what a pointer that rests on it tells, if anything.
    """

    label: str
    labelled: bool
    hold_seconds: int
    mute_seconds: int
    unknown: float
    hint: str = ""


def columns(of: Sequence[Column], *, title: str, description: str, language: str, style: str = "") -> str:
    """`title` and `description` are for those who can't see it. `style`: CSS, where it stands for itself: then it has
    a background as well, since nobody knows what it will lie on."""
    top = _top(max((c.hold_seconds + c.mute_seconds for c in of), default=0))
    chart = pygal.StackedBar(
        style=Style(label_font_size=15, major_label_font_size=15),  # what it leaves room for
        js=[],
        css=[],
        no_prefix=True,
        width=_WIDTH,
        height=_HEIGHT,
        margin=0,
        margin_top=6,
        truncate_label=-1,
        spacing=12,
        show_legend=False,
        print_values=False,
        range=(0, top[-1]),
        x_labels=[c.label for c in of],
        x_labels_major=[c.label for c in of if c.labelled],
        show_minor_x_labels=False,
        y_labels=[{"value": seconds, "label": duration(seconds)} for seconds in top],
    )
    chart.add("hold", [c.hold_seconds for c in of])
    chart.add("mute", [c.mute_seconds for c in of])
    chart.add("unknown", [c.unknown * (top[-1] - c.hold_seconds - c.mute_seconds) for c in of])
    drawn = chart.render_tree()
    root = ET.Element("svg", SVG | {"viewBox": f"0 0 {_WIDTH} {_HEIGHT}", "lang": language})
    for tag, text in (("title", title), ("desc", description), ("style", style)):
        if text:
            ET.SubElement(root, tag).text = text
    if style:
        ET.SubElement(root, "rect", {"class": "paper", "width": f"{_WIDTH}", "height": f"{_HEIGHT}"})
    plot = _found(drawn, "plot")[0]
    inner = ET.SubElement(root, "g", {"transform": plot.attrib["transform"]})
    _axis(inner, _found(plot, "axis y")[0], "y")
    _axis(inner, _found(plot, "axis x")[0], "x")
    bars = [_bars(series) for series in _found(plot, "series")]
    for name, rectangles in zip(("hold", "mute", "unknown"), bars, strict=True):
        if path := "".join(f"M{x:g} {y:g}h{w:g}v{h:g}h{-w:g}z" for x, y, w, h in rectangles if h > 0):
            ET.SubElement(inner, "path", {"class": name, "d": path})
    for column, (x, _, width, _) in zip(of, bars[0], strict=True):
        if column.hint:
            over = {
                "class": "hint",
                "x": f"{x:g}",
                "y": "0",
                "width": f"{width:g}",
                "height": f"{_HEIGHT - 25}",
            }
            ET.SubElement(ET.SubElement(inner, "rect", over), "title").text = column.hint
    return ET.tostring(root, encoding="unicode")


def duration(seconds: int) -> str:
    """`2 h 05 min`, `3 min 20 s`: the same in Spanish and English."""
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    if hours:
        return f"{hours} h {minutes:02} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {rest:02} s" if rest else f"{minutes} min"
    return f"{rest} s"


def _top(most: int) -> list[int]:
    """Round numbers of seconds from 0 to at least the most."""
    step = next((s for s in _STEPS if most <= s * _MOST_LINES), None)
    while step is None or most > step * _MOST_LINES:
        step = (step or _STEPS[-1]) * 2
    return [step * n for n in range(max(1, -(-most // step)) + 1)]


def _found(node: ET.Element, kind: str) -> list[ET.Element]:
    """The groups below it of this class, alone or with others after it."""
    return [g for g in node.iter("g") if f"{g.attrib.get('class', '')} ".startswith(f"{kind} ")]


def _axis(onto: ET.Element, axis: ET.Element, name: str) -> None:
    """Its labels, and the lines of the amounts."""
    group = ET.SubElement(onto, "g", {"class": name})
    for guides in _found(axis, "guides"):
        line, text = guides.find("path"), guides.find("text")
        if line is not None and name == "y":
            start, length = re.findall(r"M0\.0+ ([0-9.]+) h([0-9.]+)", line.attrib["d"])[0]
            ET.SubElement(group, "path", {"d": f"M0 {float(start):.1f}h{float(length):.1f}"})
        if text is not None:
            place = {at: f"{float(text.attrib[at]):.1f}" for at in ("x", "y")}
            ET.SubElement(group, "text", place).text = text.text


def _bars(series: ET.Element) -> list[tuple[float, float, float, float]]:
    """x, y, width and height of each."""
    return [
        tuple(round(float(bar.attrib[of]), 1) for of in ("x", "y", "width", "height"))  # type: ignore[misc]  # four
        for bar in series.iter("rect")
    ]
