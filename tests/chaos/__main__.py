"""A longer voyage than the tests take: random trouble for as long as you like, one seed after another.

    python -m tests.chaos --seconds 600 --seed 7

Each leg of a minute has a seed of its own, counted up from the first. Ends with status 1 at the first leg that
lost, repeated or invented a line, and says with which seed; its log and files are then kept.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
from pathlib import Path

from agent.simulator import SimulatedEngine, SteppableClock
from tests.chaos import weather
from tests.chaos.weather import Voyage

LEG_S = 60.0


async def leg(seed: int, seconds: float) -> str:
    """What went wrong on one leg, for a person; nothing: all is well."""
    directory = Path(tempfile.mkdtemp(prefix="chaos"))
    clock = SteppableClock()
    async with SimulatedEngine(f"{directory}/docker.sock", clock=clock, seed=seed) as engine:
        async with Voyage(engine, clock, directory, seed) as voyage:
            await voyage.sail(seconds, weather.ALL)
            wrong = await voyage.arrive(seconds=90.0)
        print(
            f"seed {seed}: {voyage.ledger.total} lines, {len(voyage.log)} deeds, {voyage.kills} kills",
            flush=True,
        )
    if wrong:
        return f"{wrong}\nsee {directory}"
    shutil.rmtree(directory)
    return ""


async def main(seconds: float, seed: int) -> int:
    """Legs for so long; the exit status."""
    while seconds > 0:
        if wrong := await leg(seed, min(seconds, LEG_S)):
            print(wrong, file=sys.stderr)
            return 1
        seconds, seed = seconds - LEG_S, seed + 1
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # a client that was killed is no news here
    sys.exit(asyncio.run(main(given.seconds, given.seed)))
