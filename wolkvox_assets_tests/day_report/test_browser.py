"""The page in a real browser: sorting, the two languages, printing, and that a name runs nothing."""

import re
from pathlib import Path

from playwright.sync_api import Page

from wolkvox_assets.day_report import pages
from wolkvox_assets_tests.browser import opened
from wolkvox_assets_tests.day_report.conftest import MONDAY, Centre, at, used


def test_tables_sort_languages_switch_and_names_run_nothing(centre: Centre, tmp_path: Path) -> None:
    evil = "<script>window.ran = 'a name'</script><img src=x onerror=\"window.ran = 'a name'\">"
    centre.know(
        MONDAY,
        {at(8): {"Zoe": used(9, 600), "Ángela": used(100), "Bea": used(1000), evil: used(20)}},
    )
    file = tmp_path / "page.html"
    file.write_text(pages.report(*centre.read(), centre.operation.timezone, []))
    with opened() as page:
        page.goto(file.as_uri())
        table = page.locator("table.names")

        def names() -> list[str]:
            return [name.strip() for name in table.locator("tbody tr > :first-child").all_text_contents()]

        assert names() == ["Bea", "Zoe", "Ángela", evil]
        by_name = table.locator("thead th").first
        by_name.get_by_role("button").click()
        assert names() == [evil, "Ángela", "Bea", "Zoe"]
        assert by_name.get_attribute("aria-sort") == "ascending"
        by_hold = table.locator("thead th").nth(1).get_by_role("button")
        by_hold.click()
        assert names() == ["Bea", "Ángela", evil, "Zoe"]
        by_hold.click()
        assert names() == ["Zoe", evil, "Ángela", "Bea"]
        assert _language(page) == "es"
        for language in ("en", "es"):
            page.locator(f"[data-language={language}]").click()
            assert _language(page) == language
        assert page.evaluate("window.ran ?? 'nothing'") == "nothing"
        # On paper: without what can be clicked, in black on white whatever the screen has, in the order chosen.
        page.emulate_media(media="print", color_scheme="dark")
        assert page.locator(".top").is_hidden()
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(31, 35, 40)"
        assert names()[0] == "Zoe"
        page.set_viewport_size({"width": 686, "height": 1000})  # A4 less its margins: wider would be cut off
        assert page.evaluate("document.documentElement.scrollWidth") <= 686
        paper = page.pdf(prefer_css_page_size=True)
        assert 1 <= len(re.findall(rb"/Type */Page\b", paper)) <= 3


def _language(page: Page) -> str:
    return "es" if page.locator("h1 [lang=es]").is_visible() else "en"
