"""The command line: `wolkvox-assets demo | simulate | doctor`.

What belongs here: arguments and exit codes. What doesn't: what the commands do (`demo.py`, `doctor.py`,
`simulator/`).
"""

import argparse
import sys

from wolkvox_assets import demo, doctor
from wolkvox_assets.simulator import serve
from wolkvox_assets.store import StoreError


def main(arguments: list[str] | None = None) -> None:
    """Run one command. Exits 0 when all is well, 1 when something is wrong (it is printed), 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        prog="wolkvox-assets", description="Tools beside the Dagster code location."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="load a finished day from the stand-in server and print its totals")
    serve.add_arguments(
        commands.add_parser("simulate", help="run the stand-in server by itself, until Ctrl-C")
    )
    commands.add_parser("doctor", help="check settings, address, token, quota, clock and files")
    parsed = parser.parse_args(arguments)
    match parsed.command:
        case "demo":
            sys.exit(demo.run())
        case "simulate":
            serve.run(parsed)
        case "doctor":
            try:
                sys.exit(doctor.run())
            except StoreError as error:
                sys.exit(str(error))
