"""What a plan asks again within a run, and what not."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from wolkvox_assets.api import AnswerUnreadable, MissingParameters
from wolkvox_assets.pipeline.plan import WindowsPlan
from wolkvox_assets.report.measures import Agents, Usage
from wolkvox_assets.report.total_row import Judge
from wolkvox_assets.report.windows import WINDOW, Range, one
from wolkvox_assets.settings import Operation
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.sync import Additivity, BadAnswers, Known, KnownEmpty, LeftOut, Step
from wolkvox_assets_tests.pipeline.conftest import NOON, START, TODAY
from wolkvox_assets_tests.store.tables import agent_9, content, replace_windows

FIRST = TODAY + timedelta(hours=9)
ANA = Usage(1, 5, 0, 5)
WINDOWS = [FIRST + n * WINDOW for n in range(6)]


def test_only_what_was_in_doubt_is_asked_again_when_it_was_decided_meanwhile(tmp_path: Path) -> None:
    operation = Operation(name="main", server="0013", start=START, token_env="WOLKVOX_MAIN_TOKEN")
    judge = Judge()
    broken = WINDOWS[1]
    asked: list[Range] = []

    def ask(r: Range, requests: int | None = None, /) -> Agents:
        asked.append(r)
        if r.start <= broken < r.end:
            raise AnswerUnreadable("nonsense")
        n = len(asked)  # different numbers each time, or it is the same evidence
        ana, bea = Usage(1, 5 + n, 0, 5 + n), Usage(1, 90 + n, 0, 90 + n)
        rows = [("Ana", ana), ("Bea", bea), ("techcon", ana.plus(bea))]
        return judge.agents_of(f"{r}", rows)[0]

    plan = WindowsPlan(operation, FileStore(tmp_path), Additivity.FAILED, judge, 0, 150)
    steps: list[Step] = []
    with pytest.raises(BadAnswers) as bad:
        steps.extend(plan.reconcile(WINDOWS, NOON, ask))
    known = {step.window for step in steps if isinstance(step, Known)}
    assert known == set(WINDOWS) - {broken}
    assert any(isinstance(step, LeftOut) for step in steps)
    assert asked.count(one(broken)) == 1
    assert list(bad.value.errors) == [broken]
    assert isinstance(bad.value.first, AnswerUnreadable)


@pytest.mark.parametrize(
    ("used", "believed"), [(TODAY, False), (TODAY + timedelta(days=3), False), (None, True)]
)
def test_an_empty_answer_for_many_days_is_not_believed_before_days_in_use(
    used: datetime | None, believed: bool, tmp_path: Path
) -> None:
    """As of a server that says of ranges over a day what it says of empty ones."""
    operation, store = Operation(name="main", server="0013", start=START), FileStore(tmp_path)
    with store.transaction() as con:
        replace_windows(agent_9(con), [content(used, {"Ana": ANA})] if used else [], run_id="run")
    days = Range(TODAY - timedelta(days=10), TODAY)

    def ask(r: Range, requests: int | None = None, /) -> Agents:
        uses = sum(window.time() == FIRST.time() for window in r.windows())
        return {"Ana": Usage(*(uses * number for number in ANA))} if uses and len(r) <= 288 else {}

    plan = WindowsPlan(operation, store, Additivity.PROVED, Judge(), 0, 150)
    steps = list(plan.reconcile(list(days.windows()), NOON, ask))
    found = {step.window for step in steps if isinstance(step, Known) and step.agents}
    assert found == (set() if believed else {w for w in days.windows() if w.time() == FIRST.time()})


def test_ranges_that_are_refused_for_their_length_are_asked_in_parts(tmp_path: Path) -> None:
    operation = Operation(name="main", server="0013", start=START)
    days = Range(TODAY - timedelta(days=3), TODAY)

    def ask(r: Range, requests: int | None = None, /) -> Agents:
        if len(r) > 288:
            raise MissingParameters
        return {}

    plan = WindowsPlan(operation, FileStore(tmp_path), Additivity.PROVED, Judge(), 0, 150)
    steps = plan.reconcile(list(days.windows()), NOON, ask)
    assert sum(len(step.range) for step in steps if isinstance(step, KnownEmpty)) == len(days)
