"""What is wrong now: settings, and work that failed and has not succeeded since."""

from datetime import datetime, timedelta

from wolkvox_assets.alerts.news import Trouble
from wolkvox_assets.pipeline.pauses import open_failures
from wolkvox_assets.report.clocks import lately
from wolkvox_assets.report.plain_text import visible
from wolkvox_assets.settings import Settings
from wolkvox_assets.store.attempts import FailedAttempt, Work

TEXT_LENGTH = 1500
_MET_WITHIN = timedelta(days=2)


def troubles(settings: Settings, now: datetime) -> dict[str, Trouble]:
    """By cause, at `now` (aware). Raises `StoreError` where what is stored cannot be read."""
    store = settings.store
    found = {f"settings: {problem}": Trouble(now, f"{problem}") for problem in settings.problems}
    for label, failed in open_failures(store, settings.operations).items():
        for attempt in failed:
            if _is_news(attempt, now):
                words = f"{visible(attempt.message)[:TEXT_LENGTH]} (run {attempt.run_id}, {attempt.work})"
                found.setdefault(f"{label}: {attempt.error}", Trouble(attempt.ended_at, words))
    return found


def _is_news(attempt: FailedAttempt, now: datetime) -> bool:
    # A range that somebody began by hand may never be repeated.
    return attempt.work is not Work.RANGE or lately(attempt.ended_at, now, _MET_WITHIN)
