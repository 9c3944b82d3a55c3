"""How long to wait, and when to stop; what a `Retry-After` says."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wolkvox_assets.api.retries import retry_after_seconds

NOW = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 17 ", 17.0),
        ("Mon, 16 Nov 2026 12:01:30 GMT", 90.0),
        ("Mon, 16 Nov 2026 12:01:30 -0000", 90.0),
        ("Mon, 16 Nov 2026 07:01:30 -0500", 90.0),
        ("Mon, 16 Nov 2026 11:00:00 GMT", 0.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("١٢", None),
        ("9" * 400, float("inf")),
    ],
)
def test_both_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds


@given(st.text())
def test_no_text_breaks_it(header: str) -> None:
    found = retry_after_seconds(header, NOW)
    assert found is None or found >= 0
