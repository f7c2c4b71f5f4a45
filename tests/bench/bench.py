"""Runs a plan's scenes on an Engine, and gathers what came of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from tests.bench.cases import BARE, DOCKFERRY, Case, Rest, Run
from tests.bench.engines import Crew, Stage
from tests.bench.lines import Lines
from tests.bench.measured import dockferry, drained, rest, shipped
from tests.bench.peers import Peer
from tests.bench.plan import Plan, Scene

#: However long: it is what came before that counts.
_LOOK_S = 0.1


class Bench:
    """`runs` and `rests` are what was measured so far."""

    def __init__(self, plan: Plan, peers: Mapping[str, Peer]) -> None:
        self.runs: list[Run] = []
        self.rests: list[Rest] = []
        self._plan = plan
        self._peers = peers
        self._startup_cpu_s = 0.0

    async def flows(self, stage: Stage) -> None:
        """All of the plan on a real Engine."""
        async with stage.crew(0) as nobody:
            self._startup_cpu_s = (await rest(stage, nobody, 0, _LOOK_S)).startup_cpu_seconds
        peers = {name: peer.sinks for name, peer in self._peers.items()}
        for scene in [*self._plan.flows(peers), self._plan.latencies()]:
            await self.play(stage, scene)
        await self.at_rest(stage, self._plan.idle, simulated=False)

    async def at_rest(self, stage: Stage, containers: int, *, simulated: bool) -> None:
        """So many containers that write nothing, and then next to nothing."""
        tell(f"{stage.name}: {containers} containers at rest")
        async with stage.crew(containers) as crew:
            self.rests.append(await rest(stage, crew, containers, self._plan.rest_s))
            for case in self._plan.trickle(containers, simulated=simulated).cases:
                await self._run(stage, crew, case)

    async def play(self, stage: Stage, scene: Scene) -> Sequence[Run]:
        """Each case in turn, in all rounds. One container is a new one each time, many stay."""
        before = len(self.runs)
        if scene.containers == 1:
            for case in [*scene.cases] * scene.rounds:
                async with stage.crew(1) as crew:
                    await self._run(stage, crew, case)
        else:
            async with stage.crew(scene.containers) as crew:
                for case in [*scene.cases] * scene.rounds:
                    await self._run(stage, crew, case)
        return self.runs[before:]

    async def _run(self, stage: Stage, crew: Crew, case: Case) -> None:
        count = self._plan.count(case)
        if case.way == "history":
            lines = Lines(count, case.size)
            await crew.go(lines)
            await crew.logged(lines)
        if case.reader == BARE:
            run = await drained(stage, crew, case, count)
        elif case.reader == DOCKFERRY:
            taken_off_s = self._startup_cpu_s if case.way == "history" else 0.0
            run = await shipped(stage, crew, case, count, dockferry, startup_cpu_s=taken_off_s)
        else:
            run = await shipped(stage, crew, case, count, self._peers[case.reader].run)
        tell(
            f"{case}: {run.cpu_us:.2f} µs, {run.rate:,.0f} lines/s{'' if run.whole else f', {run.share:.2%}'}"
        )
        self.runs.append(run)


def tell(what: str) -> None:
    """How far it is."""
    print(what, file=sys.stderr, flush=True)
