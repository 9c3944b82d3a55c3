"""Two clocks: what is over, what time it is, and how they are told to disagree."""

from datetime import UTC, datetime, timedelta

import pytest

from wolkvox_assets.report.clocks import TOLERANCE, Clocks, NotOverYet, uptime_ns

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def clocks(ahead: timedelta) -> Clocks:
    """This machine's clock is so much ahead of the server's, of which a request was answered at once."""
    there = Clocks(now=lambda: NOW + ahead)
    there.heard(NOW.replace(microsecond=0), NOW + ahead)
    return there


@pytest.mark.parametrize("ahead", [timedelta(hours=6), timedelta(days=30), timedelta(minutes=2)])
def test_where_this_machine_is_ahead_the_servers_clock_counts(ahead: timedelta) -> None:
    there = clocks(ahead)
    assert NOW <= there.now() <= NOW + SECOND
    there.must_be_over(NOW)
    with pytest.raises(NotOverYet, match=r"ahead of the server's.* Set this machine's clock"):
        there.must_be_over(NOW + TOLERANCE + 2 * SECOND)


@pytest.mark.parametrize("behind", [timedelta(), timedelta(hours=6), timedelta(days=400)])
def test_where_it_is_behind_its_own_clock_counts(behind: timedelta) -> None:
    there = clocks(-behind)
    assert there.now() == NOW - behind
    assert there.ahead == timedelta(0)


def test_a_second_or_two_are_no_disagreement() -> None:
    assert clocks(TOLERANCE).ahead == timedelta(0)


def test_an_answer_that_takes_a_minute_is_no_disagreement() -> None:
    there = Clocks(now=lambda: NOW)
    there.heard(NOW, NOW - timedelta(seconds=60))
    assert there.ahead == timedelta(0)


def test_a_server_without_a_date_says_nothing() -> None:
    there = clocks(timedelta(hours=6))
    there.heard(None, NOW)
    there.must_be_over(NOW + timedelta(days=30))


@pytest.mark.parametrize("ahead", [timedelta(days=-30), timedelta(days=30)])
def test_a_request_without_an_answer_leaves_what_is_known_of_the_servers_clock(ahead: timedelta) -> None:
    there = clocks(ahead)
    there.heard(None, NOW + ahead)
    assert abs(there.at_server() - NOW) <= SECOND


def test_a_clock_that_was_set_right_counts_again() -> None:
    there = clocks(timedelta(hours=6))
    there.heard(NOW, NOW)
    assert there.ahead == timedelta(0)


def test_uptime_only_grows() -> None:
    before = uptime_ns()
    assert uptime_ns() > before
