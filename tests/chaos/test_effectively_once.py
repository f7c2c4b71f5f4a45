"""Killed again and again, and yet each record once: where the destination tells records by their ids.

Elasticsearch does by `_id`, NATS JetStream by `Nats-Msg-Id`, S3 by the key of an object.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from agent.simulator import Container, SimulatedEngine
from tests.chaos.shipping import Agent, until
from tests.contract.stage import Shared
from tests.contract.stages.elasticsearch import ElasticsearchStage
from tests.contract.stages.nats import NatsStage
from tests.contract.stages.s3 import S3Stage

pytestmark = pytest.mark.chaos
LINES, KILLS, CHUNK = 200_000, 9, 500
#: Requests small enough that a kill mostly hits one that is under way.
OFTEN = "batch_records=2000&batch_age=100ms"
PATIENCE_S = 200.0


async def test_killed_nine_times_each_record_is_there_once(engine: SimulatedEngine, tmp_path: Path) -> None:
    """While 200,000 lines flow: at moments chosen by how far the first or the last of the sinks has come."""
    chance = random.Random(9)
    web = engine.create("web")
    web.start()
    lines = [b"line %06d" % number for number in range(LINES)]
    with contextlib.ExitStack() as programs:
        places = [tmp_path / name for name in ("elasticsearch", "nats", "s3")]
        for place in places:
            place.mkdir()
        shared = Shared(tmp_path, programs)
        elasticsearch = ElasticsearchStage(places[0], shared, None)
        nats = NatsStage(places[1], shared, None)
        s3 = S3Stage(places[2], shared, None)
        async with elasticsearch.standing(), nats.standing(), s3.standing():
            sinks = {
                "elasticsearch": f"{elasticsearch.url}&{OFTEN}",
                "nats": f"{nats.url}?{OFTEN}",
                "s3": f"{s3.url}&{OFTEN}",
            }

            async with Agent(engine.docker_host, tmp_path, sinks, backlog="all") as agent:

                async def reached(count: int, far: Callable[[list[int]], int]) -> None:
                    def there() -> bool:
                        return far([len(stage.web.inbox.records) for stage in (elasticsearch, s3)]) >= count

                    await until(there, f"{count} have arrived", seconds=PATIENCE_S, told=agent.said)

                written = 0
                for share in range(LINES // (KILLS + 1), LINES, LINES // (KILLS + 1)):
                    await _write(web, lines[written:share])
                    await reached(chance.randrange(written + 1, share), chance.choice([min, max]))
                    written = share
                    agent.kill()
                    await agent.begin()
                await _write(web, lines[written:])
                await reached(LINES, min)
                await until(
                    lambda: agent.waiting() == 0, "nothing waits", seconds=PATIENCE_S, told=agent.said
                )
                assert await agent.end() == 0
            _once([record.message for record in elasticsearch.web.inbox.records])
            _once([record.message for record in s3.s3.records])
            stored = await nats.server.have(LINES, seconds=PATIENCE_S)
            _once([record.message for _, record in stored])
            assert max(s3.s3.puts.values()) > 1, "no kill hit an object: nothing was shown"


async def _write(container: Container, lines: Sequence[bytes]) -> None:
    """As fast as the Engine's log takes them, while all else goes on."""
    for start in range(0, len(lines), CHUNK):
        container.write_many(lines[start : start + CHUNK])
        await asyncio.sleep(0)


def _once(messages: Sequence[str]) -> None:
    """Whether each line is there, and no line twice."""
    counts = Counter(messages)
    missing = [number for number in range(LINES) if f"line {number:06}" not in counts]
    repeated = [message for message, count in counts.items() if count > 1]
    assert (missing[:5], repeated[:5], len(counts)) == ([], [], LINES)
