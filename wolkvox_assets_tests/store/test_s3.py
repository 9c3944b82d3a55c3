"""The lake with its data on object storage: an S3 server in a process of its own."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from pydantic import SecretStr

from wolkvox_assets.settings.lake import judged_lake
from wolkvox_assets.store.lake import duck
from wolkvox_assets.store.lake.store import LakeStore
from wolkvox_assets_tests import lakes
from wolkvox_assets_tests.project import ROOT
from wolkvox_assets_tests.store.test_maintenance import put, rows

SERVER = ROOT / ".s3server" / "bin" / "moto_server"


@pytest.fixture
def endpoint() -> Iterator[str]:
    """With the bucket `wolkvox`."""
    if not SERVER.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "no S3 server in .s3server: `make test` installs it"
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [SERVER, "-H", "127.0.0.1", "-p", f"{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 60
        while True:
            try:
                requests.put(
                    f"http://127.0.0.1:{port}/wolkvox",
                    headers={
                        "Authorization": "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request"
                    },
                    timeout=10,
                ).raise_for_status()
                break
            except requests.ConnectionError:
                assert time.monotonic() < until, "the S3 server does not start"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def test_a_lake_on_object_storage(endpoint: str, tmp_path: Path) -> None:
    variables = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": endpoint}
    with lakes.database() as address:
        lake = judged_lake(
            f"ducklake:postgres:{address}", "s3://wolkvox/lake", lambda name: variables.get(name, "")
        )
        assert lake is not None
        assert lake.postgres == SecretStr(address)
        store = LakeStore(tmp_path, lake)
        try:
            put(store, 0, 2000)
            before = rows(store)
            assert store.holdings().files >= 4
            assert not store.maintain().left
            assert rows(store) == before
            assert all(ok for ok, *_ in store.findings())
        finally:
            duck.forget(lake)
