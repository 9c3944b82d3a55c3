"""What a report's description makes of itself."""

import pytest

from wolkvox_assets.report.definition import Measure, Names, Report, Total, Unit
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets_tests.made_up_report import AGENT_77

COUNT = Measure("call_count", "calls", Unit.COUNT, "Calls.")
LOST = Measure("lost_count", "lost", Unit.COUNT, "Lost calls.")
SECONDS = Measure("talk_seconds", "talk_time", Unit.SECONDS, "Seconds.")


def report(*measures: Measure, total: Total | None = None) -> Report:
    names = Names.of("agent_78", "lost_calls")
    return Report("agent_78", names, measures, "took a call", "How many calls", "how many calls", total)


def test_numbers_know_their_names_and_units() -> None:
    numbers = AGENT_9.usage(2, 30, 5, 35)
    assert (numbers.hold_mute_count, numbers.mute_seconds, numbers.seconds) == (2, 5, 35)
    assert tuple(numbers) == (2, 30, 5, 35)
    assert tuple(numbers.plus(numbers).minus(AGENT_9.usage(1, 0, 0, 0))) == (3, 60, 10, 70)
    assert type(numbers.plus(numbers)) is AGENT_9.usage
    with pytest.raises(AttributeError):
        _ = numbers.talk_seconds
    assert report(COUNT, LOST).usage(4, 1).seconds is None


def test_what_is_a_sum_of_others_is_no_part() -> None:
    assert AGENT_9.durations == ("hold_seconds", "mute_seconds")
    assert [part.column for part in AGENT_9.parts] == ["hold_mute_count", "hold_seconds", "mute_seconds"]
    assert AGENT_77.durations == ("after_call_seconds", "talk_seconds")


@pytest.mark.parametrize(
    ("measures", "total", "words"),
    [
        ((), None, "the first measure must be a count"),
        ((SECONDS, COUNT), None, "the first measure must be a count"),
        ((COUNT, SECONDS), Total("talk_seconds", ("hold_seconds",), "hold"), "no measures"),
    ],
)
def test_one_that_cannot_be_is_refused(
    measures: tuple[Measure, ...], total: Total | None, words: str
) -> None:
    with pytest.raises(ValueError, match=f"report agent_78: .*{words}"):
        report(*measures, total=total)


def test_names_of_two_reports_never_meet() -> None:
    names = [set(one.names.by_role().values()) for one in (AGENT_9, AGENT_77)]
    assert [len(one) for one in names] == [14, 14]
    assert names[0].isdisjoint(names[1])
