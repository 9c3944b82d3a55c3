"""The simulator by itself, from the command line: `wolkvox-assets simulate`.

What belongs here: its options, the line that says how to reach it, and ending it on a signal. What doesn't:
anything that a test in Python would want too (`server.py`).
"""

import signal
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import UTC, datetime, timedelta
from threading import Event
from types import FrameType
from typing import get_args

from wolkvox_assets.simulator.answers import QUIRKS
from wolkvox_assets.simulator.centre import Centre, Counting, Profile
from wolkvox_assets.simulator.endpoints import LICENCE, TOKEN
from wolkvox_assets.simulator.faults import KINDS, Fault, Faults
from wolkvox_assets.simulator.server import Operation, Simulator


def add_arguments(parser: ArgumentParser) -> None:
    """The options of `wolkvox-assets simulate`."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="a loopback address (%(default)s)")
    add("--port", type=int, default=8807, help="0 is any free one (%(default)s)")
    add("--token", action="append", help=f"a token it accepts; may be repeated ({TOKEN})")
    add("--agents", type=int, default=12, help="how many agents (%(default)s)")
    add("--seed", type=int, default=1, help="another seed is another centre (%(default)s)")
    add("--profile", choices=get_args(Profile), default="office", help="how it is busy (%(default)s)")
    add("--busy", type=float, default=1.0, help="2.0 is twice as many uses (%(default)s)")
    add("--timezone", default="America/Bogota", help="its wall clock (%(default)s)")
    add(
        "--counting",
        choices=get_args(Counting),
        default="instant",
        help="touch is not additive (%(default)s)",
    )
    add("--late-seconds", type=int, default=0, help="records enter the report up to so late (%(default)s)")
    add("--latency", type=float, default=0.0, help="seconds each answer takes (%(default)s)")
    add("--licences", type=int, help="x 1,000 requests a day (one for each agent)")
    add("--daily-limit", type=int, help="requests a day, in place of --licences")
    add("--quota-timezone", help="the day's quota is renewed at midnight of this time zone (its own)")
    add("--quota-late-seconds", type=int, default=0, help="and so long after midnight (%(default)s)")
    add("--simultaneous", type=int, default=2, help="requests at once for a token (%(default)s)")
    add(
        "--quirk",
        action="append",
        default=[],
        choices=["all", *QUIRKS],
        help="odd but right; may be repeated",
    )
    add(
        "--fault",
        action="append",
        default=[],
        type=_fault,
        metavar="KIND:N",
        help=f"each Nth answer breaks; may be repeated. Kinds: {', '.join(KINDS)}",
    )


def run(args: Namespace) -> int:
    """What `wolkvox-assets simulate` does until SIGTERM or SIGINT; returns the exit status."""
    centre = Centre(
        args.agents,
        seed=args.seed,
        profile=args.profile,
        busy=args.busy,
        timezone=args.timezone,
        counting=args.counting,
        late_seconds=args.late_seconds,
    )
    operation = Operation(
        centre,
        tokens=args.token or (TOKEN,),
        daily_limit=LICENCE * args.licences
        if args.licences and args.daily_limit is None
        else args.daily_limit,
        quota_timezone=args.quota_timezone,
        quota_late=timedelta(seconds=args.quota_late_seconds),
    )
    simulator = Simulator(
        operation,
        faults=Faults(*args.fault, latency=args.latency),
        quirks=args.quirk,
        simultaneous=args.simultaneous,
        address=(args.host, args.port),
    )
    end = Event()

    def finish(number: int, frame: FrameType | None) -> None:
        end.set()

    # Before it starts, and also where a shell that started us in the background had SIGINT ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, finish)
    with simulator:
        start = operation.now(datetime.now(UTC)).date() - timedelta(days=14)
        print(
            f"Simulator on {simulator.url}, token {' and '.join(operation.tokens)}. Try it with: "
            f"WOLKVOX_BASE_URL={simulator.url} WOLKVOX_SERVER=0000 WOLKVOX_TOKEN={simulator.token} "
            f"WOLKVOX_TIMEZONE={centre.zone} WOLKVOX_START={start}",
            flush=True,
        )
        end.wait()
    return 0


def _fault(text: str) -> Fault:
    """`reset:7`: each seventh."""
    kind, _, every = text.partition(":")
    try:
        return Fault(kind, every=int(every))  # type: ignore[arg-type]  # Fault checks the kind itself
    except ValueError as wrong:
        raise ArgumentTypeError(f"{text!r} is not KIND:N, such as reset:7 ({wrong})") from None
