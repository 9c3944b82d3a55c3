"""`make screenshots`: a picture of each page of Dagster's UI, and of the report of a day.

What belongs here: taking them. What doesn't: the way through the UI (`walk.py`).
"""

import tempfile
from datetime import date, timedelta
from pathlib import Path

from wolkvox_assets.simulator import Centre, Simulator
from wolkvox_assets_tests.browser import opened
from wolkvox_assets_tests.project import ROOT
from wolkvox_assets_tests.ui.running import Running, last_closed_day, running
from wolkvox_assets_tests.ui.walk import Walk, pictures_in

FOLDER = ROOT / "screenshots"


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="screenshots-", dir="/tmp") as folder,
        opened(
            width=1800, height=840
        ) as page,  # narrower, Dagster lays two words of a status over each other
        Simulator(Centre(12)) as simulator,
        running(Path(folder), simulator, _last_office_day()) as started,
    ):
        look = pictures_in(FOLDER, page)
        Walk(started, page, look).whole()
        page.set_viewport_size({"width": 1240, "height": 860})
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)
            for language in ("es", "en"):
                page.goto(_report(started).as_uri())
                page.locator(f"[data-language={language}]").click()
                look(f"report_{language}_dark" if scheme == "dark" else f"report_{language}")
        page.pdf(path=FOLDER / "report.pdf", prefer_css_page_size=True)
        page.close()
    print(f"{len(list(FOLDER.iterdir()))} pictures in {FOLDER}")


def _last_office_day() -> date:
    day = last_closed_day()
    return day - timedelta(days=max(0, day.weekday() - 4))


def _report(started: Running) -> Path:
    return started.folder / "data" / "reports" / "main" / f"{started.day}.html"


if __name__ == "__main__":
    main()
