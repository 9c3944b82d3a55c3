"""The checks of a report's windows: each row, the answers they came from, and how new they are.

What belongs here: that. What doesn't: days and their totals (`days.py`).
"""

from datetime import timedelta

from wolkvox_assets.api.parsing import Answer
from wolkvox_assets.checks.check import IN_SCOPE, NONE, Cases, Check, Look, listed, warning
from wolkvox_assets.pipeline.quota import valid_reading
from wolkvox_assets.report.clocks import FUTURE_AFTER, told
from wolkvox_assets.report.total_row import is_usual, same_row
from wolkvox_assets.store.additivity import latest_verdict
from wolkvox_assets.store.total_rows import latest_total_row
from wolkvox_assets.store.windows import naive_utc

_ASSET = "{windows}"

_REPEAT = (
    "Materialise these windows again (`direct: true` requests each of them); if it comes back, look at `body` in "
    "api_requests."
)


def _duplicates(look: Look) -> Cases:
    return look.cases(
        "SELECT operation, window_start, agent_name, COUNT(*) AS rows, '{windows}' AS in_table FROM {windows}"  # noqa: S608  # fixed words
        f" WHERE {IN_SCOPE} GROUP BY ALL HAVING COUNT(*) > 1"
        " UNION ALL SELECT operation, window_start, '', COUNT(*), '{window_log}' FROM {window_log}"
        f" WHERE {IN_SCOPE} GROUP BY operation, window_start HAVING COUNT(*) > 1 ORDER BY window_start DESC, agent_name"
    )


def _log_and_rows(look: Look) -> Cases:
    return look.cases(
        "WITH log AS (SELECT operation, window_start, ANY_VALUE(agents) AS agents,"  # noqa: S608  # fixed words
        f"  ANY_VALUE(local_date) AS local_date FROM {{window_log}} WHERE {IN_SCOPE} GROUP BY operation, window_start),"
        " rows AS (SELECT operation, window_start, COUNT(DISTINCT agent_name) AS agents,"
        f"  ANY_VALUE(local_date) AS local_date FROM {{windows}} WHERE {IN_SCOPE} GROUP BY operation, window_start)"
        " SELECT operation, window_start, log.agents AS agents_in_log, COALESCE(rows.agents, 0) AS agents_with_rows,"
        "  COALESCE(rows.local_date, log.local_date) AS local_date"
        " FROM log FULL JOIN rows USING (operation, window_start)"
        " WHERE log.agents IS DISTINCT FROM COALESCE(rows.agents, 0)"
        "  OR log.local_date <> window_start::DATE OR rows.local_date <> window_start::DATE"
        "  OR epoch(window_start)::BIGINT % 300 <> 0"
        " ORDER BY window_start DESC"
    )


def _rows(look: Look, wrong: str, worst: str = "window_start", **values: object) -> Cases:
    """Rows of which `wrong` is so, by `worst`."""
    return look.cases(
        "SELECT operation, window_start, agent_name, [[#]]"  # noqa: S608  # fixed words
        f" FROM {{windows}} WHERE {IN_SCOPE} AND ({wrong}) ORDER BY {worst} DESC, window_start DESC, agent_name",
        **values,
    )


def _negative(look: Look) -> Cases:
    return _rows(look, "least([[#]]) < 0")


def _odd_totals(look: Look) -> Cases:
    total = look.report.total
    return _rows(look, f"{total.column} <> {' + '.join(total.parts)}") if total else NONE


def _implausible(look: Look) -> Cases:
    seconds = " + ".join(look.report.durations) or "0 * {first}"
    return _rows(
        look,
        f"{{first}} > $most OR {seconds} > {{first}} * $longest",
        seconds,
        most=look.report.most,
        longest=look.report.longest,
    )


def _columns(look: Look) -> Cases:
    found: list[tuple[object, ...]] = []
    for asked, answer in look.answers:
        if isinstance(answer, Answer):
            found += [(asked, note.text) for note in answer.notes if note.kind == "unknown_columns"]
        else:
            found.append((asked, str(answer)))
    return listed(("date_ini-date_end", "what"), found)


def _merged(look: Look) -> Cases:
    return listed(
        ("date_ini-date_end", "what"),
        (
            (asked, note.text)
            for asked, answer in look.answers
            if isinstance(answer, Answer)
            for note in answer.notes
            if note.kind == "duplicate_name"
        ),
    )


def _total_rows(look: Look) -> Cases:
    """Agents whose numbers are the sum of all others', in each window with two others or more. That is chance in a
    window, but not in three, and not for one who bears a total's name."""
    suspects = look.found(
        "WITH used AS (SELECT operation, window_start, agent_name, [[#]] FROM {windows}"  # noqa: S608  # fixed words
        f"  WHERE {IN_SCOPE} AND greatest([[#]]) > 0),"
        " sums AS (SELECT operation, window_start, [[SUM(#) AS #]] FROM used GROUP BY operation, window_start"
        "  HAVING COUNT(*) > 2)"
        " SELECT operation, agent_name, COUNT(*), MAX(window_start) FROM used JOIN sums USING (operation, window_start)"
        " GROUP BY operation, agent_name"
        " HAVING bool_and(([[used.# * 2]]) = ([[sums.#]]))"
        " ORDER BY COUNT(*) DESC"
    )
    verdict = latest_total_row(look.tables) if suspects else None
    name = verdict.name if verdict is not None else None
    return listed(
        ("agent_name", "windows", "newest_window"),
        (
            suspect
            for suspect in suspects
            if suspect[1] >= 3  # type: ignore[operator]  # COUNT(*)
            or is_usual(str(suspect[0]))
            or (name is not None and same_row(str(suspect[0]), name))
        ),
    )


def _additivity(look: Look) -> Cases:
    verdict = latest_verdict(look.tables)
    against = [(verdict.proved_at, verdict.evidence)] if verdict is not None and not verdict.holds else []
    return listed(("proved_at", "evidence"), against)


def _quota(look: Look) -> Cases:
    seen = look.beside.quota_seen(look)
    found: list[tuple[object, ...]] = []
    if seen.refusals and seen.refusals[-1].answered_at is None:
        found.append((seen.refusals[-1].refused_at, "refused: all of them are used", "", ""))
    reading = valid_reading(seen, look.now)
    if reading is not None:
        ours, used = int(reading.limit * (1 - look.operation.quota_reserve)), reading.used + seen.since
        found += [(reading.read_at, used, ours, reading.limit)] if used > ours else []
    return listed(("seen_at", "used_today", "without_the_reserve", "daily_limit"), found)


def _future(look: Look) -> Cases:
    clock = look.operation.clock
    latest = look.now + FUTURE_AFTER
    # Only those near the clock's hand need to be asked of the time zone: an hour can be passed twice.
    recent = look.rows(
        "SELECT window_start, fetched_at, verified_at, fetched_at <= $credible AND verified_at <= $credible"
        " FROM {window_log} WHERE operation = $operation"
        "  AND (window_start > $wall OR fetched_at > $credible OR verified_at > $credible) ORDER BY window_start DESC",
        wall=clock.now(look.now) - timedelta(hours=3),
    )
    return listed(
        ("window_start", "fetched_at", "verified_at"),
        (
            (window, fetched, verified)
            for window, fetched, verified, past in recent
            if not past or clock.end_utc(window) > latest  # type: ignore[arg-type]  # TIMESTAMP
        ),
    )


def _newest(look: Look) -> Cases:
    [(newest, began)] = look.rows(
        "SELECT MAX(window_start), MIN(fetched_at) FROM {window_log} WHERE operation = $operation"
        " AND fetched_at <= $credible"
    )
    operation = look.operation
    columns = ("newest_window", "age", "fresh_minutes")
    if newest is None:
        return listed(columns, [("none is stored", "", operation.fresh_minutes)], mild=True)
    age = look.now - operation.clock.end_utc(newest)  # type: ignore[arg-type]  # TIMESTAMP
    return listed(
        columns,
        [(newest, told(age), operation.fresh_minutes)] if age >= operation.old_after else [],
        # At a first start history may come before the first tick.
        mild=age < operation.stale_after or began > naive_utc(look.now - operation.old_after),  # type: ignore[operator]  # TIMESTAMP
    )


NEWEST = Check(
    "newest_window_is_recent",
    _ASSET,
    holds="The newest known window ended less than WOLKVOX_FRESH_MINUTES ago (15 unless set). Dagster's freshness "
    "can't tell: it takes a mark of any window, be it a year old, for a fresh one.",
    wrong="The newest known window is older than WOLKVOX_FRESH_MINUTES allows (an error from twice that on)",
    remedy="Is `live_schedule` on, and does `live` fail or wait? Its last run and the sensor `alerts` say why; so does "
    "`wolkvox-assets doctor`.",
    find=_newest,
    blocking=False,
)

TOTAL = warning(
    "total_is_{plus}",
    _ASSET,
    holds="{total} is {sum}.",
    wrong="The server's total is not {words}",
    remedy="It is kept as it came. Use {parts} where it matters, and ask Wolkvox what its total means.",
    find=_odd_totals,
)

WINDOWS = (
    Check(
        "one_row_per_window_and_agent",
        _ASSET,
        holds="A window has one row for an agent, and one in the log.",
        wrong="Rows are there more than once, and are counted more than once",
        remedy=_REPEAT,
        find=_duplicates,
    ),
    Check(
        "rows_match_the_window_log",
        _ASSET,
        holds="Each row belongs to a known window, and each known window has as many agents as its log says.",
        wrong="Windows have different rows than the log of known windows says",
        remedy=_REPEAT,
        find=_log_and_rows,
    ),
    Check(
        "no_negative_numbers",
        _ASSET,
        holds="No count and no duration is negative.",
        wrong="Numbers are negative",
        remedy=_REPEAT,
        find=_negative,
    ),
    Check(
        "no_total_row_among_agents",
        _ASSET,
        holds="No agent is the sum of all others: a row with the total, counted as an agent, doubles everything.",
        wrong="An agent is the sum of all others, in each window with two others or more",
        remedy="Is it a person? If not, the server adds a total row: see {total_row_verdicts}, and materialise the "
        "days again with `direct: true`.",
        find=_total_rows,
    ),
    Check(
        "nothing_of_the_future",
        _ASSET,
        holds="No window is known that is not over yet, and nothing was fetched or verified at a time in the future.",
        wrong="Windows are known that are not over yet, or were fetched or verified at a time in the future",
        remedy="A clock was wrong, or is wrong now: see `wolkvox-assets doctor`. Such windows count as not known and "
        "are requested again by themselves.",
        find=_future,
    ),
    TOTAL,
    warning(
        "plausible_numbers",
        _ASSET,
        # Something left running, or a mistake: what counts is counted as a whole in one window, however long.
        holds="No agent has a {first} of more than {most} in five minutes, nor more than {longest} seconds for each of "
        "them. Each counts as a whole, so that a window can have more than 300 seconds.",
        wrong="An agent has a larger {first}, or more seconds, than is plausible",
        remedy="Compare with Wolkvox: something was left running, or a number is wrong. It is kept as it came.",
        find=_implausible,
    ),
    warning(
        "answers_as_described",
        _ASSET,
        holds="The latest answers have the columns that are known, and no others.",
        wrong="Answers lack columns, or have unknown ones",
        remedy="The report may have changed: compare `body` in api_requests with it. An answer that lacks a column is "
        "not stored.",
        find=_columns,
    ),
    warning(
        "no_merged_names",
        _ASSET,
        holds="No two rows of an answer have the same name.",
        wrong="Rows of one answer have the same name and were added up",
        remedy="Two agents may have that name: the API has nothing else to tell them apart. Rename one in Wolkvox.",
        find=_merged,
    ),
    warning(
        "answers_add_up",
        _ASSET,
        holds="The answer for a range is the sum of the answers for its parts, as far as this was tried.",
        wrong="The answer for a range was not the sum of its parts",
        remedy="Nothing to do: windows are requested one by one, which costs more requests, and it is tried again "
        "after seven days. See {additivity_proofs}.",
        find=_additivity,
    ),
    warning(
        "quota_reserve_kept",
        _ASSET,
        holds="The reserve of the day's requests is untouched.",
        wrong="The reserve of the day's requests is being used",
        remedy="Other integrations of the operation use more than is left for them. Get more licences, make fewer "
        "requests elsewhere, or change WOLKVOX_QUOTA_RESERVE. Nothing is requested until the quota is renewed.",
        find=_quota,
    ),
    NEWEST,
)
