"""Makes stored windows equal the API's answer over a range, with as few requests as it can.

What belongs here: what to ask, what follows from an answer, and whether to trust that. What doesn't: HTTP
(`api/`), DuckDB (`store/`), Dagster (`assets/`), the time zone (`windows.py`). It imports nothing but
Python, `usage` and `windows`; it is handed a way to ask and what is stored, and yields steps.

Start reading at `run.py`; the words are in `steps.py`.
"""

from wolkvox_assets.sync.direct import ask_directly
from wolkvox_assets.sync.quarantine import AskBriefly, BadAnswers, quarantine
from wolkvox_assets.sync.run import make_true
from wolkvox_assets.sync.steps import (
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
    Trust,
    Verified,
)

__all__ = [
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
    "Source",
    "Step",
    "Stored",
    "Trust",
    "Verified",
    "ask_directly",
    "make_true",
    "quarantine",
]
