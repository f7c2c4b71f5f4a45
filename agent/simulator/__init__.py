"""A simulated Docker Engine: what `dockferry demo` runs on, and what shows fault tests every fault on demand.

Place: nothing in the agent imports it but the demo. It speaks the part of the Docker Engine API that a log
agent uses, over a real socket, and behaves like moby.
"""

from agent.simulator.containers import Container, State
from agent.simulator.engine import Request, SimulatedEngine
from agent.simulator.faults import Faults, SteppableClock
from agent.simulator.shop import ShopLedger, run_shop

__all__ = [
    "Container",
    "Faults",
    "Request",
    "ShopLedger",
    "SimulatedEngine",
    "State",
    "SteppableClock",
    "run_shop",
]
