"""README and `docs/` say what the code does: every name is there, none is made up, queries give what they show.

What belongs here: holding the pages against the code and against each other. What doesn't: whether their sentences
are true, which the other tests show.
"""

import argparse
import ast
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, get_args

import duckdb
import pytest
import requests
from click import Command, Group
from dagster._cli import create_dagster_cli
from dotenv import dotenv_values

from wolkvox_assets.api import WolkvoxError
from wolkvox_assets.commands import cli
from wolkvox_assets.definitions import build_definitions
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.settings import Operation, environment, load_settings
from wolkvox_assets.simulator import Simulator, serve
from wolkvox_assets.simulator.answers import QUIRKS
from wolkvox_assets.simulator.centre import Counting, Profile, Use
from wolkvox_assets.simulator.faults import KINDS
from wolkvox_assets.store.attempts import Work
from wolkvox_assets.store.meanings import meanings
from wolkvox_assets.store.schema import schema, views
from wolkvox_assets_tests.project import ROOT, Project

DEMO_DAY = date(2026, 11, 23)
"""The day of the demo's output and of the queries: the simulator's days are the same everywhere."""

SPANISH = (
    "README",
    "settings",
    "backfills",
    "failures",
    "tables",
    "checks",
    "reports",
    "running",
    "lake",
    "scale",
)
"""The pages that there are in Spanish, too."""


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def english() -> list[Path]:
    return [page for page in pages() if page.parent.name != "es"]


def text(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    body: str


def blocks(page: Path) -> list[Block]:
    assert page.read_text().count("```") % 2 == 0, f"{page}: a block has no end"
    return [
        Block(*found)
        for found in re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    ]


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def section(page: str, heading: str) -> str:
    found = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)",
        text(page),
        re.DOTALL | re.MULTILINE,
    )
    assert found, f"{page} has no heading {heading!r}"
    return found[1]


def rows(markdown: str) -> list[list[str]]:
    """Of the tables in it, without their heads."""
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE):
        found += [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
            for line in table.splitlines()[2:]
        ]
    return found


def names(markdown: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`\n]+)`", markdown)


def first_cells(markdown: str) -> list[str]:
    return [name for row in rows(markdown) for name in names(row[0])]


# The pages among themselves


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def anchors(page: Path) -> set[str]:
    """As git hosts make them of headings."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.S | re.M), re.M
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere() -> None:
    astray = []
    for page in [*pages(), ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            if re.match(r"https?://", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            if not file.is_file() or (anchor and anchor not in anchors(file)):
                astray.append(f"{page.relative_to(ROOT)}: {target}")
    assert astray == []


def test_every_page_and_picture_is_linked_and_pictures_are_small() -> None:
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in pages()
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page))
    }
    assert [page for page in pages() if page.resolve() not in linked and page != ROOT / "README.md"] == []
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert [one for one in pictures if one.resolve() not in linked or one.stat().st_size > 150_000] == []


# Settings


def variables() -> dict[str, str | None]:
    """All that can be set, and the default; None where there is none."""
    fields = Operation.model_fields.items()
    operation = {name: field.default for name, field in fields if not field.is_required() and field.default}
    found: dict[str, str | None] = {"WOLKVOX_TOKEN": None, "WOLKVOX_ALERT_WEBHOOK": None}
    for name, field in environment._Environment.model_fields.items():
        default = field.default or operation.get("name" if name == "operation" else name)
        found[f"WOLKVOX_{name.upper()}"] = None if default in (None, ()) else str(default)
    found["WOLKVOX_OPERATIONS"] = str(environment.OPERATIONS_FILE)
    return found


def test_variables_are_those_of_the_code_with_their_defaults() -> None:
    told = {}
    for row in rows(section("settings.md", "All variables")):
        default = names(row[2])
        told[names(row[0])[0]] = default[0] if default else None
    assert told == variables()


def test_no_page_names_a_variable_that_means_nothing() -> None:
    files = [*pages(), ROOT / ".env.example", ROOT / "operations.example.toml", ROOT / "CHANGELOG.md"]
    examples = "".join(
        file.read_text()
        for file in (ROOT / "examples").rglob("*.*")
        if file.is_file() and file.suffix != ".pyc"
    )
    known = {*variables(), *re.findall(r"WOLKVOX_[A-Z_]+[A-Z]", examples)}
    assert {
        name
        for file in files
        for name in re.findall(r"WOLKVOX_[A-Z_]+[A-Z]", file.read_text())
        if name not in known and not name.startswith("WOLKVOX_TOKEN_")
    } == set()


def test_env_example_has_every_variable() -> None:
    example = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^(?:# )?(WOLKVOX_\w+)=", example, re.MULTILINE))
    assert named - {"WOLKVOX_TOKEN_NORTH"} == set(variables())
    assert set(dotenv_values(ROOT / ".env.example")) == {"WOLKVOX_SERVER", "WOLKVOX_TOKEN", "WOLKVOX_START"}


def test_fields_of_operations_toml_are_those_of_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = section("settings.md", "Several operations")
    fields = set(Operation.model_fields) - {"name"}
    words = re.findall(r"^(\w+) = ", told, re.MULTILINE) + [re.split(" = ", name)[0] for name in names(told)]
    assert fields - set(words) == set()
    # With all of them in it, the example is one operation without a mistake.
    (block,) = (one.body for one in blocks(ROOT / "docs" / "settings.md") if one.language == "toml")
    file = tmp_path / "operations.toml"
    extra = [name for name in names(told) if " = " in name]
    assert len(extra) == 2
    file.write_text(block + "\n".join(extra))
    monkeypatch.setenv("WOLKVOX_OPERATIONS", str(file))
    monkeypatch.setenv("WOLKVOX_TOKEN_NORTH", "x")
    settings = load_settings()
    assert settings.problems == ()
    assert [operation.name for operation in settings.operations] == ["north"]


# Commands


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {
        option for action in parser._actions for option in action.option_strings if option[:2] == "--"
    } - {"--help"}


@pytest.fixture
def subcommands(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Of `wolkvox-assets`, with their options."""
    found: dict[str, argparse.ArgumentParser] = {}
    add_parser = argparse._SubParsersAction.add_parser

    def noted(self: object, name: str, **settings: object) -> argparse.ArgumentParser:
        found[name] = add_parser(self, name, **settings)  # type: ignore[arg-type]
        return found[name]

    monkeypatch.setattr(argparse._SubParsersAction, "add_parser", noted)
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    return {name: options(parser) for name, parser in found.items()}


def command_lines(pages: list[Path]) -> Iterator[str]:
    """What a person would type: in blocks and in backticks."""
    for page in pages:
        for block in blocks(page):
            if block.language in ("console", "sh", "ini"):
                body = block.body.replace("\\\n", " ")
                for line in body.splitlines():
                    if block.language != "console" or line.startswith("$ "):
                        yield line.removeprefix("$ ").removeprefix("ExecStart=").strip()
        yield from names(prose(page))


def test_subcommands_are_those_of_the_code(subcommands: dict[str, set[str]]) -> None:
    told: dict[str, set[str]] = {}
    for line in command_lines(pages()):
        if found := re.search(r"(?:^|/|\s)wolkvox-assets (\w+)(.*)", line):
            told.setdefault(found[1], set()).update(re.findall(r"--[a-z-]+", found[2]))
    # These options stand in words and tables of their own.
    for command in ("status", "doctor"):
        told[command] |= {"--json"} & set(names(section("settings.md", f"`wolkvox-assets {command}`")))
    told["simulate"] |= {
        found for name in first_cells(text("simulator.md")) for found in re.findall(r"--[a-z-]+", name)
    }
    assert told == subcommands


def test_make_targets_are_those_of_the_makefile() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    told = {
        found
        for line in command_lines(pages())
        if line.startswith("make ")
        for found in re.findall(r"\s([a-z]+)\b(?!\S)", line.split("#")[0])
    }
    assert told == set(phony.split()) - {"help"}


def test_programs_and_their_options_exist() -> None:
    missing = []
    for line in command_lines(pages()):
        for program, rest in re.findall(r"\.venv/bin/([\w-]+)((?:\s.*)?)", line):
            if not (Path(sys.executable).parent / program).exists():
                missing.append(f"no program: {line}")
            if program != "dagster":
                continue
            command: Command = create_dagster_cli()  # type: ignore[no-untyped-call]
            arguments = shlex.split(rest.split("#")[0])
            while isinstance(command, Group):
                word = arguments.pop(0)
                found = command.commands.get(word)
                assert found is not None, f"dagster has no {word}: {line}"
                command = found
            known = {option for parameter in command.params for option in parameter.opts}
            missing += [f"{one}: {line}" for one in arguments if one[0] == "-" and one not in known]
    assert missing == []


# Tables


@pytest.mark.usefixtures("with_all_reports")
def test_tables_views_and_columns_are_those_of_the_file() -> None:
    four = ["hold_mute_count", "hold_seconds", "mute_seconds", "total_seconds"]
    told: dict[str, set[str]] = {}
    for heading in ("All tables", "Views"):
        for name, _, listed in rows(section("tables.md", heading)):
            named = names(listed) + (four if "the four numbers" in listed else [])
            assert len(named) == len(set(named)), f"{name} has a column twice"
            told[names(name)[0]] = set(named)
    real: dict[str, set[str]] = {}
    with duckdb.connect() as con:
        con.execute(schema() + views())
        for table, column in con.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'main' AND NOT internal"
        ).fetchall():
            real.setdefault(table, set()).add(column)
    without = {table for table, columns in real.items() if "operation" not in columns}
    assert without == {"store_rewrites", "schema_version"}
    assert told == {table: columns - {"operation"} for table, columns in real.items()}
    assert set(told) == set(meanings())


def cells(drawn: str) -> list[list[str]]:
    """Of a table as DuckDB draws it: its width is no matter."""
    return [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in drawn.splitlines()
        if line.startswith("│")
    ]


def queries(page: Path) -> Iterator[tuple[str, str]]:
    """Each query of the page, and the output that follows it."""
    for block, following in pairwise([*blocks(page), Block("", "")]):
        if block.language == "sql":
            yield block.body, following.body


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The demo's file, made in this process."""
    folder = tmp_path_factory.mktemp("demo")
    with Simulator() as simulator, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in os.environ:
            if name.startswith(("WOLKVOX_", "DAGSTER_")):
                patch.delenv(name)
        project = Project(folder, simulator, DEMO_DAY)
        whole_day = (f"{DEMO_DAY}T00:00", f"{DEMO_DAY}T23:55")
        assert project.materialize("agent_9_windows", patch, partition_range=whole_day).success
        yield project


def test_queries_give_what_stands_below_them(demo: Project) -> None:
    found = {page: list(queries(page)) for page in english()}
    assert len(found[ROOT / "README.md"]) == 1
    assert len(found[ROOT / "docs" / "tables.md"]) == 12
    with demo.sql() as con:
        for page, pairs in found.items():
            for sql, shown in pairs:
                assert cells(shown), f"{page.name} shows nothing for {sql}"
                assert cells(shown) == cells(str(con.sql(sql))), f"{page.name}: {sql}"


def test_readme_shows_what_the_demo_prints(demo: Project) -> None:
    (shown,) = (one.body for one in blocks(ROOT / "README.md") if "$ make demo" in one.body)
    (sql,) = re.findall(r"^  (SELECT .*;)$", shown, re.MULTILINE)
    with demo.sql() as con:
        drawn = cells(str(con.sql(sql)))
    *first, more = cells(shown)
    assert more[0] == "…"
    assert len(first) > 5
    assert first == drawn[: len(first)]
    counted = f"yes ({len(drawn) - 2} agents, {demo.simulator.counters.requests} requests)"
    assert counted in shown


def test_python_on_the_pages_runs(
    demo: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(demo.folder)
    found = [block.body for page in pages() for block in blocks(page) if block.language == "python"]
    for body in found:
        exec(compile(body, "docs", "exec"), {})
    assert found
    assert f"{DEMO_DAY}" in capsys.readouterr().out


# Messages


def literals() -> str:
    """All texts of the package, with … for what is filled in."""
    found = []
    for file in (ROOT / "wolkvox_assets").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def kinds(error: type[WolkvoxError]) -> Iterator[type[WolkvoxError]]:
    for kind in error.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_messages_are_those_of_the_code_and_none_of_the_api_is_missing() -> None:
    told = first_cells(section("failures.md", "Message and remedy"))
    known = literals()
    assert [message for message in told if message not in known] == []
    assert {kind.happened for kind in kinds(WolkvoxError)} - {WolkvoxError.happened} - set(told) == set()


# What commands print


def shape(printed: str) -> list[str]:
    """Without what differs from one machine and moment to the next: numbers, folders, file systems, widths."""
    for differs, same in ((r"\S*/data\b", "…/data"), (r"\(\w+\)$", "(…)"), (r"\d+", "0"), (r" +", " ")):
        printed = re.sub(differs, same, printed, flags=re.MULTILINE)
    return printed.strip().splitlines()


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit):
        cli.main(arguments)
    return capsys.readouterr().out


def shown(page: str, command: str) -> str:
    """What stands below this command on the page."""
    (block,) = (one.body for one in blocks(ROOT / "docs" / page) if one.body.startswith(f"$ {command}\n"))
    return block.split("\n", 1)[1]


def test_doctor_prints_what_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Simulator() as simulator:
        for name, value in {
            "BASE_URL": simulator.url,
            "TOKEN": simulator.token,
            "START": "2026-11-16",
        }.items():
            monkeypatch.setenv(f"WOLKVOX_{name}", value)
        assert shape(printed(["doctor"], capsys)) == shape(
            shown("settings.md", ".venv/bin/wolkvox-assets doctor")
        )
        monkeypatch.setenv("WOLKVOX_TOKEN", "wrong")
        (refused,) = (
            one.body for one in blocks(ROOT / "docs" / "settings.md") if one.body.startswith("WRONG")
        )
        assert refused in printed(["doctor"], capsys)


def test_status_prints_what_is_shown(
    demo: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {**demo.settings, "WOLKVOX_START": f"{DEMO_DAY - timedelta(days=3)}"}.items():
        monkeypatch.setenv(name, value)
    assert shape(printed(["status"], capsys)) == shape(
        shown("settings.md", ".venv/bin/wolkvox-assets status")
    )


def test_the_simulator_answers_what_is_shown() -> None:
    (block,) = (one.body for one in blocks(ROOT / "docs" / "simulator.md") if "$ curl" in one.body)
    lines = block.splitlines()
    with Simulator() as simulator:
        for command, answer in zip(lines[::2], lines[1::2], strict=True):
            arguments = shlex.split(command.removeprefix("$ curl "))
            (address,) = (one for one in arguments if one.startswith("http"))
            method, data = ("POST", arguments[-1].encode()) if "-d" in arguments else ("GET", None)
            url = address.replace("http://127.0.0.1:8807", simulator.url)
            assert requests.request(method, url, data=data, timeout=5).text == answer


def test_corrections_are_those_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = (one.body for one in blocks(ROOT / "docs" / "sync.md") if "old_value" in one.body)
    with Simulator() as simulator:
        project = Project(tmp_path, simulator, date(2026, 11, 17))
        for _ in range(2):
            project.materialize("agent_9_windows", monkeypatch, partition="2026-11-17T10:00")
            simulator.centre.add(Use(datetime(2026, 11, 17, 10, 1, 30), "Zoraida Castaño Téllez", "hold", 42))
    with project.sql() as con:
        drawn = [cells(one) for one in (block, str(con.sql("FROM agent_9_corrections ORDER BY column_name")))]
    columns = [name for name in drawn[0][0] if name != "…"]
    told, real = ([[row[rows[0].index(name)] for name in columns] for row in rows] for rows in drawn)
    assert told == real


def test_the_log_of_a_backfill_is_the_one_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """All but the lines in between, whose numbers and places depend on how fast it was."""
    told = [one.body for one in blocks(ROOT / "docs" / "backfills.md") if " requests made, " in one.body]
    told += [one.body for one in blocks(ROOT / "docs" / "backfills.md") if " 1 request made, " in one.body]
    days = ("2026-11-16T00:00", "2026-11-17T23:55")
    with Simulator() as simulator:
        project = Project(tmp_path, simulator, date(2026, 11, 16))
        for shown in told:
            capfd.readouterr()
            project.materialize("agent_9_windows", monkeypatch, partition_range=days)
            real = [steady(line.rpartition(" - ")[2]) for line in capfd.readouterr().err.splitlines()]
            for line in shown.splitlines():
                assert line.startswith(("224 ", "512 ")) or steady(line) in real
    assert len(told) == 2


def steady(line: str) -> str:
    """Without what is another each time: how often the quota is looked at depends on how fast it was, too."""
    return re.sub(r"\d+ requests made, \d+ saved.*|\d+ s; .*|seed \d+", "#", line)


def test_pages_of_reports_are_those_that_runs_make(demo: Project) -> None:
    data = demo.folder / "data"
    made = {f"{page.relative_to(data)}" for page in (data / "reports").rglob("*.html")}
    told = set(first_cells(section("reports.md", "Pages")))
    assert {re.sub(r"\d", "0", page) for page in told} == {re.sub(r"\d", "0", page) for page in made}


# The package


def test_parts_of_the_package_are_those_there_are() -> None:
    parts = [path for path in (ROOT / "wolkvox_assets").iterdir() if (path / "__init__.py").exists()]
    told = [name for name in first_cells(section("contributing.md", "The code")) if name.endswith("/")]
    assert sorted(told) == sorted(f"{part.name}/" for part in parts)


# Dagster


@pytest.fixture
def definitions(with_all_reports: None, monkeypatch: pytest.MonkeyPatch) -> CodeLocation:
    for name, value in {"SERVER": "0013", "TOKEN": "x", "START": "2026-11-01", "PARQUET": "on"}.items():
        monkeypatch.setenv(f"WOLKVOX_{name}", value)
    return CodeLocation(load_settings())


def test_assets_schedules_sensors_and_jobs_are_those_of_the_code(definitions: CodeLocation) -> None:
    defined = build_definitions(definitions)
    assets = {key.to_user_string() for key in defined.resolve_asset_graph().get_all_asset_keys()}
    listed = section("tables.md", "Assets") + section("tables.md", "Parquet files")
    assert sorted(first_cells(listed)) == sorted(assets)
    repository = defined.get_repository_def()
    jobs = {name for name in repository.job_names if not name.startswith("__")}
    schedules = {schedule.name for schedule in repository.schedule_defs}
    automation = schedules | {sensor.name for sensor in repository.sensor_defs} | jobs
    told = first_cells(section("running.md", "Keeping itself fresh"))
    assert sorted(name.replace("<op>", "main") for name in told) == sorted(automation)
    # And anywhere else on the pages
    checks = {key.name for key in defined.resolve_asset_graph().asset_check_keys}
    assert {row[0].strip("`") for row in rows(section("checks.md", "Checks"))} == checks
    known = assets | automation | {"invalid_settings"}
    strange = {
        name
        for page in pages()
        for name in re.findall(r"(?<![\w/.=-])main[/_][a-z_0-9]+\b(?!\.)", page.read_text())
        if name.replace("main__", "main/") not in known | {"main_live"}
    }
    assert strange == set()


def test_kinds_of_work_that_alerts_tell_are_those_of_the_code() -> None:
    assert first_cells(section("failures.md", "Alerts")) == [work.value for work in Work]


# The simulator


@pytest.mark.parametrize(
    ("words", "real"),
    [("Quirks", QUIRKS), ("Faults", KINDS)],
)
def test_quirks_and_faults_are_those_of_the_code(words: str, real: tuple[str, ...]) -> None:
    (line,) = re.findall(rf"^{words}: (.*?)\.(?: |$)", text("simulator.md"), re.MULTILINE)
    assert [name for name in names(line) if name != "all"] == list(real)


def test_defaults_of_the_simulator_are_those_of_the_code() -> None:
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    defaults = {action.option_strings[-1]: action.default for action in parser._actions}
    table = {names(row[0])[0].split()[0]: row for row in rows(text("simulator.md"))}
    assert names(table["--profile"][1]) == list(get_args(Profile))
    assert names(table["--counting"][0])[0].split()[1] in get_args(Counting)
    same: list[tuple[str, Callable[[str], object]]] = [
        ("--port", int),
        ("--agents", lambda told: int(told.split(",")[0])),
        ("--profile", lambda told: names(told)[0]),
        ("--timezone", lambda told: names(told)[0]),
        ("--counting", lambda told: names(told)[0]),
        ("--late-seconds", int),
        ("--latency", float),
        ("--simultaneous", int),
        ("--host", str),
    ]
    assert {option: read(table[option][2]) for option, read in same} == {o: defaults[o] for o, _ in same}


# Spanish


def pair(name: str) -> tuple[Path, Path]:
    """The page in English and in Spanish."""
    english = ROOT / "README.md" if name == "README" else ROOT / "docs" / f"{name}.md"
    return english, ROOT / "docs" / "es" / f"{name}.md"


def code(block: Block) -> tuple[str, str]:
    """Without comments, which are translated."""
    comment = {"sql": "--", "": None, "console": None}.get(block.language, "#")
    lines = block.body.splitlines()
    return block.language, "\n".join(
        (re.sub(rf"(^|\s+){comment}.*", "", line) if comment else line).rstrip() for line in lines
    )


def test_these_pages_are_there_in_spanish() -> None:
    assert {page.stem for page in (ROOT / "docs" / "es").iterdir()} == set(SPANISH)


@pytest.mark.parametrize("name", SPANISH)
def test_spanish_has_the_headings_of_the_english_page(name: str) -> None:
    levels = [re.findall(r"^(#+) ", prose(page), re.MULTILINE) for page in pair(name)]
    assert len(levels[0]) > 3
    assert levels[0] == levels[1]


@pytest.mark.parametrize("name", SPANISH)
def test_spanish_has_the_blocks_of_the_english_page(name: str) -> None:
    english, spanish = ([code(block) for block in blocks(page)] for page in pair(name))
    assert english == spanish


@pytest.mark.parametrize("name", SPANISH)
def test_spanish_has_the_tables_and_names_of_the_english_page(name: str) -> None:
    """Row by row, and in each section: whatever stands in backticks."""
    english, spanish = ([sorted(names(" ".join(row))) for row in rows(prose(page))] for page in pair(name))
    assert english == spanish
    sections = [re.split(r"^#+ .*$", prose(page), flags=re.MULTILINE) for page in pair(name)]
    for one, other in zip(*sections, strict=True):
        assert sorted(names(one)) == sorted(names(other))


@pytest.mark.parametrize("name", SPANISH)
def test_spanish_has_the_figures_of_the_english_page(name: str) -> None:
    """Row by row of the tables, and in each section."""

    def figures(markdown: str) -> list[str]:
        words = re.sub(r"`[^`]*`|\]\([^)]*\)", "", markdown)
        return sorted(figure.rstrip(".,").replace(",", ".") for figure in re.findall(r"\d[\d.,]*", words))

    english, spanish = (
        [figures(part) for part in re.split(r"^#+ .*$", prose(page), flags=re.MULTILINE)]
        for page in pair(name)
    )
    assert english == spanish


_VERSIONS = {"3.11", "1.2", "2.0", "2.1", "1.5.5", "127.0.0.1"}
_FIGURE = re.compile(r"\d[\d.,]*\d")


@pytest.mark.parametrize("page", pages(), ids=lambda page: f"{page.parent.name}/{page.name}")
def test_numbers_are_written_in_one_way(page: Path) -> None:
    """`1,234.5` and `12%`; in Spanish `1.234,5` and `12 %`."""
    words = re.sub(r"`[^`]*`|\]\([^)]*\)|<[^>]*>", "", prose(page))
    spanish = page.parent.name == "es"
    thousands, decimal = ".," if spanish else ",."
    right = re.compile(rf"\d{{1,3}}(\{thousands}\d{{3}})*(\{decimal}\d+)?|\d+")
    figures = [figure for figure in _FIGURE.findall(words) if figure not in _VERSIONS]
    assert [figure for figure in figures if not right.fullmatch(figure)] == []
    assert re.findall(r"\d%" if spanish else r"\d\s%", words) == []
