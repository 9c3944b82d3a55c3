"""The command line: `wolkvox-assets demo | simulate | status | doctor | source | copy`.

What belongs here: arguments and exit codes. What doesn't: what the commands do (`demo.py`, `status.py`, `doctor.py`,
`source.py`, `copy.py`, `simulator/`).
"""

import argparse
import sys
from collections.abc import Callable

from wolkvox_assets.commands import copy, demo, doctor, source, status
from wolkvox_assets.settings import ConfigurationProblem
from wolkvox_assets.simulator import serve
from wolkvox_assets.store import StoreError


def main(arguments: list[str] | None = None) -> None:
    """Run one command. Exits 0 when all is well, 1 when something is wrong (it is printed), 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        prog="wolkvox-assets", description="Tools beside the Dagster code location."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="load a finished day from the simulator and print its totals")
    serve.add_arguments(commands.add_parser("simulate", help="run the simulator by itself, until Ctrl-C"))
    tell = commands.add_parser(
        "status", help="show what is known, verified, missing, due and waiting; makes no request"
    )
    tell.add_argument("--json", action="store_true", help="the same for programs")
    check = commands.add_parser(
        "doctor", help="check settings, address, token, quota, clock, files and Dagster"
    )
    check.add_argument("--json", action="store_true", help="the same for programs")
    _add_source(
        commands.add_parser(
            "source", help="show where an operation's stored data came from; keep, move or drop it"
        )
    )
    copies = commands.add_parser("copy", help="copy all that is stored from the files to the lake, or back")
    copies.add_argument("--to", required=True, choices=copy.TARGETS, help="where to; the other one is copied")
    parsed = parser.parse_args(arguments)
    match parsed.command:
        case "demo":
            sys.exit(demo.run())
        case "simulate":
            serve.run(parsed)
        case "status":
            _exit_with(lambda: status.run(as_json=parsed.json))
        case "doctor":
            _exit_with(lambda: doctor.run(as_json=parsed.json))
        case "source":
            _exit_with(
                lambda: source.run(
                    parsed.operation, keep=parsed.keep, move_to=parsed.move_to, drop=parsed.drop
                )
            )
        case "copy":
            _exit_with(lambda: copy.run(parsed.to))


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("operation", help="its name, as in the column `operation`")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument(
        "--keep", action="store_true", help="the stored data is right for what is set now as well: keep it"
    )
    ways.add_argument("--move-to", metavar="NAME", help="give the stored data another operation's name")
    ways.add_argument("--drop", action="store_true", help="delete the stored data")


def _exit_with(command: Callable[[], int]) -> None:
    try:
        sys.exit(command())
    except (ConfigurationProblem, StoreError) as error:
        sys.exit(str(error))
