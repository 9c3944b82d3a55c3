"""Whether an operation's server adds a row with the total of all agents, decided from many answers.

What belongs here: the evidence in answers, the verdict, and an answer's agents under it. What doesn't: reading
answers (`api/`), keeping the verdict (`store/`), what is done about an answer in doubt (`sync/quarantine.py`).

"Consolidated for the entire operation" [D]: counted as an agent such a row doubles everything [?]. One answer can
rarely tell: a person may be called General, and of two agents with equal numbers each is the sum of the other.
But a total row is a property of the server: it is in all answers of an operation that are not empty, or in none.
"""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from wolkvox_assets.report.measures import Agents, Usage, by_name
from wolkvox_assets.report.plain_text import quoted

Row = tuple[str, Usage]
"""A row of an answer: name as read, and its numbers. A name can come twice."""

# Compared without accents, case, punctuation and blanks.
_TOTAL_NAMES = frozenset(
    word
    for line in (
        "total totals totales subtotal totalgeneral totalgenerales totalgenerals",
        "grantotal grantotales grandtotal grandtotals overalltotal sumatotal totalconsolidado",
        "totaloperacion totaldelaoperacion totaloperation totaloperations totalgeneraldelaoperacion",
        "totalagente totalagentes totaldeagentes totalagent totalagents",
        "todos todoslosagentes all allagents",
        "consolidado consolidada consolidados consolidadogeneral consolidadooperacion consolidadodelaoperacion",
        "consolidated consolidatedfortheentireoperation consolidadototal",
        "suma sumas sumatoria sum resumen resumengeneral summary overall general operacion operation",
    )
    for word in line.split()
)

# What a database's types can cut a sum down to: SMALLINT for a count, a time of day for seconds (MySQL's TIME
# ends later, at 838:59:59). Smaller sums come as they are.
_UNCUT_COUNT, _UNCUT_SECONDS = 32_767, 86_399

_UNUSUAL = 3  # answers in which a row of an unusual name adds up over two others or more
_PAIRS, _PARTNERS = (
    8,
    3,
)  # answers of two equal rows, one of them always the same; how many others it was equal to
_ALL_PAIRS = 20  # ranges, of which every answer was two equal rows
_LOOKED_AT_AGAIN = 3  # answers without a total, after one that contradicts


class TotalRow(NamedTuple):
    """A verdict. `decided_at`: aware. `name`: of the total row, `None` where there is none. `evidence`: plain words."""

    decided_at: datetime
    name: str | None
    evidence: str


class AnswerInDoubt(Exception):
    """It is not certain whether one of an answer's rows is the total of the others. Nothing of it may be kept."""


class Remark(NamedTuple):
    """Something odd that was taken all the same. `kind`: `total_row_left_out`, `total_row_cut`."""

    kind: str
    text: str


def is_usual(name: str) -> bool:
    """Whether it is blank, or a usual name of a total row, in Spanish or English."""
    letters = _letters(name)
    return not letters or letters in _TOTAL_NAMES


def same_row(name: str, other: str) -> bool:
    """Whether a total row may have both names: a server can have several usual ones, and spellings vary."""
    return _key(name) == _key(other)


def _letters(name: str) -> str:
    text = unicodedata.normalize("NFKD", name.casefold())
    # A name of emoji alone is a person's choice, and not blank.
    return "".join(c for c in text if c.isalnum()) or "".join(
        c for c in text if unicodedata.category(c) == "So"
    )


@lru_cache(maxsize=10_000)  # each answer brings the same names
def _key(name: str) -> str:
    return "" if is_usual(name) else _letters(name)


def _sum(rows: Sequence[Row]) -> Usage:
    """Of one row or more."""
    return type(rows[0][1])(*map(sum, zip(*(usage for _, usage in rows), strict=True)))


def _rest(rows: Sequence[Row], without: int) -> Usage:
    return _sum(rows).minus(rows[without][1])


def _adding_up(used: Sequence[Row]) -> list[int]:
    """The positions of the rows that are the sum of all the others: of more than two at most one is."""
    if len(used) < 2:
        return []
    everything = _sum(used)
    return [
        position
        for position, (_, usage) in enumerate(used)
        if everything[-1] == 2 * usage[-1] and everything.minus(usage) == usage
    ]


def _uncut(usage: Usage) -> list[int]:
    """The largest sums that come as they are, in the order of the numbers."""
    return [_UNCUT_COUNT if n in usage.counts else _UNCUT_SECONDS for n in range(len(usage))]


def _could_be_cut(sums: Usage) -> bool:
    return any(number > limit for number, limit in zip(sums, _uncut(sums), strict=True))


def _is_cut(usage: Usage, rest: Usage) -> bool:
    """Whether these numbers may be that sum, cut down to what the server's types hold."""
    return all(
        number == whole or (number < whole and whole > limit)
        for number, whole, limit in zip(usage, rest, _uncut(usage), strict=True)
    )


def _content(used: Sequence[Row]) -> int:
    """What tells answers apart, in the order of rows or not; a year of them has to fit in memory."""
    return hash(tuple(sorted(used)))


def _answers(number: int) -> str:
    return "1 answer" if number == 1 else f"{number} answers"


@dataclass
class _Evidence:
    """What answers said, oldest first. An answer in which all is certain clears what spoke for a total row."""

    heard: set[int] = field(default_factory=set)
    name: str = ""  # of the row that added up over two or more others in the last `hits` answers
    hits: int = 0
    pairs: dict[frozenset[str], set[str]] = field(default_factory=dict)  # names: ranges
    contents: dict[frozenset[str], set[int]] = field(default_factory=dict)  # names: different answers
    without: int = 0  # answers in a row that can't have a total row

    def hear(self, asked: str, used: Sequence[Row]) -> None:
        """`used`: rows with any use, one at least."""
        content = _content(used)
        adding_up = _adding_up(used)
        if len(used) == 2 and used[0][0] == used[1][0]:
            adding_up = []  # an agent in two rows: no total bears the name of the only agent
        if len(used) == 2 and adding_up:
            names = frozenset(name for name, _ in used)
            self.pairs.setdefault(names, set()).add(asked)
            self.contents.setdefault(names, set()).add(content)
        elif content in self.heard:
            return  # asked again, or a window and its hour: the same evidence
        elif len(used) > 2 and adding_up:
            name = used[adding_up[0]][0]
            self.hits = self.hits + 1 if self.hits and same_row(name, self.name) else 1
            self.name, self.without = name, 0
        elif len(used) == 1:
            # With a total there would be two - but for a server that adds none to a single agent.
            self.without += not self.hits
            self._clear_pairs()
        elif not adding_up and not _could_be_cut(_sum(used)):
            self.hits = 0
            # A usual name that does not add up: a person, or a total that the server reckons in its own way.
            if not any(is_usual(name) for name, _ in used):
                self.without += 1
                self._clear_pairs()
        self.heard.add(content)

    def was_heard(self, used: Sequence[Row]) -> bool:
        return _content(used) in self.heard

    def _clear_pairs(self) -> None:
        self.pairs.clear()
        self.contents.clear()

    def verdict(self, *, again: bool) -> TotalRow | None:
        """`again`: another verdict is in force, which an answer contradicts."""
        now = datetime.now(UTC)
        enough = (2 if again else 1) if is_usual(self.name) else _UNUSUAL
        if self.hits >= enough:
            return TotalRow(
                now,
                self.name,
                f"In {_answers(self.hits)} the row {quoted(self.name)} is the sum of two or more others.",
            )
        if self.without >= (_LOOKED_AT_AGAIN if again else 1):
            return TotalRow(now, None, f"In {_answers(self.without)} no row is the sum of the others.")
        return self._of_pairs(now) if self.pairs and not self.hits else None

    def _of_pairs(self, now: datetime) -> TotalRow | None:
        always = frozenset.intersection(*self.pairs)
        contents = set().union(*self.contents.values())
        if len(contents) >= _PAIRS and len(self.pairs) >= _PARTNERS and len(always) == 1:
            [name] = always
            return TotalRow(
                now,
                name,
                f"In {len(contents)} answers of two rows {quoted(name)} equals the other, which is {len(self.pairs)} "
                "different agents.",
            )
        ranges = len(set().union(*self.pairs.values()))
        if ranges < _ALL_PAIRS:
            return None
        usual = [name for name in always if is_usual(name)]
        if len(usual) == 1:
            return TotalRow(
                now,
                usual[0],
                f"In {ranges} answers of two rows {quoted(usual[0])} equals the other, without exception.",
            )
        if any(is_usual(name) for names in self.pairs for name in names):
            return None
        names = ", ".join(sorted(map(quoted, set().union(*self.pairs)))[:4])
        return TotalRow(
            now,
            None,
            f"All of {ranges} answers have two equal rows ({names}), none with a usual name of a total: taken for "
            "agents. Should one of them be no person, its server adds a total row of that name.",
        )

    def so_far(self) -> str:
        if self.hits:
            return f"the row {quoted(self.name)} is the sum of all others in {_answers(self.hits)}"
        if self.pairs:
            return f"{len(set().union(*self.pairs.values()))} answers have two equal rows"
        return f"{_answers(self.without)} without such a row" if self.without else "none"


class Judge:
    """Decides for one operation, and tells an answer's agents.

    `verdict`: the one in force. `history`: gives the latest answers before this run, oldest first, as the range asked
    and rows; called when there is something to decide. `new`: verdicts that fell since it was last emptied.
    """

    def __init__(
        self,
        verdict: TotalRow | None = None,
        history: Callable[[], Iterable[tuple[str, Sequence[Row]]]] = tuple,
    ) -> None:
        self.verdict = verdict
        self.new: list[TotalRow] = []
        self._history = history
        self._evidence: _Evidence | None = None

    def agents_of(self, asked: str, rows: Sequence[Row]) -> tuple[Agents, list[Remark]]:
        """The agents of the answer for this range, each name once, and what was odd.

        Raises `AnswerInDoubt` where that is not certain (yet).
        """
        used = [row for row in rows if any(row[1])]
        if used and (self.verdict is None or self._evidence is not None or self._contradicts(used)):
            self._look_again(asked, used)
        if self.verdict is None:
            if used:
                raise AnswerInDoubt(self._undecided())
            return by_name(row for row in rows if not is_usual(row[0])), []
        if self._contradicts(used) and not self._is_chance(used):
            raise AnswerInDoubt(self._contradiction(used))
        if self.verdict.name is None:
            return by_name(rows), []
        return self._without_total(self.verdict.name, rows, used)

    def _look_again(self, asked: str, used: Sequence[Row]) -> None:
        if self._evidence is None:
            self._evidence = _Evidence()
            for earlier, rows in self._history():
                in_use = [row for row in rows if any(row[1])]
                if in_use:
                    self._evidence.hear(earlier, in_use)
                if self.verdict is None and (found := self._evidence.verdict(again=False)):
                    self._decide(found)
                    break
            if self._evidence is None:  # it was decided on the way
                if not self._contradicts(used):
                    return
                self._evidence = _Evidence()
        self._evidence.hear(asked, used)
        found = self._evidence.verdict(again=self.verdict is not None)
        if found is not None and (self.verdict is None or not _agree(self.verdict, found)):
            self._decide(found)

    def _decide(self, found: TotalRow) -> None:
        self.verdict, self._evidence = found, None
        self.new.append(found)

    def _contradicts(self, used: Sequence[Row]) -> bool:
        verdict = self.verdict
        if verdict is None or not used:
            return False
        if verdict.name is None:
            adding_up = _adding_up(used) if len(used) > 2 else []
            # Of three rows one is the sum of the others by chance now and then.
            return any(len(used) > 3 or is_usual(used[position][0]) for position in adding_up)
        if len(used) == 1:
            return same_row(used[0][0], verdict.name)  # another one is the only agent, total row or not
        return _total_of(verdict.name, used) is None

    def _is_chance(self, used: Sequence[Row]) -> bool:
        """Whether it was heard before that one row is the sum of the others, and many after it had none."""
        evidence = self._evidence
        return (
            self.verdict is not None
            and self.verdict.name is None
            and evidence is not None
            and evidence.without >= _LOOKED_AT_AGAIN
            and evidence.was_heard(used)
        )

    def _undecided(self) -> str:
        so_far = self._evidence.so_far() if self._evidence else "none"
        return (
            "It is not certain yet whether this server adds a row with the total of all agents, and whether this "
            f"answer has one (evidence so far: {so_far}). None of it was kept. More answers will decide it; then "
            "it is requested again."
        )

    def _contradiction(self, used: Sequence[Row]) -> str:
        name = self.verdict.name if self.verdict else None
        adding_up = [used[position][0] for position in _adding_up(used)]
        what = (
            f"This server adds no total row, as was found, but here {quoted(adding_up[0])} "
            "is the sum of all others."
            if name is None
            else f"This server adds the total row {quoted(name)}, as was found, "
            "but here none is the total of the others."
        )
        return (
            f"{what} None of this answer was kept. More answers will decide it; then it is requested again."
        )

    def _without_total(
        self, name: str, rows: Sequence[Row], used: Sequence[Row]
    ) -> tuple[Agents, list[Remark]]:
        position = _total_of(name, used) if len(used) > 1 else None
        if position is None:
            # The only agent, or nobody: what bears the total's name here has no use.
            return by_name(row for row in rows if any(row[1]) or not same_row(row[0], name)), []
        left_out = used[position]
        remark = Remark(
            "total_row_left_out", f"The row {quoted(left_out[0])} is the total of all others: left out."
        )
        if left_out[1] != _rest(used, position):
            remark = Remark(
                "total_row_cut",
                f"The row {quoted(left_out[0])} is the total of all others, "
                "cut down to what the server can hold: left out.",
            )
        kept = [row for row in rows if row is not left_out]
        return by_name(kept), [remark]


def _agree(verdict: TotalRow, other: TotalRow) -> bool:
    if verdict.name is None or other.name is None:
        return verdict.name is other.name
    return same_row(verdict.name, other.name)


def _total_of(name: str, used: Sequence[Row]) -> int | None:
    """The position of the total row with that name: of several the one that adds up, and of those the last."""
    named = [position for position, (other, _) in enumerate(used) if same_row(name, other)]
    exact = [position for position in named if used[position][1] == _rest(used, position)]
    if exact:
        return max(exact, key=lambda position: (_letters(used[position][0]) == _letters(name), position))
    cut = [position for position in named if _is_cut(used[position][1], _rest(used, position))]
    return cut[-1] if len(cut) == 1 else None
