"""Rows, total rows, one name twice, the quota: what is taken, what is noted, what is refused."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wolkvox_assets.api.errors import AnswerTooLarge, AnswerUnreadable, ServerFault
from wolkvox_assets.api.parsing import (
    MAX_RECORDS,
    Answer,
    Envelope,
    NotAsAgreed,
    NotWhole,
    Quota,
    count_of,
    name_of,
    open_envelope,
    read_report,
    read_token_info,
    seconds_of,
)
from wolkvox_assets.report.measures import Usage, add_up
from wolkvox_assets.report.reports import AGENT_9

INT_MAX = 2**31 - 1


def clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def a_row(
    name: object, count: int = 1, hold: int = 0, mute: int = 0, total: int | None = None
) -> dict[str, object]:
    return {
        "agent_name": name,
        "count": str(count),
        "hold_time": clock(hold),
        "mute_time": clock(mute),
        "total_time": clock(hold + mute if total is None else total),
    }


def read(*rows: object, msg: str | None = None) -> Answer:
    return read_report(AGENT_9, Envelope(code=200, msg=msg, data=list(rows)))


def kinds(answer: Answer) -> list[str]:
    return [note.kind for note in answer.notes]


# --- durations ---


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:00:00", 0),
        ("00:01:02", 62),
        ("0:01:02", 62),
        ("31:05:09", 111909),
        ("1000:00:00", 3_600_000),
        (" 00:01:02 ", 62),
        ("01:02", 62),
        ("1:02", 62),
        ("75:30", 4530),
        ("62", 62),
        ("0", 0),
        ("007", 7),
        ("", 0),
        (" ", 0),
        ("\t\u00a0", 0),
        (None, 0),
        (str(INT_MAX), INT_MAX),
        ("596523:14:07", INT_MAX),
    ],
)
def test_durations_that_are_taken(text: str | None, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *(
            "-1",
            "-00:00:01",
            "00:-1:00",
            "+5",
            "1.5",
            "1,5",
            "1e3",
            "0x10",
            "1_000",
            "NaN",
            "null",
            "--",
            ":",
            "::",
        ),
        *(
            "00:60:00",
            "00:00:60",
            "0:60",
            "00:0:00",
            "00:00:0",
            "0:5",
            ":30",
            "30:",
            "1:2:3:4",
            "00:00:00:00",
        ),
        *("12 : 05", "00:00:01\n00", "00:00:01s", "5 s", "1 day", "１２", "٠٠:٠٠:٠٥", "²", "00：00：05"),
        *(str(INT_MAX + 1), "596523:14:08", "9" * 5000, "9" * 5000 + ":00:00", "9" * 5000 + ":00"),
        *(
            "00:00:05.5",
            "00:00:05.",
            "5.0",
            -1,
            1.5,
            INT_MAX + 1,
            10**30,
            1e30,
            float("inf"),
            float("nan"),
            True,
            False,
            [],
            ["5"],
            {},
            {"seconds": 5},
        ),
    ],
)
def test_durations_that_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is "):
        seconds_of(value)


@given(st.integers(0, INT_MAX))
def test_every_way_to_write_a_duration_is_read_back(seconds: int) -> None:
    assert seconds_of(clock(seconds)) == seconds
    assert seconds_of(str(seconds)) == seconds
    assert seconds_of(f"{seconds // 60}:{seconds % 60:02d}") == seconds


@given(st.text(alphabet="0123456789: -.", max_size=12))
def test_a_zero_is_never_made_up(text: str) -> None:
    try:
        seconds = seconds_of(text)
    except ValueError:
        return
    assert seconds > 0 or text.strip() == "-" or not text.strip(" 0:.")


# --- counts and names ---


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        None,
        "-1",
        "1.0",
        "+1",
        "1_0",
        "٢",
        "²",
        "a",
        "-",
        2.5,
        -2,
        True,
        [],
        str(INT_MAX + 1),
        10**30,
    ],
)
def test_counts_that_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is "):
        count_of(value)


def test_counts_that_are_taken() -> None:
    assert [count_of(t) for t in ("0", " 12 ", "007", str(INT_MAX), 3, 3.0, 0)] == [
        0,
        12,
        7,
        INT_MAX,
        3,
        3,
        0,
    ]


def test_numbers_in_place_of_texts_and_words_for_nothing_are_read() -> None:
    """What one change of the server's PHP would turn the answers into."""
    assert [seconds_of(t) for t in (5, 0, 5.0, "-", " - ", "00:00:50.000000", "1:05.0")] == [
        5,
        0,
        5,
        0,
        0,
        50,
        65,
    ]
    row = {"agent_name": 123, "count": 3, "hold_time": 30, "mute_time": "-", "total_time": 30.0}
    assert read(row).agents == {"123": Usage(3, 30, 0, 30)}


@pytest.mark.parametrize("nothing", ["-", "", " ", None])
def test_a_count_of_nothing_is_zero_where_all_durations_are_nothing_too(nothing: object) -> None:
    row = {"agent_name": "Ana", "count": nothing, "hold_time": "-", "mute_time": None, "total_time": ""}
    assert read(row).agents == {"Ana": Usage(0, 0, 0, 0)}
    for column in ("hold_time", "mute_time", "total_time"):
        for value in ("00:00:05", "00:00:00"):
            with pytest.raises(AnswerUnreadable, match="'count'"):
                read(row | {column: value})


@pytest.mark.parametrize(
    ("data", "msg", "rows"),
    [
        (None, "0 records were found", []),
        ({}, " 0 records were found", []),
        ("", "0 records were found", []),
        (None, " Validate  dates entered", []),
        ({"0": {"a": 1}, "10": {"a": 3}, "2": {"a": 2}}, "", [{"a": 1}, {"a": 2}, {"a": 3}]),
        ({"agent_name": "Ana"}, "", [{"agent_name": "Ana"}]),
        ({"token_limit": 5}, "", [{"token_limit": 5}]),
    ],
)
def test_other_ways_to_write_a_list_of_rows(data: object, msg: str, rows: list[object]) -> None:
    envelope = Envelope(code=200, msg=msg, data=data)
    assert envelope.records == len(rows)
    assert envelope.hand_over() == rows


@pytest.mark.parametrize(
    ("data", "msg"),
    [
        (None, "OK"),
        (None, "1 records were found"),
        ({}, None),
        ({"x": 1}, "0 records were found"),
        ({"0": {"agent_name": "Ana"}, "agent_name": "Eva"}, "2 records were found"),
        ({"0": {"token_limit": 5}, "token_limit": 6}, ""),
        ({"0": {"agent_name": "Ana"}, "x": 1}, ""),
        ("", ""),
        (0, ""),
    ],
)
def test_what_is_no_list_of_rows(data: object, msg: str | None) -> None:
    with pytest.raises(AnswerUnreadable, match="'data' is not a list"):
        Envelope(code=200, msg=msg, data=data).hand_over()


def test_names() -> None:
    assert name_of("  José \t  Ñuñez\u00a0Gil ") == "José Ñuñez Gil"
    assert name_of("JOSÉ") == "JOSÉ"
    assert name_of(unicodedata.normalize("NFD", "Ñandú")) == "Ñandú"
    assert name_of(None) == name_of(" ") == ""
    refused: list[object] = [5.0, True, ["Ana"], {}, "Ana \ud83d"]
    for wrong in refused:
        with pytest.raises(ValueError, match="is "):
            name_of(wrong)


@given(st.text())
def test_a_name_is_normalised_once_and_for_all(name: str) -> None:
    assert name_of(name_of(name)) == name_of(name)


# --- rows ---


def test_a_plain_answer() -> None:
    found = read(a_row("Ana", 2, 30, 12), a_row("Beto", 1, 111909, 0), msg="2 records were found")
    assert found == Answer((("Ana", Usage(2, 30, 12, 42)), ("Beto", Usage(1, 111909, 0, 111909))), (), 2)


def test_no_rows() -> None:
    assert read() == Answer((), (), 0)


@pytest.mark.parametrize("column", ["agent_name", "count", "hold_time", "mute_time", "total_time"])
def test_a_missing_column_is_named(column: str) -> None:
    wrong = a_row("Beto")
    del wrong[column]
    agent = "" if column == "agent_name" else "Beto"
    with pytest.raises(AnswerUnreadable, match=f"agent '{agent}', column '{column}' is missing"):
        read(a_row("Ana"), wrong)


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("hold_time", "-00:00:05", "'-00:00:05'"),
        ("mute_time", 5.5, "5.5"),
        ("total_time", True, "True"),
        ("total_time", float("nan"), "nan"),
        ("count", "1.5", "'1.5'"),
        ("count", None, "None"),
        ("agent_name", 7.5, "7.5"),
        ("agent_name", "x\ud800", r"'x\\ud800'"),
    ],
)
def test_a_wrong_value_is_shown_with_agent_and_column(column: str, value: object, shown: str) -> None:
    with pytest.raises(AnswerUnreadable, match=shown) as caught:
        read(a_row("Ana"), a_row("Beto") | {column: value})
    assert f"column '{column}'" in str(caught.value)
    assert "Row 2" in str(caught.value)
    str(caught.value).encode()  # can be written to a log
    if column != "agent_name":
        assert "agent 'Beto'" in str(caught.value)


@pytest.mark.parametrize("item", [None, 5, "Ana", [], ["Ana", "1"]])
def test_a_row_that_is_no_object(item: object) -> None:
    with pytest.raises(AnswerUnreadable, match="Row 1"):
        read(item)


@pytest.mark.parametrize("data", [None, {}, "", "[]", 0, {"agent_name": "Ana"}])
def test_data_that_is_no_list(data: object) -> None:
    with pytest.raises(AnswerUnreadable, match="'data'"):
        read_report(AGENT_9, Envelope(code=200, data=data))


def test_as_many_records_as_the_api_can_give_may_be_too_few() -> None:
    with pytest.raises(AnswerTooLarge):
        read_report(AGENT_9, Envelope(code=200, data=[a_row("Ana")] * MAX_RECORDS))


def test_unknown_columns_are_noted_not_refused() -> None:
    found = read(a_row("Ana") | {"skill": 7, "x\ud800": None}, a_row("Beto") | {"skill": [float("nan")]})
    assert kinds(found) == ["unknown_columns", "unknown_columns"]
    assert "'skill'" in found.notes[0].text
    assert len(found.agents) == 2
    "".join(note.text for note in found.notes).encode()


def test_a_total_time_that_differs_is_kept_and_noted() -> None:
    found = read(a_row("Ana", 1, 10, 5, total=99), a_row("Beto", 1, 10, 5))
    assert found.agents["Ana"].total_seconds == 99
    assert kinds(found) == ["total_time_differs"]
    assert "'Ana': 99, not 10 + 5" in found.notes[0].text


# --- one name twice ---


def test_duplicates_are_added_up_whatever_their_blanks_and_accents() -> None:
    found = read(
        a_row("José  P", 1, 10), a_row(unicodedata.normalize("NFD", " José P"), 2, 20), a_row("JOSÉ P", 4, 40)
    )
    assert found.agents == {"José P": Usage(3, 30, 0, 30), "JOSÉ P": Usage(4, 40, 0, 40)}
    assert kinds(found) == ["duplicate_name"]
    assert found.records == 3


def test_duplicates_that_add_up_to_too_much() -> None:
    with pytest.raises(AnswerUnreadable, match="Ana"):
        read(a_row("Ana", INT_MAX), a_row("Ana", 1), a_row("Beto", 5))


# --- which row is a total is not decided here ---


def test_all_rows_come_as_they_are() -> None:
    found = read(a_row(" Ana", 1, 10), a_row("Ana", 2, 20), a_row("Total", 3, 30))
    assert found.rows == (
        ("Ana", Usage(1, 10, 0, 10)),
        ("Ana", Usage(2, 20, 0, 20)),
        ("Total", Usage(3, 30, 0, 30)),
    )
    assert kinds(found) == ["duplicate_name"]
    assert found.records == 3


usages = st.tuples(st.integers(0, 50), st.integers(0, 5000), st.integers(0, 5000))
people = st.lists(st.tuples(st.sampled_from(["Ana", "Beto", "José  P", "José P", "Zoe"]), usages), max_size=8)


@given(people)
def test_nothing_is_lost_or_doubled_by_adding_up(rows: list[Any]) -> None:
    found = read(*(a_row(who, *usage) for who, usage in rows))
    expected = add_up({" ".join(who.split()): Usage(c, h, m, h + m)} for who, (c, h, m) in rows)
    assert found.agents == expected
    assert ("duplicate_name" in kinds(found)) == (len(expected) < len(rows))


# --- msg against data ---


@pytest.mark.parametrize(
    "msg", ["3 records were found", " 3 records were found", "3 RECORDS were found", "3 registros"]
)
def test_fewer_rows_than_said_are_a_cut_off_answer(msg: str) -> None:
    with pytest.raises(ServerFault, match="2 of 3"):
        read(a_row("Ana", 1), a_row("Beto", 2), msg=msg)


def test_more_rows_than_said_are_kept_and_noted() -> None:
    found = read(a_row("Ana", 1), a_row("Beto", 2), msg="1 records were found")
    assert kinds(found) == ["more_records_than_said"]
    assert len(found.agents) == 2


@pytest.mark.parametrize("said", [2, 3])
def test_a_total_row_may_be_counted_or_not(said: int) -> None:
    found = read(a_row("Ana", 1), a_row("Beto", 2), a_row("Total", 3), msg=f"{said} records were found")
    assert found.notes == ()


@pytest.mark.parametrize("msg", [None, "", "OK", "records were found", "31 days at most"])
def test_without_a_number_nothing_is_checked(msg: str | None) -> None:
    assert read(a_row("Ana"), msg=msg).notes == ()


# --- the envelope ---


@pytest.mark.parametrize(
    ("code", "read_as"),
    [
        *((200, 200), ("200", 200), (" 200 ", 200), ("200 ", 200), (200.0, 200), ("0200", 200)),
        *(
            ("abc", None),
            (True, None),
            (200.5, None),
            ("200.0", None),
            ("", None),
            (None, None),
            (-200, None),
        ),
        *(([200], None), ({"code": 200}, None), ("٢٠٠", None), (float("inf"), None), (10**400, None)),
    ],
)
def test_code_as_number_or_string(code: object, read_as: int | None) -> None:
    assert open_envelope(json.dumps({"code": code}).encode()).code == read_as


@pytest.mark.parametrize(
    "text", ["", " ", "<html>", "OK", '{"code": 200, "data": [', '{"code": "200"} trailing']
)
def test_what_is_no_whole_json(text: str) -> None:
    with pytest.raises(NotWhole):
        open_envelope(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "null",
        "5",
        '"x"',
        "NaN",
        '{"code": ' + "9" * 5000 + "}",
        '{"data": ' + "[" * 99999 + "]" * 99999 + "}",
    ],
)
def test_what_is_whole_and_still_wrong(text: str) -> None:
    with pytest.raises(NotAsAgreed):
        open_envelope(text.encode())


@pytest.mark.parametrize("depth", [50, 300, 600, 900])
def test_deep_nesting_ends_in_a_named_error_at_any_depth(depth: int) -> None:
    text = '{"code": 200, "msg": X, "data": [{"agent_name": X, "count": X}]}'.replace(
        "X", "[" * depth + "]" * depth
    )
    with pytest.raises((NotAsAgreed, AnswerUnreadable)):
        read_report(AGENT_9, open_envelope(text.encode()))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (rb'{"code": 200, "msg": "x\ud800"}', "half a character"),
        (rb'{"code": 200, "msg": "\udc00x"}', "half a character"),
        (rb'{"code": 200, "msg": "\ud83d\u0041"}', "half a character"),
        (b'{"code": 200, "msg": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"code": 200, "code": 200}', "same key twice"),
        (b'{"code": 200, "data": [{"agent_name": "Ana", "count": "1",\n "count": "2"}]}', "same key twice"),
        (b'{"code": 200, "data": [], "d\\u0061ta": []}', "same key twice"),
    ],
)
def test_what_can_be_read_in_more_than_one_way_is_not_read(body: bytes, words: str) -> None:
    with pytest.raises(NotAsAgreed, match=words) as caught:
        open_envelope(body)
    assert "after '" in str(caught.value)
    assert str(caught.value).isprintable()


def test_numbers_that_are_none_are_named_with_their_row() -> None:
    for number in (b"NaN", b"Infinity", b"1e999"):
        body = b'{"code": 200, "data": [{"agent_name": "Ana", "count": 1, "hold_time": %s}]}' % number
        with pytest.raises(AnswerUnreadable, match="agent 'Ana', column 'hold_time'"):
            read_report(AGENT_9, open_envelope(body))


def test_thousands_of_names_that_come_twice_are_added_up_at_once() -> None:
    rows = [a_row(f"Ana {n % 25_000}", 1) for n in range(50_000)]
    assert set(read(*rows).agents.values()) == {Usage(2, 0, 0, 0)}


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda s: st.lists(s) | st.dictionaries(st.text(), s),
    )
)
def test_any_json_is_an_answer_or_a_named_error(value: Any) -> None:
    for body in (
        value,
        {"code": 200, "data": value},
        {"code": 200, "data": [a_row("Ana") | {"count": value}]},
    ):
        try:
            read_report(AGENT_9, open_envelope(json.dumps(body).encode()))
        except (NotAsAgreed, AnswerUnreadable) as error:
            str(error).encode()


# --- token_info ---

QUOTA = {
    "description": "main",
    "token_limit": "5000",
    "token_use_today": "12",
    "all_token_today": " 40 ",
    "available_consumption_options": "4960",
}


def quota(row: object) -> Quota:
    return read_token_info(Envelope(code=200, data=[row]))


def test_the_quota() -> None:
    assert quota(QUOTA) == Quota(limit=5000, used_today=12, used_today_all_tokens=40)


@pytest.mark.parametrize("came", ["API, Reports", None, "", 7, ["a"]])
def test_what_is_available_may_be_anything(came: object) -> None:
    assert quota(QUOTA | {"available_consumption_options": came}) == quota(QUOTA)


def test_a_quota_of_numbers_and_the_hours_to_its_restart() -> None:
    numbers = {
        "token_limit": 5000,
        "token_use_today": 12,
        "all_token_today": 40.0,
        "hours_to_restart_count": 7,
    }
    found = read_token_info(Envelope(code=200, data=numbers))
    assert (found.limit, found.used_today, found.used_today_all_tokens, found.hours_to_restart) == (
        5000,
        12,
        40,
        7,
    )


@pytest.mark.parametrize(
    ("came", "kept"),
    [("7", 7), (" 0.5 ", 0.5), (25, 25), (26, None), ("240", None), (-1, None), ("soon", None), (None, None)],
)
def test_hours_that_no_day_has_are_not_believed(came: object, kept: float | None) -> None:
    assert quota(QUOTA | {"hours_to_restart_count": came}).hours_to_restart == kept


@pytest.mark.parametrize("limit", ["0", 0, "000"])
def test_a_limit_of_nothing_is_no_limit(limit: object) -> None:
    with pytest.raises(
        AnswerUnreadable, match="column 'token_limit' is not a possible number of requests a day"
    ):
        quota(QUOTA | {"token_limit": limit})


@pytest.mark.parametrize("column", ["token_limit", "token_use_today", "all_token_today"])
@pytest.mark.parametrize("value", ["", None, "-1", "many", 5.5, True, "1,000"])
def test_a_wrong_quota_is_no_number(column: str, value: object) -> None:
    with pytest.raises(AnswerUnreadable, match=f"column '{column}' is "):
        quota(QUOTA | {column: value})


def test_no_quota() -> None:
    with pytest.raises(AnswerUnreadable, match="no row"):
        read_token_info(Envelope(code=200, data=[]))
