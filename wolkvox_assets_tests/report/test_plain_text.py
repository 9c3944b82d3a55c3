"""Names of strangers are shown as text, wherever they come to."""

from datetime import datetime

import pytest

from wolkvox_assets.pipeline.progress import corrections_table
from wolkvox_assets.report.plain_text import chat, markdown, visible
from wolkvox_assets.store.windows import Correction

HOSTILE = [
    "![x](http://evil.example/x.png)",
    "<img src=x onerror=alert(1)>",
    "a | b | c",
    "`code` **bold** _it_ ~~no~~ # head",
    "https://evil.example",
    "\x1b[31mred\x1b[0m",
    "line\nbreak\r\nagain",
    "\ud800lone",
    "right\u202eleft",
    "&lt;b&gt;",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_one_line_of_printable_characters(name: str) -> None:
    for shown in (visible(name), markdown(name), chat(name)):
        assert shown.isprintable()
        shown.encode()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_cell_of_the_corrections_has_no_markup(name: str) -> None:
    correction = Correction(datetime(2026, 11, 16, 8), name, "hold_seconds", 1, 2)
    row = corrections_table([correction], "agent_9_corrections").splitlines()[-1]
    assert row.count("|") == 6
    cell = row.split(" | ")[1]
    assert not set(cell) & set("<>[]()!*_`~:")


def test_a_usual_name_stays_as_it_is() -> None:
    for show in (visible, markdown, chat):
        assert show("María José Núñez Peña") == "María José Núñez Peña"


def test_a_message_mentions_nobody_and_shows_no_image() -> None:
    assert (
        chat("<!channel> ![x](http://e) [a](http://e)") == "&lt;!channel&gt; ! [x] (http://e) [a] (http://e)"
    )
