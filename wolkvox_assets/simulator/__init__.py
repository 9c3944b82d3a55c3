"""The simulator: a Wolkvox to build and test against, without an operation of one's own.

It is a second, independent reading of the API contract, so nothing in this folder may import the client
(`api/`), the sync, the store or Dagster: a mistake the two shared would never show.

| module | what it holds |
|---|---|
| `centre.py`, `names.py` | the made-up contact centre: who used hold and mute, when; the truth for any range |
| `answers.py` | how that truth is written down in an answer, with the quirks of real servers |
| `faults.py` | what can go wrong with an answer, and when it shall |
| `counters.py` | what the server saw |
| `endpoints.py`, `control.py` | the API's two addresses; `/_simulator/…` |
| `server.py`, `serve.py` | running it in a thread of a test; running it from the command line |
"""

from wolkvox_assets.simulator.centre import Centre, Use
from wolkvox_assets.simulator.faults import Faults
from wolkvox_assets.simulator.server import Operation, Simulator

__all__ = ["Centre", "Faults", "Operation", "Simulator", "Use"]
