"""Builds the rooms from the settings, and supervises them.

Tasks are nested against the flow of records, so that leaving them is the order of shutdown: first the sources
stop, then what they read is committed, then the sinks drain, then the spool closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from agent.batch import NS
from agent.engine.changes import Appeared, Change, EngineBack, EngineLost
from agent.engine.client import EngineClient
from agent.engine.clock import EngineClock
from agent.engine.discovery import Discovery
from agent.engine.endpoint import resolve
from agent.engine.own import read_traces
from agent.errors import UsageError
from agent.http.server import HttpServer
from agent.http.status import ContainerStatus
from agent.losses import Losses
from agent.metrics import Metrics
from agent.pipeline.asked import Asked
from agent.pipeline.way import Way
from agent.settings import Settings
from agent.sinks import redact
from agent.sinks.base import Sink
from agent.sinks.deadletter import DeadLetters
from agent.sinks.health import SinkHealth
from agent.sinks.newest import newest
from agent.sinks.runner import Runner
from agent.source.attach import Attaching
from agent.source.flow import Room
from agent.source.readers import Beginning, Readers
from agent.source.reading import Surroundings
from agent.source.watchdog import Watchdog
from agent.spool import COMMIT_EVERY_S, Spool, SpoolConfig, Subscriber
from agent.stats import StatsReader
from agent.supervise import supervise
from agent.terminal import Progress

log = logging.getLogger(__name__)

_EPOCH = "watching-since"
_REPORT_EVERY_S = 5.0
#: The share of DOCKFERRY_MEMORY_MAX_BYTES that output of attached containers may take before it is in a batch.
_LIVE_SHARE = 4
_COMMIT_LEAST_S = 0.005


def _commit_every_s(ages: Sequence[float]) -> float:
    """How often the spool is to commit, so that a sink that waits for so long gets what came meanwhile."""
    return max(min([COMMIT_EVERY_S, *(age / 2 for age in ages)]), _COMMIT_LEAST_S)


class Stop(Exception):
    """It is time to stop reading."""


async def run(settings: Settings, sinks: Sequence[Sink[Any]]) -> int:
    """Ship until SIGTERM or ^C, then drain; the exit status. A second signal ends the process at once.

    Raises DockferryError when it cannot begin.
    """
    _tell_routes(settings)
    stopping = asyncio.Event()
    with _signals(stopping):
        try:
            return await Agent(settings, sinks).run(stopping)
        except ExceptionGroup as group:
            mistakes, faults = group.split(UsageError)
            if faults is not None or mistakes is None:
                raise
            raise _leaf(mistakes) from None


def _tell_routes(settings: Settings) -> None:
    """What became of the URIs and variables of another program."""
    for name, uri in settings.routes.items():
        log.info("%s is sink %s here: %s", uri, name, redact(settings.urls[name]))
    for note in settings.notes:
        log.warning("%s", note)


def _leaf(group: BaseExceptionGroup[UsageError]) -> UsageError:
    """One of the errors in a group of groups."""
    first = group.exceptions[0]
    return _leaf(first) if isinstance(first, BaseExceptionGroup) else first


@contextlib.contextmanager
def _signals(stopping: asyncio.Event) -> Iterator[None]:
    """The first signal sets `stopping`; after that they have their default effect."""
    loop = asyncio.get_running_loop()

    def default() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    def stop(number: signal.Signals) -> None:
        log.info("%s: stopping; once more ends at once", number.name)
        stopping.set()
        default()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        default()


class Agent:
    """One running agent: its parts, and how they fare (`agent.http.status.Status`)."""

    def __init__(self, settings: Settings, sinks: Sequence[Sink[Any]]) -> None:
        self.metrics = Metrics()
        self.engine_connected = False
        self.engine = "not reached yet"
        self.containers: Collection[ContainerStatus] = ()
        self._settings = settings
        self._sinks = sinks
        self._losses = Losses(self.metrics)
        self._runners: dict[str, Runner] = {}
        self._spool: Spool
        self._client: EngineClient
        self._clock: EngineClock
        self._readers: Readers
        self._stats: StatsReader | None = None
        self._began = time.monotonic()
        self._way: Way
        self._asked = Asked(
            settings,
            {sink.target.name: sink.options.select for sink in sinks},
            self.metrics,
            host=socket.gethostname(),
        )

    @property
    def sinks(self) -> Mapping[str, SinkHealth]:
        return {name: runner.health for name, runner in self._runners.items()}

    @property
    def spool_degraded(self) -> str | None:
        return self._spool.degraded

    @property
    def spool_max_bytes(self) -> int | None:
        return self._settings.spool_max_bytes if self._settings.directory else None

    @property
    def memory_max_bytes(self) -> int:
        return self._settings.memory_max_bytes

    async def run(self, stopping: asyncio.Event) -> int:
        """Ship until `stopping` is set, then drain; the exit status."""
        if self._settings.directory is None:
            log.warning("DOCKFERRY_STATE is memory: what is not delivered when the agent ends is lost")
        endpoint = resolve(self._settings.docker)
        async with (
            self._open_spool() as self._spool,
            self._listening(),
            asyncio.TaskGroup() as group,
        ):
            self._runners = self._make_runners()
            runners = [
                group.create_task(self._supervise(f"sink {name}", runner.run), name=f"sink {name}")
                for name, runner in self._runners.items()
            ]
            reports = group.create_task(self._report(), name="reports")
            async with EngineClient(endpoint, docker=self._settings.docker) as self._client:
                self._clock = EngineClock(self._client.now_ns)
                keeping = group.create_task(self._clock.keep(), name="the Engine's clock")
                await self._read(stopping)
                keeping.cancel()
            await self._drain(runners)
            reports.cancel()
        self._losses.flush(time.monotonic())
        return 0

    def _open_spool(self) -> AbstractAsyncContextManager[Spool]:
        settings = self._settings
        return Spool.open(
            SpoolConfig(
                settings.directory,
                settings.memory_max_bytes,
                settings.spool_max_bytes,
                commit_every_s=_commit_every_s([sink.options.batch_age for sink in self._sinks]),
            ),
            [Subscriber(sink.target.name, sink.options.on_full or settings.on_full) for sink in self._sinks],
            metrics=self.metrics,
            losses=self._losses,
        )

    @contextlib.asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        if self._settings.http is None:
            yield
        else:
            async with HttpServer(
                self._settings.http,
                self,
                self.metrics,
                tapped=self._spool,
                letters=partial(newest, self._settings.dead_letters),
                token=self._settings.http_token,
            ):
                yield

    def _make_runners(self) -> dict[str, Runner]:
        return {
            sink.target.name: Runner(
                sink,
                self._spool.reader(sink.target.name),
                metrics=self.metrics,
                losses=self._losses,
                dead_letters=DeadLetters(self._settings.dead_letters, sink.target.name),
            )
            for sink in self._sinks
        }

    async def _supervise(self, part: str, run: Callable[[], Awaitable[None]]) -> None:
        await supervise(part, run, self.metrics)

    async def _report(self) -> None:
        while True:
            self.metrics.tasks.set(len(asyncio.all_tasks()))
            await asyncio.sleep(_REPORT_EVERY_S)
            self._losses.flush(time.monotonic())

    async def _read(self, stopping: asyncio.Event) -> None:
        """Discover and read, until `stopping`; what was read is then on its way into the spool."""
        self._way = Way(self._spool.put, self._spool.forget, self._spool.cursors)
        around = Surroundings(
            client=self._client,
            hand_on=self._way.put,
            ended=self._way.ended,
            metrics=self.metrics,
            losses=self._losses,
            max_line_bytes=self._settings.max_line_bytes,
            now=time.monotonic,
            clock=self._clock,
        )
        discovery = Discovery(self._client, settings=self._settings, own=read_traces(), metrics=self.metrics)
        self._stats = self._make_stats()
        watchdog = Watchdog(self._settings.stall_limit, eager=self._settings.source == "attach")
        room = Room(self._settings.memory_max_bytes // _LIVE_SHARE)
        try:
            async with watchdog.beating(), asyncio.TaskGroup() as sources:
                self._readers = Readers(
                    around,
                    sources,
                    describe=self._asked.container,
                    cursors=self._way.cursors,
                    forget=self._way.forget,
                    supervise=self._supervise,
                    source=self._asked.source,
                    attaching=Attaching(watchdog, room),
                )
                self.containers = self._readers.readers
                sources.create_task(_stop_on(stopping), name="stop")
                sources.create_task(self._supervise("pipeline", self._way.run), name="pipeline")
                if self._stats is not None:
                    sources.create_task(self._supervise("stats", self._stats.run), name="stats")
                await self._supervise("discovery", partial(discovery.run, self._apply))
        except* Stop:
            pass
        if self._settings.directory is None:
            await self._way.finish()

    async def _apply(self, change: Change) -> None:
        match change:
            case EngineBack(version):
                self.engine_connected, self.engine = True, str(version)
                self._asked.host = version.name or self._asked.host
                self._readers.beginning = await self._beginning(await self._clock.measure())
            case EngineLost(why):
                self.engine_connected, self.engine = False, why
            case Appeared(facts):
                await self._way.begin(self._asked.container(facts), self._asked.chain(facts))
            case _:
                pass
        if self._stats is not None:
            self._stats.apply(change)
        await self._readers.apply(change)

    def _make_stats(self) -> StatsReader | None:
        """What asks about the containers' use of the machine; None: nobody wants to know."""
        if self._settings.stats is None:
            return None
        return StatsReader(
            self._client,
            interval_s=self._settings.stats,
            describe=self._asked.container,
            metrics=self.metrics,
            hand_on=self._spool.put if self._settings.stats_records else None,
        )

    async def _beginning(self, now_ns: int) -> Beginning:
        saved = self._spool.recall(_EPOCH)
        if saved is None:
            epoch_ns = now_ns - int((time.monotonic() - self._began) * NS)
            there = [summary.id for summary in await self._client.containers(all=True)]
            saved = " ".join([str(epoch_ns), *there]).encode()
            await self._spool.remember(_EPOCH, saved)
        epoch, *ids = saved.decode().split()
        return Beginning(int(epoch), frozenset(ids), self._settings.backlog)

    async def _drain(self, runners: Sequence[asyncio.Task[None]]) -> None:
        """Let the sinks have what was read, within the grace."""
        grace = self._settings.shutdown_grace
        with Progress() as progress:
            async with progress.ticking(self._waiting):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(grace):
                        await self._spool.flush()
                        self._spool.seal()
                        await asyncio.wait(runners)
        for runner in runners:
            runner.cancel()
        for name in self._runners:
            self._tell_what_waits(name)

    def _waiting(self) -> str:
        lags = {name: self._spool.reader(name).lag().records for name in self._runners}
        return "stopping; waiting to be delivered: " + ", ".join(f"{name} {n}" for name, n in lags.items())

    def _tell_what_waits(self, name: str) -> None:
        lag = self._spool.reader(name).lag()
        if (
            lag.records and self._settings.directory is not None
        ):  # without a file it is lost, and the spool enters it
            log.info("%d records wait in the spool for sink %s, until the next start", lag.records, name)


async def _stop_on(stopping: asyncio.Event) -> None:
    await stopping.wait()
    raise Stop
