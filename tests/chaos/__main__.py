"""A longer voyage than the tests take: random trouble for as long as you like, repeatable by its seed.

    python -m tests.chaos --seconds 600 --seed 7
    python -m tests.chaos --seconds 600 --seed 7 --engine simulated

On a real Engine, which is started for it and killed by it; as root. On a simulated one each leg of a minute has a
seed of its own, counted up from the first. Ends with status 1 when a line was lost without a word, repeated
or invented, and says with which seed and after which deeds; logs and files are then kept.
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
from tests.chaos import deeds, weather
from tests.chaos.storm import Storm
from tests.chaos.weather import Voyage
from tests.engine.dockerd import PrivateEngine

LEG_S = 60.0
CONTAINERS = 20
#: How often the books are compared on the way.
CHECKS = 4


async def real(seed: int, seconds: float, directory: Path) -> bool:
    """One voyage on a real Engine; whether all was well."""
    with PrivateEngine(directory / "engine") as engine:
        async with Storm(engine, directory, seed) as storm:
            await deeds.set_sail(storm, CONTAINERS)
            steps = iter(deeds.schedule(seed, seconds))
            for part in range(1, CHECKS + 1):
                try:
                    await storm.sail(steps, seconds / CHECKS)
                    verdict = await storm.calm(last=part == CHECKS)
                except AssertionError as error:
                    storm.wrong.append(str(error))
                    break
                print(f"{verdict.logged} lines logged, after {len(storm.done)} deeds", flush=True)
                print(storm.vitals.table(), flush=True)
                if storm.wrong:
                    break
            for sink, causes in storm.causes.items():
                told = ", ".join(f"{cause}: {count}" for cause, count in causes.items())
                book = storm.books[sink]
                repeats = sum(map(book.repeats, list(book.came)))
                print(f"{sink}: {repeats} repeats; missing: {told or 'nothing'}")
            print(
                f"{len(storm.vitals.lives)} lives of the agent, {storm.out_of_memory} ended for want of memory"
            )
    wrong = storm.wrong + storm.vitals.growth()
    if wrong:
        print("\n".join([f"seed {seed}", *wrong, "deeds: " + ", ".join(storm.done)]), file=sys.stderr)
    return not wrong


async def leg(seed: int, seconds: float, directory: Path) -> str:
    """What went wrong on one leg on a simulated Engine, for a person; nothing: all is well."""
    clock = SteppableClock()
    async with SimulatedEngine(f"{directory}/docker.sock", clock=clock, seed=seed) as engine:
        async with Voyage(engine, clock, directory, seed) as voyage:
            await voyage.sail(seconds, weather.ALL)
            wrong = await voyage.arrive(seconds=90.0)
        print(
            f"seed {seed}: {voyage.ledger.total} lines, {len(voyage.log)} deeds, {voyage.kills} kills",
            flush=True,
        )
    return wrong


async def simulated(seed: int, seconds: float, directory: Path) -> bool:
    """Legs for so long; whether all was well."""
    while seconds > 0:
        place = directory / f"{seed}"
        place.mkdir()
        if wrong := await leg(seed, min(seconds, LEG_S), place):
            print(wrong, file=sys.stderr)
            return False
        seconds, seed = seconds - LEG_S, seed + 1
    return True


async def main(engine: str, seconds: float, seed: int) -> int:
    """The exit status."""
    directory = Path(tempfile.mkdtemp(prefix="chaos"))
    sail = real if engine == "real" else simulated
    if not await sail(seed, seconds, directory):
        print(f"see {directory}", file=sys.stderr)
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=("real", "simulated"), default="real")
    given = parser.parse_args()
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # a client that was killed is no news here
    sys.exit(asyncio.run(main(given.engine, given.seconds, given.seed)))
