"""The layers: who may import whom, read from the source and seen in a running interpreter."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import wolkvox_assets

ROOT = Path(wolkvox_assets.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, module: str, *, is_package: bool) -> set[str]:
    """Every module this source imports anywhere, in functions as well; of `from a import b` both a and a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                base = package[: len(package) - node.level + 1]
                origin = ".".join([*base, *([origin] if origin else [])])
            found.add(origin)
            found.update(f"{origin}.{alias.name}" for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and node.args
            and isinstance(node.args[0], ast.Constant)
            and ast.unparse(node.func).split(".")[-1]
            in {"import_module", "__import__"}  # last: it takes long
        ):
            found.add(str(node.args[0].value))
    return found


@cache
def all_imports() -> dict[str, set[str]]:
    """Of each module. Not while tests are collected, which each worker does."""
    return {
        name_of(path): imports(path.read_text("utf-8"), name_of(path), is_package=path.name == "__init__.py")
        for path in MODULES
    }


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def layer(*names: str) -> Iterator[tuple[str, str]]:
    """Each (module, what it imports) of these layers."""
    packages = [f"wolkvox_assets.{name}" for name in names]
    for package in packages:
        assert package in all_imports(), f"{package} is not there: this test would look at nothing"
    for module, imported in all_imports().items():
        if within(module, *packages):
            yield from ((module, other) for other in sorted(imported))


def is_dagster(module: str) -> bool:
    return module.split(".")[0].startswith("dagster")


OURS = {name for path in MODULES if (name := name_of(path)).count(".") == 1}
"""The packages and modules right below wolkvox_assets."""


def forbidden(module: str, *allowed: str) -> bool:
    """Whether it is ours, and none of these."""
    return within(module, *(OURS - {f"wolkvox_assets.{name}" for name in allowed}))


def test_the_reader_of_imports_reads_all_kinds() -> None:
    source = (
        "import a.b, c as d\n"
        "from e import f\n"
        "from . import g\n"
        "from .h import i\n"
        "from ..j import k\n"
        "def late():\n    import dagster.x\n    importlib.import_module('l.m')\n"
    )
    assert imports(source, "top.pack.mod", is_package=False) == {
        *("a.b", "c", "e", "e.f", "top.pack", "top.pack.g", "top.pack.h", "top.pack.h.i"),
        *("top.j", "top.j.k", "dagster.x", "l.m"),
    }
    assert "top.pack.h" in imports("from .h import i", "top.pack", is_package=True)
    assert {"wolkvox_assets.api", "wolkvox_assets.store", "wolkvox_assets.definitions"} <= OURS


def test_the_api_knows_neither_dagster_nor_duckdb_nor_what_is_done_with_an_answer() -> None:
    assert [
        pair
        for pair in layer("api")
        if is_dagster(pair[1]) or within(pair[1], "duckdb", "pandas") or forbidden(pair[1], "api", "report")
    ] == []


@pytest.mark.parametrize(("name", "allowed"), [("report", ("report",)), ("sync", ("sync", "report"))])
def test_nothing_but_python(name: str, allowed: tuple[str, ...]) -> None:
    assert [
        (module, other)
        for module, other in layer(name)
        if not within(other, *(f"wolkvox_assets.{one}" for one in allowed))
        and other.split(".")[0] not in sys.stdlib_module_names
    ] == []


def test_the_store_knows_no_dagster() -> None:
    assert [
        pair for pair in layer("store") if is_dagster(pair[1]) or forbidden(pair[1], "store", "api", "report")
    ] == []


def test_the_stand_in_server_shares_nothing_with_what_it_tests() -> None:
    assert [
        pair
        for pair in layer("simulator")
        if is_dagster(pair[1])
        or within(pair[1], "duckdb")
        or within(pair[1], "wolkvox_assets.api", "wolkvox_assets.sync", "wolkvox_assets.store")
    ] == []


def test_what_lies_between_the_layers_knows_no_dagster() -> None:
    between = list(layer("pipeline", "settings", "alerts", "checks", "day_report"))
    assert [pair for pair in between if is_dagster(pair[1])] == []
    assert [
        pair
        for pair in between
        if within(
            pair[1], "wolkvox_assets.orchestration", "wolkvox_assets.definitions", "wolkvox_assets.commands"
        )
    ] == []
    beside = ("wolkvox_assets.alerts", "wolkvox_assets.checks", "wolkvox_assets.day_report")
    assert [pair for pair in layer("pipeline", "settings") if within(pair[1], *beside)] == []


def test_the_code_location_draws_nothing_while_it_loads() -> None:
    program = (
        "import sys, wolkvox_assets.definitions\n"
        "print(*(m for m in sys.modules if m in {'pygal', 'jinja2', 'wolkvox_assets.day_report.files'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["wolkvox_assets.day_report.files"]


def test_what_a_run_does_knows_nothing_of_when_it_is_started() -> None:
    assert [
        pair
        for pair in layer(
            "orchestration.assets", "orchestration.run", "orchestration.checks", "orchestration.location"
        )
        if within(pair[1], "wolkvox_assets.orchestration.automation")
    ] == []


def test_what_dagster_has_no_public_name_for_is_imported_in_one_folder_only() -> None:
    allowed = {
        "wolkvox_assets.orchestration.instance.internals",
        "wolkvox_assets.orchestration.instance.packing",
        "wolkvox_assets.orchestration.instance.partition_keys",
        "wolkvox_assets.orchestration.instance.storage",
    }
    private = ("dagster._core", "dagster._serdes", "dagster._utils", "dagster._daemon", "dagster._cli")
    assert {
        module for module, imported in all_imports().items() for other in imported if within(other, *private)
    } <= allowed


@pytest.mark.parametrize("package", ["wolkvox_assets.api", "wolkvox_assets.sync"])
def test_importing_it_loads_neither_dagster_nor_a_database(package: str) -> None:
    program = (
        f"import sys, {package}\n"
        "unwanted = ('dagster', 'duckdb', 'pandas', 'psycopg2')\n"
        "print(*sorted(m for m in sys.modules if m.startswith((*unwanted, 'wolkvox'))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split()
    assert package in loaded
    assert [m for m in loaded if not m.startswith("wolkvox_assets")] == []


def test_importing_the_store_loads_no_dagster() -> None:
    program = (
        "import sys, wolkvox_assets.store.windows, wolkvox_assets.store.daily, wolkvox_assets.store.requests\n"
        "print(*(m for m in sys.modules if m.startswith('dagster')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert docstring is not None
    assert docstring.strip()
