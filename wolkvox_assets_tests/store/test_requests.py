"""`api_requests`: every field as it was, nothing made up where there was none, and old ones forgotten."""

from datetime import UTC, datetime, timedelta, timezone

from wolkvox_assets.api import RequestRecord
from wolkvox_assets.store import Store
from wolkvox_assets.store.requests import record_requests
from wolkvox_assets_tests.lakes import BOTH
from wolkvox_assets_tests.store.tables import query

STORES = BOTH
NOW = datetime.now(UTC)


def request(requested_at: datetime = NOW, **fields: object) -> RequestRecord:
    """One of which nothing is known but when and how long: no answer came."""
    nothing: dict[str, object] = dict.fromkeys(
        ["date_ini", "date_end", "http_status", "code", "msg", "records", "body"]
    )
    return RequestRecord(
        **{"requested_at": requested_at, "api": "agent_9", "seconds": 0.25, **nothing, **fields}  # type: ignore[arg-type]  # fields of all types
    )


FULL = request(
    datetime.now(timezone(timedelta(hours=-5))),
    date_ini="20261116080500",
    date_end="20261116080959",
    http_status=200,
    code="200",
    msg="1 record found: Ñandú",
    records=1,
    seconds=0.125,
    body='{"code": "200"}',
)


def record(
    store: Store, *requests: RequestRecord, operation: str = "main", run_id: str = "run"
) -> list[tuple[object, ...]]:
    with store.transaction() as con:
        record_requests(con, [(operation, one) for one in requests], run_id=run_id, now=NOW)
    return query(store, "FROM api_requests ORDER BY requested_at, http_status")


def naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def test_every_field_is_written(store: Store) -> None:
    assert record(store, FULL, operation="north", run_id="r7") == [
        (
            *("north", naive(FULL.requested_at), "agent_9", "20261116080500", "20261116080959"),
            *(200, "200", "1 record found: Ñandú", 1, 0.125, "r7", '{"code": "200"}'),
        )
    ]


def test_what_is_missing_is_null(store: Store) -> None:
    assert record(store, request()) == [
        ("main", naive(NOW), "agent_9", None, None, None, None, None, None, 0.25, "run", None)
    ]


def test_what_is_missing_beside_others_is_null_as_well(store: Store) -> None:
    without = request(FULL.requested_at - timedelta(seconds=1))
    found = record(store, FULL, without)
    assert found[0][3:9] == (None,) * 6
    assert found[0][11] is None
    assert found[1][3:9] == ("20261116080500", "20261116080959", 200, "200", "1 record found: Ñandú", 1)


def test_a_single_number_far_down_a_long_batch_is_kept(store: Store) -> None:
    # DuckDB looks at a sample of a frame to guess what its columns hold.
    many = [request(NOW - timedelta(seconds=n)) for n in range(3000)]
    many[1501] = request(NOW - timedelta(seconds=1501), http_status=404, code="404", records=0)
    found = record(store, *many)
    assert len(found) == 3000
    assert [row[5:9] for row in found if row[5] is not None] == [(404, "404", None, 0)]


def test_requests_add_up(store: Store) -> None:
    record(store, request(), request())
    assert len(record(store, request(), operation="other")) == 3


def test_any_text_is_kept_as_it_came(store: Store) -> None:
    body = "a\x00b\r\n'\"; DROP TABLE api_requests; -- ñ 🦤 " + "x" * 65_536
    (row,) = record(store, request(body=body, msg="null", code="NaN"))
    assert (row[11], row[7], row[6]) == (body, "null", "NaN")


def said(store: Store, *requests: RequestRecord) -> list[object]:
    return [row[7] for row in record(store, *requests)]


def test_requests_are_forgotten_after_ninety_days(store: Store) -> None:
    old, kept = request(NOW - timedelta(days=94), msg="old"), request(NOW - timedelta(days=89), msg="kept")
    record(store, kept, operation="other")
    days = [request(NOW - timedelta(days=n), msg=f"{n}") for n in (2, 1, 0)]
    assert said(store, old, kept, *days) == ["kept", "kept", "2", "1", "0"]


def test_those_stored_long_ago_are_forgotten_when_the_next_come(store: Store) -> None:
    with store.transaction() as con:
        days = [("other", request(NOW - timedelta(days=n), msg=f"{n}")) for n in (93, 2, 1)]
        record_requests(con, days, run_id="run", now=NOW - timedelta(days=4))
    assert said(store) == ["93", "2", "1"]  # nothing made, nothing cleared out
    assert said(store, request(msg="new")) == ["2", "1", "new"]


def test_a_clock_that_is_months_ahead_for_a_while_deletes_none(store: Store) -> None:
    for days in (0, 200, 200, 201, 1):
        with store.transaction() as con:
            then = NOW + timedelta(days=days)
            record_requests(con, [("main", request(then, msg=f"{days}"))], run_id="run", now=then)
    assert said(store) == ["0", "1", "200", "200", "201"]
