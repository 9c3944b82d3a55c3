"""What the sync is told of the stored windows."""

from datetime import UTC, datetime, timedelta

import pytest

from wolkvox_assets.api import RequestRecord
from wolkvox_assets.store import Store
from wolkvox_assets.store.agent_9 import replace_windows, verify_windows
from wolkvox_assets.store.requests import record_requests
from wolkvox_assets.store.stored import StoredWindows
from wolkvox_assets.windows import WINDOW, Range
from wolkvox_assets_tests.store.tables import content

NINE = Range(datetime(2026, 11, 18, 9), datetime(2026, 11, 18, 10))
FETCHED = datetime(2026, 11, 18, 15, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("hour_asked", "last_second", "verified", "agreed"),
    [
        (FETCHED + MINUTE, "20261118095959", FETCHED + 2 * MINUTE, True),
        (
            FETCHED - MINUTE,
            "20261118095959",
            FETCHED + 2 * MINUTE,
            False,
        ),  # it did not agree: fetched anew since
        (FETCHED + 3 * MINUTE, "20261118095959", FETCHED + 2 * MINUTE, False),  # nothing came of it
        (FETCHED + MINUTE, "20261118105959", FETCHED + 2 * MINUTE, False),  # not the hour by itself
        (None, "", FETCHED + 2 * MINUTE, False),  # verified with its day
    ],
)
def test_windows_that_were_asked_and_whether_their_hour_was_and_agreed(
    store: Store, hour_asked: datetime | None, last_second: str, verified: datetime, agreed: bool
) -> None:
    with store.transaction() as con:
        windows = [content(window, fetched_at=FETCHED) for window in NINE.windows()]
        derived = content(NINE.end, source="derived", fetched_at=FETCHED)
        replace_windows(con, "main", [*windows, derived], run_id="run")
        verify_windows(con, "main", NINE, verified)
        if hour_asked is not None:
            record = RequestRecord(
                hour_asked, "agent_9", "20261118090000", last_second, 200, "200", "", 0, 0.1, ""
            )
            for operation in ("main", "other"):
                record_requests(con, operation, [record], run_id="run", now=datetime.now(UTC))
    stored = StoredWindows(store, "main")
    assert stored.asked(Range(NINE.start, NINE.end + WINDOW)) == dict.fromkeys(NINE.windows(), agreed)
