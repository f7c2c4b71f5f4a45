"""A small shop that runs on the simulated Engine: what `dockferry demo` ships.

Place: drives `engine` as a test would; counts what it writes, so that the demo can prove that every line
arrived. The lines look like those of nginx, a Python service, PostgreSQL and Redis. The same seed writes the
same lines, but for the times in them; how many there are depends on nothing but the arguments.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from agent.simulator.containers import Container
from agent.simulator.engine import SimulatedEngine
from agent.simulator.wire import rfc3339

Said = Iterable[tuple[str, str]]  # stream, line without its newline
STEP_SECONDS: Final = 0.05
LONG_LINE_BYTES: Final = 40_000
_LATE: Final = 0.3  # of the whole time, when the late container starts
_BRIEF_LIFE_SECONDS: Final = 0.05
_PATHS: Final = ("/", "/cart", "/checkout", "/product/17", "/product/204", "/static/app.css", "/search?q=tea")
_CLIENTS: Final = ("203.0.113.7", "198.51.100.23", "192.0.2.144", "2001:db8::17")


@dataclass(slots=True)
class ShopLedger:
    """How many lines each container wrote, by its name and the stream; a TTY has only stdout."""

    lines: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """All lines written."""
        return self.lines.total()

    def of(self, container: str) -> int:
        """All lines that the container of this name wrote."""
        return sum(count for (name, _), count in self.lines.items() if name == container)


@dataclass(frozen=True, slots=True)
class _Service:
    """A part of the shop that runs all the time: its share of the turns, and what it says at its turn."""

    name: str
    image: str
    share: float
    speak: Callable[[Random, int], Said]
    tty: bool = False
    late: bool = False


async def run_shop(
    engine: SimulatedEngine, *, seconds: float, seed: int = 1, rate: float = 200.0
) -> ShopLedger:
    """Open the shop for so long, at about `rate` lines a second; its services still run when this returns."""
    shop = _Shop(engine, seconds, seed)
    async with asyncio.TaskGroup() as group:
        for service in _SERVICES:
            group.create_task(shop.run(service, rate), name=service.name)
        group.create_task(shop.crash_loop(), name="import")
        group.create_task(shop.short_life(), name="migrate")
    return shop.ledger


class _Shop:
    def __init__(self, engine: SimulatedEngine, seconds: float, seed: int) -> None:
        self.ledger = ShopLedger()
        self._engine = engine
        self._seconds = seconds
        self._seed = seed
        self._opened_at = asyncio.get_running_loop().time()

    async def run(self, service: _Service, rate: float) -> None:
        """One service, from its start to closing time."""
        random = Random(f"{self._seed} {service.name}")
        container = self._create(service.name, service.image, tty=service.tty)
        steps = round(self._seconds / STEP_SECONDS)
        first = round(steps * _LATE) if service.late else 0
        await self._until(first * STEP_SECONDS)
        container.start()
        turns = 0.0
        for step in range(first, steps):
            turns += service.share * rate * STEP_SECONDS
            while turns >= 1:
                turns -= 1
                for stream, line in service.speak(random, self._engine.now()):
                    self._say(container, stream, line)
            if step == first and service.name == "worker":
                self._say(container, "stdout", _long_line(random))
            await self._until((step + 1) * STEP_SECONDS)

    async def crash_loop(self) -> None:
        """A job that fails each time it is started, and is started again later each time."""
        container = self._create("import", "shop/import:0.9", restart_policy="always")
        at, pause = 0.2, 0.1
        while at < self._seconds:
            await self._until(at)
            container.start()
            self._say(container, "stdout", "import: reading /data/prices.csv")
            self._say(container, "stderr", "import: fatal: /data/prices.csv: no such file")
            container.finish(exit_code=1)
            pause = min(2 * pause, 60.0)
            at += pause

    async def short_life(self) -> None:
        """A container that is removed as soon as it is done, 50 ms after its start."""
        await self._until(self._seconds / 2)
        container = self._create("migrate", "shop/api:3.2", auto_remove=True)
        container.start()
        self._say(container, "stdout", "migrate: 0042_add_voucher ... ok")
        await asyncio.sleep(_BRIEF_LIFE_SECONDS)
        self._say(container, "stdout", "migrate: done", end="")
        container.finish()

    def _create(
        self,
        service: str,
        image: str,
        *,
        tty: bool = False,
        auto_remove: bool = False,
        restart_policy: str = "no",
    ) -> Container:
        labels = {
            "com.docker.compose.project": "shop",
            "com.docker.compose.service": service,
            "com.docker.compose.container-number": "1",
        }
        return self._engine.create(
            f"shop-{service}-1",
            image,
            labels=labels,
            env={"SHOP_STAGE": "demo"},
            tty=tty,
            auto_remove=auto_remove,
            restart_policy=restart_policy,
        )

    def _say(self, container: Container, stream: str, line: str, end: str = "\n") -> None:
        container.write((line + end).encode(), stream)
        self.ledger.lines[container.name, stream] += 1

    async def _until(self, seconds: float) -> None:
        """Wait until the shop has been open for so long."""
        await asyncio.sleep(self._opened_at + seconds - asyncio.get_running_loop().time())


def _web(random: Random, now: int) -> Said:
    size, status = random.randrange(180, 9000), random.choice((200, 200, 200, 200, 304, 404, 502))
    request = f"GET {random.choice(_PATHS)} HTTP/1.1"
    yield (
        "stdout",
        f'{random.choice(_CLIENTS)} - - [{_clock(now)}] "{request}" {status} {size} "-" "Mozilla/5.0"',
    )
    if status == 502:
        yield (
            "stderr",
            f"{_clock(now)} [error] 29#29: *{random.randrange(9999)} connect() failed (111: Refused)",
        )


def _api(random: Random, now: int) -> Said:
    order = random.randrange(10_000, 99_999)
    if random.random() < 0.03:
        yield "stderr", "Traceback (most recent call last):"
        yield "stderr", '  File "/srv/api/orders.py", line 88, in charge'
        yield "stderr", "    receipt = await payments.charge(order)"
        yield "stderr", f"payments.Declined: order {order}: card expired"
        return
    spent = random.randrange(2, 180)
    document = {"time": _clock(now), "level": "info", "msg": "order placed", "order": order, "ms": spent}
    yield "stdout", json.dumps(document)


def _worker(random: Random, now: int) -> Said:
    task = random.choice(("send_mail", "resize_image", "settle"))
    yield (
        "stdout",
        f"{_clock(now)} INFO worker: {task}[{random.randrange(16**8):08x}] done in {random.random():.3f}s",
    )


def _database(random: Random, now: int) -> Said:
    prefix = f"{_clock(now)} [{random.randrange(27, 90)}]"
    if random.random() < 0.2:
        yield "stderr", f'{prefix} ERROR:  duplicate key value violates unique constraint "orders_pkey"'
        yield "stderr", f"{prefix} DETAIL:  Key (id)=({random.randrange(99_999)}) already exists."
    else:
        yield "stderr", f"{prefix} LOG:  checkpoint complete: wrote {random.randrange(900)} buffers"


def _cache(random: Random, now: int) -> Said:
    yield "stdout", f"1:M {_clock(now)} * {random.randrange(100)} changes in 300 seconds. Saving..."


def _console(random: Random, now: int) -> Said:
    yield "stdout", f"\x1b[32m{_clock(now)}\x1b[0m visitors: {random.randrange(40, 60)}"


def _search(random: Random, now: int) -> Said:
    yield (
        "stdout",
        f'level=info ts={_clock(now)} msg="query" words={random.randrange(1, 6)} hits={random.randrange(9)}',
    )


def _long_line(random: Random) -> str:
    """Return one line that the Engine has to cut in three."""
    rows = ",".join(f'{{"sku":{random.randrange(10**6):06}}}' for _ in range(LONG_LINE_BYTES // 16))
    return f"catalogue: [{rows}]".ljust(LONG_LINE_BYTES, ".")


def _clock(now: int) -> str:
    return rfc3339(now)[:23].decode() + "Z"


_SERVICES: Final = (
    _Service("web", "nginx:1.27", 0.4, _web),
    _Service("api", "shop/api:3.2", 0.25, _api),
    _Service("worker", "shop/worker:3.2", 0.1, _worker),
    _Service("database", "postgres:17", 0.1, _database),
    _Service("cache", "redis:7", 0.05, _cache),
    _Service("console", "shop/console:1.0", 0.05, _console, tty=True),
    _Service("search", "shop/search:2.1", 0.05, _search, late=True),
)
