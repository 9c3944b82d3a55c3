"""What each table, view and column means, in words for people: comments in the files, and Dagster's catalogue.

A test holds them together with the tables (`schema.sql`) and views (`views.sql`) themselves.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import duckdb

from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.reports import REPORTS
from wolkvox_assets.store.filled import literal
from wolkvox_assets.store.schema import schema


class Meaning(NamedTuple):
    """`columns`: those that mean something of their own here; for the others `_COLUMNS` has the words."""

    table: str
    columns: dict[str, str]


_COLUMNS = {
    "operation": "Name of the operation (contact centre).",
    "window_start": "Start of the five minutes, on the operation's wall clock. The hour that is passed twice when "
    "clocks go back is stored once.",
    "local_date": "Day on the operation's wall clock.",
    "agent_name": "As in Wolkvox, blanks folded. The API has nothing else to tell agents apart.",
    "run_id": "Dagster run that stored it.",
    "evidence": "What it was decided by, in a sentence.",
}

_SHARED = {
    "api_requests": Meaning(
        "A request that was made, also a failed one. Kept for 90 days.",
        {
            "requested_at": "UTC.",
            "api": "The report requested, or token_info.",
            "date_ini": "As sent: the operation's wall clock, YYYYmmddHHMMSS. Both ends are included.",
            "date_end": "As sent.",
            "http_status": "NULL where there was no answer.",
            "code": "The API's own, from the answer.",
            "msg": "The API's words, or what went wrong.",
            "records": "How many rows the answer says it has.",
            "seconds": "From sending to the end of the answer.",
            "body": "The answer as it came, up to 64 Ki characters, without the token.",
        },
    ),
    "operation_sources": Meaning(
        "Where all that is stored of an operation came from.",
        {
            "address": "Scheme, host, port and path.",
            "server": "The server code: four digits.",
            "timezone": "IANA name of the wall clock.",
            "recorded_at": "UTC.",
        },
    ),
    "quota_readings": Meaning(
        "A look at the day's quota of requests. Each row is a state: don't add them up.",
        {
            "read_at": "UTC.",
            "daily_limit": "Requests a day.",
            "used_today": "Used so far, by all tokens of the operation.",
        },
    ),
    "quota_restarts": Meaning(
        "A look at the quota in which the server said when its count begins anew.",
        {"read_at": "UTC. That of the reading.", "restarts_at": "UTC."},
    ),
    "schema_version": Meaning(
        "A version of these tables that this file went through. The highest is what it is now.",
        {
            "version": "Counts from 1.",
            "upgraded_at": "UTC.",
            "upgraded_by": "The release that did it.",
        },
    ),
    "store_rewrites": Meaning(
        "A time at which the file was written anew, without the room that changes leave in it; the first is when it "
        "was made.",
        {"rewritten_at": "UTC.", "bytes": "The file's size then."},
    ),
}

# By what they are (`Names`), with the report's names and words to be put in.
_OF_A_REPORT = {
    "windows": Meaning(
        "A five-minute window and an agent who {did} in it. No row is not zero: see {window_log}.",
        {"window_start_utc": "The same moment in UTC; of two passes the first."},
    ),
    "window_log": Meaning(
        "A window that is known, with rows in {windows} or without: then nobody {did} in it.",
        {
            "source": "How it came to be known: asked (a request of its own), derived (by subtraction), empty_range "
            "(within a longer range that answered empty).",
            "fetched_at": "UTC. When its content was taken from the API.",
            "verified_at": "UTC. When it was last found equal to the API.",
        },
    ),
    "agent_days": Meaning(
        "A day and an agent who {did}. The same numbers as in {windows}: don't add them to those.",
        {
            "active_windows": "Windows of five minutes in which the agent has a row. Don't add up over agents.",
            "first_window": "The first of them. Wall clock.",
            "last_window": "The last of them. Wall clock.",
        },
    ),
    "operation_days": Meaning(
        "A day of which any window is known, also without use, and how much of it is known. The same numbers as in "
        "{agent_days}: don't add them to those.",
        {
            "busiest_window": "The window with the most {last}, the earliest of several. Wall clock.",
            "windows_known": "Those that are known. What was fetched at a time in the future counts in the totals, not "
            "here.",
            "windows_expected": "Windows the day has on the wall clock: 288; fewer where an hour is skipped.",
            "complete": "All windows of the day are known, and some answer of the operation ever had a row.",
            "verified_at": "UTC. When its windows were found equal to the API, the longest ago of them.",
        },
    ),
    "corrections": Meaning(
        "A number of a known window that turned out to be another: a late record, or a repair.",
        {
            "corrected_at": "UTC. When that was seen.",
            "column_name": "Which number. Don't add up over it.",
            "old_value": "What was stored; 0 where the agent had no row.",
            "new_value": "What is stored now; 0 where the agent has no row any more.",
        },
    ),
    "additivity_proofs": Meaning(
        "A verdict on whether the API's answers add up: whether a range is the sum of its parts. The latest counts.",
        {"proved_at": "UTC.", "holds": "Whether they do."},
    ),
    "total_row_verdicts": Meaning(
        "A verdict on whether the server adds a row with the total of all agents. The one stored last counts.",
        {
            "decided_at": "UTC.",
            "has_total_row": "Whether it does.",
            "name": "What stands in that row in place of an agent; NULL where there is none.",
        },
    ),
    "agreements": Meaning(
        "A range that was requested as a whole and agreed with all of its windows. Deleted when one of them "
        "is replaced.",
        {
            "range_start": "Wall clock.",
            "range_end": "Wall clock; the range ends before it.",
            "agreed_at": "UTC.",
        },
    ),
    "left_out": Meaning(
        "A window that can't be fetched while others can. Deleted once it is.",
        {
            "times": "How often it was tried in vain.",
            "tried_at": "UTC. The last time.",
            "reason": "Why it can't be had.",
        },
    ),
    "answer_order": Meaning(
        "Which of two answers for a window is the newer one. The pipeline's own.",
        {
            "boot": "Which start of the machine the uptime counts from, or which count of requests in Postgres.",
            "uptime_ns": "The machine's uptime when the answer was requested, in nanoseconds; or the request's "
            "number there, times 10^9.",
        },
    ),
    "failed_attempts": Meaning(
        "Work that failed, until work of its kind succeeds. What pauses and alerts go by.",
        {
            "work": "live, recent, history or range.",
            "ended_at": "UTC.",
            "scope": "temporary, windows (these cannot be had) or operation (nothing works until it is changed).",
            "error": "The kind of error.",
            "message": "What happened, and what to do.",
            "access": "A digest of token and source, to see that they were changed.",
            "run_id": "Dagster run that failed.",
        },
    ),
    "by_hour": Meaning(
        "An hour of a day in which anybody {did}. The same numbers as in {windows}.",
        {
            "hour": "0 to 23, on the operation's wall clock.",
            "agents": "Agents who {did} in this hour. Don't add up over hours.",
        },
    ),
    "day_share": Meaning(
        "A day and an agent, and the agent's part of all that the operation's agents have on that day.",
        {
            "percent_of_operation": "Of the operation's {last} of the day, 0 to 100.",
            "place": "1 for the agent with the most {last} of the day.",
        },
    ),
    "days_not_complete": Meaning(
        "A day of which some windows are known and others are not, or nobody can tell yet.",
        {
            "windows_known": "Windows that are known.",
            "windows_expected": "Windows the day has.",
            "windows_missing": "Windows that are not known.",
            "verified_at": "UTC. When its windows were found equal to the API, the longest ago of them.",
        },
    ),
}


def meanings() -> Mapping[str, Meaning]:
    """Of all tables and views, by name."""
    return _meanings(tuple(REPORTS))


@cache
def _meanings(reports: Sequence[Report]) -> Mapping[str, Meaning]:
    return _SHARED | {
        report.names.by_role()[role]: _of(report, meaning)
        for report in reports
        for role, meaning in _OF_A_REPORT.items()
    }


def _of(report: Report, meaning: Meaning) -> Meaning:
    words = {**report.names.by_role(), "did": report.did, "last": report.columns[-1]}
    measures = {measure.column: f"{measure.meaning} Can be added up." for measure in report.measures}
    agents = f"Agents who {report.did}. Don't add up: the same person is in many windows and days."
    special = {column: text.format(**words) for column, text in meaning.columns.items()}
    return Meaning(meaning.table.format(**words), {**measures, "agents": agents, **special})


def lineage(table: str, report: Report) -> dict[str, tuple[str, ...]]:
    """The columns of this table of the report that follow from columns of its windows, and from which."""
    same = {name: (name,) for name in ("operation", "local_date", *report.columns)}
    if table == report.names.agent_days:
        of_windows = dict.fromkeys(("active_windows", "first_window", "last_window"), ("window_start",))
        return {**same, "agent_name": ("agent_name",), **of_windows}
    if table == report.names.operation_days:
        return {**same, "agents": ("agent_name",), "busiest_window": ("window_start", report.columns[-1])}
    return {}


def meaning(table: str, column: str) -> str:
    """What this column of this table means. Raises `KeyError` where it has no words."""
    columns = meanings()[table].columns
    return columns[column] if column in columns else _COLUMNS[column]


def columns(table: str) -> list[tuple[str, str, str]]:
    """Name, type and meaning of the columns of this table, in their order."""
    found = re.search(rf"^CREATE TABLE IF NOT EXISTS {table} \((.*?)^\);", schema(), re.DOTALL | re.MULTILINE)
    lines = re.findall(r"^ +(\w+) ([A-Z]+)", found[1], re.MULTILINE) if found else []
    return [(name, kind, meaning(table, name)) for name, kind in lines]


def write_comments(con: duckdb.DuckDBPyConnection, *, view_columns: bool = True) -> None:
    """Put these words on the tables and views of an open database, where many tools show them. `view_columns`: DuckLake
    has no comments on the columns of a view."""
    rows = con.execute(
        "SELECT table_name, column_name, view_name IS NOT NULL FROM duckdb_columns() AS c"
        " LEFT JOIN duckdb_views() AS v ON view_name = table_name AND v.database_name = c.database_name"
        " WHERE c.database_name = current_database() AND c.schema_name = 'main'"
    ).fetchall()
    words = meanings()
    ours = [row for row in rows if row[0] in words]
    con.execute(
        ";".join(
            [
                *(
                    f"COMMENT ON {'VIEW' if is_view else 'TABLE'} {table} IS {literal(words[table].table)}"
                    for table, is_view in {(table, is_view) for table, _, is_view in ours}
                ),
                *(
                    f"COMMENT ON COLUMN {table}.{column} IS {literal(meaning(table, column))}"
                    for table, column, is_view in ours
                    if view_columns or not is_view
                ),
            ]
        )
    )
