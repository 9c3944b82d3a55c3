"""A newcomer in Dagster's UI: a real browser, web server, daemon and simulator, and a day that is over."""

from pathlib import Path

import pytest

from wolkvox_assets.simulator import Centre, Simulator
from wolkvox_assets_tests.browser import opened
from wolkvox_assets_tests.project import zone_at
from wolkvox_assets_tests.ui.running import last_closed_day, running
from wolkvox_assets_tests.ui.walk import Walk, pictures_in


@pytest.mark.long
def test_a_newcomer_finds_all_there_is(tmp_path: Path) -> None:
    zone = zone_at(2)  # so that not much more than the day is loaded
    # Chromium first: without it there is nothing to start.
    with (
        opened(zone=zone) as page,
        Simulator(Centre(12, profile="around_the_clock", timezone=zone)) as simulator,
        running(tmp_path, simulator, last_closed_day(zone), zone) as started,
    ):
        try:
            Walk(started, page, lambda _: None).whole()
        except BaseException:
            pictures_in(tmp_path / "pictures", page)("failed")
            raise
        page.close()  # before its server is gone
