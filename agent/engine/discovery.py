"""Which containers there are, for ever: subscribe to events, then list, then list again now and then.

Events alone are not enough: the Engine remembers 256 of all kinds, forgets them when it restarts, and drops
them for slow listeners (moby `daemon/events/events.go`). An event only says which container to look at.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, Protocol

from agent.batch import NS
from agent.compat import Peers
from agent.engine.changes import Change, EngineBack, EngineLost, Register
from agent.engine.client import EngineClient
from agent.engine.containers import ContainerFacts, Event
from agent.engine.orchestrated import is_sandbox
from agent.engine.own import Traces, find
from agent.engine.version import EngineVersion
from agent.errors import EngineRefused, EngineUnreachable, UsageError
from agent.metrics import Metrics
from agent.options import BOOLEAN
from agent.selectors import Selector, project_of, selected

log = logging.getLogger(__name__)
HandOn = Callable[[Change], Awaitable[None] | None]

ENABLE_LABEL: Final = "dockferry.enable"
#: Asked again after a cut: events may be published a little out of order.
_OVERLAP_NS: Final = 1 * NS
#: Before the first subscription: how far our clock and the Engine's may differ unnoticed.
_START_OVERLAP_NS: Final = 2 * NS
#: Four times what the Engine can repeat.
_REMEMBERED_EVENTS: Final = 1024
_INSPECTS_FOR_EVENTS: Final = 12
_INSPECTS_FOR_LISTS: Final = 4
_BACKOFF_S: Final = (0.2, 10.0)
#: A subscription that lasted so long was a good one.
_SETTLED_S: Final = 5.0


class Choice(Protocol):
    """Which containers a person wants: the part of `Settings` that says so."""

    @property
    def include(self) -> Sequence[Selector]: ...
    @property
    def exclude(self) -> Sequence[Selector]: ...
    @property
    def opt_in(self) -> bool: ...
    @property
    def scope(self) -> str: ...
    @property
    def label_config(self) -> bool: ...
    @property
    def compat(self) -> Peers: ...


class Discovery:
    """Tells of containers as they come, run and go.

    own           what the agent can see of its own container, which is left out
    relist_every  seconds between lists
    """

    def __init__(
        self,
        client: EngineClient,
        *,
        settings: Choice,
        own: Traces,
        metrics: Metrics,
        relist_every: float = 60.0,
    ) -> None:
        self._client = client
        self._settings = settings
        self._own = own
        self._metrics = metrics
        self._relist_every = relist_every
        self._register = Register(lambda facts: wanted(settings, facts, own=self._ourselves))
        self._ourselves: ContainerFacts | None = None
        self._hand_on: HandOn
        self._workers: asyncio.TaskGroup
        self._waiting: dict[str, deque[Event | None]] = {}
        self._for_events = asyncio.Semaphore(_INSPECTS_FOR_EVENTS)
        self._for_lists = asyncio.Semaphore(_INSPECTS_FOR_LISTS)
        self._remembered: dict[tuple[int, str, str], None] = {}
        self._since_ns: int | None = None
        self._lost = False
        self._version: EngineVersion | None = None
        self._failures = 0

    async def run(self, hand_on: HandOn) -> None:
        """Hand on every change, for ever. Run again after an error, it does not tell again what it told.

        Changes of one container come in order, one after the other; those of different containers may be
        handed on at the same time. Waits for the Engine as long as it takes. Raises UsageError when waiting
        would not help: scope `project` without a project.
        """
        self._hand_on = hand_on
        self._waiting.clear()  # of workers that were cancelled before their first step
        await self._patiently(self._introduce)
        async with asyncio.TaskGroup() as self._workers:
            while True:
                await self._patiently(self._watch)
                await self._back_off()

    async def _patiently(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step until the Engine lets it succeed."""
        while True:
            try:
                return await step()
            except (EngineUnreachable, EngineRefused) as error:
                await self._tell_lost(str(error))
                await self._back_off()

    async def _back_off(self) -> None:
        await asyncio.sleep(pause_s(self._failures, random.random()))
        self._failures += 1

    async def _introduce(self) -> None:
        """Learn who the Engine is, and which of its containers is ours."""
        await self._client.connect()
        self._ourselves = await find(self._client, self._own)
        if self._settings.scope == "project" and _own_project(self._ourselves) is None:
            raise UsageError(
                "DOCKFERRY_SCOPE=project, but the agent's own container or its Compose project cannot be "
                "found on this Engine: start it as a service of the project, or leave DOCKFERRY_SCOPE out"
            )
        if self._ourselves is not None:
            log.info("the agent's own container is %s; it is left out", self._ourselves.name)

    async def _watch(self) -> None:
        """One subscription, until it ends: that is no loss yet, proxies end idle ones. Raises EngineError."""
        version = await self._client.connect()
        if self._since_ns is None:
            self._since_ns = await self._client.now_ns() - _START_OVERLAP_NS
        async with self._client.events(self._since_ns) as events:
            listed = await self._client.containers(all=True)
            await self._tell_back(version)
            self._look_at(self._register.to_look_at(listed))
            await self._follow(events)

    async def _follow(self, events: AsyncIterator[Event]) -> None:
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.TaskGroup() as tasks:
                lists = tasks.create_task(self._list_now_and_then(), name="discovery lists")
                async for event in events:
                    self._note(event)
                lists.cancel()
        except* (EngineUnreachable, EngineRefused) as lost:
            log.debug("the subscription to events ended: %s", lost.exceptions[0])
        if asyncio.get_running_loop().time() - began >= _SETTLED_S:
            self._failures = 0

    async def _list_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self._relist_every)
            self._look_at(self._register.to_look_at(await self._client.containers(all=True)))

    def _note(self, event: Event) -> None:
        """Take an event up, unless it was before."""
        if event.key in self._remembered:
            return
        self._remembered[event.key] = None
        if len(self._remembered) > _REMEMBERED_EVENTS:
            del self._remembered[next(iter(self._remembered))]
        self._since_ns = max(self._since_ns or 0, event.time_ns - _OVERLAP_NS)
        self._enqueue(event.id, event)

    def _look_at(self, ids: Sequence[str]) -> None:
        for listed in ids:
            self._enqueue(listed, None)

    def _enqueue(self, id: str, event: Event | None) -> None:
        """Have a container looked at, when what is to be done for it is done. `event` None: it was listed."""
        waiting = self._waiting.get(id)
        if waiting is None:
            self._waiting[id] = deque([event])
            self._workers.create_task(self._work(id), name=f"discovery {id[:12]}")
        elif event is not None or None not in waiting:
            waiting.append(event)

    async def _work(self, id: str) -> None:
        waiting = self._waiting[id]
        try:
            while waiting:
                for change in await self._judge(id, waiting.popleft()):
                    await self._tell(change)
        finally:
            del self._waiting[id]

    async def _judge(self, id: str, event: Event | None) -> list[Change]:
        if event is not None and event.action == "destroy":
            return self._register.gone(id)
        if event is not None and event.action == "die":
            changes = self._register.died(event)
            if changes is not None:
                return changes
        async with self._for_lists if event is None else self._for_events:
            return await self._look(id, event)

    async def _look(self, id: str, event: Event | None) -> list[Change]:
        while True:
            try:
                return self._register.seen(await self._client.inspect(id))
            except EngineRefused as error:
                if error.status == 404 and event is not None and event.action in {"create", "start"}:
                    return self._register.glimpsed(event)
                if error.status == 404:
                    return self._register.gone(id)
                log.warning(
                    "container %s cannot be inspected and is left out until it can: %s", id[:12], error
                )
                return []
            except EngineUnreachable:
                # The subscription notices too; what the event told must not be lost meanwhile.
                await asyncio.sleep(random.uniform(0.5, 1.0))

    async def _tell(self, change: Change) -> None:
        told = self._hand_on(change)
        if inspect.isawaitable(told):
            await told

    async def _tell_lost(self, why: str) -> None:
        if self._lost:
            return
        self._lost = True
        self._metrics.engine_connected.set(0)
        log.warning("waiting for the Engine: %s", why)
        await self._tell(EngineLost(why))

    async def _tell_back(self, version: EngineVersion) -> None:
        if self._version is not None:
            self._metrics.engine_reconnects.inc()
        if self._lost or version != self._version:
            log.info("connected to %s at %s", version, self._client.endpoint.said)
            self._metrics.engine_connected.set(1)
            self._lost, self._version = False, version
            await self._tell(EngineBack(version))


def pause_s(failures: int, luck: float) -> float:
    """How long to wait after so many failures before: doubling from 0.2 s to 10 s, up to half of it left out.

    luck  from 0 to 1, so that many agents do not come back at once
    """
    least, most = _BACKOFF_S
    return min(least * 2.0 ** min(failures, 10), most) * (0.5 + luck / 2)


def wanted(choice: Choice, facts: ContainerFacts, *, own: ContainerFacts | None) -> bool:
    """Whether a container's output is to be read: not our own, in scope, switched on, selected.

    A pod's sandbox says nothing but that it ends: it is left out unless its own label asks for it.
    """
    if own is not None and facts.id == own.id:
        return False
    if choice.scope == "project" and project_of(facts.labels) != _own_project(own):
        return False
    enabled = _enabled(facts, choice.compat)
    if (enabled is False and choice.label_config) or (choice.opt_in and not enabled):
        return False
    if is_sandbox(facts.labels) and choice.label_config and not enabled:
        return False
    return selected(facts, choice.include, choice.exclude)


def _enabled(facts: ContainerFacts, peers: Peers) -> bool | None:
    """What the container itself says; None: nothing, or nothing that can be understood."""
    said = facts.labels.get(ENABLE_LABEL) or peers.translate(facts).labels.get("enable", "")
    try:
        return BOOLEAN.parse(said)
    except ValueError:
        return None


def _own_project(own: ContainerFacts | None) -> str | None:
    return None if own is None else project_of(own.labels)
