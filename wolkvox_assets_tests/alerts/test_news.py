"""What of all that is wrong is told: once for each cause, and once when it is over."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from wolkvox_assets.alerts.news import Trouble, news

NOON = datetime(2026, 11, 18, 17, tzinfo=UTC)


def trouble(since: datetime = NOON, words: str = "The token is refused: set another.") -> Trouble:
    return Trouble(since, words)


def test_a_cause_is_told_once_with_what_happened_and_since_when() -> None:
    messages, told = news({}, {"main: TokenRefused": trouble()})
    [message] = messages
    assert message.startswith(
        "wolkvox_assets: trouble since 2026-11-18 17:00 UTC. The token is refused: set another."
    )
    assert "(main: TokenRefused)" in message
    later = trouble(NOON + timedelta(hours=3), "The token is refused again.")
    assert news(told, {"main: TokenRefused": later}) == ([], told)


def test_a_wrong_setting_is_told_in_its_own_words_once() -> None:
    [message], _ = news(
        {}, {"settings: WOLKVOX_START: is not set": trouble(words="WOLKVOX_START: is not set")}
    )
    assert message.count("WOLKVOX_START: is not set") == 1


def test_and_once_when_it_is_over() -> None:
    _, told = news({}, {"main: TokenRefused": trouble()})
    [message], told = news(told, {})
    assert message.startswith("wolkvox_assets: over. main: TokenRefused (since 2026-11-18 17:00 UTC).")
    assert told == {}
    assert news(told, {}) == ([], {})


def test_what_can_be_over_in_a_moment_is_told_when_it_is_seen_twice() -> None:
    brief = {"a check": Trouble(NOON, "A day is not whole.", brief=True)}
    assert news({}, brief) == ([], {})
    assert news({}, brief, seen=["another"]) == ([], {})
    [message], told = news({}, brief, seen=["a check"])
    assert "A day is not whole." in message
    assert news(told, brief) == ([], told)
    assert len(news(told, {}, seen=["a check"])[0]) == 1


def test_what_may_be_over_by_itself_is_not_told_and_is_not_over_either() -> None:
    waits = {"a check": Trouble(NOON, "A day is not whole.", waits=True)}
    assert news({}, waits, seen=["a check"]) == ([], {})
    _, told = news({}, {"a check": trouble()})
    assert news(told, waits) == ([], told)


def test_another_time_is_another_message() -> None:
    told: dict[str, str] = {}
    said = []
    for wrong in ({"a": trouble()}, {}, {"a": trouble()}, {}):
        messages, told = news(told, wrong)
        said.append(len(messages))
    assert said == [1, 1, 1, 1]


def test_another_cause_is_another_message_and_ends_by_itself() -> None:
    _, told = news({}, {"a": trouble()})
    [message], told = news(told, {"a": trouble(), "b": trouble()})
    assert "(b)" in message
    [message], told = news(told, {"b": trouble()})
    assert "over. a " in message
    assert list(told) == ["b"]


def test_moments_are_told_in_utc() -> None:
    bogota = timezone(timedelta(hours=-5))
    [message], _ = news({}, {"a": trouble(datetime(2026, 11, 18, 12, tzinfo=bogota))})
    assert "since 2026-11-18 17:00 UTC" in message


causes = st.sets(st.sampled_from("abcd"))


@given(st.lists(causes, max_size=30))
def test_each_cause_is_told_as_often_as_it_began_and_as_it_ended(seen: list[set[str]]) -> None:
    told: dict[str, str] = {}
    began = ended = 0
    before: set[str] = set()
    messages: list[str] = []
    for wrong in seen:
        said, told = news(told, {cause: trouble() for cause in wrong})
        messages += said
        began += len(wrong - before)
        ended += len(before - wrong)
        before = wrong
        assert set(told) == wrong
    assert sum(": trouble since" in message for message in messages) == began
    assert sum(": over." in message for message in messages) == ended
