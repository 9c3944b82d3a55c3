"""The page in a real browser: sorting, the two languages, and that a name runs nothing.

The browser is a machine's own Chromium; where there is none, nothing is tested here, and pytest says so.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import pytest

from wolkvox_assets.day_report import pages
from wolkvox_assets_tests.day_report.conftest import MONDAY, Centre, at, used

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
pytestmark = pytest.mark.skipif(
    not CHROMIUM, reason="no Chromium on this machine, so no page was opened in a browser"
)

# Clicks, and says in the page's title what came of each. It stands in place of the page's last line.
CLICKS = """
const table = document.querySelector("table.names");
const names = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent.trim());
const seen = () => getComputedStyle(document.querySelector("h1 [lang=es]")).display !== "none" ? "es" : "en";
const title = (n) => table.tHead.rows[0].cells[n];
const said = { first: names(), language: [seen()], ran: window.ran ?? "nothing" };
title(0).querySelector("button").click();
said.by_name = names();
said.sorted = title(0).getAttribute("aria-sort");
title(1).querySelector("button").click();
said.by_hold = names();
title(1).querySelector("button").click();
said.by_hold_up = names();
for (const language of ["en", "es"]) {
  document.querySelector(`[data-language=${language}]`).click();
  said.language.push(seen());
}
document.body.innerHTML = "<output></output>";
document.querySelector("output").textContent = JSON.stringify(said);
"""


class _Output(HTMLParser):
    text = ""

    def handle_data(self, data: str) -> None:
        self.text += data


def opened(page: Path) -> str:
    """What is in the page once its scripts have run."""
    # Its socket has to lie in a folder with a short name.
    with tempfile.TemporaryDirectory(prefix="page-", dir="/tmp") as folder:
        done = subprocess.run(
            [
                *(
                    CHROMIUM,
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-quic",
                    "--no-first-run",
                ),
                *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
                *(f"--user-data-dir={folder}/profile", "--dump-dom", page.as_uri()),
            ],
            env={**os.environ, "TMPDIR": folder},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    output = _Output()
    [found] = re.findall(r"<output>(.*)</output>", done.stdout, re.DOTALL) or [done.stdout[-2000:]]
    output.feed(found)
    return output.text


def test_tables_sort_languages_switch_and_names_run_nothing(centre: Centre, tmp_path: Path) -> None:
    evil = "<script>window.ran = 'a name'</script><img src=x onerror=\"window.ran = 'a name'\">"
    centre.know(
        MONDAY,
        {at(8): {"Zoe": used(9, 600), "Ángela": used(100), "Bea": used(1000), evil: used(20)}},
    )
    page = pages.report(*centre.read(), centre.operation.timezone, [])
    # The policy allows the page's own script alone; this test's is made known to it as well.
    assert "'sha256-" in page
    page = page.replace("script-src ", "script-src 'nonce-test' ")
    file = tmp_path / "page.html"
    file.write_text(page.replace("</body>", f'<script nonce="test">{CLICKS}</script></body>'))
    said = json.loads(opened(file))
    assert said["ran"] == "nothing"
    assert said["first"] == ["Bea", "Zoe", "Ángela", evil]
    assert said["by_name"] == [evil, "Ángela", "Bea", "Zoe"]
    assert said["sorted"] == "ascending"
    assert said["by_hold"] == ["Bea", "Ángela", evil, "Zoe"]
    assert said["by_hold_up"] == ["Zoe", evil, "Ángela", "Bea"]
    assert said["language"] == ["es", "en", "es"]
