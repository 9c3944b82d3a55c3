"""When work that failed is tried again, as pure functions of what failed and of the time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wolkvox_assets.api import AnswerUnreadable, ConnectionFailed, TokenRefused, Unavailable, UnknownReport
from wolkvox_assets.pipeline.attempts import MOST_A_DAY, POLICIES, scope_of, waits_until
from wolkvox_assets.report.clocks import FUTURE_AFTER
from wolkvox_assets.settings import ConfigurationProblem
from wolkvox_assets.store import OtherSource, StoreError
from wolkvox_assets.store.attempts import FailedAttempt, FailureScope, Work
from wolkvox_assets.sync import BadAnswers

NOW = datetime(2026, 11, 18, 17, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
OTHERS = [work for work in Work if work is not Work.LIVE]
LONGEST = {Work.LIVE: 4 * HOUR, Work.RECENT: 4 * HOUR, Work.RANGE: 4 * HOUR, Work.HISTORY: DAY}


def failed(
    work: Work = Work.LIVE, at: datetime = NOW, scope: FailureScope = FailureScope.TEMPORARY
) -> FailedAttempt:
    return FailedAttempt(work, at, scope, "Unavailable", "The server is down.", "0a1b2c3d", "made-up")


def after_success(attempts: Sequence[FailedAttempt], work: Work) -> list[FailedAttempt]:
    """What is left stored once this work has succeeded (`forget_attempts`)."""
    return [a for a in attempts if a.work is not work and a.scope is not FailureScope.OPERATION]


# What an error says


@pytest.mark.parametrize(
    ("error", "work", "scope"),
    [
        (Unavailable("down"), Work.LIVE, FailureScope.TEMPORARY),
        (ConnectionFailed("gone"), Work.HISTORY, FailureScope.TEMPORARY),
        (TokenRefused("no"), Work.LIVE, FailureScope.OPERATION),
        (UnknownReport("no"), Work.RANGE, FailureScope.OPERATION),
        (ConfigurationProblem("no token"), Work.LIVE, FailureScope.OPERATION),
        (OtherSource("from elsewhere"), Work.RANGE, FailureScope.OPERATION),
        (
            BadAnswers({datetime(2026, 11, 1): AnswerUnreadable("?")}, given_up=False),
            Work.LIVE,
            FailureScope.WINDOWS,
        ),
        (
            BadAnswers({datetime(2026, 11, 1): AnswerUnreadable("?")}, given_up=True),
            Work.LIVE,
            FailureScope.OPERATION,
        ),
        (
            BadAnswers({datetime(2026, 11, 1): AnswerUnreadable("?")}, given_up=True),
            Work.HISTORY,
            FailureScope.WINDOWS,
        ),
        (StoreError("the disk is full"), Work.LIVE, None),
        (ValueError("a fault of ours"), Work.LIVE, None),
    ],
)
def test_what_an_error_says_about_the_next_try(
    error: Exception, work: Work, scope: FailureScope | None
) -> None:
    assert scope_of(error, work) is scope


def test_each_kind_of_work_has_a_policy_and_only_live_work_is_urgent() -> None:
    assert set(POLICIES) == set(Work)
    assert [work for work, policy in POLICIES.items() if policy.urgent] == [Work.LIVE]


# Pauses


def growing(work: Work, scope: FailureScope, minutes: Sequence[int]) -> None:
    attempts: list[FailedAttempt] = []
    at = NOW
    for pause in minutes:
        attempts.append(failed(work, at, scope))
        assert waits_until(attempts, work, at) == at + pause * MINUTE
        assert waits_until(attempts, work, at + pause * MINUTE - SECOND) == at + pause * MINUTE
        at += pause * MINUTE
        assert waits_until(attempts, work, at) is None


@pytest.mark.parametrize("work", Work)
def test_pauses_grow_from_a_minute_to_half_an_hour(work: Work) -> None:
    growing(work, FailureScope.TEMPORARY, [1, 2, 4, 8, 16, 30, 30])


@pytest.mark.parametrize("work", Work)
def test_where_somebody_must_change_something_from_a_quarter_of_an_hour_to_four(work: Work) -> None:
    growing(work, FailureScope.OPERATION, [15, 30, 60, 120, 240, 240])


@pytest.mark.parametrize("work", Work)
def test_and_then_all_work_waits_whoever_met_it(work: Work) -> None:
    attempts = [failed(work, scope=FailureScope.OPERATION)]
    assert {waits_until(attempts, other, NOW + MINUTE) for other in Work} == {NOW + 15 * MINUTE}


def test_windows_that_cannot_be_had_keep_nothing_waiting() -> None:
    attempts = [failed(work, scope=FailureScope.WINDOWS) for work in Work for _ in range(9)]
    assert {waits_until(attempts, work, NOW) for work in Work} == {None}


@pytest.mark.parametrize("work", OTHERS)
def test_what_else_fails_never_holds_up_live_windows(work: Work) -> None:
    assert waits_until([failed(work)] * 9, Work.LIVE, NOW) is None


@pytest.mark.parametrize("work", OTHERS)
def test_while_live_windows_cannot_be_had_one_that_tries_is_enough(work: Work) -> None:
    attempts = [failed(Work.LIVE)]
    assert waits_until(attempts, Work.LIVE, NOW + 2 * MINUTE) is None
    assert waits_until(attempts, work, NOW + 59 * MINUTE) == NOW + HOUR
    assert waits_until(attempts, work, NOW + HOUR) is None  # the schedule is off
    assert waits_until(after_success(attempts, Work.LIVE), work, NOW + MINUTE) is None


def test_a_server_that_fails_after_a_token_was_refused_is_left_alone_all_the_same() -> None:
    """The longer of the two pauses counts, also when the other is over."""
    refused = failed(Work.HISTORY, NOW - HOUR, FailureScope.OPERATION)
    attempts = [refused, *(failed(Work.HISTORY, NOW - n * MINUTE) for n in (20, 10, 1))]
    assert waits_until(attempts, Work.HISTORY, NOW) == NOW + 3 * MINUTE
    attempts.append(failed(Work.LIVE, NOW, FailureScope.OPERATION))
    assert waits_until(attempts, Work.HISTORY, NOW) == NOW + 30 * MINUTE


def test_history_that_fails_on_and_on_rests_for_a_day_and_live_windows_never() -> None:
    for work, pause in ((Work.HISTORY, DAY), (Work.RECENT, HOUR / 2), (Work.LIVE, HOUR / 2)):
        assert waits_until([failed(work)] * MOST_A_DAY, work, NOW) == NOW + pause
        assert waits_until([failed(work)] * (MOST_A_DAY - 1), work, NOW) == NOW + HOUR / 2
        assert waits_until([failed(work)] * MOST_A_DAY, work, NOW + pause) is None


def test_three_hours_of_outage_are_a_dozen_tries_and_then_it_goes_on_by_itself() -> None:
    """A tick each five minutes, and the sensor each minute."""
    attempts: list[FailedAttempt] = []
    tries: list[datetime] = []
    now = NOW
    while now < NOW + 3 * HOUR:
        for work in (Work.LIVE, Work.HISTORY) if now.minute % 5 == 1 else (Work.HISTORY,):
            if waits_until(attempts, work, now) is None:
                attempts.append(failed(work, now))
                tries.append(now)
        now += MINUTE
    assert 6 <= len(tries) <= 14
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert pauses == sorted(pauses)
    assert pauses[-1] >= 30 * MINUTE
    # The server is back: within half an hour it is tried, and then history comes at once.
    while waits_until(attempts, Work.LIVE, now) is not None:
        now += 5 * MINUTE
    assert now <= NOW + 3 * HOUR + 35 * MINUTE
    assert waits_until(after_success(attempts, Work.LIVE), Work.HISTORY, now) is None


@pytest.mark.parametrize("scope", FailureScope)
def test_moments_of_the_future_make_nobody_wait(scope: FailureScope) -> None:
    """A clock was ahead, and was set back since."""
    for ahead in (FUTURE_AFTER + SECOND, 6 * HOUR, 400 * DAY):
        attempts = [failed(work, NOW + ahead, scope) for work in Work for _ in range(MOST_A_DAY)]
        assert {waits_until(attempts, work, NOW) for work in Work} == {None}


# Whatever fails in whatever order, by whatever clock

offsets = st.timedeltas(-40 * DAY, 40 * DAY) | st.timedeltas(-5 * HOUR, 5 * MINUTE)


def histories(when: st.SearchStrategy[timedelta] = offsets) -> st.SearchStrategy[list[FailedAttempt]]:
    return st.lists(
        st.builds(
            lambda work, offset, scope: failed(work, NOW + offset, scope),
            st.sampled_from(Work),
            when,
            st.sampled_from(FailureScope),
        ),
        max_size=40,
    )


past = offsets.filter(lambda offset: offset <= timedelta(0))


@given(histories(), st.sampled_from(Work))
def test_nothing_waits_longer_than_the_longest_pause(attempts: list[FailedAttempt], work: Work) -> None:
    until = waits_until(attempts, work, NOW)
    assert until is None or NOW < until <= NOW + LONGEST[work] + FUTURE_AFTER


@given(histories(past), st.sampled_from(Work))
def test_when_the_pause_is_over_it_is_over(attempts: list[FailedAttempt], work: Work) -> None:
    until = waits_until(attempts, work, NOW)
    if until is not None:
        assert waits_until(attempts, work, until - timedelta(microseconds=1)) is not None
        assert waits_until(attempts, work, until) is None


@given(histories(), st.sampled_from(Work))
def test_a_success_ends_all_pauses_of_its_own_kind(attempts: list[FailedAttempt], work: Work) -> None:
    left = after_success(attempts, work)
    until = waits_until(left, work, NOW)
    live = any(a.work is Work.LIVE and a.scope is FailureScope.TEMPORARY for a in left)
    assert until is None or (live and work is not Work.LIVE)


@given(histories(), st.sampled_from(Work), st.sampled_from(OTHERS), past)
def test_one_more_failure_of_other_work_does_not_shorten_a_pause(
    attempts: list[FailedAttempt], work: Work, other: Work, offset: timedelta
) -> None:
    if other is work:
        return
    until = waits_until(attempts, work, NOW)
    for scope in (FailureScope.TEMPORARY, FailureScope.WINDOWS):
        assert waits_until([*attempts, failed(other, NOW + offset, scope)], work, NOW) == until
