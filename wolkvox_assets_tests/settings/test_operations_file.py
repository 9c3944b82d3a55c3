"""`operations.toml`: each operation by itself, each problem with its operation, and no token in any of them."""

import shutil
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from wolkvox_assets.settings import NOTHING_SET, Operation, Settings, load_settings
from wolkvox_assets.settings.operations_file import KEYS

TOKEN = "7f3a9c-b41e8d-sekret"
ROOT = Path(__file__).parents[2]

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
        + 'quota_reserve = 0.5\nfresh_minutes = 60\n"base_url" = "http://127.0.0.1:8807/"\n'
        + 'owners = ["team:desk"]\ntags = { domain = "service" }\n'
    )
    assert settings.problems == ()
    assert settings.operations == (
        NORTHERN.model_copy(
            update={
                "timezone": "Europe/Madrid",
                "quota_reserve": 0.5,
                "fresh_minutes": 60,
                "base_url": "http://127.0.0.1:8807",
                "owners": ("team:desk",),
                "tags": (("domain", "service"),),
            }
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
    assert problem.startswith("ours.toml: operation north: server must be four digits")


def test_a_file_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOLKVOX_OPERATIONS", "nowhere/ours.toml")
    (problem,) = load(SOUTH).problems
    assert problem == "nowhere/ours.toml is not there; correct WOLKVOX_OPERATIONS, which names it"


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
    assert [problem.split(":")[0] for problem in settings.problems] == ["operations.toml"]


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


@pytest.mark.parametrize("other", ["North", '"NORTH"'])
def test_names_that_differ_in_capitals_only_are_one(other: str) -> None:
    settings = load(f"{NORTH}{SOUTH}{NORTH.replace('north', other)}")
    assert names(settings) == ["south"]
    (problem,) = settings.problems
    assert problem.startswith("operations.toml: operation N")
    assert (
        "has the same name as north; rename one (capitals make no difference). Neither is loaded" in problem
    )


def test_three_of_one_name_are_two_problems() -> None:
    settings = load(NORTH + NORTH.replace("north", "North") + NORTH.replace("north", "NORTH"))
    assert settings.operations == ()
    assert len(settings.problems) == 2


def test_a_second_of_one_name_leaves_both_out_even_if_it_is_wrong() -> None:
    settings = load(f"{NORTH}{NORTH.replace('0013', '13').replace('north', 'NORTH')}{SOUTH}")
    assert names(settings) == ["south"]
    assert len(settings.problems) == 2


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
    assert problem.startswith(f"operations.toml: operation {name} has the same name as ")
    assert f"{set_to or 'main'} of the environment (WOLKVOX_OPERATION)" in problem


def test_the_default_name_is_free_if_the_environment_has_no_operation() -> None:
    assert names(load(NORTH.replace("north", "main"))) == ["main"]


# What is wrong with an operation

ONLY = "only tables [operations.NAME] can be here"
NO_KEY = "is not a key of an operation; the keys are: server, token_env, timezone, start, base_url"

WRONG = [
    # header
    ("[operations.north]", '[operations."north-1"]', "an operation's name must be made of letters"),
    ("[operations.north]", '[operations."a\\nb"]', "an operation's name must be made of letters"),
    ("[operations.north]", '[operations.""]', "an operation's name must be made of letters"),
    ("[operations.north]", f'[operations."{TOKEN}"]', "an operation's name must be made of letters"),
    ("[operations.north]", "[[operations.north]]", ONLY),
    ("[operations.north]", "[operation.north]", ONLY),
    ("[operations.north]", "[foo]", ONLY),
    ("[operations.north]", f"[{TOKEN}]", ONLY),
    # server
    ('server = "0013"', "", 'operation north: server is missing; add a line like server = "0013"'),
    ('"0013"', "1300", 'operation north: server: it must be text in quotes like this: server = "0013"'),
    ('"0013"', '["0013"]', 'text in quotes like this: server = "0013"'),
    ('"0013"', f'"{TOKEN}"', "operation north: server must be four digits"),
    ("server =", "server.code =", 'text in quotes like this: server = "0013"'),
    # token_env
    ('token_env = "WOLKVOX_TOKEN_NORTH"', "", "operation north: token_env is missing; add a line like token_env"),
    ("WOLKVOX_TOKEN_NORTH", "WOLKVOX_TOKEN_NONE", "no token. Set WOLKVOX_TOKEN_NONE"),
    ("WOLKVOX_TOKEN_NORTH", TOKEN, "must be the name of an environment variable"),
    ('"WOLKVOX_TOKEN_NORTH"', "7", "must be text in quotes like this: token_env"),
    ("", f'token = "{TOKEN}"', "operation north: the token itself must not be in this file"),
    ("", f'wolkvox-token = "{TOKEN}"', "the token itself must not be in this file"),
    ("", f'WOLKVOX_TOKEN="{TOKEN}"', "the token itself must not be in this file"),
    ("", f'token.value = "{TOKEN}"', "the token itself must not be in this file"),
    # timezone
    ("America/Bogota", "Nowhere/Town", "operation north: timezone is not a time zone"),
    ('"America/Bogota"', "-5", "must be text in quotes like this: timezone"),
    # start
    ("start = 2026-01-01", "", "operation north: start is missing; add a line like start = 2026-11-01"),
    ("2026-01-01", '"01/02/2026"', "start must be a day such as 2026-11-01"),
    ("2026-01-01", "2026", "start must be a day such as 2026-11-01"),
    ("2026-01-01", "true", "start must be a day such as 2026-11-01"),
    ("2026-01-01", "2026-01-01T00:00:00Z", "start must be a day such as 2026-11-01"),
    # other keys
    ("", "quota_reserve = 2", "quota_reserve must be a number from 0 to 1"),
    ("", "quota_reserve = nan", "quota_reserve must be a number from 0 to 1"),
    ("", "quota_reserve = true", "must look like this: quota_reserve = 0.2"),
    ("", 'quota_reserve = "20 %"', "must look like this: quota_reserve = 0.2"),
    ("", "fresh_minutes = 5", "fresh_minutes must be whole minutes from 15 to 1440"),
    ("", "fresh_minutes = 15.5", "must look like this: fresh_minutes = 15"),
    ("", 'base_url = "127.0.0.1"', "base_url must look like http://127.0.0.1:8807"),
    ("", 'owners = ["ana"]', "owners must be addresses or teams"),
    ("", "owners = [7]", "owners must be addresses or teams"),
    ("", "tags = { domain = 7 }", "tags must be tags such as domain=service"),
    ("", 'tags = ["domain"]', "tags must be tags such as domain=service"),
    ("", "name = 'x'", f"operation north: 'name' {NO_KEY}"),
    ("", "time_zone = 'America/Bogota'", f"operation north: 'time_zone' {NO_KEY}"),
    ("", f'"{TOKEN}" = 1', f"as it may be a token, {NO_KEY}"),
    ("", "7b69645f64697374 = 1", f"as it may be a token, {NO_KEY}"),
    ("", "more.about = 1", f"operation north: 'more' {NO_KEY}"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "said"), WRONG)
def test_what_is_wrong_is_said_and_the_others_load(right: str, wrong: str, said: str) -> None:
    broken = NORTH.replace(right, wrong) if right else f"{NORTH}{wrong}\n"
    settings = load(f"{SOUTH}\n# the second\n{broken}{SOUTH.replace('south', 'west')}")
    assert names(settings) == ["south", "west"]
    (problem,) = settings.problems
    assert problem.startswith("operations.toml: ")
    assert said in problem
    assert len(problem) < 300


def test_an_operation_that_starts_in_the_future_loads_and_it_is_said() -> None:
    settings = load(NORTH.replace("2026-01-01", "2126-01-01"))
    assert names(settings) == [
        "north"
    ]  # else a machine that comes up with a wrong clock would do nothing, for ever
    (problem,) = settings.problems
    assert "start 2126-01-01 is in the future: today is " in problem


def test_a_token_in_place_of_a_name_is_not_shown_beside_other_mistakes() -> None:
    table = NORTH.replace("north", f'"{TOKEN}"').replace("WOLKVOX_TOKEN_NORTH", "WOLKVOX_TOKEN_NONE")
    settings = load(table + table.replace(TOKEN, TOKEN.upper()))
    assert settings.operations == ()
    assert all(TOKEN.upper() not in problem.upper() for problem in settings.problems)


def test_what_belongs_to_no_operation_is_said_once() -> None:
    settings = load(f'token = "{TOKEN}"\nserver = "0013"\n{NORTH}[foo]\nbar = 1\n')
    assert settings.operations == (NORTHERN,)
    assert len(settings.problems) == 1


def test_all_problems_of_an_operation_are_told_at_once() -> None:
    settings = load('[operations.a]\nserver = 13\nzone = "x"\nstart = 1\n[operations.west]\n[x]\n')
    assert settings.operations == ()
    told = [problem.removeprefix("operations.toml: ").split(":")[0] for problem in settings.problems]
    assert told.count("operation a") == 4
    assert told.count("operation west") == 3
    assert len(told) == 8


@pytest.mark.parametrize(
    ("right", "wrong", "where"),
    [
        ("[operations.north]", "[operations.north", "line 1, column 18"),
        ("[operations.north]", "[operations.norteño]", "line 1, column 18"),
        ('"0013"', '"0013', "line 2, column 15"),
        ('"0013"', "0013", "line 2, column 11"),
        ('"0013"', "[" * 20000, "at its end"),
        ("2026-01-01", "01/02/2026", "line 5, column 10"),
        ('"WOLKVOX_TOKEN_NORTH"', TOKEN, "line 3, column 14"),
        (SOUTH, SOUTH + NORTH, "line 11, column 18"),
    ],
)
def test_a_file_that_is_not_toml_is_refused_as_a_whole_with_the_place(
    right: str, wrong: str, where: str
) -> None:
    settings = load(f"{NORTH}{SOUTH}".replace(right, wrong, 1))
    assert settings.operations == ()
    (problem,) = settings.problems
    assert problem.startswith(f"operations.toml, {where}: this is not TOML")


# Whatever stands in it

LINES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["[", "]", "[[x]]", "[operations.a]", "# c", "", '"""', "token", f"token={TOKEN}"]),
    st.builds("{} = {}".format, st.sampled_from([*KEYS, "x"]), st.text(max_size=9)),
    st.builds('{} = "{}"'.format, st.sampled_from([*KEYS, f'"{TOKEN}"']), st.sampled_from(["0013", TOKEN])),
).filter(lambda line: not any(end in line for end in "\r\n\ud800"))


@given(st.lists(st.one_of(LINES, LINES.map(f"{TOKEN} {{}}".format), LINES.map(lambda line: line + TOKEN))))
@settings_of_hypothesis(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_it_is_read_and_not_repeated(lines: list[str]) -> None:
    load("\n".join(line.encode("utf-8", "replace").decode("utf-8") for line in lines))
