"""The lake with its data on object storage: the store that `deploy/compose.yaml` names, in a process of its own."""

import json
import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
import pytest
import requests
import yaml
from pydantic import SecretStr

from wolkvox_assets.settings.lake import judged_lake
from wolkvox_assets.store import StoreError
from wolkvox_assets.store.lake import duck
from wolkvox_assets.store.lake.store import LakeStore
from wolkvox_assets_tests import lakes
from wolkvox_assets_tests.project import ROOT
from wolkvox_assets_tests.store.test_maintenance import put, rows

IMAGE = ROOT / ".image" / "bin"
SERVER = IMAGE / "weed"
KEYS = {"accessKey": "key", "secretKey": "secret-7391"}
MAY = ["Admin", "Read", "Write", "List"]


def free_ports() -> list[int]:
    """Four in a row; each has a second one 10,000 above, which the store takes as well."""
    while True:
        first = random.randrange(20_000, 30_000, 4)
        with ExitStack() as held:
            try:
                for port in range(first, first + 4):
                    for each in (port, port + 10_000):
                        held.enter_context(socket.socket()).bind(("127.0.0.1", each))
            except OSError:
                continue
            return list(range(first, first + 4))


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    if not SERVER.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no .image: `make test` makes it")
    master, volume, filer, s3 = free_ports()
    (tmp_path / "objects").mkdir()
    (tmp_path / "keys.json").write_text(
        json.dumps({"identities": [{"name": "wolkvox", "credentials": [KEYS], "actions": MAY}]})
    )
    ports = {"master.port": master, "volume.port": volume, "filer.port": filer, "s3.port": s3}
    # It would listen for two more protocols, at ports that are always the same.
    ports |= {"s3.port.iceberg": 0, "s3.port.lance": 0}
    process = subprocess.Popen(
        [
            *(SERVER, "server", f"-dir={tmp_path / 'objects'}", "-ip=127.0.0.1", "-volume.max=8"),
            *("-s3", f"-s3.config={tmp_path / 'keys.json'}"),
            *(f"-{name}={port}" for name, port in ports.items()),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    address = f"http://127.0.0.1:{s3}"
    try:
        until = time.monotonic() + 60
        while True:
            try:
                requests.get(f"{address}/status", timeout=10).raise_for_status()
                break
            except (requests.ConnectionError, requests.HTTPError):
                assert process.poll() is None, "the S3 server has ended"
                assert time.monotonic() < until, "the S3 server does not start"
                time.sleep(0.1)
        # As `compose.yaml` does it.
        services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
        subprocess.run(
            [IMAGE / "python", *services["buckets"]["command"][1:]],
            env={**os.environ, **variables(address), "AWS_REGION": "us-east-1"},
            check=True,
        )
        yield address
    finally:
        process.kill()
        process.wait()


def variables(endpoint: str, secret: str = KEYS["secretKey"]) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": secret, "AWS_ENDPOINT_URL": endpoint}


@contextmanager
def lake_store(folder: Path, address: str, environment: dict[str, str]) -> Iterator[LakeStore]:
    lake = judged_lake(
        f"ducklake:postgres:{address}", "s3://wolkvox/lake", lambda name: environment.get(name, "")
    )
    assert lake is not None
    assert lake.postgres == SecretStr(address)
    try:
        yield LakeStore(folder, lake)
    finally:
        duck.forget(lake)


def as_the_page_reads(address: str, endpoint: str) -> str:
    """What docs/lake.md shows, but for loading the extensions, in this lake."""
    _, _, shown = (
        (ROOT / "docs" / "lake.md").read_text().partition("LOAD ducklake; LOAD postgres; LOAD httpfs;\n")
    )
    for there, here in {
        "KEY_ID '…'": f"KEY_ID '{KEYS['accessKey']}'",
        "SECRET '…'": f"SECRET '{KEYS['secretKey']}'",
        "objects.example.com:8333": endpoint.removeprefix("http://"),
        "host=db.example.com dbname=wolkvox user=reader": address,
    }.items():
        assert there in shown
        shown = shown.replace(there, here)
    return shown.partition("```")[0]


def test_a_lake_on_object_storage(endpoint: str, tmp_path: Path) -> None:
    with lakes.database() as address:
        with lake_store(tmp_path, address, variables(endpoint)) as store:
            put(store, 0, 2000)
            before = rows(store)
            assert store.holdings().files >= 4
            assert not store.maintain().left
            assert rows(store) == before
            assert all(ok for ok, *_ in store.findings())

        with duckdb.connect() as con:
            for extension in ("ducklake", "postgres_scanner", "httpfs"):
                con.execute(f"LOAD '{duck._file(extension)}'")
            con.execute(as_the_page_reads(address, endpoint))
            read = con.execute("SELECT rowid, * FROM wolkvox.agent_9_windows ORDER BY rowid").fetchall()
            assert read == before[0]

        with lake_store(tmp_path, address, variables(endpoint, "not-the-secret")) as store:
            with pytest.raises(StoreError) as refused:
                put(store, 2000, 4000)
            told = [f"{refused.value}", *(text for ok, *_, text in store.findings() if not ok)]
            assert len(told) > 1
            assert all("not-the-secret" not in each for each in told)

        with lake_store(tmp_path, address, variables(endpoint)) as store:
            assert rows(store) == before
