"""`python -m tests.bench`: what the agent costs beside a bare reader and its peers, on a real Engine.

Everything is measured from outside: CPU time and memory as the kernel counts them, lines as receivers in
processes of their own count them. Exit status 1: a line was lost or repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson

from agent.terminal import columns
from tests.bench.bench import Bench, tell
from tests.bench.engines import real, simulated
from tests.bench.peers import ELSEWHERE, found
from tests.bench.plan import FULL, QUICK, Plan
from tests.bench.processes import ROOT
from tests.bench.report import Results, markdown, pictures
from tests.bench.yardsticks import demultiplexing_us, machine, others
from tests.engine.dockerd import NoEngineError

PAGE = ROOT / "docs" / "performance.md"
IMAGES = "images/performance"
BEGIN, END = "<!-- bench: from here on `make bench DOCS=1` writes -->", "<!-- bench: up to here -->"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="less of everything: some two minutes, not fifteen"
    )
    parser.add_argument("--docs", action="store_true", help=f"write it into {PAGE.relative_to(ROOT)}, too")
    parser.add_argument("--saved", type=Path, metavar="FILE", help="measure nothing: show what --json saved")
    parser.add_argument(
        "--json", type=Path, default=ROOT / "build" / "bench.json", help="default: build/bench.json"
    )
    asked = parser.parse_args(argv)
    if asked.saved:
        results = Results.from_json(orjson.loads(asked.saved.read_bytes()))
    else:
        if busy := others():
            tell(f"{busy}: do not trust the figures")
        try:
            results = asyncio.run(measure(QUICK if asked.quick else FULL))
        except NoEngineError as error:
            parser.exit(1, f"no real Engine: {error}\n")
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_bytes(orjson.dumps(results.to_json(), option=orjson.OPT_INDENT_2) + b"\n")
        tell(f"saved in {asked.json}")
    print(*markdown(results), "", *columns(ELSEWHERE), sep="\n")
    if asked.docs:
        write(PAGE, results)
    return 0 if results.whole else 1


async def measure(plan: Plan) -> Results:
    """All there is to measure. Raises NoEngineError."""
    peers = found()
    tell(f"peers found: {', '.join(peers) or 'none'}")
    bench = Bench(plan, peers)
    demultiplexing = demultiplexing_us()
    async with real() as stage:
        about = machine(stage.name)
        await bench.flows(stage)
    async with simulated() as stage:
        await bench.at_rest(stage, plan.simulated, simulated=True)
    return Results(about, demultiplexing, bench.runs, bench.rests)


def write(page: Path, results: Results) -> None:
    """The report into a page, between its marks, and its pictures beside it."""
    folder = page.parent / IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures(results).items():
        (folder / name).write_text(picture)
    page.write_text(placed(page.read_text(), "\n".join(markdown(results, images=IMAGES))))


def placed(page: str, report: str) -> str:
    """The page with the report between its marks. Raises ValueError when it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page lacks the lines {BEGIN} and {END}")
    return f"{before}{begin}\n\n{report.strip()}\n\n{end}{after}"


if __name__ == "__main__":
    sys.exit(main())
