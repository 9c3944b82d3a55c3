"""The resources: each operation's authenticated client, the store, and the published file for readers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from wolkvox_assets.api import Access, Asking, WolkvoxClient
from wolkvox_assets.orchestration.instance import dead_runs
from wolkvox_assets.settings import ConfigurationProblem, Lake, Operation, Settings, read_lake, read_token
from wolkvox_assets.store import Store, open_store
from wolkvox_assets.store.files import PUBLISHED


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

    def open_client(self, asking: Asking) -> WolkvoxClient:
        """A client, to be closed (`with`). Raises `ConfigurationProblem` where there is no token, or a wrong lake."""
        lake = read_lake()
        token = read_token(self.operation, self.token_env)
        postgres = lake.postgres if lake else None
        return WolkvoxClient(Access(self.operation, self.server, token, self.base_url, postgres), asking)


class StoreResource(dg.ConfigurableResource[None]):
    """What is stored: the DuckDB files in the folder `data_dir`, or the lake whose data lies in `lake`.

    The address of the lake's Postgres is no field: as a token it is read when it is needed.
    """

    data_dir: str
    lake: str | None = None

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Before the run waits for its place in a pool: killed there, it would seem to live for ever, and keep the
        place that it was promised. (Our own storage has it shown from the first moment on.)"""
        if context.instance is not None and context.run is not None:
            dead_runs.show_alive(context.instance, context.run.run_id)

    @property
    def store(self) -> Store:
        """Raises `ConfigurationProblem` where the lake can't be had by what is set now."""
        return open_store(Path(self.data_dir), _still_set(self.lake) if self.lake else None)


class LakeDuckDBResource(DuckDBResource):
    """A DuckDB with the lake attached for reading, in the form that readers of a DuckDB file know."""

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Its tables need no other name. Raises `ConfigurationProblem`, and `StoreError`."""
        lake = _still_set(self.database)
        from wolkvox_assets.store.lake.store import reader  # needs the extra `scale`

        with reader(lake) as con:
            yield con


def _still_set(data: str) -> Lake:
    """The lake with its data there. Raises `ConfigurationProblem` where another one, or none, is set by now: what is
    stored would go elsewhere."""
    lake = read_lake()
    if lake is None or lake.data != data:
        raise ConfigurationProblem(
            f"WOLKVOX_STORE and WOLKVOX_STORE_DATA no longer name the lake in {data}, as they did when the code "
            "location was loaded. Nothing was changed. Correct them, or reload the code location."
        )
    return lake


def wolkvox_key(operation: Operation) -> str:
    """The resource key of this operation's client."""
    return f"wolkvox_{operation.name}"


def build_resources(settings: Settings) -> dict[str, dg.ConfigurableResource[object] | DuckDBResource]:
    """Every resource of the code location.

    `duckdb` is the published file, or the lake, read-only: for anyone's own assets downstream. Ours go through `store`.
    """
    lake = settings.lake
    return {
        "store": StoreResource(data_dir=str(settings.data_dir), lake=lake.data if lake else None),
        "duckdb": LakeDuckDBResource(database=lake.data)
        if lake
        else DuckDBResource(
            database=str(settings.data_dir / PUBLISHED), connection_config={"access_mode": "READ_ONLY"}
        ),
        **{wolkvox_key(operation): WolkvoxResource.of(operation) for operation in settings.operations},
    }
