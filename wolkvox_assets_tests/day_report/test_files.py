"""The pages as files: whole or not at all, only what is another, and found again by whoever comes next."""

import os
import stat
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from filelock import FileLock

from wolkvox_assets.day_report import files, pages
from wolkvox_assets.day_report.files import TODAY_EVERY, Written, write_whole
from wolkvox_assets.day_report.spans import Kind, Span
from wolkvox_assets_tests.day_report.conftest import MONDAY, NOW, Centre, at, used

TUESDAY = MONDAY + timedelta(days=1)
WEEK = timedelta(weeks=1)


def ages(folder: Path) -> Mapping[str, tuple[int, int]]:
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in folder.glob("*.html")}


def changed(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    return {name for name in {**before, **after} if before.get(name) != after.get(name)}


def test_pages_of_days_weeks_months_and_what_leads_there(centre: Centre) -> None:
    assert centre.files.write(NOW) == Written()
    assert not centre.store.folder.exists()
    centre.know(MONDAY, {at(8): {"Ana": used(60)}})
    assert centre.files.write(NOW).pages == 3
    folder = centre.store.folder / "reports"
    assert {f"{file.relative_to(folder)}" for file in folder.rglob("*.html")} == {
        "index.html",
        "main/index.html",
        "main/2026-11-16.html",
        "main/2026-W47.html",
        "main/2026-11.html",
    }
    assert 'href="main/index.html"' in (folder / "index.html").read_text()
    index = (folder / "main/index.html").read_text()
    assert all(f'href="{name}.html"' in index for name in ("2026-11-16", "2026-W47", "2026-11"))
    assert 'href="2026-11-16.html"' in (folder / "main/2026-W47.html").read_text()
    page = folder / "main/2026-11-16.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o640
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750


def test_only_what_is_another_is_written(centre: Centre) -> None:
    centre.know(MONDAY, {at(8): {"Ana": used(60)}})
    centre.know(MONDAY - 2 * WEEK, {at(8, day=MONDAY - 2 * WEEK): {"Ana": used(60)}})
    centre.files.write(NOW)
    before = ages(centre.files.folder)
    assert centre.files.write(NOW) == Written()
    # Asked again and found equal: looked at, and nothing is another.
    centre.know(MONDAY, {at(8): {"Ana": used(60)}}, fetched_at=NOW - timedelta(hours=1))
    assert centre.files.write(NOW + TODAY_EVERY).pages == 0
    assert changed(before, ages(centre.files.folder)) == set()
    centre.know(MONDAY, {at(8): {"Ana": used(61)}}, fetched_at=NOW)
    centre.files.write(NOW)
    after = ages(centre.files.folder)
    assert changed(before, after) == {"2026-11-16.html", "2026-W47.html", "2026-11.html", "index.html"}
    # The weekday before has come: what is compared with it is another now.
    centre.know(MONDAY - WEEK, {at(8, day=MONDAY - WEEK): {"Ana": used(60)}})
    centre.files.write(NOW)
    assert "2026-11-16.html" in changed(after, ages(centre.files.folder))


def test_what_goes_on_is_written_each_quarter_of_an_hour_at_most(centre: Centre) -> None:
    made = []
    for minutes in range(0, 60, 5):
        now = NOW + timedelta(minutes=minutes)
        centre.know(TUESDAY, {at(0, day=TUESDAY): {"Ana": used(1)}}, until=12 + minutes // 5)
        late = centre.files.lately(TUESDAY, now)
        if centre.files.write(now).pages:
            assert not late
            made.append(minutes)
    assert made == [0, 15, 30, 45]
    assert timedelta(minutes=15) == TODAY_EVERY
    # When it has closed, nobody waits.
    centre.know(TUESDAY, {at(0, day=TUESDAY): {"Ana": used(1)}})
    assert centre.files.write(NOW + timedelta(minutes=46)).pages == 3
    assert "Definitivo" in centre.files.page(Span.of(Kind.DAY, TUESDAY)).read_text()


def test_what_is_gone_or_was_never_made_is_made(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    centre.know(MONDAY, {at(8): {"Ana": used(60)}})
    # No time at all: nothing is begun, and it is said how much is left.
    assert centre.files.write(NOW, until=time.monotonic() - 1) == Written(0, 3, {})
    assert centre.files.write(NOW).pages == 3
    page = centre.files.page(Span.of(Kind.DAY, MONDAY))
    page.unlink()
    assert centre.files.write(NOW + TODAY_EVERY).pages == 1
    assert page.exists()
    # Another release makes other pages.
    monkeypatch.setattr(files, "_how", lambda: "otherwise")
    monkeypatch.setattr(pages, "report", lambda *_: "other")
    assert centre.files.write(NOW + TODAY_EVERY).pages == 3
    # What is known of the day was dropped.
    with centre.store.transaction() as con:
        con.execute("DELETE FROM agent_9_window_log; DELETE FROM operation_hold_mute_daily")
    centre.files.write(NOW + TODAY_EVERY)
    assert ages(centre.files.folder).keys() == {"index.html"}


def test_only_what_these_days_are_in(centre: Centre) -> None:
    for day in (MONDAY, TUESDAY):
        centre.know(day, {at(8, day=day): {"Ana": used(60)}})
    centre.files.write(NOW, only=[TUESDAY])
    assert ages(centre.files.folder).keys() == {
        *("2026-11-17.html", "2026-W47.html", "2026-11.html", "index.html"),
    }


def test_totals_that_were_rebuilt_are_on_the_page_though_no_window_came(centre: Centre) -> None:
    centre.know(MONDAY, {at(8): {"Ana": used(60)}})
    centre.files.write(NOW)
    with centre.store.transaction() as con:
        con.execute("UPDATE agent_hold_mute_daily SET hold_seconds = hold_seconds + 7200")
    assert centre.files.write(NOW).pages == 3


def test_whoever_asks_for_today_waits_for_no_quarter_of_an_hour(centre: Centre) -> None:
    for until in (12, 13):
        centre.know(TUESDAY, {at(0, day=TUESDAY): {"Ana": used(1)}}, until=until)
        assert centre.files.write(NOW, only=[TUESDAY]).pages == 3


def test_a_page_that_cannot_be_made_keeps_no_other(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in (MONDAY, TUESDAY):
        centre.know(day, {at(8, day=day): {"Ana": used(60)}})
    report = pages.report

    def some(*of: object) -> str:
        if of[0].span.name == "2026-11-17":  # type: ignore[attr-defined]
            raise ArithmeticError
        return report(*of)  # type: ignore[arg-type]

    monkeypatch.setattr(pages, "report", some)
    written = centre.files.write(NOW)
    assert written.failed.keys() == {"2026-11-17"}
    assert written.pages == 3
    monkeypatch.undo()
    assert centre.files.write(NOW + TODAY_EVERY).pages == 1


def test_one_at_a_time(centre: Centre) -> None:
    centre.know(MONDAY, {at(8): {"Ana": used(60)}})
    centre.files.folder.mkdir(parents=True)
    with FileLock(centre.files.folder / ".lock"):
        assert centre.files.write(NOW) == Written()
    assert centre.files.write(NOW).pages == 3


def test_what_was_remembered_may_be_anything(centre: Centre) -> None:
    centre.know(MONDAY, {at(8): {"Ana": used(60)}})
    centre.files.write(NOW)
    for nonsense in ("", "[]", '{"2026-11-16": 3}', '{"2026-11-16": ["x", "never"]}', "\udcff"):
        (centre.files.folder / ".made.json").write_text(nonsense, errors="surrogateescape")
        assert not centre.files.lately(MONDAY, NOW)
        assert centre.files.write(NOW) == Written()  # each page is looked at, and is as it should be
        assert centre.files.lately(MONDAY, NOW)


def test_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "page.html"
    assert write_whole(file, "one")
    assert not write_whole(file, "one")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            write_whole(file, "two")
    assert [path.name for path in tmp_path.glob("*page*")] == ["page.html"]
    assert not list(tmp_path.glob(".*.tmp"))
    assert file.read_text() == "one"
    reader = file.open()
    assert write_whole(file, "two")
    assert reader.read() == "one"  # who has it open keeps what it was
    reader.close()
