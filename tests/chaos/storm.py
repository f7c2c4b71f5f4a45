"""An agent, its sinks and a real Engine in a storm: faults from a seed befall them; every line is accounted for.

The schedule depends on the seed alone. What the clock decides is how much each deed meets, and where it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeAlias

import aiohttp
from docker.errors import APIError
from docker.models.containers import Container
from requests import RequestException

from tests.chaos import accounts, crew
from tests.chaos.accounts import Book, Entering
from tests.chaos.confined import ConfinedAgent, Disk, Memory
from tests.chaos.crew import UNWANTED, Kind, Writer
from tests.chaos.gate import Gate
from tests.chaos.shipping import TRACEBACK, until
from tests.chaos.verdict import Past, Verdict, judged
from tests.chaos.vitals import Vitals
from tests.chaos.witness import Witness
from tests.engine.dockerd import PrivateEngine
from tests.engine.shipping import records
from tests.receivers.elasticsearch import ElasticsearchReceiver
from tests.receivers.program import free_port
from tests.receivers.received import Received, nanoseconds
from tests.receivers.tcp import TcpReceiver
from tests.receivers.web import Answer, HttpReceiver, Request, WebReceiver

_NS: Final = 10**9
#: After an agent is connected, and after an Engine is back, until every container is read again.
_SETTLE_NS: Final = 3 * _NS
_RECONNECT_NS: Final = 13 * _NS
_LOOK_EVERY_S: Final = 0.2
_ANSWER_S: Final = 0.3
_ONCE: Final = ("file", "elastic")
_SINKS: Final = ("file", "tcp", "web", "elastic")


class Choosy(HttpReceiver):
    """Refuses each request that has an unwanted line."""

    def read(self, request: Request) -> tuple[list[Received], Answer]:
        self.requests.clear()
        records, answer = super().read(request)
        if any(f" {UNWANTED} " in record.message[:60] for record in records):
            return [], Answer(400, "not wanted")
        return records, answer


class Elastic(ElasticsearchReceiver):
    """Forgets what its requests looked like."""

    def read(self, request: Request) -> tuple[list[Received], Answer]:
        self.requests.clear()
        return super().read(request)


@dataclass(frozen=True, slots=True)
class Step:
    """A deed, what it draws from, and the pause behind it, s."""

    deed: Deed
    seed: str
    pause: float


class Storm:
    """All that takes part, from `async with` on."""

    def __init__(self, engine: PrivateEngine, directory: Path, seed: int) -> None:
        self.engine = engine
        self.seed = seed
        self.books = {name: Book(name, name in _ONCE) for name in _SINKS}
        self.writers: list[Writer] = []
        self.done: list[str] = []
        self.wrong: list[str] = []
        self.vitals = Vitals()
        self.causes: dict[str, Counter[str]] = {}
        self.out_of_memory = self._kills = 0
        self.disk = Disk(directory / "state", "48m")
        self.memory = Memory(f"dockferry-{directory.name}-{seed}")
        self.web: dict[str, WebReceiver] = {"web": Choosy(), "elastic": Elastic()}
        self._receivers: dict[str, WebReceiver | TcpReceiver] = {**self.web, "tcp": TcpReceiver()}
        self.gates: dict[str, Gate] = {}
        self.agent: ConfinedAgent
        self._directory = directory
        self._witness = Witness(engine.directory / "data")
        self._written = directory / "written"
        self._run = engine.run_container
        self._away: list[tuple[int, int]] = []
        self._shaken: list[tuple[int, int]] = []
        self._uncommitted: list[tuple[int, int]] = []
        self._began = time.monotonic()
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._process = asyncio.Lock()
        self._open = contextlib.AsyncExitStack()
        self._group: asyncio.TaskGroup
        self._troubles: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._written.mkdir()
        enter, hold = self._open.enter_async_context, self._open.enter_context
        hold(self._witness)
        hold(self.memory.standing())
        hold(self.disk.mounted())
        ports = {}
        for name, receiver in self._receivers.items():
            receiver.inbox = Entering(self.books[name])
            await enter(receiver.listening())
            ports[name] = receiver.port
        for name, port in ports.items():
            self.gates[name] = await enter(Gate(port, polite=name == "tcp").standing())
        settings = {"memory_max_bytes": "16MiB", "http": f"127.0.0.1:{free_port()}"}
        self.agent = ConfinedAgent(self.engine.host, self._directory, self._urls(), self.memory, **settings)
        self.resolve()
        self._open.callback(self.agent_ends_with_us)
        async with contextlib.AsyncExitStack() as ours:
            self._group = await ours.enter_async_context(asyncio.TaskGroup())
            await self.agent.begin()
            watch = self._group.create_task(self._watch(), name="watch")
            ours.push_async_callback(_cancel, watch)
            self._open.push_async_exit(ours.pop_all())
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._open.aclose()

    def _urls(self) -> dict[str, str]:
        often = "batch_age=200ms&timeout=3s"
        return {
            "file": f"file://{self._directory}/out/all.ndjson?batch_age=200ms&rotate_bytes=0",
            "tcp": f"tcp://tcp.test:{self.gates['tcp'].port}?{often}",
            "web": f"http://web.test:{self.gates['web'].port}/logs?{often}&compress=gzip",
            "elastic": f"elasticsearch+http://elastic.test:{self.gates['elastic'].port}/logs-docker-default?{often}",
        }

    def agent_ends_with_us(self) -> None:
        """By SIGKILL."""
        self.memory.loosen()
        self.agent.kill()

    def resolve(self) -> None:
        """Each sink's name has the address of its gate."""
        self.agent.resolve({f"{name}.test": gate.host for name, gate in self.gates.items()})

    # --- what deeds are made of

    async def launch(self, kind: Kind) -> None:
        """One more container."""
        who = f"c{len(self.writers)}"
        made = await asyncio.to_thread(crew.launched, self._run, who, kind, self._written, time.time_ns())
        self.writers.append(made)

    async def those(self, *statuses: str) -> list[Writer]:
        """The containers in these states, oldest first; not those that remove themselves."""
        there = await asyncio.to_thread(self.engine.client.containers.list, all=True, ignore_removed=True)
        known = {each.id: each.status for each in there}
        return [
            each for each in self.writers if known.get(each.id) in statuses and not each.kind.removes_itself
        ]

    async def ask(self, what: Callable[[], object]) -> None:
        """Have the Engine do this. It may be away, or the container in another state by now: that is no fault."""
        with contextlib.suppress(APIError, RequestException):
            await asyncio.to_thread(what)

    @contextlib.asynccontextmanager
    async def agent_away(self) -> AsyncIterator[None]:
        """The block ends the agent and launches it again; then it is waited for. Memory is free."""
        async with self._process:
            self.memory.loosen()
            seen, since = len(self.agent.said()), time.time_ns()
            if self._locks["disk"].locked():
                self._uncommitted.append((since, since))
            try:
                yield
                await until(
                    lambda: "connected to" in self.agent.said()[seen:],
                    "it is connected",
                    told=self._last_words,
                )
            finally:
                self._away.append((since, time.time_ns() + _SETTLE_NS))

    @contextlib.asynccontextmanager
    async def engine_away(self) -> AsyncIterator[None]:
        """The block ends the Engine and starts it again."""
        since = time.time_ns()
        try:
            yield
        finally:
            self._shaken.append((since, time.time_ns()))
            self._away.append((since, time.time_ns() + _RECONNECT_NS))

    def _last_words(self) -> str:
        return self.agent.said()[-3000:]

    async def meanwhile(self, what: str, trouble: Callable[[], Awaitable[None]]) -> None:
        """Begin this and go on; the next trouble with the same thing waits for its end."""
        lock = self._locks[what]
        await lock.acquire()

        async def pass_by() -> None:
            try:
                await trouble()
            finally:
                lock.release()

        task = self._group.create_task(pass_by(), name=what)
        self._troubles.add(task)
        task.add_done_callback(self._troubles.discard)

    def ended(self, status: int, *, wanted: int | None) -> None:
        """The agent's process has ended; `wanted`: as it was asked to. For want of memory the kernel kills it."""
        if status == -signal.SIGKILL and self.memory.kills > self._kills:
            self._kills = self.memory.kills
            self.out_of_memory += 1
            self.memory.loosen()
        elif status != wanted:
            self.wrong.append(f"the agent ended with {status}, not {wanted}: {self._last_words()}")

    # --- the whole of it

    async def sail(self, steps: Iterable[Step], seconds: float = math.inf) -> None:
        """One deed after another, for so long at the most."""
        end = time.monotonic() + seconds
        for step in steps:
            if time.monotonic() >= end:
                return
            self.done.append(f"{time.monotonic() - self._began:.0f}s {step.deed.__name__}")
            await step.deed(self, random.Random(step.seed))
            await asyncio.sleep(step.pause)

    async def calm(self, *, seconds: float = 120.0, last: bool = False) -> Verdict:
        """No more trouble: what is not accounted for though all had the time to arrive.

        last  containers and agent have ended: every line counts; else what was logged until now
        """
        while self._troubles:
            await asyncio.wait(self._troubles)
        if last:
            await self._end_containers()
        now = None if last else time.time_ns()
        deadline = time.monotonic() + seconds
        while True:
            verdict = await asyncio.to_thread(self._judge, now)
            if not verdict.wrong or time.monotonic() > deadline:
                break
            await asyncio.sleep(2)
        if last:
            await self._process.acquire()
            self.ended(await self.agent.end(), wanted=0)
            verdict = self._judge(None)
        self.causes = verdict.causes
        self.wrong += verdict.wrong + self._complaints()
        return verdict

    async def _end_containers(self) -> None:
        for writer in await self.those("paused"):
            await self.ask(writer.container.unpause)
        for writer in await self.those("running", "restarting"):
            await self.ask(lambda each=writer.container: _end(each))  # type: ignore[misc]

    def _judge(self, until_ns: int | None) -> Verdict:
        file = Book("file", once=True)
        for record in records(self._directory / "out" / "all.ndjson"):
            file.take(record["message"], nanoseconds(record["timestamp"]))
        self.books["file"] = file
        self._witness.look()
        letters = self.agent.state / "dead-letter"
        refused = {name: accounts.dead_letters(letters, name) for name in self.gates}
        reported = list(accounts.losses(self.agent.said()))
        return judged(self._pasts(), list(self.books.values()), reported, refused, until_ns)

    def _pasts(self) -> Iterator[Past]:
        noted = crew.noted(self._written)
        for writer in list(self.writers):
            last_ns = self._witness.last_seen(writer.id)
            there = last_ns > time.time_ns() - _NS
            end_ns = time.time_ns() if there else last_ns
            yield Past(
                writer.who,
                list(self._witness.lines(writer.id)),
                {key: most for key, most in noted.items() if key.partition(".")[0] == writer.who},
                live=writer.kind.source != "logs",
                shaken=_meets(self._shaken, writer.born_ns, end_ns),
                uncommitted=_meets(self._uncommitted, writer.born_ns, end_ns),
                unseen=not there and _meets(self._away, end_ns - _NS, end_ns + _NS),
            )

    def _complaints(self) -> list[str]:
        said = self.agent.said()
        found = [line for line in said.splitlines() if "fault of Dockferry" in line]
        if TRACEBACK in said:
            found.append(said[said.index(TRACEBACK) :][:2000])
        for name, receiver in self._receivers.items():
            found += [f"{name} got what breaks its rules: {fault!r}" for fault in receiver.inbox.faults]
        return found

    async def _tasks(self) -> int | None:
        """How many the agent has; None: it does not answer at once."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                return int(await self.agent.metric("tasks"))
        except (TimeoutError, aiohttp.ClientError):
            return None

    async def _watch(self) -> None:
        """Samples, and what a supervisor does: start an agent that ended by itself."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if self.vitals.is_due(now := time.monotonic()):
                self.vitals.take(self.agent.process.pid, now, await self._tasks())
            status = self.agent.process.poll()
            if status is None or self._process.locked():
                continue
            self.ended(status, wanted=None)
            async with self.agent_away():
                self.agent.launch()


Deed: TypeAlias = Callable[[Storm, random.Random], Awaitable[None]]


def _meets(spans: Sequence[tuple[int, int]], first_ns: int, last_ns: int) -> bool:
    return any(first_ns <= last and first <= last_ns for first, last in spans)


def _end(container: Container) -> None:
    container.update(restart_policy={"Name": "no", "MaximumRetryCount": 0})  # type: ignore[arg-type]
    container.kill()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
