"""The checks in Dagster's terms: to be executed by a person, and logged by each run that stores something.

A check of Dagster's own on one of our assets never runs with it: the asset has no output to wait for. So runs log
evaluations themselves, once each when they have marked what they stored (a tick: all operations together, when all
else is done), and look only at the days that they touched.
But for checks that did not pass last time, or never were evaluated: these look at everything, or the next tick, which
has touched this day only, would show as mended what it has not looked at.

Every run logs all of them, also where nothing changed: to Dagster (the UI, `all_deps_blocking_checks_passed`) a check
is "not evaluated" unless it was since the newest mark, and there is a new mark every five minutes. So an evaluation has
to be cheap: one that passed has no metadata, all of a run are stored together, and those of old ticks are deleted with
their logs (`automation/run_history.py`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import NamedTuple

import dagster as dg
import duckdb

from wolkvox_assets.checks import (
    EVERYTHING,
    Beside,
    Check,
    Look,
    Result,
    Severity,
    checks_of,
    evaluate,
    newest_of,
    still_loading,
    touched_by,
)
from wolkvox_assets.orchestration.instance import internals as dagster_internals
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.orchestration.run.failures import as_failure
from wolkvox_assets.report.plain_text import visible
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store, StoreError


def build_checks(location: CodeLocation, operation: Operation) -> list[dg.AssetChecksDefinition]:
    """For each asset of the operation its checks, over all that is stored."""
    assets = dict.fromkeys(check.asset for check in checks_of(operation.report))
    return [_build(location, operation, asset) for asset in assets]


def _build(location: CodeLocation, operation: Operation, asset: str) -> dg.AssetChecksDefinition:
    checks = [check for check in checks_of(operation.report) if check.asset == asset]

    @dg.multi_asset_check(
        name=f"{operation.name}__{asset}_checks",
        specs=[
            dg.AssetCheckSpec(
                check.name,
                asset=_key(operation, check).asset_key,
                description=f"{check.holds} When it fails: {check.remedy}",
                blocking=check.blocking,
            )
            for check in checks
        ],
        can_subset=True,
        required_resource_keys={"store"},
    )
    def over_everything(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        wanted = [check for check in checks if _key(operation, check) in context.selected_asset_check_keys]
        store: Store = context.resources.store.store
        try:
            with store.reading() as con:
                results = evaluate(Look(con, operation, location.now()), wanted) if con else []
        except StoreError as error:
            raise as_failure(error, operation.name) from error
        if not results:
            context.log.info("Nothing is stored yet, so there is nothing to check.")
        for result in results:
            yield dg.AssetCheckResult(
                passed=result.passed,
                asset_key=_key(operation, result.check).asset_key,
                check_name=result.check.name,
                severity=dg.AssetCheckSeverity(result.severity.value),
                description=result.words,
                metadata=_metadata(result),
            )

    return over_everything


def log_checks(
    context: dagster_internals.StepContext | dg.InitResourceContext,
    store: Store,
    touched: Mapping[Operation, Collection[date]],
    now: datetime,
    assets: Collection[str] | None = None,
) -> None:
    """Evaluate the checks of these assets (by default, all of the report) of each operation over what this run has
    stored: the days that it touched (wall clock), at `now` (aware).

    It fails no run: what is stored is stored. What can't be read is told.
    """
    assert context.run is not None  # noqa: S101  # of a run, all of them
    assert context.instance is not None  # noqa: S101
    assert context.log is not None  # noqa: S101
    checks = {
        operation: [check for check in checks_of(operation.report) if assets is None or check.asset in assets]
        for operation in touched
    }
    evaluations: list[dg.AssetCheckEvaluation] = []
    try:
        doubtful = dagster_internals.not_passed(
            context.instance, [_key(operation, check) for operation in checks for check in checks[operation]]
        )
        with store.reading() as con:
            if con is None:
                return
            looks = [
                Look(con, operation, now, touched_by(context.run.run_id, days))
                for operation, days in touched.items()
            ]
            Beside(looks)
            for look in looks:
                of_all = Look(con, look.operation, now, EVERYTHING)
                for check in checks[look.operation]:
                    doubted = _key(look.operation, check) in doubtful
                    [result] = evaluate(of_all if doubted else look, [check])
                    evaluations.append(_evaluation(look.operation, result))
                    if not result.passed and check.blocking and result.severity is Severity.ERROR:
                        context.log.warning(
                            f"operation {look.operation.name}, check {check.name}: {result.words}"
                        )
    except (StoreError, duckdb.Error) as problem:
        names = ", ".join(operation.name for operation in touched)
        context.log.warning(f"operation {names}: the checks could not be evaluated. {problem}")
        return
    dagster_internals.report_evaluations(context.instance, context.run, evaluations)


def newest_windows(
    instance: dg.DagsterInstance, location: CodeLocation, now: datetime
) -> list[dg.AssetCheckEvaluation]:
    """Of each operation whether its newest window is recent, where that is news at `now` (aware).

    For a sensor: when no run stores anything any more, none is there to tell.
    """
    with location.settings.store.reading() as con:
        if con is None:
            return []
        found = [
            _evaluation(operation, result)
            for operation in location.settings.operations
            for result in evaluate(Look(con, operation, now), [newest_of(operation.report)])
        ]
    told = dagster_internals.not_passed(instance, [newest.asset_check_key for newest in found])

    def is_news(newest: dg.AssetCheckEvaluation) -> bool:
        if newest.asset_check_key not in told:
            return not newest.passed
        last = told[newest.asset_check_key]
        return last is None or newest.passed or newest.severity != last.severity

    return [newest for newest in found if is_news(newest)]


class Refused(NamedTuple):
    """What must not be built on: a blocking check that failed last. `words`: where, what is wrong, what to do."""

    operation: Operation
    check: Check
    words: str

    @property
    def place(self) -> str:
        return f"{self.operation.name}: check {self.check.name} of {self.check.asset}"


def refused(instance: dg.DagsterInstance, operations: Iterable[Operation]) -> list[Refused]:
    blocking = {
        _key(operation, check): (operation, check)
        for operation in operations
        for check in checks_of(operation.report)
        if check.blocking
    }
    found = []
    # All of them at one time: each asking costs 5 ms, every 30 s.
    for key, told in dagster_internals.not_passed(instance, list(blocking)).items():
        if told is not None and told.severity is dg.AssetCheckSeverity.ERROR:
            one = Refused(*blocking[key], words="")
            found.append(one._replace(words=f"{one.place} failed. {told.description}"))
    return found


def while_loading(store: Store, found: Iterable[Refused], now: datetime) -> list[Refused]:
    """Those that may have failed at `now` (aware) only because history is still coming in.

    Raises `StoreError` where what is stored cannot be read.
    """
    may_wait = [one for one in found if one.check.while_loading]
    if not may_wait:
        return []
    with store.reading() as con:
        return [one for one in may_wait if con and still_loading(Look(con, one.operation, now))]


def _key(operation: Operation, check: Check) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(dg.AssetKey([operation.name, check.asset]), check.name)


def _evaluation(operation: Operation, result: Result) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=_key(operation, result.check).asset_key,
        check_name=result.check.name,
        passed=result.passed,
        severity=dg.AssetCheckSeverity(result.severity.value),
        description=result.words,
        metadata=_metadata(result),
        blocking=result.check.blocking,
    )


def _metadata(result: Result) -> dict[str, dg.MetadataValue]:
    if result.passed:
        return {}
    columns = result.cases.columns
    records = [dg.TableRecord(dict(zip(columns, _shown(row), strict=True))) for row in result.cases.first]
    schema = dg.TableSchema([dg.TableColumn(column) for column in columns])
    return {
        "cases": dg.MetadataValue.int(result.cases.number),
        "first": dg.MetadataValue.table(records, schema),
    }


def _shown(row: Iterable[object]) -> Iterator[str | int]:
    for value in row:
        yield value if isinstance(value, int) else "" if value is None else visible(str(value))[:300]
