"""Runs `Sync` against a model server and a model store, and checks what must hold of every run."""

from collections.abc import Sequence
from datetime import datetime

from wolkvox_assets.report.windows import Range
from wolkvox_assets.sync import Additivity, Source, Sync
from wolkvox_assets_tests.sync.model import LATER, Interrupted, Server, Store, truth_of


def run(
    ranges: Sequence[Range],
    server: Server,
    store: Store,
    additivity: Additivity = Additivity.PROVED,
    *,
    settled_before: datetime = LATER,
    seed: int = 7,
) -> int:
    """One run to its end; returns its requests, and fails if what is stored isn't the truth afterwards."""
    before = server.requests
    steps = Sync(store, settled_before, seed).reconcile(ranges, server, additivity)
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
    steps = Sync(store, LATER, seed).reconcile(ranges, server, additivity)
    try:
        for step in steps:
            store.apply(step)
    except Interrupted:
        return True
    return False


def no_derived(store: Store, r: Range) -> bool:
    return Source.DERIVED not in store.sources(r)
