"""The checks of the daily totals: do they follow from the windows, does the API say the same, are closed days whole.

What belongs here: that. What doesn't: the windows themselves (`windows.py`).
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from wolkvox_assets.api.errors import WolkvoxError, says_empty
from wolkvox_assets.api.parsing import NotAsAgreed, NotWhole, open_envelope, read_report
from wolkvox_assets.checks.check import IN_SCOPE, NONE, Cases, Check, Look, listed
from wolkvox_assets.pipeline.due_work import closed_at
from wolkvox_assets.report.clocks import lately
from wolkvox_assets.report.measures import Agents, Usage, in_use
from wolkvox_assets.report.total_row import AnswerInDoubt, Judge
from wolkvox_assets.store.additivity import latest_verdict
from wolkvox_assets.store.total_rows import latest_total_row
from wolkvox_assets.store.windows import naive_utc

_DAY = timedelta(days=1)

READY_AFTER = timedelta(hours=3)
"""After midnight: an hour until the day's last windows have settled, and two for the tick that verifies it, also where
ticks fail for a while."""

_REBUILD = (
    "If rows_match_the_window_log or another check of {windows} fails as well, repair the windows first, as it says: "
    "they may be what is wrong. Then materialise this asset for these days: it is rebuilt from the windows, without a "
    "request."
)


def _agents_and_windows(look: Look) -> Cases:
    return look.cases(
        "WITH told AS (SELECT operation, local_date, agent_name, [[#]],"  # noqa: S608  # fixed words
        f"  active_windows, first_window, last_window FROM {{agent_days}} WHERE {IN_SCOPE}),"
        " sums AS (SELECT operation, local_date, agent_name, [[SUM(#)::BIGINT AS #]],"
        "  COUNT(*)::INTEGER AS active_windows, MIN(window_start) AS first_window, MAX(window_start) AS last_window"
        f"  FROM {{windows}} WHERE {IN_SCOPE} GROUP BY ALL)"
        " SELECT operation, local_date, agent_name, told.{first}, sums.{first} AS {first}_in_windows,"
        "  told.{last}, sums.{last} AS {last}_in_windows"
        " FROM told FULL JOIN sums USING (operation, local_date, agent_name)"
        " WHERE ([[told.#]], told.active_windows, told.first_window, told.last_window)"
        "  IS DISTINCT FROM ([[sums.#]], sums.active_windows, sums.first_window, sums.last_window)"
        " ORDER BY local_date DESC, agent_name"
    )


def _operation_and_windows(look: Look) -> Cases:
    return look.cases(
        "WITH told AS (SELECT operation, local_date, [[#]], verified_at"  # noqa: S608  # fixed words
        f"  FROM {{operation_days}} WHERE {IN_SCOPE}),"
        " log AS (SELECT operation, local_date, MIN(verified_at) AS verified_at FROM {window_log}"
        f"  WHERE {IN_SCOPE} AND fetched_at <= $credible GROUP BY operation, local_date),"
        " sums AS (SELECT operation, local_date, [[COALESCE(SUM(#), 0)::BIGINT AS #]]"
        f"  FROM (SELECT * FROM {{windows}} WHERE {IN_SCOPE}) GROUP BY operation, local_date)"
        " SELECT operation, local_date, told.{first}, COALESCE(sums.{first}, 0) AS {first}_in_windows,"
        "  told.{last}, COALESCE(sums.{last}, 0) AS {last}_in_windows,"
        "  list_contains($untrue, local_date) AS other_windows_known, told.verified_at,"
        "  log.verified_at AS windows_verified_at"
        " FROM told FULL JOIN sums USING (operation, local_date) LEFT JOIN log USING (operation, local_date)"
        " WHERE list_contains($untrue, local_date) OR told.verified_at IS DISTINCT FROM log.verified_at"
        "  OR ([[told.#]]) IS DISTINCT FROM ([[COALESCE(sums.#, 0)]])"
        " ORDER BY local_date DESC",
        untrue=sorted(look.beside.untrue_days(look)),
    )


def _operation_and_agents(look: Look) -> Cases:
    return look.cases(
        "WITH told AS (SELECT operation, local_date, agents, [[#]]"  # noqa: S608  # fixed words
        f"  FROM {{operation_days}} WHERE {IN_SCOPE}),"
        " sums AS (SELECT operation, local_date, COUNT(DISTINCT agent_name) AS agents, [[SUM(#) AS #]]"
        f"  FROM {{agent_days}} WHERE {IN_SCOPE} GROUP BY operation, local_date)"
        " SELECT operation, local_date, told.agents, COALESCE(sums.agents, 0) AS agents_with_rows, told.{last},"
        "  COALESCE(sums.{last}, 0)::BIGINT AS {last}_of_agents"
        " FROM told FULL JOIN sums USING (operation, local_date)"
        " WHERE (told.agents, [[told.#]]) IS DISTINCT FROM (COALESCE(sums.agents, 0), [[COALESCE(sums.#, 0)]])"
        " ORDER BY local_date DESC"
    )


def _closed_days(look: Look) -> Cases:
    """Also those without a row: history that is still to come is a warning, since nobody can build on it."""
    start = look.operation.start
    yesterday = look.operation.clock.now(look.now - READY_AFTER).date() - _DAY
    days = [start + n * _DAY for n in range((yesterday - start).days + 1)]
    if not days:
        return NONE
    found = look.rows(
        "SELECT local_date, COALESCE(windows_known, 0), windows_expected, verified_at, COALESCE(complete, FALSE)"
        " FROM (SELECT unnest($days) AS local_date, unnest($closed) AS closed_at) AS days"
        " LEFT JOIN (FROM {operation_days} WHERE operation = $operation) AS told USING (local_date)"
        " WHERE NOT COALESCE(complete AND verified_at >= closed_at, FALSE)"
        " ORDER BY windows_known IS NULL, local_date DESC",
        days=days,
        closed=[closed_at(look.operation.clock, day) for day in days],
    )
    return listed(
        ("local_date", "windows_known", "windows_expected", "verified_at", "complete"),
        found,
        mild=all(
            # A day of which all is known is not complete where no answer ever had a row: nobody can tell what it means.
            known == 0 or (known == expected and not complete)
            for _, known, expected, _, complete in found
        ),
    )


def still_loading(look: Look) -> bool:
    """Whether windows of days that have closed came in lately: what is not whole may become so by itself."""
    [(newest,)] = look.rows(
        "SELECT MAX(fetched_at) FROM {window_log} WHERE operation = $operation AND local_date < $today"
        " AND fetched_at <= $credible",
        today=look.operation.clock.now(look.now).date(),
    )
    return isinstance(newest, datetime) and lately(newest.replace(tzinfo=UTC), look.now, READY_AFTER)


def _api_answers(look: Look) -> Cases:
    """The API's latest answer for a whole day that had closed by then, held against the stored totals."""
    if closed_at(look.operation.clock, max(look.scope.first, look.operation.start)) > naive_utc(look.now):
        return NONE  # no day of the scope has closed: a tick
    found: list[tuple[object, ...]] = []
    report = look.report
    judge = Judge(latest_total_row(look.tables))
    for day, requested_at, answered in _answers_of_days(look, judge):
        stored = in_use(_stored(look, day))
        for agent in sorted(answered.keys() | stored.keys()):
            ours, theirs = stored.get(agent, report.nothing), answered.get(agent, report.nothing)
            if ours != theirs:
                found.append((day, agent, ours[0], theirs[0], ours[-1], theirs[-1], requested_at))
    verdict = latest_verdict(look.tables)
    first, last = report.columns[0], report.columns[-1]
    return listed(
        ("local_date", "agent_name", first, f"{first}_by_api", last, f"{last}_by_api", "asked_at"),
        found,
        # A server whose ranges don't add up has another number for the day, and it is known.
        mild=verdict is not None and not verdict.holds,
    )


def _answers_of_days(look: Look, judge: Judge) -> Iterator[tuple[date, object, Agents]]:
    """Newest first. Not those after which a window of the day was corrected: since then the stored is newer."""
    asked = look.rows(
        "WITH asked AS (SELECT strptime(date_ini[:8], '%Y%m%d')::DATE AS day, requested_at, http_status, msg, body"
        "  FROM api_requests WHERE operation = $operation AND api = $api AND date_ini LIKE '________000000'"
        "   AND date_end = date_ini[:8] || '235959' AND http_status IN (200, 404) AND code IN ('200', '404')"
        "   AND date_ini BETWEEN strftime($first::DATE, '%Y%m%d000000') AND strftime($last::DATE, '%Y%m%d235959')"
        "  QUALIFY row_number() OVER (PARTITION BY date_ini ORDER BY api_requests.rowid DESC) = 1),"
        " corrected AS (SELECT window_start::DATE AS day, MAX(corrected_at) AS corrected_at FROM {corrections}"
        "  WHERE operation = $operation GROUP BY day)"
        " SELECT day, requested_at, http_status, msg, body FROM asked LEFT JOIN corrected USING (day)"
        " SEMI JOIN (FROM {operation_days} WHERE operation = $operation AND complete) AS whole"
        "  ON whole.local_date = day"
        " WHERE corrected_at IS NULL OR corrected_at < requested_at ORDER BY day DESC"
    )
    for day, requested_at, status, msg, body in asked:
        assert isinstance(day, date)  # noqa: S101  # DATE
        assert isinstance(requested_at, datetime)  # noqa: S101  # TIMESTAMP
        if requested_at < closed_at(look.operation.clock, day):
            continue
        if status == 404:
            if says_empty(f"{msg}"):
                yield day, requested_at, {}
            continue
        try:
            answer = read_report(look.report, open_envelope(str(body).encode()))
            agents, _ = judge.agents_of(f"{day}", answer.rows)
        except (NotWhole, NotAsAgreed, WolkvoxError, AnswerInDoubt):
            continue  # only its beginning was kept, or it was no answer then either
        yield day, requested_at, in_use(agents)


def _stored(look: Look, day: date) -> dict[str, Usage]:
    rows = look.rows(
        "SELECT agent_name, [[#]] FROM {agent_days} WHERE operation = $operation AND local_date = $day",
        day=day,
    )
    return {str(name): look.report.usage(*numbers) for name, *numbers in rows}  # type: ignore[arg-type]  # BIGINT


AGENT_DAYS = (
    Check(
        "equals_its_windows",
        "{agent_days}",
        holds="Each agent's day is the sum of the agent's windows.",
        wrong="Days of agents are not the sum of their windows",
        remedy=_REBUILD,
        find=_agents_and_windows,
    ),
    Check(
        "equals_the_api_answer",
        "{agent_days}",
        holds="Where a closed day was requested as a whole, the API's answer is what is stored of each agent. Read "
        "from api_requests, without a request.",
        wrong="The API's own answer for a day is different",
        remedy="Materialise {windows} for the day: it is compared again, and repaired where it differs. If the "
        "API's answers don't add up (see answers_add_up), this is a warning, and stays.",
        find=_api_answers,
    ),
)

OPERATION_DAYS = (
    Check(
        "equals_its_windows",
        "{operation_days}",
        holds="The operation's day is the sum of its windows, and says how many there are and when they were verified.",
        wrong="Days of the operation are not the sum of their windows, or not of as many as they say",
        remedy=_REBUILD,
        find=_operation_and_windows,
    ),
    Check(
        "equals_its_agents",
        "{operation_days}",
        holds="The operation's day is the sum of its agents' days.",
        wrong="Days of the operation are not the sum of their agents",
        remedy="Materialise both daily assets for these days: they are rebuilt from the windows, without a request.",
        find=_operation_and_agents,
    ),
    Check(
        "closed_days_are_whole",
        "{operation_days}",
        holds="Every window of each day that closed two hours ago or earlier is known, and was verified since the day "
        "closed. Whole days of history that are still to be loaded are a warning; one that is half loaded is an error.",
        wrong="Closed days are not completely known, or were not verified since they closed",
        remedy="Ticks and the history sensor load and verify them by themselves: see their last runs, and "
        "{days_not_complete}. By hand: materialise {windows} for these days.",
        find=_closed_days,
        while_loading=True,
    ),
)
