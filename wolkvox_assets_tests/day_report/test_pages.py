"""The pages and the picture: what stands in them, and that names are only text there."""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from hashlib import sha256
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from wolkvox_assets.day_report import charts, pages, pictures
from wolkvox_assets.day_report.charts import duration
from wolkvox_assets.day_report.spans import Kind
from wolkvox_assets.day_report.words import WORDS
from wolkvox_assets_tests.day_report.conftest import MONDAY, Centre, at, used

NAMES = [
    "<script>alert(1)</script>",
    "![x](http://evil.example/x.png)",
    "</title></svg><img src=x onerror=alert(1)>",
    "\" onmouseover='alert(1)' x=\"",
    "a | b | c",
    "\x1b[31mred\x1b[0m\x07",
    "right\u202eleft\u2066",
    "אבגד",
    "nul\x00nul",
    "{{ 7 * 7 }} {name} %s",
    "x" * 100_000,
    "",
]
SVG = "{http://www.w3.org/2000/svg}"


class Read(HTMLParser):
    """Tags with their attributes, and the text that a reader of each language sees."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {"es": [], "en": []}
        self._open: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "hr"}:
            self._open.append((tag, None if tag == "html" else dict(attrs).get("lang")))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if any(tag in {"style", "script"} for tag, _ in self._open):
            return
        spoken = [language for _, language in self._open if language]
        for language, texts in self.text.items():
            if not spoken or spoken[-1] == language:
                texts.append(data)


@pytest.fixture
def page(centre: Centre) -> str:
    centre.know(MONDAY, {at(8): {name: used(60 + n) for n, name in enumerate(NAMES)}})
    late = {name: used(70 + n, 5) for n, name in enumerate(NAMES)}
    centre.know(MONDAY, {at(8): late}, until=200, fetched_at=at(40).replace(tzinfo=UTC))
    return pages.report(*centre.read(), centre.operation.timezone, [])


def test_names_are_text(page: str) -> None:
    read = Read(page)
    assert [attrs for tag, attrs in read.tags if tag == "script"] == [{}]  # our own
    assert not any(tag == "img" for tag, _ in read.tags)
    assert not any(name.startswith("on") for _, attrs in read.tags for name in attrs)
    shown = "".join(read.text["es"])
    for name in (*NAMES[:2], NAMES[7], NAMES[9], "x" * 100 + "…", "right\\u202eleft\\u2066", "\\x1b[31mred"):
        assert name in shown
    assert all(c.isprintable() or c == "\n" for c in page)
    assert len(page) < 200_000


def test_a_page_is_whole_by_itself(page: str) -> None:
    read = Read(page)
    assert not any({"src", "srcset", "data", "action"} & attrs.keys() for _, attrs in read.tags)
    assert all(
        attrs["href"] is not None and re.fullmatch(r"[-\w]+\.html", attrs["href"])
        for tag, attrs in read.tags
        if tag in {"a", "link"}
    )
    assert "@import" not in page
    assert "url(" not in page
    [script] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    [policy] = [
        attrs["content"]
        for tag, attrs in read.tags
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    # The browser refuses the script unless this is exactly its digest.
    assert f"script-src 'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" in str(policy)


def test_who_reads_spanish_meets_no_english(page: str) -> None:
    read = Read(page)
    english = {words.en for words in WORDS.values() if words.en != words.es and "{" not in words.en}
    spanish = {words.es for words in WORDS.values() if words.en != words.es and "{" not in words.es}
    seen = {language: {text.strip() for text in texts} for language, texts in read.text.items()}
    assert seen["es"] & english == set()
    assert seen["en"] & spanish == set()
    assert len(seen["es"] & spanish) > 20
    telltale = r"\b(the|of|and|is|are|day|week|month|hold|mute|known|agents?|windows?|uses?|compared)\b"
    about_agents = [text for text in read.text["es"] if not any(text in name for name in NAMES)]
    assert [text for text in about_agents if re.search(telltale, text, re.IGNORECASE)] == []
    assert "Lunes 16 de noviembre de 2026" in seen["es"]
    assert "Monday 16 November 2026" in seen["en"]


def test_what_a_day_says(centre: Centre) -> None:
    centre.know(MONDAY, {at(8): {"Ana": used(3600, 65, 4)}}, until=9 * 12)
    text = " ".join("".join(Read(pages.report(*centre.read(), "America/Bogota", [])).text["es"]).split())
    assert "Incompleto" in text
    assert "Se conocen 108 de 288 ventanas de cinco minutos (38 %), hasta 09:00." in text
    assert "1 h 01 min" in text
    # 12:00 UTC, on the operation's wall clock.
    assert "Esta página se generó el 2026-12-01 07:00." in text
    assert "Ninguna cifra conocida ha cambiado." in text
    assert "No hay datos anteriores para comparar." in text


@pytest.mark.parametrize("kind", Kind)
def test_charts_have_words_for_those_who_cannot_see_them(centre: Centre, kind: Kind) -> None:
    centre.know(MONDAY, {at(8): {"Ana": used(3600, 65, 4)}})
    page = pages.report(*centre.read(kind), centre.operation.timezone, [])
    svgs = [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page)]
    assert [svg.attrib["lang"] for svg in svgs] == ["es", "en"]
    for svg, words in zip(
        svgs, ("espera 1 h, silencio 1 min 05 s", "hold 1 h, mute 1 min 05 s"), strict=True
    ):
        assert svg.attrib["role"] == "img"
        assert svg.findtext(f"{SVG}title") is not None
        assert words in str(svg.findtext(f"{SVG}desc"))
        assert [path.attrib["class"] for path in svg.iter(f"{SVG}path") if "class" in path.attrib][:2] == [
            "hold",
            "mute",
        ]
        assert svg.find(f".//{SVG}script") is None


def test_the_same_figures_make_the_same_page(centre: Centre, page: str) -> None:
    assert pages.report(*centre.read(), centre.operation.timezone, []) == page


# The picture


def picture_in(markdown: str) -> tuple[str, ET.Element]:
    """The words in its place, and the picture."""
    [(words, picture)] = re.findall(r"!\[(.*?)\]\(data:image/svg\+xml;base64,(.*?)\)", markdown)
    return words, ET.fromstring(b64decode(picture))


def test_the_picture_is_small_and_says_what_it_shows(centre: Centre) -> None:
    windows = centre.operation.clock.windows_of_day(MONDAY)
    crowd = {f"{n} {'<&|' * 200}": used(101 * n % 299, 7 * n % 293) for n in range(1, 150)}
    centre.know(MONDAY, dict.fromkeys(windows, crowd))
    day, _ = centre.read()
    markdown = pictures.markdown_of(day)
    assert len(markdown.encode()) < 15_000
    words, svg = picture_in(markdown)
    total = duration(day.usage.hold_seconds)
    assert total in words
    assert total in str(svg.findtext(f"{SVG}desc"))
    assert svg.findtext(f"{SVG}title") == "main 2026-11-16"
    # Dark and light are for the browser's; the background is its own, for a theme that is not.
    assert "prefers-color-scheme:dark" in str(svg.findtext(f"{SVG}style"))
    assert svg.find(f"{SVG}rect[@class='paper']") is not None
    assert "288 of 288 windows known" in markdown
    assert markdown.count("\n| ") == 6  # a title and five agents
    assert "<" not in markdown


def test_names_in_the_picture_are_text(centre: Centre) -> None:
    centre.know(MONDAY, {at(8): {name: used(60) for name in NAMES}})
    day, _ = centre.read()
    for agent in day.agents:
        markdown = pictures.markdown_of(replace(day, agents=[agent]))
        assert all(c.isprintable() or c == "\n" for c in markdown)
        assert markdown.count("![") == 1
        assert "<" not in markdown
        assert "evil.example" not in markdown or "http&#58;" in markdown


@pytest.mark.parametrize("most", [0, 1, 59, 299, 3600, 86_400, 86_400 * 500, 2**53])
def test_any_amount_can_be_drawn(most: int) -> None:
    columns = [charts.Column(most, 0, 0.0), charts.Column(0, 0, 1.0)]
    [svg] = charts.draw(columns, [charts.Caption("es", "t", "d", ["a", ""])])
    lines = [text for text in texts(ET.fromstring(svg)) if text != "a"]
    assert lines[0] == "0 s"
    assert 2 <= len(lines) <= 6


def texts(svg: ET.Element) -> Iterator[str]:
    return (str(text.text) for text in svg.iter(f"{SVG}text"))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min 59 s"), (3600, "1 h"), (90_061, "25 h 01 min")],
)
def test_durations(seconds: int, said: str) -> None:
    assert duration(seconds) == said
