"""Makes stored windows equal the API's answer over a range, with as few requests as it can.

What belongs here: what to ask, what follows from an answer, and whether to trust that. What doesn't: HTTP
(`api/`), DuckDB (`store/`), Dagster (`orchestration/`), the time zone (`windows.py`). It imports nothing but
Python and `report/`; it is handed a way to ask and what is stored, and yields steps.

Start reading at `run.py`; the words are in `steps.py`.
"""

from wolkvox_assets.sync.direct import TimesIgnored, ask_directly
from wolkvox_assets.sync.quarantine import AskBriefly, BadAnswers, Quarantine
from wolkvox_assets.sync.run import Sync
from wolkvox_assets.sync.steps import (
    Additivity,
    Ask,
    Audited,
    Discard,
    Known,
    KnownEmpty,
    LeftOut,
    Note,
    Proof,
    Source,
    Step,
    Stored,
    Verified,
)

__all__ = [
    "Additivity",
    "Ask",
    "AskBriefly",
    "Audited",
    "BadAnswers",
    "Discard",
    "Known",
    "KnownEmpty",
    "LeftOut",
    "Note",
    "Proof",
    "Quarantine",
    "Source",
    "Step",
    "Stored",
    "Sync",
    "TimesIgnored",
    "Verified",
    "ask_directly",
]
