"""The Wolkvox client: transport, errors, parsing, token lock.

What belongs here: everything that knows how the API speaks. What doesn't: Dagster, DuckDB, the
environment. Start with `client.py`; `errors.py` opens with the tree of what can go wrong.
"""

from wolkvox_assets.api.client import LONG_RANGE, Access, Asking, RequestRecord, WolkvoxClient
from wolkvox_assets.api.errors import (
    QUOTA_USED_UP,
    AnswerTooLarge,
    AnswerUnreadable,
    CertificateRefused,
    ConnectionFailed,
    LockUnreachable,
    LockUnusable,
    MissingParameters,
    NotFound,
    QuotaUsedUp,
    RangeRefused,
    RedirectRefused,
    RowsMissing,
    ServerFault,
    SettingsRefused,
    TimedOut,
    TokenRefused,
    TooManyAtOnce,
    TooSlow,
    Transient,
    Unavailable,
    UnexpectedStatus,
    UnknownReport,
    WolkvoxError,
)
from wolkvox_assets.api.parsing import Answer, Note, Quota
from wolkvox_assets.api.retries import RetryPolicy

__all__ = [
    "LONG_RANGE",
    "QUOTA_USED_UP",
    "Access",
    "Answer",
    "AnswerTooLarge",
    "AnswerUnreadable",
    "Asking",
    "CertificateRefused",
    "ConnectionFailed",
    "LockUnreachable",
    "LockUnusable",
    "MissingParameters",
    "NotFound",
    "Note",
    "Quota",
    "QuotaUsedUp",
    "RangeRefused",
    "RedirectRefused",
    "RequestRecord",
    "RetryPolicy",
    "RowsMissing",
    "ServerFault",
    "SettingsRefused",
    "TimedOut",
    "TokenRefused",
    "TooManyAtOnce",
    "TooSlow",
    "Transient",
    "Unavailable",
    "UnexpectedStatus",
    "UnknownReport",
    "WolkvoxClient",
    "WolkvoxError",
]
