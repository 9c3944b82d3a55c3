"""Runs `reconcile` against a model server and a model store, and checks what must hold of every run."""

from collections.abc import Sequence
from datetime import datetime

from wolkvox_assets.report.windows import Range
from wolkvox_assets.sync import Additivity, Source, reconcile
from wolkvox_assets_tests.sync.model import LATER, Interrupted, Server, Store, truth_of


def run(
    ranges: Sequence[Range],
    server: Server,
    store: Store,
    additivity: Additivity = Additivity.PROVED,
    *,
    settled_before: datetime = LATER,
    seed: int = 7,
    direct: bool = False,
) -> int:
    """One run to its end; returns its requests, and fails if what is stored isn't the truth afterwards."""
    before = server.requests
    steps = reconcile(
        ranges,
        ask=server,
        stored=store,
        settled_before=settled_before,
        additivity=additivity,
        seed=seed,
        direct=direct,
    )
    for step in steps:
        store.apply(step)
    truth = truth_of(server, ranges)
    assert truth.keys() <= store.settled_now(), "every window is in a step"
    content = store.content()
    wrong = [window for window, agents in truth.items() if content[window] != agents]
    assert not wrong
    return server.requests - before


def run_interrupted(
    ranges: Sequence[Range],
    server: Server,
    store: Store,
    additivity: Additivity = Additivity.PROVED,
    seed: int = 7,
) -> bool:
    """A run in which the server may break; whether it did. What was yielded before it is stored."""
    steps = reconcile(
        ranges, ask=server, stored=store, settled_before=LATER, additivity=additivity, seed=seed
    )
    try:
        for step in steps:
            store.apply(step)
    except Interrupted:
        return True
    return False


def no_derived(store: Store, r: Range) -> bool:
    return Source.DERIVED not in store.sources(r)
