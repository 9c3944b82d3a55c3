"""`/_simulator/…`: looking into the simulator and steering it, for those in another process.

What belongs here: the same over HTTP that `server.Simulator` offers in Python. What doesn't: the API.
None of these requests is counted. Times are `YYYYmmddHHMMSS` as in the API; a `token` in the query or in
the JSON names the operation, and without one it is the first.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, get_args
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wolkvox_assets.simulator.centre import Kind, Use
from wolkvox_assets.simulator.counters import Counters
from wolkvox_assets.simulator.endpoints import Api, Operation, checked, wall_clock
from wolkvox_assets.simulator.faults import Fault


class Control:
    """The routes. Each answers JSON; what makes no sense, with 400 and the reason."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def app(self) -> Starlette:
        wrong = (KeyError, TypeError, ValueError, OSError)  # OSError: a folder of time zones
        return Starlette(
            routes=[
                Route("/state", self.state),
                Route("/truth", self.truth),
                Route("/faults", self.faults, methods=["POST", "DELETE"]),
                Route("/settings", self.settings, methods=["POST"]),
                Route("/uses", self.uses, methods=["POST", "DELETE"]),
                Route("/silence", self.silence, methods=["POST"]),
                Route("/reset", self.reset, methods=["POST"]),
            ],
            exception_handlers=dict.fromkeys(wrong, _refused),
        )

    async def state(self, request: Request) -> Response:
        """Counters, plan of faults, quota. `?log=1`: with the log of requests."""
        api = self._api
        now = api.clock()
        return JSONResponse(
            {
                "counters": api.counters.as_json(log="log" in request.query_params),
                "faults": api.faults.as_json(),
                "latency": api.faults.latency,
                "maintenance": api.faults.maintenance,
                "simultaneous": api.simultaneous,
                "quirks": sorted(api.quirks),
                "operations": [
                    {
                        "tokens": operation.tokens,
                        "timezone": str(operation.centre.zone),
                        "now": f"{operation.now(now):%Y%m%d%H%M%S}",
                        "daily_limit": operation.daily_limit,
                        "used_today": operation.used(now).total(),
                        "quota_restarts_in": operation.restarts_in(now).total_seconds(),
                    }
                    for operation in api.operations
                ],
            }
        )

    async def truth(self, request: Request) -> Response:
        """`?date_ini=…&date_end=…`: agent to [count, hold, mute, total seconds]; any length of range.

        `&windows=1`: the same for each 5-minute window, by its start.
        """
        query = request.query_params
        start, end = _moment(query, "date_ini"), _moment(query, "date_end")
        operation = self._api.operation(query.get("token"))
        now = operation.now(self._api.clock())
        if "windows" in query:
            windows = operation.centre.truth_by_window(start, end, now=now)
            return JSONResponse({f"{window:%Y%m%d%H%M%S}": agents for window, agents in windows.items()})
        return JSONResponse(operation.centre.truth(start, end, now=now))

    async def faults(self, request: Request) -> Response:
        """POST one, with the fields of `Fault`; DELETE all."""
        if request.method == "DELETE":
            self._api.faults.clear()
        else:
            self._api.faults.add(Fault(**await _body(request)))
        return JSONResponse(self._api.faults.as_json())

    async def settings(self, request: Request) -> Response:
        """Any of latency, maintenance, simultaneous, quirks, total_*; of an operation daily_limit, spend, quota_*."""
        api = self._api
        wanted = await _body(request)
        operation = api.operation(wanted.pop("token", None))
        for name, value in wanted.items():
            match name:
                case "latency":
                    api.faults.latency = float(value)
                case "maintenance":
                    api.faults.maintenance = bool(value)
                case "simultaneous":
                    api.simultaneous = int(value)
                case "quirks":
                    api.quirks = checked(value)
                case "total_name" | "total_most":
                    api.total_row = api.total_row._replace(**{name.removeprefix("total_"): value})
                case _:
                    self._set_quota(operation, name, value)
        return JSONResponse({"settings": "as you wish"})

    def _set_quota(self, operation: Operation, name: str, value: Any) -> None:
        match name:
            case "daily_limit":
                operation.daily_limit = int(value)
            case "quota_timezone":
                operation.quota_zone = ZoneInfo(value)
            case "quota_late_seconds":
                operation.quota_late = timedelta(seconds=float(value))
            case "spend":
                operation.spend(int(value), self._api.clock())
            case _:
                raise ValueError(f"there is no setting {name!r}")

    async def uses(self, request: Request) -> Response:
        """POST adds a use (a late record), DELETE takes one back: agent, at, kind, seconds."""
        wanted = await _body(request)
        centre = self._api.operation(wanted.get("token")).centre
        if wanted["kind"] not in get_args(Kind):
            raise ValueError(f"`kind` is one of {', '.join(get_args(Kind))}")
        use = Use(_moment(wanted, "at"), wanted["agent"], wanted["kind"], int(wanted["seconds"]))
        (centre.remove if request.method == "DELETE" else centre.add)(use)
        return JSONResponse({"use": [f"{use.at:%Y%m%d%H%M%S}", *use[1:]]})

    async def silence(self, request: Request) -> Response:
        """Nothing happened from date_ini to date_end."""
        wanted = await _body(request)
        start, end = _moment(wanted, "date_ini"), _moment(wanted, "date_end")
        self._api.operation(wanted.get("token")).centre.silence(start, end)
        return JSONResponse({"silence": [wanted["date_ini"], wanted["date_end"]]})

    async def reset(self, request: Request) -> Response:
        """All counters to nothing; requests are numbered from 1 again."""
        self._api.counters = Counters()
        return JSONResponse({"counters": "reset"})


async def _body(request: Request) -> dict[str, Any]:
    body = json.loads(await request.body())
    if not isinstance(body, dict):
        raise TypeError("a JSON object is needed")
    return body


def _moment(values: Mapping[str, str], name: str) -> datetime:
    found = wall_clock(values.get(name, ""))
    if found is None:
        raise ValueError(f"{name} is needed, as YYYYmmddHHMMSS")
    return found


def _refused(_request: Request, reason: Exception) -> Response:
    return JSONResponse({"error": str(reason)}, status_code=400)
