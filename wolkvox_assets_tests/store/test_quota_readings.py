"""What was seen of a quota: by those who share it, by now, and nothing made up."""

from datetime import UTC, datetime, timedelta

import pytest

from wolkvox_assets.api import RequestRecord
from wolkvox_assets.store import Store, sources
from wolkvox_assets.store.quota_readings import (
    NOTHING_SEEN,
    QuotaReading,
    QuotaSeen,
    Refusal,
    quotas_seen,
    record_quota,
)
from wolkvox_assets.store.requests import record_requests
from wolkvox_assets.store.sources import OperationSource
from wolkvox_assets_tests.lakes import BOTH

STORES = BOTH
NOW = datetime(2026, 11, 20, 17, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
USED_UP = "TOKEN LIMIT EXCEEDED"
HERE = OperationSource.of("https://wv0013.wolkvox.com", "0013", "America/Bogota")


def request(
    ago: timedelta, api: str = "agent_9", status: int | None = 200, **fields: object
) -> RequestRecord:
    """An answer with a row."""
    usual: dict[str, object] = {
        "date_ini": None,
        "date_end": None,
        "code": None if status is None else f"{status}",
        "msg": None,
        "records": 1 if status == 200 else 0,
        "body": "{}",
    }
    return RequestRecord(
        **{"requested_at": NOW - ago, "api": api, "http_status": status, "seconds": 0.1, **usual, **fields}  # type: ignore[arg-type]  # fields of all types
    )


def refused(ago: timedelta, api: str = "agent_9") -> RequestRecord:
    return request(ago, api, 403, msg=USED_UP)


def seen(
    store: Store,
    *stored: RequestRecord | QuotaReading,
    operations: tuple[str, ...] = ("main",),
    now: datetime = NOW,
) -> QuotaSeen:
    for_each(store, "main", *stored)
    with store.reading() as con:
        assert con is not None
        return quotas_seen(con, {"theirs": operations}, now)["theirs"]


def for_each(store: Store, operation: str, *stored: RequestRecord | QuotaReading) -> None:
    with store.transaction() as con:
        for one in stored:
            if isinstance(one, QuotaReading):
                record_quota(con, operation, one, run_id="r")
            else:
                record_requests(con, [(operation, one)], run_id="r", now=NOW)


def test_nothing_was_seen(store: Store) -> None:
    assert seen(store) == NOTHING_SEEN
    assert seen(store, request(MINUTE)) == NOTHING_SEEN


def test_readings_and_the_requests_since(store: Store) -> None:
    first = QuotaReading(NOW - 3 * HOUR, 1000, 100)
    last = QuotaReading(NOW - HOUR, 1000, 150, NOW + 7 * HOUR)
    assert seen(store, first, request(2 * HOUR), last, request(HOUR), request(MINUTE)) == QuotaSeen(
        (last,), since=1
    )


def test_readings_between_which_the_count_began_anew(store: Store) -> None:
    used = [100, 500, 900, 10, 20, 950, 30, 40]
    readings = [QuotaReading(at, 1000, n) for n, at in zip(used, hours_up_to(NOW, len(used)), strict=True)]
    assert [reading.used for reading in seen(store, *readings).readings] == [900, 10, 950, 30, 40]


def hours_up_to(now: datetime, hours: int) -> list[datetime]:
    return [now - n * HOUR for n in range(hours, 0, -1)]


def test_only_of_those_who_share_it(store: Store) -> None:
    """Another server's requests are none of this quota's, and another operation's readings are, where it is shared."""
    mine, theirs = QuotaReading(NOW - 2 * HOUR, 1000, 100), QuotaReading(NOW - HOUR, 1000, 150)
    for_each(store, "near", theirs, request(MINUTE), request(MINUTE), refused(3 * MINUTE))
    for_each(store, "main", mine, request(MINUTE))
    assert seen(store) == QuotaSeen((mine,), since=1)
    assert seen(store, operations=("main", "near")) == QuotaSeen(
        (theirs, mine),  # as they were stored: the count began anew
        since=4,
        refusals=(Refusal(NOW - 3 * MINUTE),),
    )


def test_several_quotas_at_once_are_what_each_is_by_itself(store: Store) -> None:
    reading = QuotaReading(NOW - HOUR, 1000, 10)
    for_each(store, "main", reading, request(2 * HOUR), refused(MINUTE * 30))
    for_each(store, "madrid", request(MINUTE), request(MINUTE * 10))
    for_each(store, "far", reading._replace(used=700), refused(MINUTE * 20), request(MINUTE * 5))
    quotas = {"ours": ["main", "madrid"], "theirs": ["far"], "nobody's": ["new"], "none": []}
    with store.reading() as con:
        assert con is not None
        together = quotas_seen(con, quotas, NOW)
        assert together == {name: quotas_seen(con, {name: of}, NOW)[name] for name, of in quotas.items()}
    assert [together[name].since for name in quotas] == [3, 2, 0, 0]
    assert [len(together[name].refusals) for name in quotas] == [1, 1, 0, 0]


def test_who_shares_it(store: Store) -> None:
    """The server's address and code, whatever the token and the time zone."""
    with store.transaction() as con:
        sources.record(con, "main", HERE)
        sources.record(con, "madrid", HERE._replace(timezone="Europe/Madrid"))
        sources.record(con, "far", OperationSource.of("https://wv0014.wolkvox.com", "0014", "America/Bogota"))
        sources.record(con, "stand_in", HERE._replace(address="http://127.0.0.1:8807"))
    with store.reading() as con:
        assert con is not None
        assert sources.sharing_quotas(con, {"main": HERE})[HERE.quota] == ["madrid", "main"]
        # Nothing is recorded yet of one, and what is stored under the other's name came from elsewhere.
        both = sources.sharing_quotas(con, {"new": HERE, "far": HERE})
        assert both == {HERE.quota: ["madrid", "main", "new"]}


@pytest.mark.parametrize(
    "refusal",
    [
        request(HOUR, status=403, msg=USED_UP),
        request(HOUR, status=403, msg=" token  limit Exceeded", records=None),
        request(HOUR, code="403", msg=USED_UP, records=None),
        request(HOUR, msg=f"{USED_UP}: OK", records=0),
        request(HOUR, status=403, code=None, msg=f"{USED_UP}.", records=None),
        request(HOUR, "token_info", status=403, msg=USED_UP),
    ],
)
def test_a_refusal_in_whatever_form(store: Store, refusal: RequestRecord) -> None:
    found = seen(store, refusal, request(2 * HOUR))
    assert found.refusals == (Refusal(NOW - HOUR),)
    assert found.unreadable_at is None


@pytest.mark.parametrize(
    "other",
    [
        request(HOUR, body=f'{{"agent_name": "{USED_UP}"}}'),
        request(HOUR, status=500, msg=USED_UP),
        request(HOUR, status=403, msg="PLEASE VALIDATE TOKEN"),
        request(HOUR, status=None, msg=USED_UP, body=None, records=None),
    ],
)
def test_what_is_no_refusal(store: Store, other: RequestRecord) -> None:
    assert seen(store, other).refusals == ()


@pytest.mark.parametrize(
    ("after", "counts"),
    [
        (request(30 * MINUTE), True),
        (request(30 * MINUTE, status=404, msg="Validate dates entered"), True),
        (request(30 * MINUTE, "token_info"), True),
        (request(59 * MINUTE), False),  # may have been on its way at the same time
        (request(30 * MINUTE, status=503, code=None), False),
        (request(30 * MINUTE, status=None), False),
        (request(30 * MINUTE, status=403, msg="BACKUP"), False),
        (request(61 * MINUTE), False),
    ],
)
def test_an_answer_after_a_refusal(store: Store, after: RequestRecord, *, counts: bool) -> None:
    expected = Refusal(NOW - HOUR, after.requested_at if counts else None)
    assert seen(store, refused(HOUR), after, request(MINUTE, status=503)).refusals == (expected,)


def test_each_refusal_has_the_next_answer(store: Store) -> None:
    assert seen(
        store, *[refused(n * HOUR) for n in (9, 8, 3)], *[request(n * HOUR) for n in (10, 7, 6, 2)]
    ).refusals == (
        Refusal(NOW - 8 * HOUR, NOW - 7 * HOUR),  # the last before that answer
        Refusal(NOW - 3 * HOUR, NOW - 2 * HOUR),
    )


def test_a_look_in_vain(store: Store) -> None:
    reading = QuotaReading(NOW - 3 * HOUR, 1000, 100)
    before = request(4 * HOUR, "token_info", 404)
    assert seen(store, before, reading).in_vain_at is None
    found = seen(store, request(2 * HOUR, "token_info", 400), request(HOUR, "token_info", 503, code=None))
    assert (found.in_vain_at, found.unreadable_at) == (NOW - HOUR, NOW - 2 * HOUR)


@pytest.mark.in_files
def test_moments_of_the_future_are_not_believed(store: Store) -> None:
    """A clock was ahead by hours, and was set right: what was stored last counts, and nothing counts twice."""
    right = QuotaReading(NOW - HOUR, 1000, 500)
    ahead = QuotaReading(NOW + 5 * HOUR, 1000, 510)
    stored: tuple[RequestRecord | QuotaReading, ...] = (
        right,
        request(30 * MINUTE),
        ahead,
        request(-5 * HOUR),
        refused(-5 * HOUR),
        request(-5 * HOUR, "token_info", 404),
    )
    assert seen(store, *stored) == QuotaSeen((right,), since=1)
    # When the clock gets there, what was stored since is still the last.
    newer = QuotaReading(NOW + 4 * HOUR, 1000, 800)
    assert seen(store, newer, now=NOW + 6 * HOUR).reading == newer


def test_what_is_long_ago_is_not_looked_at(store: Store) -> None:
    old = timedelta(days=9)
    assert (
        seen(store, QuotaReading(NOW - old, 1000, 1), refused(old), request(old, "token_info", 404))
        == NOTHING_SEEN
    )


def test_nothing_of_it_is_kept_for_another_server(store: Store) -> None:
    elsewhere = HERE._replace(address="https://wv0014.wolkvox.com", server="0014")
    for_each(
        store,
        "main",
        QuotaReading(NOW - HOUR, 1000, 500, NOW + HOUR),
        request(MINUTE, "token_info", 404),
        refused(HOUR),
        request(MINUTE),
    )
    with store.transaction() as con:
        sources.record(con, "main", HERE)
        sources.keep(con, "main", elsewhere)
    with store.reading() as con:
        assert con is not None
        assert quotas_seen(con, {"theirs": ["main"]}, NOW) == {"theirs": NOTHING_SEEN}
        assert sources.rows_of(con, "main") == {"operation_sources": 1, "api_requests": 1}
