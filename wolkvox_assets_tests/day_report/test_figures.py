"""The figures of a report, against numbers that were put in."""

from datetime import UTC, date, timedelta

import pytest

from wolkvox_assets.day_report.spans import Kind, Span, spans_of
from wolkvox_assets.settings import Operation
from wolkvox_assets_tests.day_report.conftest import MONDAY, Centre, at, used

WEEK = timedelta(weeks=1)


@pytest.mark.parametrize(
    ("kind", "day", "name", "first", "last"),
    [
        (Kind.DAY, date(2026, 11, 16), "2026-11-16", date(2026, 11, 16), date(2026, 11, 16)),
        (Kind.WEEK, date(2026, 11, 22), "2026-W47", date(2026, 11, 16), date(2026, 11, 22)),
        (Kind.WEEK, date(2027, 1, 1), "2026-W53", date(2026, 12, 28), date(2027, 1, 3)),
        (Kind.MONTH, date(2028, 2, 3), "2028-02", date(2028, 2, 1), date(2028, 2, 29)),
        (Kind.MONTH, date(2026, 12, 31), "2026-12", date(2026, 12, 1), date(2026, 12, 31)),
    ],
)
def test_spans(kind: Kind, day: date, name: str, first: date, last: date) -> None:
    span = Span.of(kind, day)
    assert (span.name, span.first, span.last) == (name, first, last)
    assert day in span
    assert span.first.weekday() == (span.first - span.back).weekday()
    assert span.first - span.back + (span.last - span.first) < span.first  # no day is compared with itself
    assert span in spans_of([day])


def test_a_day(centre: Centre) -> None:
    centre.know(
        MONDAY,
        {
            at(8): {"Ana": used(60), "Bea": used(10, 5)},
            at(8, 25): {"Ana": used(30, 30, 2)},
            at(8, 30): {"Bea": used(7)},
        },
    )
    figures, _ = centre.read()
    assert figures.usage == (5, 107, 35, 142)
    assert {part.start: part.usage for part in figures.parts if part.usage.hold_mute_count} == {
        at(8): (4, 100, 35, 135),
        at(8, 30): (1, 7, 0, 7),
    }
    assert [(part.known, part.expected) for part in figures.parts] == [(6, 6)] * 48
    assert [(agent.name, agent.usage.total_seconds) for agent in figures.agents] == [
        ("Ana", 120),
        ("Bea", 22),
    ]
    assert (figures.agents[0].active_windows, figures.agents[0].last) == (2, at(8, 25))
    assert figures.busiest is not None
    assert figures.busiest.start == at(8)
    assert (figures.known, figures.expected, figures.complete, figures.closed) == (288, 288, True, True)


def test_how_much_is_known(centre: Centre) -> None:
    centre.know(MONDAY, {at(8): {"Ana": used(60)}}, until=8 * 12 + 9)
    figures, _ = centre.read()
    assert (figures.known, figures.expected, figures.complete, figures.closed) == (105, 288, False, False)
    assert figures.until == at(8, 45)
    assert [part.known for part in figures.parts[15:19]] == [6, 6, 3, 0]


def test_a_day_is_closed_when_it_was_looked_at_an_hour_after_its_end(centre: Centre) -> None:
    ends = at(24 + 5).replace(tzinfo=UTC)  # midnight in Bogota
    for minutes, closed in ((59, False), (60, True)):
        centre.know(MONDAY, {at(8): {"Ana": used(60)}}, fetched_at=ends + timedelta(minutes=minutes))
        assert (centre.read()[0].complete, centre.read()[0].closed) == (True, closed)


def test_the_hour_that_is_skipped_is_not_missing(centre: Centre) -> None:
    centre.operation = Operation(server="0013", start=date(2026, 9, 1), timezone="America/Santiago")
    day = date(2026, 9, 6)
    centre.know(day, {at(8, day=day): {"Ana": used(60)}})
    figures, _ = centre.read(day=day)
    assert [part.expected for part in figures.parts[:4]] == [0, 0, 6, 6]
    assert (figures.known, figures.expected, figures.complete) == (276, 276, True)


def test_only_what_is_known_of_both_days_is_compared(centre: Centre) -> None:
    then = {at(8, day=MONDAY - WEEK): {"Ana": used(50)}, at(20, day=MONDAY - WEEK): {"Ana": used(1000)}}
    centre.know(MONDAY - WEEK, then)
    centre.know(MONDAY, {at(8): {"Bea": used(60, 5)}, at(8, 5): {"Ana": used(3)}}, until=9 * 12)
    compared = centre.read()[1].comparison
    assert compared is not None
    assert (compared.windows, compared.now, compared.then) == (108, (2, 63, 5, 68), (1, 50, 0, 50))
    assert compared.span.first == MONDAY - WEEK
    assert centre.read(day=MONDAY - WEEK)[1].comparison is None
    # Nobody used anything in what is known of both: compared all the same.
    centre.know(MONDAY + WEEK, until=12)
    compared = centre.read(day=MONDAY + WEEK)[1].comparison
    assert compared is not None
    assert (compared.windows, compared.now, compared.then) == (12, (0, 0, 0, 0), (0, 0, 0, 0))


def test_corrections_stand_in_the_report_of_their_day(centre: Centre) -> None:
    centre.know(MONDAY, {at(8): {"Ana": used(60)}})
    centre.know(MONDAY, {at(8): {"Ana": used(60), "Zoe": used(42)}}, fetched_at=at(40).replace(tzinfo=UTC))
    _, more = centre.read()
    assert more.corrections_count == 3
    assert {
        (c.what.window_start, c.what.agent_name, c.what.column_name, c.what.new_value)
        for c in more.corrections
    } == {
        (at(8), "Zoe", "hold_mute_count", 1),
        (at(8), "Zoe", "hold_seconds", 42),
        (at(8), "Zoe", "total_seconds", 42),
    }
    centre.know(MONDAY + WEEK)
    assert centre.read(day=MONDAY + WEEK)[1].corrections == []
    assert len(centre.read(Kind.MONTH)[1].corrections) == 3


def test_a_week_and_a_month_add_up_their_days_from_the_start_of_the_history(centre: Centre) -> None:
    days = [MONDAY - WEEK + timedelta(days=n) for n in range(14)]  # from the 9th to the 22nd
    centre.operation = Operation(server="0013", start=days[0])
    for n, day in enumerate(days):
        centre.know(day, {at(8, day=day): {"Ana": used(n), f"only {day}": used(1)}})
    week, beside = centre.read(Kind.WEEK)
    assert week.usage == (14, sum(range(7, 14)) + 7, 0, sum(range(7, 14)) + 7)
    assert week.closed
    assert week.agents[0].name == "Ana"
    assert len(week.agents) == 8
    assert [part.start.date() for part in week.parts] == days[7:]
    assert beside.comparison is not None
    assert beside.comparison.then.hold_seconds == sum(range(7)) + 7
    month, _ = centre.read(Kind.MONTH)
    # The 1st to the 8th are before the history; the 23rd to the 30th are not known.
    assert (month.known, month.expected, month.complete) == (14 * 288, 22 * 288, False)
