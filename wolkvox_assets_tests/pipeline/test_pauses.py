"""Work that failed, as it is stored: what waits for it, and what ends that."""

from datetime import timedelta

import pytest

from wolkvox_assets.api import ConnectionFailed, TokenRefused
from wolkvox_assets.pipeline.pauses import (
    open_failures,
    reason_to_wait,
    remember_failure,
    remember_success,
    standings,
)
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import StoreError
from wolkvox_assets.store.attempts import FailureScope, Work
from wolkvox_assets.store.files import PUBLISHED
from wolkvox_assets.store.sources import OperationSource, record
from wolkvox_assets_tests.pipeline.conftest import TOKENS, Place

MINUTE = timedelta(minutes=1)
REFUSED = TokenRefused("The server refuses the token.")
DOWN = ConnectionFailed("Nobody there.")


def waits(place: Place, work: Work = Work.LIVE, operation: str = "main") -> str | None:
    return reason_of(place, place.operation(operation), work)


def reason_of(place: Place, operation: Operation, work: Work = Work.LIVE) -> str | None:
    standing = standings(place.store, [operation], place.now)[operation.label]
    return reason_to_wait(standing, operation, work, place.now, 1)


def test_nothing_stored_is_no_reason_to_wait(place: Place) -> None:
    assert waits(place) is None
    assert open_failures(place.store, [place.operation()])["main"] == []


def test_what_waits_says_why_how_long_and_what_ends_it(place: Place) -> None:
    place.now -= MINUTE
    remember_failure(place.site(), Work.LIVE, DOWN)
    place.now += MINUTE
    remember_failure(place.site(), Work.LIVE, DOWN)
    assert waits(place) == (
        "operation main: 2 attempts in a row failed, the last (live) with ConnectionFailed in run 0badf00d. Next try "
        "after 2026-11-18 17:03:00 UTC, or at once when its token or its source is changed, live windows can be "
        "fetched again, or a run by hand succeeds."
    )
    [first, last] = open_failures(place.store, [place.operation()])["main"]
    assert (first.ended_at, last.ended_at) == (place.now - MINUTE, place.now)
    assert (last.work, last.scope, last.message) == (Work.LIVE, FailureScope.TEMPORARY, str(DOWN))


def test_what_says_nothing_about_the_operation_is_not_stored(place: Place) -> None:
    assert not remember_failure(place.site(), Work.LIVE, StoreError("The disk is full."))
    assert not remember_failure(place.site(), Work.LIVE, ValueError("a fault of ours"))
    assert remember_failure(place.site(), Work.LIVE, DOWN)
    assert len(place.open_failures()) == 1


def test_another_token_ends_what_the_token_was_to_blame_for_and_nothing_else(place: Place) -> None:
    remember_failure(place.site(), Work.HISTORY, DOWN)
    remember_failure(place.site(), Work.LIVE, REFUSED)
    assert waits(place) is not None
    place.monkeypatch.setitem(TOKENS, "main", "another-token")
    assert waits(place) is None
    assert "ConnectionFailed" in str(waits(place, Work.HISTORY))
    assert "another-token" not in str(place.open_failures())
    place.monkeypatch.setitem(TOKENS, "main", "token-a")  # the old one again: it waits again
    assert "TokenRefused" in str(waits(place))


def test_another_address_and_no_token_at_all_end_it_too(place: Place) -> None:
    remember_failure(place.site(), Work.LIVE, REFUSED)
    moved = place.operation(base_url="http://127.0.0.1:9")
    assert reason_of(place, moved) is None
    operation = place.operation()
    place.monkeypatch.delenv("WOLKVOX_MAIN_TOKEN")
    assert reason_of(place, operation) is None


def test_stored_data_of_another_source_that_is_out_of_the_way_ends_it(place: Place) -> None:
    place.fill(place.now.replace(tzinfo=None) - timedelta(days=1), place.now.replace(tzinfo=None))
    elsewhere = OperationSource("https://elsewhere.example", "0013", "America/Bogota")
    with place.store.transaction() as con:
        record(con, "main", elsewhere)
    remember_failure(place.site(), Work.LIVE, REFUSED)
    assert waits(place) is not None
    with place.store.transaction() as con:
        record(con, "main", place.operation().source)
    assert waits(place) is None


@pytest.mark.parametrize("by", Work)
def test_a_success_ends_the_pauses_of_its_kind_and_all_for_which_something_had_to_be_changed(
    place: Place, by: Work
) -> None:
    for work in Work:
        remember_failure(place.site(), work, DOWN)
        remember_failure(place.site(), work, REFUSED)
    remember_success(place.store, place.operation(), by)
    assert [failed.work for failed in place.open_failures()] == [work for work in Work if work is not by]
    assert {failed.scope for failed in place.open_failures()} == {FailureScope.TEMPORARY}


def test_a_success_after_successes_changes_no_file(place: Place) -> None:
    remember_failure(place.site("near"), Work.LIVE, DOWN)
    published = place.folder / "data" / PUBLISHED
    before = published.stat().st_mtime_ns
    remember_success(place.store, place.operation(), Work.LIVE)
    assert published.stat().st_mtime_ns == before


def test_operations_do_not_pause_each_other(place: Place) -> None:
    remember_failure(place.site("main"), Work.LIVE, REFUSED)
    assert waits(place, operation="near") is None  # of the same token: each finds out for itself
    assert waits(place, operation="south") is None
    remember_success(place.store, place.operation("near"), Work.LIVE)
    assert waits(place) is not None


def test_a_store_from_before_there_was_this_table_is_read(place: Place) -> None:
    remember_failure(place.site(), Work.LIVE, DOWN)
    with place.store.transaction() as con:
        con.execute("DROP TABLE failed_attempts")
    assert waits(place) is None
    assert remember_failure(place.site(), Work.LIVE, DOWN)
    assert waits(place) is not None
