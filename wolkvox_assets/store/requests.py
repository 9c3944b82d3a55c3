"""The requests made: `api_requests`, the answers as they came, kept for a while."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import duckdb
import pandas as pd

from wolkvox_assets.api import RequestRecord
from wolkvox_assets.store.windows import naive_utc

# Long enough to look into last quarter's odd number; the bodies are most of the file's size.
KEPT = timedelta(days=90)
# Of so many days with requests the first counts as today: a clock that is ahead for a day or two deletes nothing.
_DAYS_SEEN = 3


def record_requests(
    con: duckdb.DuckDBPyConnection,
    requests_of: Sequence[tuple[str, RequestRecord]],
    *,
    run_id: str,
    now: datetime,
) -> None:
    """Add these requests, each with its operation, and forget those that are older than `KEPT` at `now` (aware),
    and were so on the days before."""
    if not requests_of:
        return
    requests = [request for _, request in requests_of]
    frame = pd.DataFrame(
        {
            "operation": [operation for operation, _ in requests_of],
            "requested_at": [naive_utc(r.requested_at) for r in requests],
            "api": [r.api for r in requests],
            "date_ini": [r.date_ini for r in requests],
            "date_end": [r.date_end for r in requests],
            # Text and numbers that may be missing: objects, or pandas would turn None into NaN and 200 into 200.0.
            "http_status": pd.Series([r.http_status for r in requests], dtype=object),
            "code": [r.code for r in requests],
            "msg": [r.msg for r in requests],
            "records": pd.Series([r.records for r in requests], dtype=object),
            "seconds": [r.seconds for r in requests],
            "run_id": run_id,
            "body": [r.body for r in requests],
        }
    )
    con.register("batch_requests", frame)
    con.execute("INSERT INTO api_requests BY NAME SELECT * FROM batch_requests")
    con.unregister("batch_requests")
    today = naive_utc(now).replace(hour=0, minute=0, second=0, microsecond=0)
    # Of each day the first commit finds some. The days seen are not read by all others: that takes a scan of all.
    oldest = today - timedelta(days=_DAYS_SEEN - 1) - KEPT
    if not con.execute("SELECT 1 FROM api_requests WHERE requested_at < ? LIMIT 1", [oldest]).fetchone():
        return
    con.execute(
        "DELETE FROM api_requests WHERE requested_at < (SELECT min(day) FROM ("
        " SELECT DISTINCT requested_at::DATE AS day FROM api_requests WHERE requested_at <= $now"
        " ORDER BY day DESC LIMIT $seen)) - $kept",
        {"now": naive_utc(now), "seen": _DAYS_SEEN, "kept": KEPT},
    )
