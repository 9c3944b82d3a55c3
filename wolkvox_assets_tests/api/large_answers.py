"""The client of `test_memory.py`, in a process of its own: asks for each answer, and tells the peak of its memory."""

import json
import resource
import sys
from datetime import datetime

from pydantic import SecretStr

from wolkvox_assets.api import Access, Asking, RequestRecord, RetryPolicy, WolkvoxClient, WolkvoxError
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import one


def main(url: str, names: list[str]) -> None:
    records: list[RequestRecord] = []
    access = Access("north", "0013", SecretStr("wv-7f3a9c"), url)
    with WolkvoxClient(access, Asking(records.append, RetryPolicy(attempts=1))) as asking:
        for name in names:
            try:
                found = asking.report(AGENT_9, one(datetime(2026, 11, 16, 8, 5)))
                rows, error = found.records, ""
                del found
            except WolkvoxError as problem:
                rows, error = 0, f"{type(problem).__name__}: {problem}"
            print(
                json.dumps(
                    {
                        "name": name,
                        "rows": rows,
                        "error": error,
                        "kept": len(records.pop().body or ""),
                        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                    }
                ),
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
