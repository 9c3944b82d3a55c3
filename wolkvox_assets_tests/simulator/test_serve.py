"""`wolkvox-assets simulate`, as a process of its own."""

import re
import signal
import subprocess
import sys
from argparse import ArgumentParser

import pytest
import requests

from wolkvox_assets.simulator import serve

PROGRAM = """
import sys
from argparse import ArgumentParser
from wolkvox_assets.simulator import serve
parser = ArgumentParser()
serve.add_arguments(parser)
sys.exit(serve.run(parser.parse_args()))
"""


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_when_told(ended_by: signal.Signals) -> None:
    options = ["--port", "0", "--token", "one", "--token", "two", "--agents", "4", "--fault", "bad_gateway:2"]
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, *options, "--quirk", "string_code"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"WOLKVOX_BASE_URL=(http://127\.0\.0\.1:\d+) ", line)
        assert found is not None, line
        assert "token one and two" in line
        assert "WOLKVOX_TOKEN=one" in line
        day = {"api": "agent_9", "date_ini": "20251117000000", "date_end": "20251117235959"}
        address = found[1] + "/api/v2/reports_manager.php"
        first = requests.get(address, day, headers={"wolkvox-token": "two"}, timeout=5)
        assert first.json()["code"] == "200"
        assert len(first.json()["data"]) <= 4
        assert requests.get(address, day, headers={"wolkvox-token": "one"}, timeout=5).status_code == 502
    finally:
        process.send_signal(ended_by)
        rest, complaints = process.communicate(timeout=5)
    assert (process.returncode, rest, complaints) == (0, "", "")


@pytest.mark.parametrize("wrong", [["--fault", "flood:2"], ["--fault", "reset"], ["--quirk", "shyness"]])
def test_options_that_make_no_sense(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    parser = ArgumentParser()
    serve.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(wrong)
    assert wrong[1] in capsys.readouterr().err
