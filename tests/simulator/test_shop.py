"""The demo's shop: what it writes is what it counts."""

import json
from collections import Counter

from agent.simulator import ShopLedger, SimulatedEngine, run_shop
from agent.simulator.copier import STREAMS
from agent.simulator.shop import LONG_LINE_BYTES
from tests.simulator.client import Client, frames


async def run_and_read(simulated: SimulatedEngine, seed: int) -> tuple[ShopLedger, dict[str, list[bytes]]]:
    """Open a shop for a moment; return its ledger and every log that is left."""
    ledger = await run_shop(simulated, seconds=0.6, seed=seed, rate=2000)
    return ledger, {c.name: [p.payload for p in c.log.pieces] for c in simulated.containers}


async def test_every_line_counted_is_in_a_log(simulated: SimulatedEngine, client: Client) -> None:
    """By container and stream; the removed one is gone."""
    ledger = await run_shop(simulated, seconds=0.6, seed=3, rate=2000)
    found: Counter[tuple[str, str]] = Counter()
    for container in simulated.containers:
        body = await client.logs(container.name)
        if container.spec.tty:
            found[container.name, "stdout"] = body.count(b"\r\n")
            continue
        for stream, payload in frames(body):
            name = next(name for name, number in STREAMS.items() if number == stream)
            found[container.name, name] += payload.endswith(b"\n")
    expected = Counter({key: n for key, n in ledger.lines.items() if key[0] != "shop-migrate-1"})
    assert found == expected
    assert ledger.total == expected.total() + ledger.of("shop-migrate-1")
    assert ledger.of("shop-migrate-1") == 2
    assert ledger.total > 1000


async def test_the_shop_has_what_an_agent_may_stumble_over(
    simulated: SimulatedEngine, client: Client
) -> None:
    """A late one, a crash loop, a terminal, a long line, one that is gone after 50 ms."""
    listening = await client.events(since="1")
    _, logs = await run_and_read(simulated, seed=1)
    simulated.faults.cut(route="events")
    events = [json.loads(line) for line in (await listening.rest()).splitlines()]
    heard = [f"{event['Action']} {event['Actor']['Attributes']['name']}" for event in events]
    assert heard.index("start shop-search-1") > heard.index("start shop-web-1") + 5
    assert heard.count("die shop-import-1") >= 2
    assert heard.index("start shop-migrate-1") < heard.index("destroy shop-migrate-1")
    assert simulated.find("shop-console-1").spec.tty
    assert [len(p) for p in logs["shop-worker-1"] if len(p) > 1000] == [
        16_384,
        16_384,
        LONG_LINE_BYTES - 32_767,
    ]
    assert any(piece.startswith(b"Traceback") for piece in logs["shop-api-1"])
    labels = simulated.find("shop-web-1").spec.labels
    assert labels["com.docker.compose.project"] == "shop"
    assert labels["com.docker.compose.service"] == "web"


async def test_the_same_seed_opens_the_same_shop(socket_path: str) -> None:
    """Line for line, if the clock stands still."""
    seen = []
    for seed in (5, 5, 6):
        async with SimulatedEngine(socket_path, clock=lambda: 10**18) as simulated:
            seen.append(await run_and_read(simulated, seed))
    assert seen[0] == seen[1]
    assert seen[0][1] != seen[2][1]
