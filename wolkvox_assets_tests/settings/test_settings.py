"""Settings: what is read from where, what is said of a wrong value, and that the token stays unseen."""

import os
import re
import traceback
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from wolkvox_assets.settings import (
    NOTHING_SET,
    ConfigurationProblem,
    Operation,
    Settings,
    alert_webhook,
    load_settings,
    read_token,
)
from wolkvox_assets.settings.environment import _Environment

TOKEN = "7f3a9c/b+41e&8d-sekret"
WORKING = {"WOLKVOX_SERVER": "0013", "WOLKVOX_TOKEN": TOKEN, "WOLKVOX_START": "2026-01-01"}


@pytest.fixture(autouse=True)
def project_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in: `.env` is read from the current one."""
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch) -> "SettingsOf":
    return SettingsOf(monkeypatch)


class SettingsOf:
    """The settings with this environment, on top of a working one, and this `.env`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def working(self, **changes: str) -> Settings:
        return self.just({**WORKING, **changes})

    def just(self, environment: dict[str, str], env_file: str | None = None) -> Settings:
        for name, value in environment.items():
            self._monkeypatch.setenv(name, value)
        if env_file is not None:
            Path(".env").write_text(env_file, "utf-8")
        return load_settings()


def env_file(values: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())


# What is read


def test_three_variables_are_enough(settings_of: SettingsOf) -> None:
    settings = settings_of.working()
    assert settings.problems == ()
    assert settings.data_dir == Path("data")
    (operation,) = settings.operations
    assert operation.name == "main"
    assert operation.server == "0013"
    assert operation.token_env == "WOLKVOX_TOKEN"
    assert operation.timezone == "America/Bogota"
    assert operation.start == date(2026, 1, 1)
    assert operation.base_url is None
    assert operation.clock.name == "America/Bogota"


def test_every_variable_counts(settings_of: SettingsOf) -> None:
    settings = settings_of.working(
        WOLKVOX_OPERATION="North_2",
        WOLKVOX_TIMEZONE="America/Santiago",
        WOLKVOX_START="2023-12-31",
        WOLKVOX_BASE_URL="http://127.0.0.1:8807/",
        WOLKVOX_DATA_DIR="/srv/wolkvox",
        WOLKVOX_FRESH_MINUTES="90",
        WOLKVOX_OWNERS="ana@example.com, team:the desk",
        WOLKVOX_TAGS="domain=service, tier=",
    )
    assert settings.problems == ()
    assert settings.data_dir == Path("/srv/wolkvox")
    (operation,) = settings.operations
    assert operation == Operation(
        name="North_2",
        server="0013",
        timezone="America/Santiago",
        start=date(2023, 12, 31),
        base_url="http://127.0.0.1:8807",
        fresh_minutes=90,
        owners=["ana@example.com", "team:the desk"],
        tags={"domain": "service", "tier": ""},
    )


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_all_of_it_can_stand_in_the_env_file(mark: str, newline: str, project_root: Path) -> None:
    text = env_file({**WORKING, "WOLKVOX_OPERATION": "north", "WOLKVOX_DATA_DIR": "elsewhere"})
    (project_root / ".env").write_bytes((mark + text.replace("\n", newline)).encode())
    settings = load_settings()
    assert settings.problems == ()
    assert [operation.name for operation in settings.operations] == ["north"]
    assert settings.data_dir == Path("elsewhere")
    assert read_token("north", "WOLKVOX_TOKEN").get_secret_value() == TOKEN


def test_the_env_file_beats_the_environment_as_it_does_for_dagster(settings_of: SettingsOf) -> None:
    settings = settings_of.just(
        {"WOLKVOX_SERVER": "0099", "WOLKVOX_TOKEN": "of-when-it-was-started", "WOLKVOX_OPERATION": "north"},
        env_file(WORKING),
    )
    (operation,) = settings.operations
    assert (operation.name, operation.server) == ("north", "0013")
    assert read_token("north", "WOLKVOX_TOKEN").get_secret_value() == TOKEN


def test_a_token_that_is_mended_in_the_env_file_counts_at_once(
    settings_of: SettingsOf, project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process that was started before: Dagster has put the old one into its environment."""
    settings_of.just({}, env_file({**WORKING, "WOLKVOX_TOKEN": "the-old-one"}))
    monkeypatch.setenv("WOLKVOX_TOKEN", "the-old-one")
    (project_root / ".env").write_text(env_file(WORKING), "utf-8")
    assert read_token("main", "WOLKVOX_TOKEN").get_secret_value() == TOKEN


def test_an_empty_variable_is_as_none(settings_of: SettingsOf) -> None:
    settings = settings_of.just(
        {"WOLKVOX_SERVER": "", "WOLKVOX_TOKEN": "", "WOLKVOX_DATA_DIR": "", "WOLKVOX_BASE_URL": ""},
        env_file(WORKING),
    )
    (operation,) = settings.operations
    assert (operation.server, operation.base_url) == ("0013", None)
    assert settings.data_dir == Path("data")
    assert read_token("main", "WOLKVOX_TOKEN").get_secret_value() == TOKEN


def test_the_bundled_example_says_what_is_missing(settings_of: SettingsOf) -> None:
    example = Path(__file__).parents[2] / ".env.example"
    settings = settings_of.just({}, example.read_text("utf-8"))
    assert settings.operations == ()
    assert any("WOLKVOX_SERVER" in problem for problem in settings.problems)


def test_the_bundled_example_shows_every_variable() -> None:
    example = (Path(__file__).parents[2] / ".env.example").read_text("utf-8")
    shown = set(re.findall(r"^(?:# )?(WOLKVOX_\w+)=", example, re.MULTILINE))
    read = {f"WOLKVOX_{field.upper()}" for field in _Environment.model_fields}
    assert shown == read | {"WOLKVOX_TOKEN", "WOLKVOX_TOKEN_NORTH", "WOLKVOX_ALERT_WEBHOOK"}


def test_the_bundled_example_shows_the_defaults(settings_of: SettingsOf) -> None:
    example = (Path(__file__).parents[2] / ".env.example").read_text("utf-8")
    all_set = re.sub(
        r"^# (WOLKVOX_(?!BASE_URL|OPERATIONS|OWNERS|TAGS|STORE)\w+=)", r"\1", example, flags=re.MULTILINE
    )
    settings = settings_of.just(WORKING, all_set)
    operation = Operation(server="0013", start=date(2026, 11, 1))
    assert settings == Settings((operation,), (), Path("data"))


def test_another_env_file_is_not_read(project_root: Path) -> None:
    (project_root.parent / ".env").write_text(env_file(WORKING), "utf-8")
    assert load_settings().problems == (NOTHING_SET,)


def test_a_stand_in_needs_no_server_code(settings_of: SettingsOf) -> None:
    settings = settings_of.just(
        {
            "WOLKVOX_BASE_URL": "http://127.0.0.1:8807",
            "WOLKVOX_TOKEN": TOKEN,
            "WOLKVOX_START": "2026-01-01",
        }
    )
    assert settings.problems == ()
    (operation,) = settings.operations
    assert operation.base_url == "http://127.0.0.1:8807"
    assert len(operation.server) == 4


# Nothing, or not enough


@pytest.mark.parametrize(
    "harmless",
    [{}, {"WOLKVOX_DATA_DIR": "x"}, {"WOLKVOX_TIMEZONE": "Europe/Madrid"}, {"WOLKVOX_OPERATION": "north"}],
)
def test_nothing_set_is_said_in_one_line(harmless: dict[str, str], settings_of: SettingsOf) -> None:
    settings = settings_of.just(harmless)
    assert settings.operations == ()
    assert settings.problems == (NOTHING_SET,)
    assert settings.data_dir == Path(harmless.get("WOLKVOX_DATA_DIR", "data"))
    assert all(variable in NOTHING_SET for variable in WORKING)


@pytest.mark.parametrize("missing", sorted(WORKING))
def test_what_is_missing_is_named(missing: str, settings_of: SettingsOf) -> None:
    settings = settings_of.just({name: value for name, value in WORKING.items() if name != missing})
    assert settings.operations == ()
    (problem,) = settings.problems
    assert missing in problem
    assert TOKEN not in problem


def test_a_token_alone_is_not_enough(settings_of: SettingsOf) -> None:
    settings = settings_of.just({"WOLKVOX_TOKEN": TOKEN})
    assert settings.problems == ("WOLKVOX_SERVER: is not set", "WOLKVOX_START: is not set")


# What holds for all operations


@pytest.mark.parametrize(
    ("value", "automation"),
    [
        ("", True),
        ("on", True),
        ("True", True),
        (" 1 ", True),
        ("off", False),
        ("FALSE", False),
        ("0", False),
    ],
)
def test_automation_is_turned_off_by_one_setting(
    value: str, automation: bool, settings_of: SettingsOf
) -> None:
    settings = settings_of.working(WOLKVOX_AUTOMATION=value)
    assert settings.automation is automation
    assert settings.problems == ()


@pytest.mark.parametrize("value", ["offf", "2", "maybe", TOKEN])
def test_automation_is_off_when_what_is_meant_cannot_be_told(value: str, settings_of: SettingsOf) -> None:
    settings = settings_of.working(WOLKVOX_AUTOMATION=value)
    assert not settings.automation
    assert len(settings.operations) == 1
    (problem,) = settings.problems
    assert problem.startswith("WOLKVOX_AUTOMATION: must be on or off")
    assert TOKEN not in problem


@pytest.mark.parametrize(("value", "seconds"), [("", 60), ("0", 0), ("7", 7), (" 240 ", 240)])
def test_the_delay_of_live_windows_can_be_set(value: str, seconds: int, settings_of: SettingsOf) -> None:
    settings = settings_of.working(WOLKVOX_LIVE_DELAY_SECONDS=value)
    assert settings.live_delay == timedelta(seconds=seconds)
    assert settings.problems == ()


@pytest.mark.parametrize("value", ["241", "-1", "1.5", "60s", "٦٠", "1_0", "9" * 5000, TOKEN])
def test_a_wrong_delay_is_a_problem_and_the_default_holds(value: str, settings_of: SettingsOf) -> None:
    settings = settings_of.working(WOLKVOX_LIVE_DELAY_SECONDS=value)
    assert settings.live_delay == timedelta(seconds=60)
    assert len(settings.operations) == 1
    (problem,) = settings.problems
    assert problem.startswith("WOLKVOX_LIVE_DELAY_SECONDS: must be whole seconds from 0 to 240")
    assert value not in problem


# How long logs are kept


@pytest.mark.parametrize(("value", "days"), [("", 14), ("1", 1), (" 365 ", 365)])
def test_how_long_the_logs_of_ticks_are_kept_can_be_set(
    value: str, days: int, settings_of: SettingsOf
) -> None:
    settings = settings_of.working(WOLKVOX_RUN_HISTORY_DAYS=value)
    assert settings.run_history == timedelta(days=days)
    assert settings.problems == ()


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "2w", "٦٠", "9" * 5000, TOKEN])
def test_a_wrong_time_for_logs_is_a_problem_and_the_default_holds(
    value: str, settings_of: SettingsOf
) -> None:
    settings = settings_of.working(WOLKVOX_RUN_HISTORY_DAYS=value)
    assert settings.run_history == timedelta(days=14)
    assert len(settings.operations) == 1
    (problem,) = settings.problems
    assert problem.startswith("WOLKVOX_RUN_HISTORY_DAYS: must be whole days from 1 to 99999")
    assert value not in problem or len(value) < 3


# Where alerts go

WEBHOOK = "https://hooks.example.com/services/T0/sekret?a=b"


def test_no_webhook_is_fine() -> None:
    assert alert_webhook() is None


def test_the_webhook_is_read_when_it_is_needed_and_never_shown(settings_of: SettingsOf) -> None:
    settings = settings_of.just(WORKING, f"WOLKVOX_ALERT_WEBHOOK={WEBHOOK}\n")
    assert settings.problems == ()
    webhook = alert_webhook()
    assert webhook is not None
    assert webhook.get_secret_value() == WEBHOOK
    assert "sekret" not in repr(settings) + repr(webhook) + str(webhook)
    settings_of.just({}, f"WOLKVOX_ALERT_WEBHOOK={WEBHOOK}2\n")
    webhook = alert_webhook()
    assert webhook is not None
    assert webhook.get_secret_value() == f"{WEBHOOK}2"


@pytest.mark.parametrize(
    "wrong",
    [
        "hooks.example.com/sekret",
        "ftp://sekret",
        "https://",
        "https:///sekret",
        "http://[::1/sekret",
        "http://host:sekret",
        "https://host/sekret two",
        "https://host/sekretó",
        "https://host/sek\nret",
    ],
)
def test_a_wrong_webhook_is_told_at_once_and_not_shown(wrong: str, settings_of: SettingsOf) -> None:
    settings = settings_of.working(WOLKVOX_ALERT_WEBHOOK=wrong)
    assert len(settings.operations) == 1  # it keeps no operation from working
    (problem,) = settings.problems
    assert problem.startswith("WOLKVOX_ALERT_WEBHOOK: ")
    with pytest.raises(ConfigurationProblem) as caught:
        alert_webhook()
    assert "sek" not in "".join(traceback.format_exception(caught.value)).replace("secret", "")
    assert "sek" not in problem


@pytest.mark.parametrize(("value", "on"), [("on", True), ("1", True), ("off", False), ("OFF ", False)])
def test_parquet_files_are_switched_on(value: str, on: bool, settings_of: SettingsOf) -> None:
    settings = settings_of.working(WOLKVOX_PARQUET=value)
    assert (settings.parquet, settings.problems) == (on, ())


def test_a_wrong_switch_for_parquet_files_is_a_problem_and_they_stay_off(settings_of: SettingsOf) -> None:
    settings = settings_of.working(WOLKVOX_PARQUET="yes, please")
    assert not settings.parquet
    assert settings.operations
    assert settings.problems == (
        "WOLKVOX_PARQUET: must be on or off; until it is, no Parquet files are written",
    )


# Wrong values

WRONG = [
    *(
        ("WOLKVOX_SERVER", wrong)
        for wrong in ("wv013", "wv 0013", "13", "00131", "0013.evil.example", "00 3", "٠٠١٣", "0013\n")
    ),
    *(("WOLKVOX_OPERATION", wrong) for wrong in ("north-1", "a/b", "español", "a b", "main\n", "../x")),
    *(
        ("WOLKVOX_TIMEZONE", wrong)
        for wrong in ("Nowhere/Town", "America", "../../etc/passwd", "/etc/localtime", "UTC-5h", "a" * 300)
    ),
    *(
        ("WOLKVOX_START", wrong)
        for wrong in ("yesterday", "0", "86400", "20261101", "01/11/2025", "2026-13-01", "2026-02-30", "2026")
    ),
    *(
        ("WOLKVOX_BASE_URL", wrong)
        for wrong in (
            "127.0.0.1:8807",
            "ftp://host",
            "http://",
            "http:///path",
            "http://[::1",
            "http://host:port",
            "http://host:99999",
            "http://user:hunter2@host",
            "http://host/?token=hunter2",
            "http://host/#hunter2",
        )
    ),
    *(
        ("WOLKVOX_OWNERS", wrong)
        for wrong in ("ana", "team:", "ana@example.com,", "a@b@example.com", "ana@example")
    ),
    *(("WOLKVOX_TAGS", wrong) for wrong in ("a=b,", "a b=c", "=x", "dagster/kind=x", "a=" + "x" * 64, "ñ=x")),
    *(("WOLKVOX_QUOTA_RESERVE", wrong) for wrong in ("-0.1", "1.01", "nan", "inf", "20 %")),
    *(("WOLKVOX_FRESH_MINUTES", wrong) for wrong in ("0", "14", "1441", "15.5", "-15", "a day")),
    *(("WOLKVOX_TOKEN", wrong) for wrong in ("two words", "línea", "line\nbreak", "tab\there", "   ")),
]


@pytest.mark.parametrize(("variable", "wrong"), WRONG)
def test_a_wrong_value_is_a_problem_that_names_its_variable(
    variable: str, wrong: str, settings_of: SettingsOf
) -> None:
    settings = settings_of.working(**{variable: wrong})
    assert settings.operations == ()
    (problem,) = settings.problems
    assert variable in problem
    assert "\n" not in problem
    assert not any(secret in problem for secret in (TOKEN, "hunter2", "two words", "línea"))


def test_all_wrong_values_are_told_at_once(settings_of: SettingsOf) -> None:
    settings = settings_of.working(WOLKVOX_SERVER="x", WOLKVOX_TIMEZONE="y", WOLKVOX_START="z")
    assert [problem.split(":")[0] for problem in settings.problems] == [
        "WOLKVOX_SERVER",
        "WOLKVOX_TIMEZONE",
        "WOLKVOX_START",
    ]


def test_the_data_folder_is_told_even_if_the_rest_is_wrong(settings_of: SettingsOf) -> None:
    assert settings_of.working(WOLKVOX_SERVER="x", WOLKVOX_DATA_DIR="there").data_dir == Path("there")


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_a_start_in_the_future_of_that_wall_clock_is_told(zone: str, settings_of: SettingsOf) -> None:
    # A day that can't become today while the test runs.
    after = datetime.now(UTC).date() + timedelta(days=3)
    settings = settings_of.working(WOLKVOX_START=f"{after}", WOLKVOX_TIMEZONE=zone)
    # Else a machine that comes up with a wrong clock would do nothing until somebody loads it anew.
    assert len(settings.operations) == 1
    (problem,) = settings.problems
    assert problem.startswith("WOLKVOX_START: ")
    assert f"{after}" in problem
    assert zone in problem


@pytest.mark.parametrize("start", ["0026-11-01", "0001-01-01", "1999-12-31"])
def test_a_start_before_there_was_such_a_platform_is_a_slip(start: str, settings_of: SettingsOf) -> None:
    """And a year of three digits breaks the partitions of all operations."""
    settings = settings_of.just({**WORKING, "WOLKVOX_START": start})
    assert settings.operations == ()
    (problem,) = settings.problems
    assert problem.startswith("WOLKVOX_START: must not be before 2000")


def test_a_start_today_on_the_wall_clock_is_fine(settings_of: SettingsOf) -> None:
    zone = "Pacific/Kiritimati"  # fourteen hours ahead of UTC: often tomorrow already
    operation = Operation(server="0013", timezone=zone, start=date(2026, 1, 1))
    today = operation.clock.now(datetime.now(UTC)).date()
    assert settings_of.working(WOLKVOX_START=f"{today}", WOLKVOX_TIMEZONE=zone).problems == ()


def test_an_env_file_in_another_encoding_is_a_problem_and_no_crash(project_root: Path) -> None:
    text = env_file(WORKING) + "# la operación\n"
    (project_root / ".env").write_bytes(text.encode("latin-1"))
    settings = load_settings()
    assert settings.operations == ()
    (problem,) = settings.problems
    assert ".env" in problem
    assert "UTF-8" in problem
    with pytest.raises(ConfigurationProblem, match=r"\.env.*UTF-8") as caught:
        read_token("main", "WOLKVOX_TOKEN")
    # The decoder's own error carries the whole text: it must not hang on to ours.
    assert caught.value.__cause__ is None
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


# The token


@pytest.mark.parametrize(
    ("set_to", "found"),
    [(TOKEN, TOKEN), (f"  {TOKEN}\t", TOKEN), (f"{TOKEN}\r\n", TOKEN), ("!~", "!~")],
)
def test_a_token_is_read_without_blanks_around_it(
    set_to: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WOLKVOX_TOKEN_NORTH", set_to)
    assert read_token("north", "WOLKVOX_TOKEN_NORTH").get_secret_value() == found


def test_a_token_is_read_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for token in ("old", "new"):
        monkeypatch.setenv("WOLKVOX_TOKEN", token)
        assert read_token("main", "WOLKVOX_TOKEN").get_secret_value() == token


@pytest.mark.parametrize("unset", [None, "", "   "])
def test_a_missing_token_is_a_problem_that_says_what_to_set(
    unset: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if unset is not None:
        monkeypatch.setenv("WOLKVOX_TOKEN_NORTH", unset)
    monkeypatch.setenv("WOLKVOX_TOKEN", TOKEN)  # another operation's
    with pytest.raises(ConfigurationProblem, match=r"north.*WOLKVOX_TOKEN_NORTH"):
        read_token("north", "WOLKVOX_TOKEN_NORTH")


@pytest.mark.parametrize("bad", ["sekret one", "sekret\nX: y", "sekretó", "sekret\x7f", "sekret\u00a0x"])
def test_an_impossible_token_is_refused_without_being_shown(
    bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WOLKVOX_TOKEN_NORTH", bad)
    with pytest.raises(ConfigurationProblem, match=r"north.*WOLKVOX_TOKEN_NORTH") as caught:
        read_token("north", "WOLKVOX_TOKEN_NORTH")
    assert "sekret" not in str(caught.value)


def test_the_token_is_in_nothing_that_can_be_printed(settings_of: SettingsOf) -> None:
    settings = settings_of.working()
    (operation,) = settings.operations
    secret = read_token("main", "WOLKVOX_TOKEN")
    for shown in (
        repr(settings),
        str(settings),
        repr(operation),
        operation.model_dump_json(),
        repr(secret),
        str(secret),
        f"{secret}",
    ):
        assert TOKEN not in shown
    assert secret.get_secret_value() == TOKEN  # and the above looked for the right thing


@pytest.mark.parametrize("variable", ["WOLKVOX_SERVER", "WOLKVOX_OPERATION", "WOLKVOX_START"])
@pytest.mark.parametrize("from_file", [False, True])
def test_a_token_set_in_the_wrong_place_is_not_shown(
    variable: str, from_file: bool, settings_of: SettingsOf
) -> None:
    mixed_up = {**WORKING, variable: TOKEN}
    settings = settings_of.just({}, env_file(mixed_up)) if from_file else settings_of.just(mixed_up)
    assert settings.operations == ()
    assert variable in settings.problems[0]
    assert TOKEN not in repr(settings)


def test_a_token_is_not_in_a_validation_error() -> None:
    with pytest.raises(ValidationError) as caught:
        Operation.model_validate(
            {"name": TOKEN, "server": TOKEN, "start": TOKEN, "timezone": TOKEN, "token": TOKEN}
        )
    assert caught.value.error_count() == 5
    shown = "".join(traceback.format_exception(caught.value)) + str(caught.value) + repr(caught.value)
    assert TOKEN not in shown


def test_an_operation_cannot_be_changed() -> None:
    operation = Operation(server="0013", start=date(2026, 1, 1))
    with pytest.raises(ValidationError):
        operation.server = "0014"  # type: ignore[misc]  # that is the point


def test_loading_leaves_the_environment_as_it_was(settings_of: SettingsOf) -> None:
    before = dict(os.environ)
    settings_of.just({}, env_file(WORKING))
    assert dict(os.environ) == before


# A lake

IN_A_LAKE = {
    "WOLKVOX_STORE": "ducklake:postgres:host=db.example.com dbname=wolkvox password=sekret",
    "WOLKVOX_STORE_DATA": "s3://bucket/lake/",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "sekret2",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9000",
}


def test_what_is_stored_lies_in_files_unless_a_lake_is_named(settings_of: SettingsOf) -> None:
    assert settings_of.working().lake is None
    lake = settings_of.working(**IN_A_LAKE).lake
    assert lake is not None
    assert lake.postgres.get_secret_value() == "host=db.example.com dbname=wolkvox password=sekret"
    assert lake.data == "s3://bucket/lake"
    assert lake.s3 is not None
    assert (lake.s3.key_id, lake.s3.endpoint) == ("key", "http://127.0.0.1:9000")
    assert lake.s3.secret.get_secret_value() == "sekret2"


def test_the_password_of_the_lake_shows_nowhere(settings_of: SettingsOf) -> None:
    settings = settings_of.working(**IN_A_LAKE)
    assert "sekret" not in f"{settings!r} {settings} {_Environment()!r}"


@pytest.mark.parametrize(
    ("changes", "begins"),
    [
        ({"WOLKVOX_STORE": "postgres:dbname=sekret"}, "WOLKVOX_STORE: must begin with ducklake:postgres:"),
        ({"WOLKVOX_STORE": "ducklake:postgres: "}, "WOLKVOX_STORE: must begin with ducklake:postgres:"),
        ({"WOLKVOX_STORE": "ducklake:postgres:sekret"}, "WOLKVOX_STORE: what follows ducklake:postgres: is "),
        (
            {"WOLKVOX_STORE": "ducklake:postgres:sekret=x"},
            "WOLKVOX_STORE: what follows ducklake:postgres: is ",
        ),
        ({"WOLKVOX_STORE": ""}, "WOLKVOX_STORE_DATA is set without WOLKVOX_STORE"),
        ({"WOLKVOX_STORE_DATA": ""}, "WOLKVOX_STORE_DATA: is not set."),
        ({"WOLKVOX_STORE_DATA": "lake"}, "WOLKVOX_STORE_DATA: must be s3://bucket/folder"),
        ({"WOLKVOX_STORE_DATA": "s3://"}, "WOLKVOX_STORE_DATA: must be s3://bucket/folder"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "WOLKVOX_STORE_DATA: for s3://"),
        ({"WOLKVOX_STORE_DATA": "/"}, "WOLKVOX_STORE_DATA: must be s3://bucket/folder"),
    ],
)
def test_with_a_wrong_lake_nothing_loads_lest_it_be_stored_elsewhere(
    changes: dict[str, str], begins: str, settings_of: SettingsOf
) -> None:
    settings = settings_of.working(**{**IN_A_LAKE, **changes})
    assert (settings.operations, settings.lake) == ((), None)
    (problem,) = settings.problems
    assert problem.startswith(begins)
    assert problem.endswith(" Until it is corrected no operation is loaded.")
    assert "sekret" not in problem


def test_without_the_extra_it_is_said_what_to_install(
    settings_of: SettingsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wolkvox_assets.settings.lake._PACKAGES", ("duckdb_extension_of_nobody",))
    (problem,) = settings_of.working(**IN_A_LAKE).problems
    assert "pip install 'wolkvox-assets[scale]'" in problem
