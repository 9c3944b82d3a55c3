"""A real browser: the machine's own Chromium, driven by Playwright.

What belongs here: starting it, and what of a page nobody may see. What doesn't: what is looked at.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import ConsoleMessage, Page, Request, Response, sync_playwright

# Playwright's own builds are no Debian packages, and can't be had without its servers.
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
_PATIENCE_MILLISECONDS = 20_000


@contextmanager
def opened(*, width: int = 1600, height: int = 1000, zone: str = "America/Bogota") -> Iterator[Page]:
    """An empty page of a browser with no history.

    In the end, fails by what its scripts and requests complained of. Without a browser the test is skipped; where `CI`
    is set, it fails.
    """
    if not CHROMIUM:
        reason = "no Chromium on this machine (Debian: apt-get install chromium), so no page was looked at"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    # Its socket has to lie in a folder with a short name.
    with (
        tempfile.TemporaryDirectory(prefix="browser-", dir="/tmp") as folder,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            # Root, as in a container, can't have the sandbox.
            chromium_sandbox=os.getuid() != 0,
            env={**os.environ, "TMPDIR": folder},
        )
        page = browser.new_page(viewport={"width": width, "height": height}, timezone_id=zone)
        page.set_default_timeout(_PATIENCE_MILLISECONDS)
        complaints = _complaints(page)
        try:
            yield page
        finally:
            browser.close()
        assert not complaints, "\n".join(complaints)


def _complaints(page: Page) -> list[str]:
    """What is added to this list while the page is in use."""
    found: list[str] = []

    def said(message: ConsoleMessage) -> None:
        # Some of Dagster's own warn of the release to come of a library.
        if message.type == "error":
            found.append(message.text)

    def answered(response: Response) -> None:
        if response.status >= 400:
            found.append(f"{response.status} {response.url}")

    def failed(request: Request) -> None:
        # A page that is left gives up what it was asking for.
        if request.failure != "net::ERR_ABORTED":
            found.append(f"{request.failure} {request.url}")

    page.on("console", said)
    page.on("response", answered)
    page.on("requestfailed", failed)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found
