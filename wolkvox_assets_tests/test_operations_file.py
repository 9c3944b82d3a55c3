"""`operations.toml`: each operation by itself, each problem with its line, and no token in any of them."""

import shutil
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wolkvox_assets.operations_file import KEYS, parse
from wolkvox_assets.settings import NOTHING_SET, Operation, Settings, load_settings

TOKEN = "7f3a9c-b41e8d-sekret"
ROOT = Path(__file__).parents[1]

NORTH = """\
[operations.north]
server = "0013"
token_env = "WOLKVOX_TOKEN_NORTH"
timezone = "America/Bogota"
start = 2026-01-01
"""
SOUTH = NORTH.replace("north", "south").replace("0013", "0027")

NORTHERN = Operation(
    name="north", server="0013", token_env="WOLKVOX_TOKEN_NORTH", start=date(2026, 1, 1)
)  # fmt: skip
SOUTHERN = NORTHERN.model_copy(update={"name": "south", "server": "0027"})


@pytest.fixture(autouse=True)
def project_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, and a token."""
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("WOLKVOX_TOKEN_NORTH", TOKEN)
    return root


def load(text: str) -> Settings:
    Path("operations.toml").write_text(text, "utf-8", newline="")
    settings = load_settings()
    assert TOKEN not in repr(settings)
    assert not any("\n" in problem for problem in settings.problems)
    return settings


def names(settings: Settings) -> list[str]:
    return [operation.name for operation in settings.operations]


# What works


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_each_table_is_an_operation(mark: str, newline: str) -> None:
    settings = load(mark + f"# la operación\n\n{NORTH}\n{SOUTH}".replace("\n", newline))
    assert settings == Settings((NORTHERN, SOUTHERN), (), Path("data"))


@pytest.mark.parametrize(
    "header",
    [
        "[operations.north]",
        '[operations."north"]',
        "[operations.'north'] # ours",
        "  [ operations . north ]  ",
        "[operations.north]#[operations.x]",
    ],
)
def test_a_header_is_read_as_toml_reads_it(header: str) -> None:
    assert load(NORTH.replace("[operations.north]", header)).operations == (NORTHERN,)


@pytest.mark.parametrize("start", ["2026-01-01", '"2026-01-01"', "'2026-01-01' # or text"])
def test_a_day_is_a_toml_date_or_text(start: str) -> None:
    assert load(NORTH.replace("2026-01-01", start)).operations == (NORTHERN,)


def test_every_key_counts() -> None:
    settings = load(
        NORTH.replace("America/Bogota", "Europe/Madrid")
        + 'quota_reserve = 0.5\n"base_url" = "http://127.0.0.1:8807/"\n'
    )
    assert settings.problems == ()
    assert settings.operations == (
        NORTHERN.model_copy(
            update={"timezone": "Europe/Madrid", "quota_reserve": 0.5, "base_url": "http://127.0.0.1:8807"}
        ),
    )


def test_a_stand_in_needs_no_server_code() -> None:
    (operation,) = load(NORTH.replace('server = "0013"', 'base_url = "http://127.0.0.1:8807"')).operations
    assert operation.server == "0000"


def test_the_keys_are_those_of_an_operation() -> None:
    assert set(KEYS) == set(Operation.model_fields) - {"name"}


def test_the_bundled_example_works(monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copyfile(ROOT / "operations.example.toml", "operations.toml")
    shutil.copyfile(ROOT / ".env.example", ".env")  # as it is: it means no operation of its own then
    monkeypatch.setenv("WOLKVOX_TOKEN_SOUTH", TOKEN)
    settings = load_settings()
    assert settings.problems == ()
    assert names(settings) == ["north", "south"]


def test_the_token_may_stand_in_the_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WOLKVOX_TOKEN_NORTH")
    Path(".env").write_text(f"WOLKVOX_TOKEN_NORTH={TOKEN}\n", "utf-8")
    assert load(NORTH).operations == (NORTHERN,)


# Where it stands, and the environment beside it


def test_a_missing_token_is_told_with_the_other_mistakes_of_its_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WOLKVOX_TOKEN_NORTH", raising=False)
    problems = load(NORTH.replace('"0013"', '"13"')).problems
    assert any("operation north: server must be four digits" in problem for problem in problems)
    assert any("operation north: no token. Set WOLKVOX_TOKEN_NORTH" in problem for problem in problems)


@pytest.mark.parametrize("written", ["wv0013", "WV0013"])
def test_a_server_as_its_address_has_it(written: str) -> None:
    assert load(NORTH.replace("0013", written)).operations[0].server == "0013"


def test_another_file_can_be_named(monkeypatch: pytest.MonkeyPatch, project_root: Path) -> None:
    (project_root / "ours.toml").write_text(NORTH.replace("0013", "13"), "utf-8")
    monkeypatch.setenv("WOLKVOX_OPERATIONS", "ours.toml")
    (problem,) = load(SOUTH).problems
    assert problem.startswith("ours.toml, line 2: operation north: server must be four digits")


def test_a_file_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOLKVOX_OPERATIONS", "nowhere/ours.toml")
    (problem,) = load(SOUTH).problems
    assert problem == "nowhere/ours.toml is not there; mend WOLKVOX_OPERATIONS, which names it"


def test_a_file_that_cannot_be_read_is_a_problem(monkeypatch: pytest.MonkeyPatch, project_root: Path) -> None:
    (project_root / "folder").mkdir()
    monkeypatch.setenv("WOLKVOX_OPERATIONS", "folder")
    (problem,) = load_settings().problems
    assert problem == "folder cannot be read: Is a directory"


def test_another_encoding_is_a_problem_that_names_the_line(project_root: Path) -> None:
    (project_root / "operations.toml").write_bytes(f"{NORTH}# la operación\n".encode("latin-1"))
    settings = load_settings()
    assert settings.operations == ()
    assert settings.problems == ("operations.toml, line 6: this is not UTF-8 text; save the file as UTF-8",)


@pytest.mark.parametrize("text", ["", "# nothing yet\n\n"])
def test_an_empty_file_is_nothing_set(text: str) -> None:
    assert load(text).problems == (NOTHING_SET,)


def of_the_environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"WOLKVOX_{name}", value)


def test_the_environment_adds_one(monkeypatch: pytest.MonkeyPatch) -> None:
    of_the_environment(monkeypatch, SERVER="0099", TOKEN=TOKEN, START="2026-01-01")
    settings = load(NORTH)
    assert settings.problems == ()
    assert names(settings) == ["main", "north"]


def test_neither_spoils_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    of_the_environment(monkeypatch, SERVER="99", TOKEN=TOKEN, START="2026-01-01")
    settings = load(NORTH)
    assert names(settings) == ["north"]
    assert [problem.split(":")[0] for problem in settings.problems] == ["WOLKVOX_SERVER"]
    of_the_environment(monkeypatch, SERVER="0099")
    settings = load(NORTH.replace("0013", "13"))
    assert names(settings) == ["main"]
    assert [problem.split(":")[0] for problem in settings.problems] == ["operations.toml, line 2"]


def test_a_token_that_the_file_uses_is_no_operation_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    of_the_environment(monkeypatch, TOKEN=TOKEN)
    settings = load(NORTH.replace("WOLKVOX_TOKEN_NORTH", "WOLKVOX_TOKEN"))
    assert settings.problems == ()
    assert names(settings) == ["north"]
    # One that it doesn't use was meant for something:
    assert load(NORTH).problems == ("WOLKVOX_SERVER: is not set", "WOLKVOX_START: is not set")


def test_an_unreadable_env_file_stops_all(project_root: Path) -> None:
    # The folder that the data belongs in may stand in it.
    (project_root / ".env").write_bytes("WOLKVOX_DATA_DIR=/daños\n".encode("latin-1"))
    settings = load(NORTH)
    assert settings.operations == ()
    assert ".env" in settings.problems[0]


# Two of one name


def test_two_of_one_name_are_both_left_out() -> None:
    settings = load(f"{NORTH}\n{SOUTH}\n{NORTH}")
    assert names(settings) == ["south"]
    (problem,) = settings.problems
    assert problem == (
        "operations.toml, line 13: operation north has the same name as north in line 1; rename one "
        "(capitals make no difference). Neither is loaded"
    )


@pytest.mark.parametrize("other", ["North", '"NORTH"'])
def test_names_that_differ_in_capitals_only_are_one(other: str) -> None:
    settings = load(f"{NORTH}{SOUTH}{NORTH.replace('north', other)}")
    assert names(settings) == ["south"]
    (problem,) = settings.problems
    assert problem.startswith("operations.toml, line 11: operation N")
    assert "north in line 1" in problem


def test_three_of_one_name_are_two_problems() -> None:
    settings = load(NORTH * 3)
    assert settings.operations == ()
    assert [problem.split(":")[0] for problem in settings.problems] == [
        "operations.toml, line 6",
        "operations.toml, line 11",
    ]


def test_a_second_of_one_name_leaves_both_out_even_if_it_is_wrong() -> None:
    settings = load(f"{NORTH}{NORTH.replace('0013', '13')}{SOUTH}")
    assert names(settings) == ["south"]
    assert [problem.split(":")[0] for problem in settings.problems] == [
        "operations.toml, line 6",
        "operations.toml, line 7",
    ]


@pytest.mark.parametrize(("set_to", "name"), [("North", "north"), (None, "main"), (None, "MAIN")])
def test_one_name_in_file_and_environment(
    set_to: str | None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_the_environment(monkeypatch, SERVER="0099", TOKEN=TOKEN, START="2026-01-01")
    if set_to:
        of_the_environment(monkeypatch, OPERATION=set_to)
    settings = load(f"{SOUTH}{NORTH.replace('north', name)}")
    assert names(settings) == ["south"]
    (problem,) = settings.problems
    assert problem.startswith(f"operations.toml, line 6: operation {name} has the same name as ")
    assert f"{set_to or 'main'} of the environment (WOLKVOX_OPERATION)" in problem


def test_the_default_name_is_free_if_the_environment_has_no_operation() -> None:
    assert names(load(NORTH.replace("north", "main"))) == ["main"]


# What is wrong with a line

HEADER, SERVER, TOKEN_ENV, ZONE, START = range(8, 13)
"""The lines of the second operation, after the first and two more."""

WRONG = [
    # header
    (HEADER, "[operations.north]", '[operations."north-1"]', "name must be made of letters"),
    (HEADER, "[operations.north]", '[operations."a\\nb"]', "name must be made of letters"),
    (HEADER, "[operations.north]", '[operations.""]', "name must be made of letters"),
    (HEADER, "[operations.north]", "[operations.north", "only [operations.NAME]"),
    (HEADER, "[operations.north]", "[operations.norteño]", "only [operations.NAME]"),
    (HEADER, "[operations.north]", "[operations.north.more]", "only [operations.NAME]"),
    (HEADER, "[operations.north]", "[[operations.north]]", "only [operations.NAME]"),
    (HEADER, "[operations.north]", "[operation.north]", "only [operations.NAME]"),
    (HEADER, "[operations.north]", "[operations]", "only [operations.NAME]"),
    (HEADER, "[operations.north]", "[foo]", "only [operations.NAME]"),
    (HEADER, "[operations.north]", f"[{TOKEN}]", "only [operations.NAME]"),
    (HEADER, "[operations.north]", '[operations.north] server = "0013"', "only [operations.NAME]"),
    # server
    (HEADER, 'server = "0013"', "", 'server is missing; add a line like server = "0013"'),
    (SERVER, '"0013"', "0013", 'text in quotes like this: server = "0013"'),
    (SERVER, '"0013"', "1300", 'text in quotes like this: server = "0013"'),
    (SERVER, '"0013"', '["0013"]', 'text in quotes like this: server = "0013"'),
    (SERVER, '"0013"', '"0013', 'text in quotes like this: server = "0013"'),
    (SERVER, '"0013"', '"""', 'text in quotes like this: server = "0013"'),
    (SERVER, '"0013"', "", 'text in quotes like this: server = "0013"'),
    (SERVER, '"0013"', "9" * 5000, 'text in quotes like this: server = "0013"'),
    (SERVER, '"0013"', "[" * 20000, 'text in quotes like this: server = "0013"'),
    (SERVER, '"0013"', f'"{TOKEN}"', "server must be four digits"),
    (SERVER, "server =", "server.code =", 'text in quotes like this: server = "0013"'),
    # token_env
    (HEADER, 'token_env = "WOLKVOX_TOKEN_NORTH"', "", "token_env is missing; add a line like token_env"),
    (TOKEN_ENV, "WOLKVOX_TOKEN_NORTH", "WOLKVOX_TOKEN_NONE", "no token. Set WOLKVOX_TOKEN_NONE"),
    (TOKEN_ENV, "WOLKVOX_TOKEN_NORTH", TOKEN, "must be the name of an environment variable"),
    (TOKEN_ENV, '"WOLKVOX_TOKEN_NORTH"', TOKEN, "must be text in quotes like this: token_env"),
    (TOKEN_ENV, '"WOLKVOX_TOKEN_NORTH"', "7", "must be text in quotes like this: token_env"),
    *(
        (TOKEN_ENV, 'token_env = "WOLKVOX_TOKEN_NORTH"', wrong, "the token itself must not stand in this file")
        for wrong in (
            f'token = "{TOKEN}"',
            f"token = {TOKEN}",
            f'"token" = "{TOKEN}',
            f"Token: {TOKEN}",
            f'wolkvox-token = "{TOKEN}"',
            f"WOLKVOX_TOKEN={TOKEN}",
            f'token.value = "{TOKEN}"',
        )
    ),
    # timezone
    (ZONE, "America/Bogota", "Nowhere/Town", "timezone is no time zone"),
    (ZONE, '"America/Bogota"', "America/Bogota", "must be text in quotes like this: timezone"),
    (ZONE, '"America/Bogota"', "-5", "must be text in quotes like this: timezone"),
    # start
    (HEADER, "start = 2026-01-01", "", "start is missing; add a line like start = 2026-11-01"),
    (START, "2026-01-01", "2026-02-30", "must look like this: start = 2026-11-01"),
    (START, "2026-01-01", "01/02/2026", "must look like this: start = 2026-11-01"),
    (START, "2026-01-01", '"01/02/2026"', "start must be a day such as 2026-11-01"),
    (START, "2026-01-01", "2026", "start must be a day such as 2026-11-01"),
    (START, "2026-01-01", "true", "start must be a day such as 2026-11-01"),
    (START, "2026-01-01", "2026-01-01T00:00:00Z", "start must be a day such as 2026-11-01"),
    (START, "2026-01-01", "2126-01-01", "start 2126-01-01 is in the future: today is "),
    # other keys
    (START + 1, "", "quota_reserve = 2", "quota_reserve must be a number from 0 to 1"),
    (START + 1, "", "quota_reserve = nan", "quota_reserve must be a number from 0 to 1"),
    (START + 1, "", "quota_reserve = true", "must look like this: quota_reserve = 0.2"),
    (START + 1, "", 'quota_reserve = "20 %"', "must look like this: quota_reserve = 0.2"),
    (START + 1, "", 'base_url = "127.0.0.1"', "base_url must look like http://127.0.0.1:8807"),
    (START + 1, "", "server = '0013'", "server is set in line 9 already; keep one of the two"),
    (START + 1, "", "name = 'x'", "no such key. An operation has: server, token_env, timezone, start, base_url"),
    (START + 1, "", f"{TOKEN} = 1", "no such key. An operation has: server, token_env, timezone, start, base_url"),
    (START + 1, "", TOKEN, "no such key. An operation has: server, token_env, timezone, start, base_url"),
    (START + 1, "", f"= {TOKEN}", "no such key. An operation has: server, token_env, timezone, start, base_url"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "right", "wrong", "said"), WRONG)
def test_what_is_wrong_is_said_with_its_line_and_the_others_load(
    line: int, right: str, wrong: str, said: str
) -> None:
    broken = NORTH.replace(right, wrong) if right else f"{NORTH}{wrong}\n"
    first, last = SOUTH, SOUTH.replace("south", "west")
    settings = load(f"{first}\n# the second\n{broken}{last}")
    assert names(settings) == ["south", "west"]
    (problem,) = settings.problems
    assert problem.startswith(f"operations.toml, line {line}: ")
    assert said in problem
    assert len(problem) < 300


def test_what_stands_before_the_first_operation_is_said_once() -> None:
    settings = load(f'# comment\n\ntoken = "{TOKEN}"\nserver = "0013"\n{NORTH}')
    assert settings.operations == (NORTHERN,)
    (problem,) = settings.problems
    assert problem.startswith("operations.toml, line 3: this stands before the first [operations.NAME]")


def test_a_table_that_is_none_of_ours_is_said_once() -> None:
    settings = load(f'{NORTH}[foo]\nbar = 1\ntoken = "{TOKEN}"\n{SOUTH}')
    assert settings.operations == (NORTHERN, SOUTHERN)
    (problem,) = settings.problems
    assert problem.startswith("operations.toml, line 6: only [operations.NAME]")


def test_all_problems_are_told_at_once_in_the_order_of_lines() -> None:
    settings = load('[operations.a-b]\nserver = 0013\nzone = "x"\nstart = 1\n[operations.west]\n[x]\n')
    assert settings.operations == ()
    assert [problem.split(":")[0].removeprefix("operations.toml, line ") for problem in settings.problems] == [
        "1", "2", "3", "4", "5", "5", "5", "6",
    ]  # fmt: skip


# Whatever stands in it

LINES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["[", "]", "[[x]]", "[operations.a]", "# c", "", '"""', "token", f"token={TOKEN}"]),
    st.builds("{} = {}".format, st.sampled_from([*KEYS, "x"]), st.text(max_size=9)),
).filter(lambda line: not any(end in line for end in "\r\n"))


@given(st.lists(st.one_of(LINES, LINES.map(f"{TOKEN} {{}}".format), LINES.map(lambda line: line + TOKEN))))
def test_any_text_can_be_read_and_is_not_repeated(lines: list[str]) -> None:
    _, problems = parse("\n".join(lines))
    assert TOKEN not in repr(problems)
    assert all(1 <= problem.line <= len(lines) for problem in problems)
    assert len({problem.line for problem in problems}) == len(problems)  # one for a line at most


@given(st.lists(LINES, max_size=6), st.lists(LINES, max_size=6))
def test_nothing_around_a_table_changes_it(before: list[str], after: list[str]) -> None:
    # Only a header ends a table.
    after = ["[foo]", *after]
    tables, _ = parse("\n".join([*before, *NORTH.splitlines(), *after]))
    (north,) = [table for table in tables if table.name == "north"]
    assert north.readable
    assert north.values == {
        "server": "0013",
        "token_env": "WOLKVOX_TOKEN_NORTH",
        "timezone": "America/Bogota",
        "start": date(2026, 1, 1),
    }
    line = len(before) + 1
    assert north.line == line
    assert list(north.lines.values()) == [line + 1, line + 2, line + 3, line + 4]
