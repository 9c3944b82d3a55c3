"""Operations at a simulator, with a store and a clock that a test sets: no Dagster."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from wolkvox_assets.api import Access, Answer, AnswerUnreadable, Asking, WolkvoxClient
from wolkvox_assets.pipeline.reconcile import Site
from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import Range
from wolkvox_assets.settings import Operation, read_token
from wolkvox_assets.simulator import Centre, Simulator
from wolkvox_assets.simulator.endpoints import Operation as Served
from wolkvox_assets.store import Store
from wolkvox_assets.store.attempts import FailedAttempt, failed_attempts
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.lake.store import LakeStore
from wolkvox_assets_tests.project import had_use_before
from wolkvox_assets_tests.store.tables import query

NOON = datetime(2026, 11, 18, 17, 1, tzinfo=UTC)
"""12:01 on a Wednesday in Bogota."""
TODAY = datetime(2026, 11, 18)
START = date(2026, 11, 17)
LIVE_FROM = datetime(2026, 11, 18, 10, 50)
"""What is known before it leaves no gap."""
TOKENS = {"main": "token-a", "near": "token-a", "south": "token-b"}


class Unreadable(WolkvoxClient):
    """As if no answer could be read that has anything of these windows in it."""

    windows: frozenset[datetime] = frozenset()

    def report(self, report: Report, range_: Range, /, *, requests: int | None = None) -> Answer:
        answer = super().report(report, range_, requests=requests)
        if any(range_.start <= window < range_.end for window in self.windows):
            raise AnswerUnreadable("nonsense")
        return answer


@dataclass
class Place:
    """`now`: what all clocks show, the server's as well. `unreadable`: windows whose answers cannot be read.
    `lake_store`: in place of files."""

    folder: Path
    simulator: Simulator
    monkeypatch: pytest.MonkeyPatch
    now: datetime = NOON
    unreadable: frozenset[datetime] = frozenset()
    live: int = 1
    starts: dict[str, date] = field(default_factory=dict)
    lake_store: LakeStore | None = None

    @property
    def store(self) -> Store:
        return self.lake_store or FileStore(self.folder / "data")

    def operation(self, name: str = "main", **settings: object) -> Operation:
        """`main` and `near` share a token, `south` has its own."""
        variable = f"WOLKVOX_{name.upper()}_TOKEN"
        self.monkeypatch.setenv(variable, TOKENS[name])
        asked = {
            "name": name,
            "server": "0013",
            "start": self.starts.get(name, START),
            "base_url": self.simulator.url,
            "token_env": variable,
        }
        return Operation.model_validate(asked | settings)

    def site(self, name: str = "main", **settings: object) -> Site:
        operation = self.operation(name, **settings)

        def open_client(asking: Asking) -> WolkvoxClient:
            token = read_token(operation.name, operation.token_env)
            client = Unreadable(Access(operation.name, operation.server, token, operation.base_url), asking)
            client.windows = self.unreadable
            return client

        return Site(operation, self.store, "0badf00d", open_client, self.live, lambda: self.now)

    # What is known before

    def fill(self, first: datetime, last: datetime, operation: str = "main") -> None:
        """As if every window from the first to before the last had been asked when it ended, and were empty."""
        with self.store.transaction() as con:
            con.execute(
                "INSERT INTO agent_9_window_log SELECT $operation, w, w::DATE, 0, 'asked', w + to_minutes(306),"
                " w + to_minutes(306), 'made-up'"
                " FROM range($first::TIMESTAMP, $last::TIMESTAMP, INTERVAL 5 MINUTE) AS t(w)",
                {"operation": operation, "first": first, "last": last},
            )
            had_use_before(con, operation)

    def forget(self, range_: Range) -> None:
        with self.store.transaction() as con:
            con.execute(
                "DELETE FROM agent_9_window_log WHERE window_start >= ? AND window_start < ?",
                [range_.start, range_.end],
            )

    def prove(self, operation: str = "main") -> None:
        """As if it had been found out yesterday that answers add up."""
        with self.store.transaction() as con:
            con.execute(
                "INSERT INTO additivity_proofs VALUES (?, TIMESTAMP '2026-11-17 12:00', true, 'made up', '')",
                [operation],
            )

    # What came of it

    def known(self, operation: str = "main") -> list[datetime]:
        rows = query(
            self.store,
            f"SELECT window_start FROM agent_9_window_log WHERE operation = '{operation}' ORDER BY 1",
        )
        return [row[0] for row in rows if isinstance(row[0], datetime)]

    def open_failures(self, operation: str = "main") -> list[FailedAttempt]:
        with self.store.reading() as con:
            return failed_attempts(con, AGENT_9).get(operation, []) if con else []

    def asked(self, token: str = "token-a") -> list[Range]:
        """The ranges that the server was asked for, in order."""
        seen = [one for one in self.simulator.counters.log if one.api == "agent_9" and one.token == token]
        return [Range(_read(one.date_ini), _read(one.date_end) + timedelta(seconds=1)) for one in seen]


def _read(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%d%H%M%S")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    served = Served(Centre(5, profile="around_the_clock"), tokens=("token-a", "token-b"))
    with Simulator(served) as simulator:
        found = Place(tmp_path, simulator, monkeypatch)
        simulator.api.clock = lambda: found.now
        yield found
