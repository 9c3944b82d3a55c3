"""The made-up centre: the same everywhere, believable, and its truth adds up."""

import subprocess
import sys
import unicodedata
from collections import Counter
from datetime import date, datetime, timedelta
from os import environ

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wolkvox_assets.report.measures import Usage, add_up
from wolkvox_assets.simulator.centre import Centre, Counting, Profile, Use

SECOND = timedelta(seconds=1)
MONDAY, SATURDAY, SUNDAY = date(2026, 11, 16), date(2026, 11, 14), date(2026, 11, 15)
FROM, TO = datetime(2026, 11, 14), datetime(2026, 11, 17, 23, 59, 59)  # a weekend and two working days


def of_day(centre: Centre, day: date) -> tuple[datetime, datetime]:
    midnight = datetime(day.year, day.month, day.day)
    return midnight, midnight + timedelta(days=1) - SECOND


def uses_of(centre: Centre, day: date) -> list[Use]:
    return centre.uses(*of_day(centre, day))


def busy_windows(centre: Centre, day: date) -> list[datetime]:
    return [window for window, agents in centre.truth_by_window(*of_day(centre, day)).items() if agents]


def counted(uses: list[Use]) -> dict[str, Usage]:
    """The plainest count there is, to hold the centre's own against."""
    return add_up(
        {
            use.agent: Usage(
                1, use.seconds * (use.kind == "hold"), use.seconds * (use.kind == "mute"), use.seconds
            )
        }
        for use in uses
    )


# Adding up

instants = st.integers(0, int((TO - FROM).total_seconds())).map(
    lambda seconds: FROM + timedelta(seconds=seconds)
)


@given(st.lists(instants, min_size=2, max_size=8, unique=True).map(sorted))
def test_truth_is_the_sum_of_its_parts_over_any_split(cuts: list[datetime]) -> None:
    centre = Centre(12)
    starts = cuts[:-1]
    ends = [*(cut - SECOND for cut in cuts[1:-1]), cuts[-1]]
    whole = centre.truth(cuts[0], cuts[-1])
    assert add_up(centre.truth(start, end) for start, end in zip(starts, ends, strict=True)) == whole
    assert counted(centre.uses(cuts[0], cuts[-1])) == whole


def test_a_month_is_the_sum_of_its_uses() -> None:
    centre = Centre(12)
    start, end = datetime(2026, 3, 1), datetime(2026, 3, 31, 23, 59, 59)
    assert centre.truth(start, end) == counted(centre.uses(start, end))


def test_both_ends_are_included() -> None:
    centre = Centre(["Eva"], profile="empty")
    centre.add(Use(datetime(2026, 11, 16, 12), "Eva", "hold", 7))
    twelve = datetime(2026, 11, 16, 12)
    hour = timedelta(hours=1)
    expected = {"Eva": Usage(1, 7, 0, 7)}
    assert centre.truth(twelve, twelve + hour) == expected
    assert centre.truth(twelve - hour, twelve) == expected
    assert centre.truth(twelve, twelve) == expected
    assert centre.truth(twelve - hour, twelve - SECOND) == {}
    assert centre.truth(twelve + SECOND, twelve + hour) == {}


def test_touch_counts_a_use_whole_in_every_range_it_touches() -> None:
    centre = Centre(["Eva"], profile="empty", counting="touch")
    centre.add(Use(datetime(2026, 11, 15, 23, 58), "Eva", "hold", 600))
    windows = centre.truth_by_window(datetime(2026, 11, 15, 23, 50), datetime(2026, 11, 16, 0, 19, 59))
    touched = [f"{window:%H:%M}" for window, agents in windows.items() if agents]
    assert touched == ["23:55", "00:00", "00:05"]
    assert windows[datetime(2026, 11, 16)] == {"Eva": Usage(1, 600, 0, 600)}
    # A use that ends at 00:08:00 was on hold up to the second before.
    assert centre.truth(datetime(2026, 11, 16, 0, 7, 59), datetime(2026, 11, 16, 0, 8)) != {}
    assert centre.truth(datetime(2026, 11, 16, 0, 8), datetime(2026, 11, 16, 0, 9)) == {}


def test_touch_is_not_additive_on_a_busy_day() -> None:
    centre = Centre(50, counting="touch")
    start, end = of_day(centre, MONDAY)
    assert add_up(centre.truth_by_window(start, end).values()) != centre.truth(start, end)


# The same everywhere

DIGEST = """
from datetime import datetime
from hashlib import sha256
from wolkvox_assets.simulator.centre import Centre
for profile in ("office", "around_the_clock", "quiet"):
    uses = Centre(9, profile=profile).uses(datetime(2026, 11, 13), datetime(2026, 11, 16, 23, 59, 59))
    print(len(uses), sha256(repr(uses).encode()).hexdigest())
    late = Centre(9, profile=profile, late_seconds=999)
    print(late.truth(datetime(2026, 11, 16), datetime(2026, 11, 17), now=datetime(2026, 11, 16, 11)))
"""


def test_it_is_the_same_in_every_process() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert outputs.pop().count("\n") == 6


def test_a_day_does_not_depend_on_the_days_asked_before() -> None:
    one, other = Centre(6, seed=77), Centre(6, seed=77)
    for day in range(1, 10):
        uses_of(one, date(2026, 10, day))
    assert uses_of(one, MONDAY) == uses_of(other, MONDAY)


def test_another_seed_is_another_centre() -> None:
    assert uses_of(Centre(12, seed=1), MONDAY) != uses_of(Centre(12, seed=2), MONDAY)


# Believable


def test_an_office_day_is_busy_from_7_to_19_and_nearly_empty_else() -> None:
    centre = Centre(50)
    for day in (9, 10, 11, 12, 13, 16, 17):
        busy = busy_windows(centre, date(2026, 11, day))
        in_hours = [window for window in busy if 7 <= window.hour < 19]
        assert len(in_hours) > 120
        assert len(busy) - len(in_hours) <= 2
        assert not [window for window in busy if window.hour < 7 or window.hour >= 22]


def test_lunch_is_a_dip() -> None:
    by_hour = Counter(use.at.hour for day in range(9, 14) for use in uses_of(Centre(50), date(2026, 11, day)))
    assert by_hour[12] + by_hour[13] < 0.75 * (by_hour[10] + by_hour[11])
    assert by_hour[12] + by_hour[13] < 0.75 * (by_hour[14] + by_hour[15])


def test_the_week_has_its_shape() -> None:
    centre = Centre(50)
    monday, saturday, sunday = (len(uses_of(centre, day)) for day in (MONDAY, SATURDAY, SUNDAY))
    assert monday > 3 * saturday > 9 * sunday
    for week in range(20):
        assert 5 <= len(uses_of(centre, SUNDAY - timedelta(weeks=week))) <= 8
    assert uses_of(centre, date(2026, 12, 25)) == []
    assert 5 <= len(uses_of(centre, date(2026, 7, 20))) <= 8  # a Monday, and a holiday


def test_around_the_clock_has_no_empty_window() -> None:
    for agents in (1, 50):
        centre = Centre(agents, profile="around_the_clock")
        assert len(busy_windows(centre, SUNDAY)) == len(busy_windows(centre, MONDAY)) == 288


@pytest.mark.parametrize(("profile", "low", "high"), [("quiet", 5, 8), ("empty", 0, 0)])
def test_quiet_and_empty_days(profile: Profile, low: int, high: int) -> None:
    for day in (MONDAY, SATURDAY, SUNDAY):
        assert low <= len(uses_of(Centre(50, profile=profile), day)) <= high


def test_busy_is_how_many() -> None:
    usual, twice = (len(uses_of(Centre(50, busy=busy), MONDAY)) for busy in (1.0, 2.0))
    assert 1.7 < twice / usual < 2.3


def test_uses_are_possible() -> None:
    centre = Centre(50)
    uses = uses_of(centre, MONDAY)
    assert uses == sorted(uses)
    assert {use.kind for use in uses} == {"hold", "mute"}
    assert {use.agent for use in uses} <= set(centre.names)
    assert all(1 <= use.seconds <= 1_800 and use.at.microsecond == 0 for use in uses)


@pytest.mark.parametrize("how_many", [2, 12, 50, 400])
def test_names_are_spanish_and_different(how_many: int) -> None:
    names = Centre(how_many).names
    assert len(set(names)) == how_many
    assert "ñ" in "".join(names)
    assert any(accented in "".join(names) for accented in "áéíóú")
    assert all(name == unicodedata.normalize("NFC", " ".join(name.split())) for name in names)


def test_nothing_happens_in_an_hour_that_the_clock_skips() -> None:
    centre = Centre(9, profile="around_the_clock", timezone="America/Santiago")
    forward, back = date(2026, 9, 6), date(2026, 4, 4)
    busy = busy_windows(centre, forward)
    assert len(busy) == 276
    assert busy[0] == datetime(2026, 9, 6, 1)
    assert len(busy_windows(centre, back)) == 288


# Late records

NOON = datetime(2026, 11, 16, 12)


def test_a_late_record_is_added_and_taken_back() -> None:
    centre = Centre(5)
    start, end = of_day(centre, MONDAY)
    before, untouched = centre.truth(start, end), Centre(5).truth(start, end)
    late = Use(NOON, "Otra Persona", "mute", 30)
    centre.add(late)
    assert centre.truth(start, end) == {**before, "Otra Persona": Usage(1, 0, 30, 30)}
    assert Centre(5).truth(start, end) == untouched  # nobody else's centre
    centre.remove(late)
    assert centre.truth(start, end) == before


def test_a_made_up_record_is_struck_out() -> None:
    centre = Centre(5)
    first, *others = uses_of(centre, MONDAY)
    centre.remove(first)
    assert uses_of(centre, MONDAY) == others
    assert centre.truth(*of_day(centre, MONDAY)) == counted(others)
    with pytest.raises(ValueError, match="no such use"):
        centre.remove(first)


def test_a_silent_range_is_empty_but_for_what_is_added() -> None:
    centre = Centre(5)
    around = [use for use in uses_of(centre, MONDAY) if not NOON <= use.at <= NOON + timedelta(hours=3)]
    centre.silence(NOON, NOON + timedelta(hours=3))
    assert centre.truth(NOON, NOON + timedelta(hours=3)) == {}
    assert uses_of(centre, MONDAY) == around
    centre.add(Use(NOON, "Eva", "hold", 5))
    assert centre.truth(NOON, NOON + timedelta(hours=3)) == {"Eva": Usage(1, 5, 0, 5)}
    centre.silence(datetime(2026, 1, 1), datetime(2026, 12, 31, 23, 59, 59))
    assert centre.truth(datetime(2026, 1, 1), datetime(2026, 12, 31, 23, 59, 59)) == {
        "Eva": Usage(1, 5, 0, 5)
    }


def test_the_future_is_not_in_the_report() -> None:
    centre = Centre(5)
    start, end = of_day(centre, MONDAY)
    assert centre.truth(start, end, now=NOON) == centre.truth(start, NOON)
    assert centre.truth(start, end, now=start - SECOND) == {}
    assert centre.truth(start, end, now=end + SECOND) == centre.truth(start, end)


def test_a_record_is_there_in_its_own_second() -> None:
    centre = Centre(1, profile="empty")
    centre.add(Use(NOON, "Eva", "hold", 5))
    assert centre.truth(NOON, NOON + SECOND, now=NOON) == {"Eva": Usage(1, 5, 0, 5)}
    assert centre.truth(NOON, NOON + SECOND, now=NOON - SECOND) == {}


@pytest.mark.parametrize("counting", ["instant", "touch"])
def test_records_enter_late_and_never_leave(counting: Counting) -> None:
    centre = Centre(12, late_seconds=1800, counting=counting)
    start, end = NOON - timedelta(hours=1), NOON - SECOND
    seen = [
        sum(
            usage.hold_mute_count
            for usage in centre.truth(start, end, now=NOON + timedelta(minutes=minutes)).values()
        )
        for minutes in (0, 10, 20, 30, 60)
    ]
    assert seen == sorted(seen)
    assert seen[0] < seen[2] < seen[3] == seen[4]
    assert centre.truth(start, end, now=NOON + timedelta(minutes=30)) == centre.truth(start, end)


@pytest.mark.parametrize(
    "use",
    [
        Use(datetime(2026, 11, 16, 12, 0, 0, 5), "Eva", "hold", 1),
        Use(NOON, "Eva", "hold", -1),
        Use(NOON, "Eva", "hold", 86_400),
    ],
)
def test_impossible_records_are_refused(use: Use) -> None:
    with pytest.raises(ValueError, match="a use has"):
        Centre(1).add(use)
