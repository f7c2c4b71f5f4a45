"""`python -m tests.fuzz --seconds 600 [--seed N]`: the targets, for as long as one likes."""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run until the time is over; a failure names the seed that shows it again."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0, help="the first; they are counted up")
    asked = parser.parse_args()
    end, seed = time.monotonic() + asked.seconds, asked.seed
    while time.monotonic() < end:
        for target in TARGETS:
            try:
                target(random.Random(seed))
            except BaseException:
                sys.stderr.write(f"{target.__name__} fails: --seed {seed}\n")
                raise
        seed += 1
    sys.stderr.write(f"{seed - asked.seed} runs of each target, seeds {asked.seed} to {seed - 1}\n")


main()
