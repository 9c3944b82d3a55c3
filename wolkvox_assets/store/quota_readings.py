"""What was seen of a day's quota: readings of `token_info`, refusals, and the requests made since.

What belongs here: writing `quota_readings` and `quota_restarts`, and reading them together with `api_requests`. What
doesn't: what follows from it (`quota.py`), and who shares a quota (`sources.py`).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import duckdb

from wolkvox_assets.api import QUOTA_USED_UP
from wolkvox_assets.store.windows import credible_until, naive_utc

REMEMBERED = timedelta(days=8)
"""How far back it is looked: long enough to see at which time of the day a quota is renewed."""

Q = TypeVar("Q")

OVERLAP = timedelta(minutes=2)
"""Two requests closer than this may have been on their way at once, with two tokens: which of them the server counted
first is not known. No request takes longer."""


class QuotaReading(NamedTuple):
    """A look at the day's quota. `read_at`: aware. `used`: requests, by all tokens together. `restarts_at`: when
    the count begins anew, where the server says it (aware)."""

    read_at: datetime
    limit: int
    used: int
    restarts_at: datetime | None = None


class Refusal(NamedTuple):
    """The server said that the day's requests are used up. `answered_at`: when it next answered a request that was
    made more than `OVERLAP` later; None where it has not. Both aware."""

    refused_at: datetime
    answered_at: datetime | None = None


class QuotaSeen(NamedTuple):
    """All that was seen of a quota lately.

    `readings`: in the order in which they were stored; the last, and those between which the count began anew.
    `refusals`: oldest first, the last one before each answer. `since`: requests made since the last reading.
    `in_vain_at`: the last look that brought no reading, since the last that did (aware). `unreadable_at`: the last of
    these that the server answered, but not with the quota.
    """

    readings: tuple[QuotaReading, ...] = ()
    since: int = 0
    refusals: tuple[Refusal, ...] = ()
    in_vain_at: datetime | None = None
    unreadable_at: datetime | None = None

    @property
    def reading(self) -> QuotaReading | None:
        return self.readings[-1] if self.readings else None


NOTHING_SEEN = QuotaSeen()


def record_quota(
    con: duckdb.DuckDBPyConnection, operation: str, reading: QuotaReading, *, run_id: str
) -> None:
    read_at = naive_utc(reading.read_at)
    con.execute(
        "INSERT INTO quota_readings VALUES (?, ?, ?, ?, ?)",
        [operation, read_at, reading.limit, reading.used, run_id],
    )
    if reading.restarts_at is not None:
        con.execute(
            "INSERT INTO quota_restarts VALUES (?, ?, ?)",
            [operation, read_at, naive_utc(reading.restarts_at)],
        )


# Which operation uses which quota, by its number.
_SHARED = (
    "shared AS (SELECT unnest($operations::VARCHAR[]) AS operation, unnest($quotas::INTEGER[]) AS quota)"
)

# Not `body`: it is most of the file, and in `msg` is what the server said wherever it said it.
_WORDS = r"\s+".join(QUOTA_USED_UP.split())
_REFUSED = (
    f"(http_status IN (200, 403) AND COALESCE(records, 0) = 0 AND regexp_matches(msg, '{_WORDS}', 'i'))"
)

# Of all else it is known that it passes, or that nothing works at all: refusals, faults, also within a 200, and answers
# that were cut off.
_UNREADABLE = "(code IN ('200', '400', '404') OR code IS NULL AND http_status IN (400, 404))"


def quotas_seen(
    con: duckdb.DuckDBPyConnection, quotas: Mapping[Q, Sequence[str]], now: datetime
) -> dict[Q, QuotaSeen]:
    """What was seen of these quotas by `now` (aware). Each has the operations that share it, and none has another's.

    Nothing with a moment in the future is believed: a clock was ahead then, or is behind now.
    """
    shared = [(number, operation) for number, names in enumerate(quotas.values()) for operation in names]
    asked = {
        "quotas": [number for number, _ in shared],
        "operations": [operation for _, operation in shared],
        "since": naive_utc(now - REMEMBERED),
        "now": credible_until(now),
    }
    con.execute(
        # The last one stored is the last one, not that of the latest moment: clocks are set back and ahead.
        f"WITH {_SHARED} SELECT quota, read_at, daily_limit, used_today, restarts_at"  # noqa: S608  # fixed words
        " FROM quota_readings JOIN shared USING (operation) LEFT JOIN quota_restarts USING (operation, read_at)"
        " WHERE read_at BETWEEN $since AND $now"
        " WINDOW stored AS (PARTITION BY quota ORDER BY quota_readings.rowid)"
        " QUALIFY used_today < LAG(used_today) OVER stored"
        "  OR COALESCE(LEAD(used_today) OVER stored < used_today, TRUE)"
        " ORDER BY quota_readings.rowid",
        asked,
    )
    readings: dict[int, list[QuotaReading]] = defaultdict(list)
    for number, at, limit, used, restarts in con.fetchall():
        readings[number].append(QuotaReading(_aware(at), limit, used, _aware(restarts)))
    read_at = [
        naive_utc(readings[number][-1].read_at) if readings[number] else asked["since"]
        for number in range(len(quotas))
    ]
    found = con.execute(
        f"WITH {_SHARED}, last AS ("  # noqa: S608  # fixed words
        "  SELECT generate_subscripts($read_at, 1) - 1 AS quota, unnest($read_at::TIMESTAMP[]) AS read_at)"
        " SELECT quota, COUNT(*), MAX(requested_at) FILTER (api = 'token_info'),"
        f" MAX(requested_at) FILTER (api = 'token_info' AND {_UNREADABLE} AND NOT {_REFUSED})"
        " FROM api_requests JOIN shared USING (operation) JOIN last USING (quota)"
        " WHERE requested_at > read_at AND requested_at BETWEEN $since AND $now GROUP BY quota",
        {**asked, "read_at": read_at},
    ).fetchall()
    after = {number: (since, _aware(vain), _aware(unreadable)) for number, since, vain, unreadable in found}
    refusals = _refusals(con, asked)
    seen = {}
    for number, quota in enumerate(quotas):
        since, in_vain_at, unreadable_at = after.get(number, (0, None, None))
        of_it = tuple(readings[number])
        seen[quota] = QuotaSeen(
            of_it, since if of_it else 0, tuple(refusals[number]), in_vain_at, unreadable_at
        )
    return seen


def _refusals(con: duckdb.DuckDBPyConnection, asked: dict[str, object]) -> dict[int, list[Refusal]]:
    con.execute(
        f"WITH {_SHARED}, requests AS MATERIALIZED ("  # noqa: S608  # fixed words
        f" SELECT quota, requested_at, {_REFUSED} AS refused,"
        "  http_status IN (200, 404) AND code IN ('200', '404') AS answered"
        " FROM api_requests JOIN shared USING (operation) WHERE requested_at BETWEEN $since AND $now),"
        " refusals AS (SELECT quota, requested_at AS refused_at, requested_at + $overlap AS over_at"
        " FROM requests WHERE refused),"
        " answers AS (SELECT quota, requested_at AS answered_at FROM requests WHERE answered AND NOT refused)"
        " SELECT refusals.quota, MAX(refused_at), answered_at"
        " FROM refusals ASOF LEFT JOIN answers ON refusals.quota = answers.quota AND over_at < answered_at"
        " GROUP BY refusals.quota, answered_at ORDER BY ALL",
        {**asked, "overlap": OVERLAP},
    )
    found: dict[int, list[Refusal]] = defaultdict(list)
    for number, refused, answered in con.fetchall():
        found[number].append(Refusal(_aware(refused), _aware(answered)))
    return found


def forget_quota(con: duckdb.DuckDBPyConnection, operation: str) -> None:
    """All that says something of the quota of the operation's server, which is another one now. What was asked of
    the report is kept, but for refusals."""
    for table in ("quota_readings", "quota_restarts"):
        con.execute(f"DELETE FROM {table} WHERE operation = ?", [operation])  # noqa: S608  # fixed names
    con.execute(
        f"DELETE FROM api_requests WHERE operation = ? AND (api = 'token_info' OR {_REFUSED})",  # noqa: S608
        [operation],
    )


def _aware(moment: Any) -> Any:
    return moment and moment.replace(tzinfo=UTC)
