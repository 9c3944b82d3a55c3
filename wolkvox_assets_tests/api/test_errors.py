"""The error table, and what an error says."""

import pickle

import pytest

from wolkvox_assets.api import errors
from wolkvox_assets.api.errors import Asked, WolkvoxError, outcome_of

PUBLISHED = [
    (400, "THE API YOU WANT TO CONSULT DOES NOT EXIST", errors.UnknownReport),
    (400, "SOME PARAMETERS ARE REQUIRED", errors.MissingParameters),
    (400, "something else", errors.UnexpectedStatus),
    (401, "PLEASE ENTER THE WOLKVOX-TOKEN", errors.TokenMissing),
    (401, "something else", errors.UnexpectedStatus),
    (403, "PLEASE VALIDATE TOKEN", errors.TokenRefused),
    (403, "TOKEN LIMIT EXCEEDED", errors.QuotaUsedUp),
    (403, "EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS PER TOKEN (2)", errors.TooManyAtOnce),
    (403, "EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS PER TOKEN (4)", errors.TooManyAtOnce),
    (403, "Sistema en mantenimiento", errors.Unavailable),
    (404, "Validate dates entered", None),
    (404, "No such report", errors.NotFound),
    (408, "", errors.ServerFault),
    (429, "", errors.ServerFault),
    (418, "", errors.UnexpectedStatus),
    (500, "", errors.ServerFault),
    (503, "TOKEN LIMIT EXCEEDED", errors.ServerFault),
    (599, "", errors.ServerFault),
    (600, "", errors.UnexpectedStatus),
    (201, "", errors.UnexpectedStatus),
]


@pytest.mark.parametrize(("status", "msg", "outcome"), PUBLISHED)
def test_status_and_message_decide_together(
    status: int, msg: str, outcome: type[WolkvoxError] | None
) -> None:
    assert outcome_of(status, msg) is outcome


@pytest.mark.parametrize(
    ("status", "msg", "outcome"), [(s, m, o) for s, m, o in PUBLISHED if m and m[:9] != "something"]
)
def test_case_and_stray_blanks_do_not_matter(
    status: int, msg: str, outcome: type[WolkvoxError] | None
) -> None:
    assert outcome_of(status, f"  {msg.replace(' ', '   ').swapcase()}. \n") is outcome


def test_the_same_words_under_another_status_mean_nothing() -> None:
    assert outcome_of(400, "Validate dates entered") is errors.UnexpectedStatus
    assert outcome_of(401, "TOKEN LIMIT EXCEEDED") is errors.UnexpectedStatus


def test_every_error_belongs_to_one_way_of_recovering() -> None:
    def leaves(kind: type[WolkvoxError]) -> list[type[WolkvoxError]]:
        return [leaf for sub in kind.__subclasses__() for leaf in leaves(sub)] or [kind]

    for leaf in leaves(WolkvoxError):
        ways = [
            way for way in (errors.Permanent, errors.QuotaUsedUp, errors.Transient) if issubclass(leaf, way)
        ]
        assert len(ways) == 1, leaf
        assert leaf.happened != WolkvoxError.happened, leaf
        assert leaf.remedy, leaf
        assert leaf.__name__ in (errors.__doc__ or ""), (
            f"{leaf} is missing in the tree at the top of errors.py"
        )


def test_the_text_names_operation_and_range_and_remedy() -> None:
    error = errors.TokenRefused()
    error.asked = Asked("north", "agent_9", "20261116080500", "20261116080959")
    error.status, error.code, error.msg = 200, "403", "PLEASE VALIDATE TOKEN"
    for part in (
        "'north'",
        "agent_9",
        "2026-11-16 08:05 to 2026-11-16 08:09:59",
        "HTTP 200",
        "code 403",
        "VALIDATE",
        "Set ",
    ):
        assert part in str(error)


def test_it_survives_a_process_boundary() -> None:
    error = errors.Unavailable("is odd")
    error.asked = Asked("north", "agent_9", "1", "2")
    error.retry_after = 7
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.asked, again.retry_after) == (str(error), error.asked, 7)
