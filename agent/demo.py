"""`dockferry demo`: the agent, unchanged, on a simulated Engine that runs a small shop; then the proof.

Without sinks named it ships to three: the console, files below a temporary directory, and an HTTP receiver of
its own. At the end what the shop wrote is held against what each sink got.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Self

import orjson
from aiohttp import web

from agent.app import Agent
from agent.compat.logspout import ROUTE_URIS
from agent.given import SINK_PREFIX
from agent.settings import Settings
from agent.simulator import ShopLedger, SimulatedEngine, run_shop
from agent.sinks import parse_sink, redact
from agent.sinks.base import Sink
from agent.terminal import columns, mark

log = logging.getLogger(__name__)

SECONDS: Final = 6.0
_PATIENCE_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.1


class Receiver:
    """An HTTP receiver of NDJSON on a free port of loopback; counts the records it got, by id."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.records = 0
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/", self._take)
        self._runner = web.AppRunner(app, access_log=None)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}/"

    async def _take(self, request: web.Request) -> web.Response:
        records = [orjson.loads(line) for line in (await request.read()).splitlines()]
        self.ids.update(record["id"] for record in records)
        self.records += len(records)
        return web.Response(status=204)


@dataclasses.dataclass(frozen=True, slots=True)
class Proof:
    """What one sink got. `where` a person may look."""

    sink: str
    got: int
    where: str


async def main(environ: Mapping[str, str], urls: Sequence[str]) -> int:
    """Run the shop and the agent; 0 if every sink got every line. Raises SettingsError."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dockferry-demo-")))
        receiver = await stack.enter_async_context(Receiver())
        files = directory / "logs"
        wanted = urls or ["console:", f"file://{files}/{{{{.Name}}}}.ndjson", receiver.url]
        settings, sinks = load(environ, wanted)
        engine = await stack.enter_async_context(SimulatedEngine(str(directory / "docker.sock")))
        settings = dataclasses.replace(
            settings, state=str(directory / "state"), docker={"DOCKER_HOST": engine.docker_host}, http=None
        )
        agent = Agent(settings, sinks)
        ledger = await _ship(agent, engine)
        proofs = [Proof(name, _delivered(agent, name), redact(url)) for name, url in settings.urls.items()]
        if not urls:
            proofs = [_counted(proof, files, receiver) for proof in proofs]
        sys.stdout.flush()
        print(*_summary(ledger, proofs), sep="\n", file=sys.stderr)
        return 0 if all(proof.got == ledger.total for proof in proofs) else 1


def load(environ: Mapping[str, str], urls: Sequence[str]) -> tuple[Settings, list[Sink[Any]]]:
    """The settings of the environment, but with these sinks only: a demo sends nothing to anyone's own."""
    sinks: list[Sink[Any]] = []
    mine = {
        name: value
        for name, value in environ.items()
        if not name.startswith(SINK_PREFIX) and name != ROUTE_URIS
    }
    settings = Settings.load(mine, urls, accept=lambda name, url: sinks.append(parse_sink(name, url)))
    return settings, sinks


async def _ship(agent: Agent, engine: SimulatedEngine) -> ShopLedger:
    """Let the shop open and close, and the agent ship until it has read every line, and drain."""
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(agent.run(stopping), name="agent")
        async with asyncio.timeout(_PATIENCE_S):
            await _until(lambda: agent.engine_connected)
        log.info("the shop opens for %.0f seconds", SECONDS)
        ledger = await run_shop(engine, seconds=SECONDS)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await _until(lambda: _total(agent, "dockferry_read_records_total") >= ledger.total)
        except TimeoutError:
            log.error("not every line was read")
        stopping.set()
    return ledger


async def _until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - counters tell nobody that they moved
        await asyncio.sleep(_LOOK_EVERY_S)


def _total(agent: Agent, metric: str, **labels: str) -> int:
    return int(
        sum(
            sample.value
            for family in agent.metrics.registry.collect()
            for sample in family.samples
            if sample.name == metric and labels.items() <= sample.labels.items()
        )
    )


def _delivered(agent: Agent, sink: str) -> int:
    return _total(agent, "dockferry_delivered_records_total", sink=sink)


def _counted(proof: Proof, files: Path, receiver: Receiver) -> Proof:
    """The same, by what is really there: lines in files, records at the receiver."""
    if proof.sink == "file":
        lines = sum(path.read_bytes().count(b"\n") for path in files.glob("*.ndjson"))
        return dataclasses.replace(proof, got=lines)
    if proof.sink == "http":
        return dataclasses.replace(proof, got=min(receiver.records, len(receiver.ids)))
    return proof


def _summary(ledger: ShopLedger, proofs: Sequence[Proof]) -> Iterator[str]:
    names = {name for name, _ in ledger.lines}
    yield ""
    yield f"The shop's {len(names)} containers wrote {ledger.total:,} lines. Each sink got:"
    yield from columns(
        [
            (proof.sink, f"{proof.got:>9,}", mark(sys.stderr, well=proof.got == ledger.total), proof.where)
            for proof in proofs
        ],
        indent="  ",
    )
