"""What Dagster's catalogue says of the assets: tables, columns, where they come from, owners, links to the code.

What belongs here: putting it in Dagster's terms. What doesn't: the words for tables (`store/meanings.py`).
"""

import re
import subprocess
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import TypedDict

import dagster as dg

import wolkvox_assets
from wolkvox_assets.orchestration.partitions import windows_key
from wolkvox_assets.settings import Operation, Settings
from wolkvox_assets.store.files import PUBLISHED
from wolkvox_assets.store.meanings import columns, lineage

_PACKAGE = Path(wolkvox_assets.__file__).parent
_GIT_PATIENCE_SECONDS = 5.0

PUBLISHED_FILE = dg.AssetKey("wolkvox_duckdb")
"""The published file, for other people's assets to depend on."""


def table_metadata(
    settings: Settings, operation: Operation, table: str
) -> dict[str, str | dg.TableSchema | dg.TableColumnLineage]:
    """Of an asset that is this operation's rows of this table of the published file.

    Dagster takes assets with one table name for one and the same thing, so the operation is part of it.
    """
    file = settings.lake.data if settings.lake else PurePath(settings.data_dir, PUBLISHED)
    described = (dg.TableColumn(name, kind, description=meaning) for name, kind, meaning in columns(table))
    found: dict[str, str | dg.TableSchema | dg.TableColumnLineage] = {
        "dagster/table_name": f"{file}.main.{table}/operation={operation.name}",
        "dagster/column_schema": dg.TableSchema(list(described)),
    }
    if comes_from := lineage(table, operation.report):
        # Of the definition: in each mark of a day it would cost a kilobyte every five minutes.
        found["dagster/column_lineage"] = dg.TableColumnLineage(
            {
                column: [dg.TableColumnDep(windows_key(operation), source) for source in sources]
                for column, sources in comes_from.items()
            }
        )
    return found


class OfOperation(TypedDict):
    """What all assets of an operation have in common."""

    group_name: str
    owners: list[str]
    tags: dict[str, str]


def of_operation(operation: Operation) -> OfOperation:
    return {"group_name": operation.name, "owners": list(operation.owners), "tags": dict(operation.tags)}


def api_key(operation: Operation) -> dg.AssetKey:
    """The asset key of the operation's report in Wolkvox itself."""
    return dg.AssetKey([operation.name, f"wolkvox_{operation.report.api}"])


def _what_all_read(settings: Settings) -> tuple[str, str]:
    """Its address, and what it is."""
    if lake := settings.lake:
        return lake.data if lake.s3 else Path(lake.data).as_uri(), (
            f"The lake in `{lake.data}`, with the rows of all operations. Each change of the assets before it is a "
            "snapshot, and readers see whole ones."
        )
    file = settings.data_dir / PUBLISHED
    return file.absolute().as_uri(), (
        f"The file `{file}`, which everybody may read, with the rows of all operations. It is published anew, whole, "
        "with each change of the assets before it."
    )


def build_surroundings(settings: Settings, windows_and_days: Iterable[dg.AssetKey]) -> list[dg.AssetSpec]:
    """What is not made here, and belongs in the graph: each operation's report in Wolkvox, and the published file,
    which follows from all of `windows_and_days`.
    """
    reports = [
        dg.AssetSpec(
            api_key(operation),
            kinds={"wolkvox"},
            description=f"The report `{operation.report.api}` of the operation, as {operation.source.address} "
            "answers: one aggregate over any range of time. Wolkvox makes it; nothing here can materialise it.",
            **of_operation(operation),
        )
        for operation in settings.operations
    ]
    uri, words = _what_all_read(settings)
    published = dg.AssetSpec(
        PUBLISHED_FILE,
        deps=list(windows_and_days),
        group_name="published",
        kinds={"duckdb"},
        metadata={"dagster/uri": uri},
        description=f"{words} Assets of your own that read it depend on this one: "
        f'`deps=["{PUBLISHED_FILE.to_user_string()}"]`.',
    )
    return [*reports, published]


def with_links_to_code(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Each asset with the place where it is defined: at the git host of this checkout, if it has one; else the file."""
    remote, commit = _git("remote", "get-url", "origin"), _git("rev-parse", "HEAD")
    page = page_of(remote) if remote else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # each of Dagster's names for it is marked beta
        linked = dg.with_source_code_references(assets)
        # Of other hosts Dagster doesn't know how they address a line.
        if commit and page and any(host in page for host in ("github", "gitlab")):
            here = dg.AnchorBasedFilePathMapping(_PACKAGE / "__init__.py", f"{_PACKAGE.name}/__init__.py")
            linked = dg.link_code_references_to_git(linked, page, commit, here)
    return [one for one in linked if isinstance(one, dg.AssetsDefinition)]


def page_of(remote: str) -> str | None:
    """The address of a repository's page, by that of its remote; never with what may be a password in it."""
    found = re.fullmatch(
        r"(?:(?:https?|ssh|git)://)?(?:[^@/]*@)?([\w-]+(?:\.[\w-]+)+)(?::\d+)?[:/](.+?)(?:\.git)?/?", remote
    )
    return f"https://{found[1]}/{found[2]}" if found else None


def _git(*arguments: str) -> str | None:
    """What git says of the checkout that this package is in; None where it is none, or there is no git."""
    if not (_PACKAGE.parent / ".git").exists():
        return None
    try:
        said = subprocess.run(  # noqa: S603  # fixed words
            ["git", *arguments],  # noqa: S607  # the user's git, wherever it is
            cwd=_PACKAGE,
            capture_output=True,
            text=True,
            timeout=_GIT_PATIENCE_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip() or None
