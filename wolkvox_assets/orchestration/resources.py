"""The resources: each operation's authenticated client, the store, and the published file for readers.

What belongs here: turning settings into things that assets use. What doesn't: what assets do with them.
"""

from pathlib import Path

import dagster as dg
from dagster_duckdb import DuckDBResource

from wolkvox_assets.api import WolkvoxClient
from wolkvox_assets.pipeline.reconcile import Client
from wolkvox_assets.settings import Operation, Settings, read_token
from wolkvox_assets.store import Store


class WolkvoxResource(dg.ConfigurableResource[None]):
    """The authenticated client of one operation.

    The token is no field: it is read from the variable that `token_env` names when a client is opened,
    so that neither run config nor the UI can show it.
    """

    operation: str
    server: str
    token_env: str
    base_url: str | None

    @classmethod
    def of(cls, operation: Operation) -> "WolkvoxResource":
        return cls(
            operation=operation.name,
            server=operation.server,
            token_env=operation.token_env,
            base_url=operation.base_url,
        )

    def open_client(self, wanted: Client) -> WolkvoxClient:
        """A client, to be closed (`with`). Raises `ConfigurationProblem` where there is no token."""
        return WolkvoxClient(
            operation=self.operation,
            server=self.server,
            token=read_token(self.operation, self.token_env),
            base_url=self.base_url,
            on_request=wanted.on_request,
            sleep=wanted.sleep,
            retry=wanted.retry,
            urgent=wanted.urgent,
            now=wanted.now,
        )


class StoreResource(dg.ConfigurableResource[None]):
    """The DuckDB files, in the folder `data_dir`."""

    data_dir: str

    @property
    def store(self) -> Store:
        return Store(Path(self.data_dir))


def wolkvox_key(operation: Operation) -> str:
    """The resource key of this operation's client."""
    return f"wolkvox_{operation.name}"


def build_resources(settings: Settings) -> dict[str, dg.ConfigurableResource[object] | DuckDBResource]:
    """Every resource of the code location.

    `duckdb` is the published file, read-only: for anyone's own assets downstream. Ours go through `store`.
    """
    store = Store(settings.data_dir)
    return {
        "store": StoreResource(data_dir=str(settings.data_dir)),
        "duckdb": DuckDBResource(
            database=str(store.published), connection_config={"access_mode": "READ_ONLY"}
        ),
        **{wolkvox_key(operation): WolkvoxResource.of(operation) for operation in settings.operations},
    }
