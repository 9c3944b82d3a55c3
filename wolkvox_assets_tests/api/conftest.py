"""What the tests of the client share: a scripted server, a clock nobody waits for, clients that get closed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from wolkvox_assets.api import Access, Asking, WolkvoxClient, token_lock
from wolkvox_assets_tests.api.scripted import FakeTime, ScriptedServer

TOKEN = 'wv-7f3a9c/b+41e&8d"02'  # with characters that JSON, URLs and pages escape

MakeClient = Callable[..., WolkvoxClient]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def make_client(
    server: ScriptedServer, time: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeClient]:
    # 0.1 s for each of hundreds of clients; test_token_lock.py uses the real number.
    monkeypatch.setattr(token_lock, "_ROUNDS", 1)
    made: list[WolkvoxClient] = []

    def make(**settings: Any) -> WolkvoxClient:
        access = Access("north", "0013", SecretStr(TOKEN), server.url)
        asking = Asking(sleep=time.sleep, now=time.now, clock=time.clock, jitter=lambda: 1.0)
        of_access = {name: settings.pop(name) for name in list(settings) if hasattr(access, name)}
        client = WolkvoxClient(replace(access, **of_access), replace(asking, **settings))
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()
