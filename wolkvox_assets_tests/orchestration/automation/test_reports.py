"""What ticks and runs draw: a picture on the mark of a day, pages, and that nothing depends on them."""

from datetime import timedelta

import dagster as dg
import pytest

from wolkvox_assets.day_report import pages, pictures
from wolkvox_assets.report.windows import Range
from wolkvox_assets_tests.orchestration.automation.conftest import DAY, HOUR, MINUTE, Location


def pictured(location: Location, result: dg.ExecuteInProcessResult) -> dict[str, list[str]]:
    """The days that the run marked in `operation_hold_mute_daily`, and the pictures on each."""
    found: dict[str, list[str]] = {}
    for entry in location.instance.all_logs(result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        mark = entry.asset_materialization
        if mark is not None and mark.asset_key.path[-1] == "operation_hold_mute_daily":
            picture = mark.metadata.get("picture")
            found.setdefault(f"{mark.partition}", []).extend([] if picture is None else [f"{picture.value}"])
    return found


def log_of(location: Location, result: dg.ExecuteInProcessResult) -> str:
    return "\n".join(entry.user_message for entry in location.instance.all_logs(result.run_id))


@pytest.fixture
def this_morning(location: Location) -> Location:
    """Live windows are due, and all before is known."""
    location.fill(Range(location.midnight - 9 * DAY, location.live_from))
    return location


def test_today_is_drawn_each_quarter_of_an_hour_at_most(this_morning: Location) -> None:
    location = this_morning
    today = f"{location.midnight:%Y-%m-%d}"
    page = location.project.store.folder / "reports/main" / f"{today}.html"
    drawn, written = [], []
    for minutes in (0, 5, 10, 15, 20):
        before = page.stat().st_mtime_ns if page.exists() else None
        result = location.live()
        assert result.success
        if pictures_of_today := pictured(location, result)[today]:
            assert len(pictures_of_today) == 1
            drawn.append(minutes)
            assert 2_000 < len(pictures_of_today[0]) < 40_000
            assert "data:image/svg+xml;base64," in pictures_of_today[0]
        if page.stat().st_mtime_ns != before:
            written.append(minutes)
        location.now += 5 * MINUTE
    assert drawn == written == [0, 15]
    assert "Incompleto" in page.read_text()


def test_a_closed_day_is_drawn_when_it_is_made_anew_and_so_are_its_pages(this_morning: Location) -> None:
    location = this_morning
    yesterday = f"{location.midnight - DAY:%Y-%m-%d}"
    folder = location.project.store.folder / "reports/main"
    result = location.project.materialize(
        "operation_hold_mute_daily", location.monkeypatch, partition=yesterday, instance=location.instance
    )
    assert result.success
    [picture] = pictured(location, result)[yesterday]
    assert "288 of 288 windows known" in picture
    assert (folder / f"{yesterday}.html").exists()
    assert len(list(folder.glob("*.html"))) == 4  # its week, its month, the index
    # The totals by agent are marked without one: it would stand in the log twice.
    result = location.project.materialize(
        "agent_hold_mute_daily", location.monkeypatch, partition=yesterday, instance=location.instance
    )
    assert result.success
    assert pictured(location, result) == {}


@pytest.mark.parametrize("why", ["an hour is missing", "nobody has looked since its end"])
def test_a_day_that_has_not_closed_has_no_picture(this_morning: Location, why: str) -> None:
    location = this_morning
    yesterday = location.midnight - DAY
    if why == "an hour is missing":
        location.forget(Range(yesterday + 8 * HOUR, yesterday + 9 * HOUR))
    else:
        with location.project.store.transaction() as con:
            con.execute(
                "UPDATE agent_9_window_log SET verified_at = window_start + INTERVAL 6 HOUR WHERE local_date = ?",
                [yesterday.date()],
            )
    result = location.project.materialize(
        "operation_hold_mute_daily",
        location.monkeypatch,
        partition_range=(f"{yesterday - DAY:%Y-%m-%d}", f"{yesterday:%Y-%m-%d}"),
        instance=location.instance,
    )
    assert result.success
    assert {day: len(found) for day, found in pictured(location, result).items()} == {
        f"{yesterday - DAY:%Y-%m-%d}": 1,
        f"{yesterday:%Y-%m-%d}": 0,
    }
    page = location.project.store.folder / "reports/main" / f"{yesterday:%Y-%m-%d}.html"
    assert f"Se conocen {276 if why == 'an hour is missing' else 288} de 288" in page.read_text()


def test_a_tick_draws_what_nobody_has_drawn_yet(this_morning: Location) -> None:
    """After a run that was killed, in a store that is older than reports, or where somebody has deleted pages."""
    days = {f"{this_morning.midnight - n * DAY:%Y-%m-%d}" for n in range(10)}
    folder = this_morning.project.store.folder / "reports/main"
    assert this_morning.live().success
    assert days <= {file.stem for file in folder.glob("*.html")}
    gone = folder / f"{this_morning.midnight - 3 * DAY:%Y-%m-%d}.html"
    gone.unlink()
    this_morning.now += 5 * MINUTE
    assert this_morning.live().success
    assert gone.exists()


def test_a_drawing_that_fails_is_a_warning(this_morning: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise ArithmeticError("\x1b[31mno colour")

    monkeypatch.setattr(pictures, "markdown_of", broken)
    monkeypatch.setattr(pages, "report", broken)
    result = this_morning.live()
    assert result.success
    assert [found for found in pictured(this_morning, result).values() if found] == []
    known = this_morning.project.known()
    assert known[-1] == this_morning.midnight + 12 * HOUR - timedelta(minutes=5)
    log = log_of(this_morning, result)
    assert "no picture of" in log
    assert "no page of" in log
    assert "ArithmeticError: \\x1b[31mno colour" in log
    assert "\x1b" not in log


def test_a_folder_that_cannot_be_written_to_is_a_warning(this_morning: Location) -> None:
    (this_morning.project.store.folder / "reports").write_text("in the way")
    result = this_morning.live()
    assert result.success
    assert "no page was written" in log_of(this_morning, result)
    assert this_morning.project.known()[-1] == this_morning.midnight + 12 * HOUR - timedelta(minutes=5)
