"""Making windows of one operation equal to the API's answers, within a fetching thread."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from wolkvox_assets.api import Asking, WolkvoxClient
from wolkvox_assets.pipeline import due_work
from wolkvox_assets.pipeline.attempts import POLICIES
from wolkvox_assets.pipeline.fetching import Fetch
from wolkvox_assets.pipeline.loading import Handover
from wolkvox_assets.pipeline.plan import WindowsPlan, read_judge
from wolkvox_assets.pipeline.quota import QuotaGuard, seen_by, share_of
from wolkvox_assets.report.clocks import Clocks
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store
from wolkvox_assets.store.additivity import latest_verdict
from wolkvox_assets.store.attempts import Work
from wolkvox_assets.store.quota_readings import QuotaSeen
from wolkvox_assets.store.sources import claim_before_asking
from wolkvox_assets.store.tables import reading
from wolkvox_assets.sync import Additivity, Note


@dataclass(frozen=True)
class Site:
    """What all work on one operation needs.

    `live`: how many operations' live windows come first where the day's quota gets scarce. `now`: by this machine's
    clock (aware).
    """

    operation: Operation
    store: Store
    run_id: str
    open_client: Callable[[Asking], WolkvoxClient]
    live: int
    now: Callable[[], datetime]


@dataclass(frozen=True)
class Task:
    """Windows to be made true, and why. `direct`: each by a request of its own. `until` (monotonic seconds): no request
    after it. `clocks`: what was heard of the server's a moment ago. `quota`: what was seen of the day's, where that has
    just been read.
    """

    windows: list[datetime]
    work: Work
    clocks: Clocks
    direct: bool = False
    until: float = float("inf")
    quota: QuotaSeen | None = None


def reconcile(site: Site, task: Task, handover: Handover) -> None:
    """Make these windows (wall clock), which are over, equal to the API's answers.

    Raises what the client raises (`WolkvoxError`), `BadAnswers`, `TimesIgnored`, `ReserveReached`, `TimeIsUp`, or
    `StoreError`; of these `OtherSource` before anything was asked, where what is stored of the operation came from
    elsewhere.
    """
    operation, store, policy = site.operation, site.store, POLICIES[task.work]
    remark = claim_before_asking(store, operation.name, operation.source)
    now = task.clocks.now()
    with reading(store, operation.name, operation.report) as tables:  # opened once for all that is read
        verdict = latest_verdict(tables) if tables else None
        judge = read_judge(operation, store)
        seen = task.quota or seen_by(tables.con if tables else None, operation, site.now())
    additivity = due_work.additivity_at(verdict, now)
    plan = WindowsPlan(
        operation,
        store,
        Additivity.FAILED if task.direct else additivity,
        judge,
        seed=int(site.run_id[:8], 16),
        give_up_after=policy.give_up_after,
    )
    share = share_of(task.work, operation, site.live)
    guard = QuotaGuard(share, seen, windows=len(task.windows), now=site.now)
    fetch = Fetch(operation, task.clocks, judge, guard, handover, task.until)
    if remark is not None:
        fetch.put(Note(remark))
    if verdict is not None and additivity is Additivity.FAILED:
        fetch.put(
            Note(
                f"The API's answers did not add up on {verdict.proved_at:%Y-%m-%d %H:%M} UTC, so every window is "
                f"requested by itself; tried again {due_work.FAILED_FOR.days} days after that. {verdict.evidence}",
                warning=True,
            )
        )
    fetch.run(
        partial(plan.reconcile, task.windows, now),
        lambda on_request: site.open_client(
            Asking(on_request, policy.client, policy.urgent, handover.wait, site.now)
        ),
    )
