"""The lock in Postgres: what becomes of it when connections, processes, Postgres and its clock fail.

Two addresses that differ in a word of no consequence are two connections, as those of two machines.
"""

import hashlib
import logging
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest
from pydantic import SecretStr

from wolkvox_assets.api import LockUnreachable, WolkvoxClient, postgres_lock, token_lock
from wolkvox_assets.api.token_lock import TokenLock
from wolkvox_assets_tests.api.conftest import TOKEN, MakeClient
from wolkvox_assets_tests.api.scripted import Reply, ScriptedServer, answer
from wolkvox_assets_tests.postgres import Cluster

Ask = Callable[[str], list[tuple[object, ...]]]
TOKEN_INFO = answer(
    {
        "description": "x",
        "token_limit": "9",
        "token_use_today": "1",
        "all_token_today": "1",
        "available_consumption_options": "8",
    }
).body
LEASES = "SELECT count(*) FROM wolkvox_assets.token_leases"
ADVISORY = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
BREAK_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'machine%'"


@pytest.fixture
def ask(postgres_cluster: Cluster, postgres_address: str) -> Ask:
    """The rows of a statement, by a connection of its own."""
    return lambda statement: postgres_cluster.ask(statement, postgres_address.rpartition("=")[2])


@pytest.fixture
def stoppable(postgres_cluster: Cluster) -> Iterator[Cluster]:
    """Runs again at the end, whatever became of the test."""
    yield postgres_cluster
    if not postgres_cluster.runs:
        postgres_cluster.start()


def number(rows: list[tuple[object, ...]]) -> object:
    ((value,),) = rows
    return value


@pytest.fixture
def lock_of(postgres_address: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., TokenLock]:
    monkeypatch.setattr(token_lock, "_ROUNDS", 1)

    def lock_of(machine: int, *, urgent: bool = False, token: str = TOKEN) -> TokenLock:
        address = SecretStr(f"{postgres_address} application_name=machine{machine}")
        return TokenLock(SecretStr(token), f"machine {machine}", urgent=urgent, postgres=address)

    return lock_of


LockOf = Callable[..., TokenLock]


@contextmanager
def waiting(lock: TokenLock, seconds: float = 60) -> Iterator[threading.Event]:
    """Somebody who waits for it, in a thread. The event: it has been had, and let go of."""
    had = threading.Event()

    def wait() -> None:
        with lock.held(seconds):
            had.set()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(wait)
        yield had
        future.result(20)


def took(lock: TokenLock, seconds: float = 60) -> float:
    """How long it took until it was held."""
    began = time.monotonic()
    with lock.held(seconds):
        return time.monotonic() - began


def test_one_process_has_it_once_whoever_in_it_asks(lock_of: LockOf) -> None:
    """Postgres gives a lock to the connection that has it already."""
    with ExitStack() as others, lock_of(1).held(60):
        patient = others.enter_context(waiting(lock_of(1)))
        urgent = others.enter_context(waiting(lock_of(1, urgent=True)))
        assert not urgent.wait(0.2)
        assert not patient.is_set()


def test_nothing_is_left_behind_and_a_lease_stands_only_for_a_request(lock_of: LockOf, ask: Ask) -> None:
    with lock_of(1).held(60):
        assert (number(ask(LEASES)), number(ask(ADVISORY))) == (1, 1)
    with lock_of(1, urgent=True).held(60):
        assert (number(ask(LEASES)), number(ask(ADVISORY))) == (1, 2)
    assert (number(ask(LEASES)), number(ask(ADVISORY))) == (0, 0)


def test_requests_are_counted_in_their_order_on_all_machines(lock_of: LockOf) -> None:
    begun = []
    for machine in (1, 2, 1):
        with lock_of(machine).held(60) as moment:
            begun.append(moment)
    assert begun == sorted(set(begun))
    assert len({moment.clock for moment in begun}) == 1


def test_postgres_is_told_nothing_of_the_token_that_is_quick_to_guess(lock_of: LockOf, ask: Ask) -> None:
    with lock_of(1, urgent=True).held(60):
        rows = f"{ask('SELECT * FROM wolkvox_assets.token_leases')} {ask('SELECT * FROM pg_locks')}"
        key = number(ask("SELECT lock FROM wolkvox_assets.token_leases"))
    assert str(key) in rows
    assert TOKEN[:4] not in rows
    for name in ("md5", "sha1", "sha256"):
        digest = hashlib.new(name, TOKEN.encode()).digest()
        assert key not in {int.from_bytes(digest[:8], signed=True), int.from_bytes(digest[-8:], signed=True)}


def test_many_who_come_first_make_the_table_once(lock_of: LockOf) -> None:
    for _ in range(3):
        together = threading.Barrier(8)

        def first(machine: int, together: threading.Barrier = together) -> float:
            lock = lock_of(machine, token=f"token-{machine}")
            together.wait()
            return took(lock)

        with ThreadPoolExecutor(8) as pool:
            assert max(pool.map(first, range(8))) < 10


def test_a_connection_that_breaks_lets_nobody_in_before_the_answer(lock_of: LockOf, ask: Ask) -> None:
    with ExitStack() as others:
        with lock_of(1).held(60):
            urgent = others.enter_context(waiting(lock_of(2, urgent=True)))
            patient = others.enter_context(waiting(lock_of(3)))
            for _ in range(2):
                time.sleep(0.1)
                assert ask(BREAK_ALL)
                assert not urgent.wait(0.3)
                assert not patient.is_set()
                # Its own process goes on with other tokens, by a new connection; with this one it has to wait, too.
                assert took(lock_of(1, token="another")) < 20
            own = others.enter_context(waiting(lock_of(1)))
            assert not own.wait(0.1)
        # Nobody waits for the rest of the minute once the answer is there.
        assert urgent.wait(20)
    assert (number(ask(LEASES)), number(ask(ADVISORY))) == (0, 0)


def test_what_is_urgent_goes_first_also_after_its_connection_broke(lock_of: LockOf, ask: Ask) -> None:
    order: list[int] = []

    def turn(machine: int, *, urgent: bool) -> None:
        with lock_of(machine, urgent=urgent).held(60):
            order.append(machine)
            time.sleep(0.1)

    with ThreadPoolExecutor(7) as pool, lock_of(1).held(60):
        for machine in range(2, 8):
            pool.submit(turn, machine, urgent=False)
        pool.submit(turn, 8, urgent=True)
        time.sleep(0.2)
        ask(BREAK_ALL)
        time.sleep(1.5)  # its lane is taken again before the lock is free
    assert order[0] == 8
    assert len(order) == 7


@pytest.mark.parametrize("set_back", [timedelta(hours=1), timedelta(0), timedelta(hours=-1)])
def test_no_clock_makes_a_lease_longer(set_back: timedelta, lock_of: LockOf, ask: Ask) -> None:
    """Of a killed process; Postgres's clock has been set since, or a backup was restored."""
    with lock_of(1).held(60):
        key = number(ask("SELECT lock FROM wolkvox_assets.token_leases"))
    lasts = 60 if set_back < timedelta(0) else 0.5
    until = f"clock_timestamp() + interval '{lasts} s' + interval '{set_back.total_seconds()} s'"
    ask(f"INSERT INTO wolkvox_assets.token_leases VALUES ({key}, 'killed', {until}, {lasts})")
    waited = took(lock_of(2, urgent=True))
    if set_back < timedelta(0):
        assert waited < 30  # it is long over
    else:
        assert 0.45 < waited < 30
    assert number(ask(LEASES)) == 0


def test_the_wait_for_a_lost_process_is_said(
    lock_of: LockOf, ask: Ask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_lock, "SAY_SO_AFTER_SECONDS", 0.1)
    with lock_of(1).held(60):
        key = number(ask("SELECT lock FROM wolkvox_assets.token_leases"))
    lease = f"({key}, 'host-a process 7 x', clock_timestamp() + interval '2 s', 2)"
    ask(f"INSERT INTO wolkvox_assets.token_leases VALUES {lease}")
    took(lock_of(2))
    assert (
        "its turn to make a request: a request of host-a process 7 may be on its way for another"
        in caplog.text
    )


def test_who_uses_the_token_is_said_to_who_waits(
    lock_of: LockOf, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_lock, "SAY_SO_AFTER_SECONDS", 0.1)
    with ExitStack() as others, lock_of(1).held(60):
        others.enter_context(waiting(lock_of(2)))
        until = time.monotonic() + 10
        while "waited" not in caplog.text and time.monotonic() < until:
            time.sleep(0.05)
    us = f"{socket.gethostname()} process {os.getpid()} uses the token, for a request since 20"
    assert f"for its turn to make a request: {us}" in caplog.text
    assert caplog.text.count("It goes on by itself") == 1


def test_a_database_that_ends_idle_connections_does_not_end_these(
    lock_of: LockOf, ask: Ask, postgres_address: str
) -> None:
    """A connection is idle while the API answers."""
    ask(f"ALTER DATABASE {postgres_address.rpartition('=')[2]} SET idle_session_timeout = '200ms'")
    with lock_of(1).held(60):
        time.sleep(0.5)
        assert number(ask(ADVISORY)) == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_postgres_is_away_while_the_answer_comes(
    how: signal.Signals,
    lock_of: LockOf,
    ask: Ask,
    stoppable: Cluster,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert took(lock_of(2)) < 20
    with ExitStack() as others:
        with lock_of(1).held(60):
            stoppable.stop(how)
            other = others.enter_context(waiting(lock_of(2, urgent=True)))
            with caplog.at_level(logging.WARNING):
                time.sleep(0.1)
        assert "The answer is there, but Postgres can't be told" in caplog.text
        assert "The token's lock in Postgres cannot be taken now" in caplog.text
        stoppable.start()
        # The lease outlived it; whose it was takes it back as soon as it speaks with Postgres again.
        assert not other.wait(1)
        assert took(lock_of(1, token="another")) < 20
        assert other.wait(20)
    assert (number(ask(LEASES)), number(ask(ADVISORY))) == (0, 0)


def test_postgres_starts_again_and_again_and_no_two_requests_meet(
    server: ScriptedServer, make_client: MakeClient, postgres_address: str, stoppable: Cluster
) -> None:
    """Each answer is had, and nobody waits for a lease that its own process knows to be over."""
    clients = [
        make_client(
            clock=time.monotonic,
            sleep=time.sleep,
            urgent=machine == 0,
            lock_postgres=SecretStr(f"{postgres_address} application_name=machine{machine}"),
        )
        for machine in range(4)
    ]

    def asks(client: WolkvoxClient) -> int:
        for _ in range(25):
            client.token_info()
        return 25

    quick, slow = Reply(body=TOKEN_INFO, delay=0.01), Reply(body=TOKEN_INFO, delay=1.2)
    server.script = [*[quick] * 19, slow, *[quick] * 39, slow, quick]
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(asks, client) for client in clients]
        for how, slow_one in ((signal.SIGINT, 20), (signal.SIGQUIT, 60)):
            while len(server.seen) < slow_one:
                time.sleep(0.01)
            stoppable.stop(how)
            stoppable.start()
        assert sum(each.result(60) for each in asked) == 100
    assert len(server.seen) == 100
    assert server.most_in_flight == 1


def test_without_postgres_nothing_is_sent_and_the_password_is_not_said(
    server: ScriptedServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_lock, "GIVE_UP_SECONDS", 0.6)
    address = SecretStr("postgresql://wolkvox:sekret@127.0.0.1:1/sekret-db")
    with pytest.raises(
        LockUnreachable,
        match=r"Nothing listens there: .*port 1 failed: Connection refused\)\. .*WOLKVOX_STORE",
    ) as raised:
        make_client(lock_postgres=address, sleep=time.sleep).token_info()
    assert server.seen == []
    assert "sekret" not in "".join(traceback.format_exception(raised.value))


def test_who_may_not_make_the_table_is_told_so_at_once(
    postgres_cluster: Cluster, postgres_address: str, ask: Ask
) -> None:
    role = f"reader_{postgres_address[-8:]}"
    ask(f"CREATE ROLE {role} LOGIN")
    try:
        address = SecretStr(f"{postgres_address} user={role}")
        with pytest.raises(LockUnreachable, match="Permission denied for database"):
            took(TokenLock(SecretStr(TOKEN), "north", postgres=address))
    finally:
        ask(f"DROP ROLE {role}")


def test_a_pooler_that_changes_connections_is_refused(
    lock_of: LockOf, postgres_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By it two processes are given one lock: Postgres takes them for one."""
    rows = postgres_lock._Session.rows

    def by_another(
        session: postgres_lock._Session, statement: str, *values: dict[str, object]
    ) -> list[tuple[object, ...]]:
        found = rows(session, statement, *values)
        return [(-1, *found[0][1:])] if "try_advisory" in statement else found

    monkeypatch.setattr(postgres_lock._Session, "rows", by_another)
    with pytest.raises(LockUnreachable, match="pgbouncer"):
        took(lock_of(1))
