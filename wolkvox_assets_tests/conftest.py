"""What every test gets: an environment of its own, and nothing left behind; and the order that ends soonest.

What belongs here: isolation, order. What doesn't: fixtures of one folder's tests (they stand there).
"""

import gc
import multiprocessing.util
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from hashlib import sha256
from itertools import islice
from pathlib import Path

import hypothesis
import pytest
from dagster._utils import schedules
from sqlalchemy import Engine, NullPool, create_engine

from wolkvox_assets.report.reports import AGENT_9, REPORTS
from wolkvox_assets.store import Store, replacing, schema, versions
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.lake.place import Lake
from wolkvox_assets.store.lake.store import LakeStore
from wolkvox_assets_tests import ALL_REPORTS, lakes, postgres

# How long one example takes says what else the machine does.
hypothesis.settings.register_profile("patient", parent=hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.hookimpl(trylast=True)  # when they have been shuffled
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Those first that take long, of each worker's share, which is a stretch of all. Begun last, one would run alone on
    one core; and all in one share would run one after the other."""
    workers: int = getattr(config, "workerinput", {}).get("workercount", 1)
    takes_long = [item for item in items if item.get_closest_marker("long") is not None]
    others = iter([item for item in items if item.get_closest_marker("long") is None])
    left, in_order = len(items), list[pytest.Item]()
    for worker in range(workers):
        size = left // (workers - worker)
        share = takes_long[worker::workers]
        in_order += [*share, *islice(others, max(0, size - len(share)))]
        left -= size
    items[:] = in_order


def pytest_collection_finish() -> None:
    """What has been imported stays: looking through it for garbage again and again took a tenth of the time."""
    gc.freeze()


def _no_settings(patch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("WOLKVOX_", "DAGSTER_")):
            patch.delenv(name)
    patch.setenv("DAGSTER_DISABLE_TELEMETRY", "1")
    patch.setenv("DAGSTER_EVENT_BATCH_SIZE", "300")  # as our storage sets it when it is imported


@pytest.fixture(autouse=True, scope="session")
def settings_of_nobody() -> Iterator[None]:
    """For what several tests share."""
    with pytest.MonkeyPatch.context() as patch:
        _no_settings(patch)
        yield


@pytest.fixture
def with_all_reports() -> Iterator[None]:
    REPORTS[:] = ALL_REPORTS
    yield
    REPORTS[:] = [AGENT_9]


@pytest.fixture(autouse=True, scope="session")
def empty_stores_are_copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Making one takes 0.1 s of CPU, half of what most tests take. Other processes make theirs, as users' do."""
    kept, make = tmp_path_factory.mktemp("empty"), replacing.create

    def create(own: Path) -> None:
        empty = kept / sha256(f"{versions.VERSION} {schema.schema()}".encode()).hexdigest()
        if not empty.exists():
            make(own)
            shutil.copyfile(own, empty)
            return
        with replacing._put_in_place(own) as new:
            shutil.copyfile(empty, new)
            new.chmod(0o600)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replacing, "create", create)
        yield


@pytest.fixture(autouse=True, scope="session")
def sockets_have_short_paths() -> str:
    """Of the process that `forked.py` forks from: those of a test's own folder are longer than a socket's may be.
    Returns the folder that they are in."""
    return multiprocessing.util.get_temp_dir()


@pytest.fixture(autouse=True, scope="session")
def dagster_remembers() -> Iterator[None]:
    """In this process: a quarter of what a run takes here. Other processes do as Dagster does."""
    storages = "dagster._core.storage"
    engines = lru_cache(64)(
        lambda url, options: create_engine(url, poolclass=NullPool, connect_args=dict(options))
    )

    def engine(
        url: str, poolclass: type[NullPool], connect_args: Mapping[str, float] | None = None
    ) -> Engine:
        assert poolclass is NullPool  # each use of an engine connects anew
        return engines(url, frozenset((connect_args or {}).items()))

    with pytest.MonkeyPatch.context() as patch:
        # An engine for each query, which compiles all SQL once more.
        for kind in ("event_log.sqlite.sqlite_event_log", "runs.sqlite.sqlite_run_storage"):
            patch.setattr(f"{storages}.{kind}.create_engine", engine)
        # A thousand ticks of the cron of each freshness policy.
        interval = "dagster._core.definitions.freshness.get_smallest_cron_interval"
        patch.setattr(interval, cache(schedules.get_smallest_cron_interval))
        yield


@pytest.fixture(autouse=True)
def environment_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the person who runs the tests, and their token locks not among ours."""
    _no_settings(monkeypatch)
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.chdir(folder)  # nor their .env


@pytest.fixture
def no_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what looks at no page and no picture: they take longer than many a run's other work."""
    monkeypatch.setattr("wolkvox_assets.day_report.drawing.Reports.pictures", lambda *_: {})
    monkeypatch.setattr("wolkvox_assets.day_report.drawing.Reports.pages", lambda *_, **__: None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    kinds = getattr(metafunc.module, "STORES", None)
    if kinds and "store" in metafunc.fixturenames:
        # Of a test that has cases, the SQL is the same in each.
        marks = map(metafunc.definition.get_closest_marker, ("parametrize", "in_files"))
        metafunc.parametrize("store", kinds[:1] if any(marks) else kinds, indirect=True)


@pytest.fixture(scope="session")
def one_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """Of this worker."""
    with lakes.new_lake(tmp_path_factory.mktemp("lake")) as lake:
        yield lake


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Not there yet: the store makes it."""
    return tmp_path / "deep" / "data"


@pytest.fixture
def lake_store(data_dir: Path, one_lake: Lake) -> LakeStore:
    """With no row in it."""
    store = LakeStore(data_dir, one_lake)
    lakes.empty(store)
    return store


@pytest.fixture
def store(request: pytest.FixtureRequest, data_dir: Path) -> Store:
    """In files, and for tests that run on both in the lake, too."""
    if getattr(request, "param", "files") == "lake":
        store: Store = request.getfixturevalue("lake_store")
        return store
    return FileStore(data_dir)


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """As if another process went on: this one no longer knows what it has found in a lake."""
    return lambda: monkeypatch.setattr("wolkvox_assets.store.lake.store._complete", set())


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[postgres.Cluster]:
    """A Postgres of our own: the tests may stop it."""
    with postgres.cluster() as running:
        yield running


@pytest.fixture
def postgres_address(postgres_cluster: postgres.Cluster) -> Iterator[str]:
    """An empty database in it, as libpq takes it."""
    with postgres_cluster.database() as address:
        yield address
