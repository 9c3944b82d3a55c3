"""Whether there is a total row: what decides it, what stays in doubt, and that nothing is doubled or lost."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wolkvox_assets.report.measures import Agents, Usage, add_up
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.total_row import AnswerInDoubt, Judge, Row, TotalRow, is_usual, same_row

USUAL = (
    *("", "-", "Total", "TOTAL", "total:", "Totales", "Total General", "GRAN TOTAL", "Grand total"),
    *(
        "Total operación",
        "TOTAL OPERACION",
        "Total agentes",
        "Todos",
        "All agents",
        "Consolidado",
        "consolidated",
    ),
    *(
        "Consolidated for the entire operation",
        "Suma",
        "Resumen",
        "Summary",
        "Overall",
        "General",
        "* Total *",
    ),
    "Total general de la operación",
)
NONE = TotalRow(datetime(2026, 11, 1, tzinfo=UTC), None, "before")
TECHCON = TotalRow(datetime(2026, 11, 1, tzinfo=UTC), "techcon", "before")


def use(count: int, hold: int = 0, mute: int = 0) -> Usage:
    return Usage(count, hold, mute, hold + mute)


def with_total(name: str, agents: Sequence[Row], cap: int = 2**31) -> list[Row]:
    total = add_up({"": usage} for _, usage in agents)[""]
    return [*agents, (name, Usage(total[0], *(min(number, cap) for number in total[1:])))]


def three(number: int) -> list[Row]:
    """Three agents, another answer for each number; none is the sum of the others."""
    return [("Ana", use(1, 10 + number)), ("Beto", use(2, 25)), ("Cata", use(4, 70))]


def agents(judge: Judge, asked: object, rows: Sequence[Row]) -> Agents | None:
    """None where it is in doubt."""
    try:
        return judge.agents_of(str(asked), rows)[0]
    except AnswerInDoubt:
        return None


@pytest.mark.parametrize("name", USUAL)
def test_a_usual_name_that_adds_up_over_others_decides_at_once(name: str) -> None:
    judge = Judge()
    assert agents(judge, 1, with_total(name, three(1))) == dict(three(1))
    assert judge.verdict is not None
    assert judge.verdict.name == name
    assert judge.new == [judge.verdict]
    assert agents(judge, 2, with_total(name, [("Ana", use(1, 5))])) == {"Ana": use(1, 5)}


def test_an_unusual_name_takes_three_answers() -> None:
    judge = Judge()
    assert [agents(judge, n, with_total("techcon", three(n))) for n in (1, 2)] == [None, None]
    assert (
        agents(judge, 2, with_total("techcon", three(2))) is None
    )  # the same answer again is no more evidence
    assert agents(judge, 3, with_total("techcon", three(3))) == dict(three(3))
    assert agents(judge, 1, with_total("techcon", three(1))) == dict(three(1))


def test_the_doubt_says_what_is_known_so_far() -> None:
    with pytest.raises(
        AnswerInDoubt, match=r"'techcon' is the sum of all others in 1 answer\).*requested again"
    ):
        Judge().agents_of("1", with_total("techcon", three(1)))


@pytest.mark.parametrize("rows", [[("Ana", use(1, 5))], three(1), [("Ana", use(1, 5)), ("Beto", use(1, 6))]])
def test_one_answer_that_cannot_have_a_total_decides_that_there_is_none(rows: list[Row]) -> None:
    judge = Judge()
    assert agents(judge, 1, rows) == dict(rows)
    assert judge.verdict is not None
    assert judge.verdict.name is None


@pytest.mark.parametrize("name", ["General", "", "Total"])
def test_a_person_with_a_usual_name_is_not_dropped(name: str) -> None:
    equal = [("Ana", use(2, 5)), (name, use(2, 5))]
    judge = Judge()
    assert agents(judge, 1, equal) is None
    assert agents(judge, 2, [("Ana", use(1, 5))]) == {"Ana": use(1, 5)}
    assert agents(judge, 1, equal) == dict(equal)


def test_two_equal_rows_decide_when_one_name_equals_ever_different_others() -> None:
    judge = Judge()
    said = [agents(judge, n, with_total("techcon", [("ABC"[n % 3], use(1, n + 1))])) for n in range(8)]
    assert said[:7] == [None] * 7
    assert said[7] == {"B": use(1, 8)}


def test_two_who_are_always_equal_are_agents_after_all() -> None:
    judge = Judge()
    pair = [("Ana", use(1, 5)), ("Beto", use(1, 5))]
    said = [agents(judge, n, pair) for n in range(20)]
    assert said == [None] * 19 + [dict(pair)]
    assert judge.verdict is not None
    assert "'Ana', 'Beto'" in judge.verdict.evidence


def test_one_agent_and_a_usual_name_always_equal() -> None:
    judge = Judge()
    assert [agents(judge, n, with_total("TOTAL", [("Ana", use(1, n + 1))])) for n in range(20)][-1] == {
        "Ana": use(1, 20)
    }


def test_two_usual_names_always_equal_stay_undecided() -> None:
    judge = Judge()
    assert not any(agents(judge, n, [("", use(1, n + 1)), ("Total", use(1, n + 1))]) for n in range(40))
    assert judge.verdict is None


def test_a_usual_name_that_does_not_add_up_is_in_doubt_and_no_evidence() -> None:
    judge = Judge()
    assert agents(judge, 1, [*three(1), ("General", use(9, 9))]) is None
    assert judge.verdict is None
    assert agents(judge, 2, three(2)) is not None
    assert agents(judge, 1, [*three(1), ("General", use(9, 9))]) == {**dict(three(1)), "General": use(9, 9)}


BUSY = [("Ana", use(9000, 2_000_000)), ("Beto", use(9000, 2_100_000)), ("Cata", use(9, 9))]


@pytest.mark.parametrize("name", ["TOTAL", "techcon"])
@pytest.mark.parametrize("cap", [3_020_399, 86_399])
def test_a_total_that_is_cut_down(name: str, cap: int) -> None:
    judge = Judge()
    cut = with_total(name, BUSY, cap)
    assert agents(judge, 0, cut) is None
    for n in range(3):
        agents(judge, n, with_total(name, three(n)))
    found, remarks = judge.agents_of("0", cut)
    assert found == dict(BUSY)
    assert [remark.kind for remark in remarks] == ["total_row_cut"]


def test_a_total_that_is_more_than_the_sum_or_missing_contradicts() -> None:
    for rows in ([*three(1), ("techcon", use(8, 200))], three(2), [("techcon", use(1, 5))]):
        judge = Judge(TECHCON)
        assert agents(judge, 1, rows) is None
        assert judge.verdict is TECHCON
    assert agents(Judge(TECHCON), 4, [("Ana", use(1, 5))]) == {"Ana": use(1, 5)}  # certain either way


def test_a_server_that_stops_adding_totals() -> None:
    judge = Judge(TECHCON)
    assert [agents(judge, n, three(n)) for n in range(3)] == [None, None, dict(three(2))]
    assert judge.verdict is not None
    assert judge.verdict.name is None


def test_a_server_that_begins_to_add_totals() -> None:
    four = [("Dora", use(1, 1)), *three(0)]
    rows = [with_total("techcon", [*four[:3], ("Cata", use(1, n))]) for n in range(1, 4)]
    judge = Judge(NONE)
    assert [agents(judge, n, answer) for n, answer in enumerate(rows)] == [None, None, dict(rows[2][:-1])]


def test_chance_under_a_verdict_of_none_is_taken_once_others_had_no_total() -> None:
    chance = with_total("Zoe", three(0))
    judge = Judge(NONE)
    assert agents(judge, "chance", chance) is None
    assert all(agents(judge, n, three(n)) for n in range(1, 4))
    assert agents(judge, "chance", chance) == dict(chance)
    assert judge.verdict is NONE
    # The same in a later run, from what is kept of the answers.
    kept = [("chance", chance), *((str(n), three(n)) for n in range(1, 4))]
    assert agents(Judge(NONE, lambda: kept), "chance", chance) == dict(chance)


def test_answers_of_earlier_runs_count() -> None:
    kept = [(str(n), with_total("techcon", three(n))) for n in (1, 2)]
    assert agents(Judge(None, lambda: kept), 3, with_total("techcon", three(3))) == dict(three(3))
    kept.append(("3", with_total("techcon", three(3))))
    assert agents(Judge(None, lambda: kept), 4, with_total("techcon", three(4)[:1])) == dict(three(4)[:1])


def test_decided_nothing_is_looked_up() -> None:
    def history() -> list[tuple[str, list[Row]]]:
        raise AssertionError

    assert agents(Judge(NONE, history), 1, three(1)) is not None
    assert agents(Judge(TECHCON, history), 1, with_total("techcon", three(1))) is not None


def test_rows_without_use() -> None:
    assert agents(Judge(), 1, [("Ana", AGENT_9.nothing), ("TOTAL", AGENT_9.nothing)]) == {
        "Ana": AGENT_9.nothing
    }
    assert agents(Judge(NONE), 1, [("Ana", AGENT_9.nothing), ("TOTAL", AGENT_9.nothing)]) == {
        "Ana": AGENT_9.nothing,
        "TOTAL": AGENT_9.nothing,
    }
    assert agents(Judge(TECHCON), 1, [("Ana", AGENT_9.nothing), ("techcon", AGENT_9.nothing)]) == {
        "Ana": AGENT_9.nothing
    }
    idle = [("Ana", AGENT_9.nothing), ("Beto", use(1, 5)), ("techcon", use(1, 5))]
    assert agents(Judge(TECHCON), 1, idle) == dict(idle[:2])


def test_one_name_twice_is_added_up_after_the_total_is_gone() -> None:
    rows = [("Ana", use(1, 10)), ("Ana", use(2, 20)), ("Total", use(3, 30))]
    assert agents(Judge(), 1, rows) == {"Ana": use(3, 30)}
    assert agents(Judge(), 1, [("Ana", use(1, 10)), ("Ana", use(1, 10))]) == {"Ana": use(2, 20)}


def test_a_person_called_as_the_total_is_called() -> None:
    rows = with_total("Total", [("Total", use(1, 10)), ("Ana", use(2, 25))])
    assert agents(Judge(), 1, rows) == {"Total": use(1, 10), "Ana": use(2, 25)}


def test_usual_names_by_turns_are_one_total_row() -> None:
    judge = Judge()
    for n in range(6):
        assert agents(judge, n, with_total(("TOTAL", "")[n % 2], three(n))) == dict(three(n))


names = st.sampled_from(["Ana", "Beto", "Cata", "Dora", "General"])
# Seconds of their own, as people have: chance is in tests of its own.
uses = st.tuples(st.integers(1, 5), st.integers(1, 10**4), st.integers(0, 10**4)).map(lambda u: use(*u))
answers = st.lists(st.dictionaries(names, uses, min_size=1), min_size=30, max_size=40)


@settings(max_examples=80)
@given(answers, st.none() | st.sampled_from([*USUAL, "techcon", "Ventas"]), st.randoms())
def test_nothing_is_doubled_or_lost(truth: list[dict[str, Usage]], name: str | None, random: object) -> None:
    """Whatever is said to be certain is true, in any order; and what was in doubt is certain in the end."""
    heard = [list(people.items()) for people in truth]
    heard.append(three(0))  # three agents at least
    heard += [three(1), three(2)]
    random.shuffle(heard)  # type: ignore[attr-defined]
    judge = Judge()
    doubts = 0
    for n, people in enumerate(heard):
        rows = people if name is None else with_total(name, people)
        found = agents(judge, n, rows)
        doubts += found is None
        if found is not None and not (name is None and _chance(people)):
            assert found == dict(people)
    assert judge.verdict is not None
    assert judge.verdict.name == name or (name is not None and is_usual(name))
    for n, people in enumerate(heard):
        if not _chance(people):
            assert agents(judge, n, people if name is None else with_total(name, people)) == dict(people)
    assert doubts <= 12 or name not in (None, *USUAL)


def _chance(people: Sequence[Row]) -> bool:
    total = add_up({"": usage} for _, usage in people)[""]
    return len(people) > 1 and any(total.minus(usage) == usage for _, usage in people)


@pytest.mark.parametrize(
    ("name", "usual"), [("🔥", False), ("😀 😀", False), ("---", True), ("🔥 TOTAL", True)]
)
def test_a_name_of_emoji_alone_is_no_usual_name_of_a_total(name: str, usual: bool) -> None:
    assert is_usual(name) is usual
    assert same_row(name, "TOTAL") is usual
