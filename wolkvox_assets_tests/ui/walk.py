"""A newcomer's way through Dagster's UI, page by page.

What belongs here: how each page is opened, and what has to be seen on it. What doesn't: what is running (`running.py`);
the pictures that are taken on the way (`screenshots.py`).

One test goes the whole way: what it walks through takes longer to start than to look at.
"""

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from wolkvox_assets_tests.ui.running import Running

WINDOWS = "/assets/main/agent_9_windows"
AGENTS = "/assets/main/agent_hold_mute_daily"
DAYS = "/assets/main/operation_hold_mute_daily"
_RUNS_WITHIN_MILLISECONDS = 60_000


class Walk:
    """`look`: called with a name where a page is complete, for pictures."""

    def __init__(self, running: Running, page: Page, look: Callable[[str], object]) -> None:
        self._running, self._page, self._look = running, page, look

    def whole(self) -> None:
        """Everything, in an order in which nothing is in the way of what comes after it."""
        self.graph()
        self.overviews()
        self.plots()
        self.picture_of_a_day()
        self.partitions()
        self.checks()
        self.surroundings()
        self.automation_and_daemons()
        self.backfill()
        self.failure()

    # Assets

    def graph(self) -> None:
        """From the API's report to the published file."""
        page = self._open("/locations/wolkvox_assets/asset-groups/main/lineage")
        for name in (
            "wolkvox_agent_9",
            "agent_9_windows",
            "agent_hold_mute_daily",
            "operation_hold_mute_daily",
        ):
            self._see(page.get_by_text(name, exact=True))
        self._see(page.get_by_text("wolkvox_duckdb"))
        for passed in ("12 / 12 Passed", "2 / 2 Passed", "3 / 3 Passed"):
            self._see(page.get_by_text(passed))
        # A window may have closed this minute.
        assert page.get_by_text(re.compile("(100|99)% filled")).count() == 3
        self._seen("graph")

    def overviews(self) -> None:
        """What it is, whose, how fresh, its columns: without opening anything."""
        for path, columns, words in (
            (
                WINDOWS,
                ("window_start", "agent_name", "hold_seconds"),
                ("Source", "Grain", "Backfill", "Time"),
            ),
            (AGENTS, ("local_date", "agent_name", "active_windows"), ("Source", "Grain", "Backfill")),
            (DAYS, ("local_date", "windows_known", "complete"), ("Source", "Grain", "Backfill")),
        ):
            page = self._open(path)
            for column in columns:
                self._see(page.get_by_role("cell", name=column, exact=True))
            for word in words:
                self._see(page.locator("strong").get_by_text(word, exact=True))
            self._see(page.get_by_text("reports@example.com"))
            self._see(page.get_by_text("centre: bogota"))
            self._see(page.get_by_text("Row count", exact=True))
            self._see(page.get_by_text("Passing", exact=True))
            self._seen(path.rsplit("/", 1)[-1])

    def plots(self) -> None:
        for path, plots in (
            (WINDOWS, ("dagster/partition_row_count",)),
            (DAYS, ("hold_seconds", "mute_seconds", "windows_known", "agents")),
        ):
            page = self._open(path)
            page.get_by_role("button", name="Plots").click()
            for plot in plots:
                self._see(page.get_by_text(plot, exact=True))
            self._see(page.locator("canvas").nth(len(plots) - 1))
            page.locator("canvas").last.scroll_into_view_if_needed()
            self._seen(f"plots_{path.rsplit('/', 1)[-1]}")
            if path == WINDOWS:  # beside those of windows, those of runs
                page.get_by_role("button", name="Events").last.click()
                for plot in ("requests_made", "requests_saved", "hold_seconds", "seconds_to_publication"):
                    self._see(page.get_by_text(plot, exact=True))
                self._seen("plots_runs")

    def picture_of_a_day(self) -> None:
        day = self._running.day
        page = self._open(f"{DAYS}?view=partitions&partition={day}")
        page.get_by_text("[Show Markdown]").click()
        shown = page.get_by_role("dialog")
        picture = shown.get_by_role("img", name=re.compile("hold", re.IGNORECASE))
        self._see(picture)
        assert picture.evaluate("it => it.complete && it.naturalWidth > 300")
        self._see(shown.get_by_text(f"{day}"))
        self._see(shown.get_by_text("288 of 288 windows known"))
        self._see(shown.get_by_text("agents with the most"))
        self._seen("picture")
        shown.get_by_role("button", name="Close").click()

    def partitions(self) -> None:
        day = self._running.day
        page = self._open(f"{WINDOWS}?view=partitions&partition={day}T10:00")
        self._see(page.get_by_text("Materialized", exact=True))
        self._see(page.get_by_text(re.compile(r"Missing \([01]\)")))  # a window may have closed this minute
        self._see(page.get_by_text("Failed (0)"))
        self._see(page.get_by_text("dagster/partition_row_count"))
        self._seen("partitions")

    def checks(self) -> None:
        page = self._open(f"{WINDOWS}?view=checks")
        self._see(page.get_by_text("Checks (12)"))
        self._see(page.get_by_text("Succeeded", exact=True))
        assert page.get_by_text("Succeeded", exact=True).count() == 12
        page.get_by_text("nothing_of_the_future").filter(visible=True).click()
        self._see(page.get_by_text("When it fails"))
        self._see(page.get_by_text("Passed", exact=True))
        self._seen("checks")

    def surroundings(self) -> None:
        """What is not made here says so."""
        for path, words in (
            ("/assets/main/wolkvox_agent_9", "nothing here can materialise it"),
            ("/assets/wolkvox_duckdb", "published anew"),
        ):
            page = self._open(path)
            self._see(page.get_by_text("External Asset"))
            self._see(page.get_by_text(words))
            self._seen(path.rsplit("/", 1)[-1])

    def automation_and_daemons(self) -> None:
        page = self._open("/automation")
        for name in ("alerts", "live_schedule", "main_gaps", "prune_run_history_schedule"):
            link = page.get_by_role("link").filter(has_text=name)
            self._see(link)
            self._see(link.get_by_label("info"))  # that there is a description
        self._seen("automation")
        page = self._open("/deployment/daemons")
        self._see(page.get_by_text("Running", exact=True))
        assert page.get_by_text("Not running").count() == 0
        self._seen("daemons")

    # Runs

    def backfill(self) -> None:
        """Two hours, asked for by hand and followed to their end."""
        self._launch()
        page = self._page
        self._see(page.get_by_text("Created backfill"))
        page.get_by_text("View", exact=True).click()
        self._see(page.get_by_text("100% completed"), _RUNS_WITHIN_MILLISECONDS)
        self._seen("backfill")

    def failure(self) -> None:
        """The operation's token is refused: the run's page says so, and what to do."""
        (operation,) = self._running.simulator.api.operations
        tokens, operation.tokens = operation.tokens, ("another-token",)
        try:
            self._launch()
            page = self._page
            page.get_by_text("View", exact=True).click()
            page.get_by_role("tab").get_by_text("Runs", exact=True).click()
            self._see(page.get_by_text("Failure", exact=True), _RUNS_WITHIN_MILLISECONDS)
            page.get_by_role("link").filter(has_text=re.compile("^[0-9a-f]{8}$")).first.click()
            self._see(page.get_by_text("TokenRefused"))
            self._see(page.get_by_text("Set the operation's current token"))  # what to do
            self._seen("failed_run", calm=False)
        finally:
            operation.tokens = tokens

    def _launch(self) -> None:
        """The backfill of two hours, in the dialog that a person uses."""
        day = self._running.day
        page = self._open(WINDOWS)
        page.get_by_role("button").filter(has_text="Materialize").first.click()
        dialog = page.get_by_role("dialog")
        selection = dialog.get_by_role("textbox").first
        selection.fill(f"[{day}T08:00...{day}T09:55]")
        selection.press("Enter")
        self._see(dialog.get_by_text("24 partitions"))
        self._see(dialog.get_by_text("Backfills all partitions in a single run."))
        # The only banner that there is, and no warning. It also shows that banners are still found.
        assert self._banners() == ["info"]
        self._look("launch")
        dialog.get_by_role("button", name="Launch backfill").click()

    # Looking

    def _open(self, path: str) -> Page:
        self._page.goto(self._running.url + path)
        return self._page

    def _see(self, what: Locator, milliseconds: float | None = None) -> None:
        # Dagster has names twice in a page, the other one for measuring.
        expect(what.filter(visible=True).first).to_be_visible(timeout=milliseconds or 20_000)

    def _seen(self, name: str, *, calm: bool = True) -> None:
        """The page is as it has to be. `calm`: nothing on it warns or complains."""
        self._page.wait_for_load_state("networkidle")
        self._look(name)
        if calm:
            assert self._banners() == [], f"a banner on {self._page.url}"

    def _banners(self) -> list[str | None]:
        """The kinds of Dagster's banners; and of icons anywhere that warn."""
        icons = self._page.locator(
            "[class*=Alert_icon] [role=img], [role=img][aria-label*=warning], [role=img][aria-label^=error]"
        )
        return [icon.get_attribute("aria-label") for icon in icons.all()]


def pictures_in(folder: Path, page: Page) -> Callable[[str], object]:
    """To look at later: a picture of each page in this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return lambda name: page.screenshot(path=folder / f"{name}.png")
