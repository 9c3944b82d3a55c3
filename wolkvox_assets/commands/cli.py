"""The command line, `wolkvox-assets demo | simulate | status | doctor | source | copy`: arguments and exit codes."""

import argparse
import sys

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

    command = commands.add_parser("demo", help="load a finished day from the simulator and print its totals")
    command.set_defaults(run=lambda _: demo.run())

    command = commands.add_parser("simulate", help="run the simulator by itself, until Ctrl-C")
    serve.add_arguments(command)
    command.set_defaults(run=serve.run)

    command = commands.add_parser(
        "status", help="show what is known, verified, missing, due and waiting; makes no request"
    )
    command.add_argument("--json", action="store_true", help="the same for programs")
    command.set_defaults(run=lambda parsed: status.run(as_json=parsed.json))

    command = commands.add_parser(
        "doctor", help="check settings, address, token, quota, clock, files and Dagster"
    )
    command.add_argument("--json", action="store_true", help="the same for programs")
    command.set_defaults(run=lambda parsed: doctor.run(as_json=parsed.json))

    command = commands.add_parser(
        "source", help="show where an operation's stored data came from; keep, move or drop it"
    )
    source.add_arguments(command)
    command.set_defaults(
        run=lambda parsed: source.run(
            parsed.operation, keep=parsed.keep, move_to=parsed.move_to, drop=parsed.drop
        )
    )

    command = commands.add_parser("copy", help="copy all that is stored from the files to the lake, or back")
    command.add_argument(
        "--to", required=True, choices=copy.TARGETS, help="where to; the other one is copied"
    )
    command.set_defaults(run=lambda parsed: copy.run(parsed.to))

    parsed = parser.parse_args(arguments)
    try:
        sys.exit(parsed.run(parsed))
    except (ConfigurationProblem, StoreError) as error:
        sys.exit(str(error))
