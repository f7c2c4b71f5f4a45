"""Receivers that throttle, fail, reset, lie, forget us or are away, while the agent is killed now and then."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from agent.simulator import Container, SimulatedEngine
from tests.chaos.ledger import Ledger
from tests.chaos.shipping import Agent, until
from tests.engine.shipping import messages
from tests.receivers.loki import LokiReceiver
from tests.receivers.proxy import reset
from tests.receivers.tcp import READ_BYTES, TcpReceiver
from tests.receivers.web import Answer, HttpReceiver, WebReceiver

pytestmark = pytest.mark.chaos
LINES = 3000
#: A request is this long at the most, so that many are needed; several may be under way.
REQUEST_RECORDS, UNDER_WAY = 100, 8
ANSWERS, LIES = 6, 3


class Liar(HttpReceiver):
    """Keeps what it was sent, begins to say 200, and resets the connection: `lies` times."""

    lies = 0

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await super()._handle(request)
        if self.lies and isinstance(answer, web.Response) and answer.status == 200:
            self.lies -= 1
            head = web.StreamResponse(headers={"Content-Length": "1000"})
            await head.prepare(request)
            await head.write(b"accepted, and")
            assert request.transport is not None
            reset(request.transport)
            return head
        return answer


class Restless(TcpReceiver):
    """Says good-bye on each connection after so many bytes, as before a restart, and reads on to its end.

    One that closes with bytes unread would lose what its kernel has acknowledged: no sender can see that.
    """

    good_bye_after = 200_000

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rest, seen = b"", 0
        while data := await reader.read(READ_BYTES):
            seen += len(data)
            if seen >= self.good_bye_after and writer.can_write_eof():
                writer.write_eof()
            rest = self._take(rest + data)


@pytest.fixture
def container(engine: SimulatedEngine) -> Container:
    """A container that runs."""
    made = engine.create("web")
    made.start()
    return made


def _answers(chance: random.Random) -> list[Answer]:
    """What goes wrong, some of which did its work all the same."""
    kinds: list[Callable[[], Answer]] = [
        lambda: Answer(429, "slow down", {"Retry-After": "0"}),
        lambda: Answer(429, "slow down", {"Retry-After": "1"}),
        lambda: Answer(503, "restarting"),
        lambda: Answer(500, "oops", store=True),
        lambda: Answer(cut=True),
        lambda: Answer(delay=0.2),
        lambda: Answer(408),
    ]
    return [chance.choice(kinds)() for _ in range(ANSWERS)]


async def _kill_now_and_then(agent: Agent, chance: random.Random, kills: int) -> None:
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0.2, 1.0))
        agent.kill()
        await agent.begin()


def _has_all(receiver: WebReceiver | TcpReceiver, ledger: Ledger) -> bool:
    return ledger.whole(_messages(receiver))


def _messages(receiver: WebReceiver | TcpReceiver) -> list[str]:
    return [record.message for record in receiver.inbox.records]


@pytest.mark.parametrize("seed", [1, 2])
async def test_receivers_in_trouble_have_every_line_in_the_end(
    engine: SimulatedEngine, container: Container, tmp_path: Path, seed: int
) -> None:
    """HTTP, Loki and TCP at their worst and four kills: the file has each line once, they have few twice."""
    chance, ledger = random.Random(seed), Ledger()
    path, http, loki, tcp = tmp_path / "out.ndjson", Liar(), LokiReceiver(), Restless()
    http.script.extend(_answers(chance))
    loki.script.extend(_answers(chance))
    http.lies, kills = LIES, 4
    async with http.listening(), loki.listening(), tcp.listening():
        few = f"batch_age=20ms&batch_records={REQUEST_RECORDS}"
        sinks = {
            "file": f"file://{path}?batch_age=20ms",
            "web": f"http://127.0.0.1:{http.port}/logs?{few}",
            "loki": f"loki+http://127.0.0.1:{loki.port}?{few}",
            "tcp": f"tcp://127.0.0.1:{tcp.port}?{few}",
        }
        async with Agent(engine.docker_host, tmp_path, sinks) as agent, asyncio.TaskGroup() as group:
            group.create_task(_kill_now_and_then(agent, chance, kills))
            for _ in range(LINES // 20):
                ledger.write(container, 20, more=" " + "x" * chance.randrange(200))
                await asyncio.sleep(0.02)
        async with Agent(engine.docker_host, tmp_path, sinks) as agent:
            everybody: dict[str, WebReceiver | TcpReceiver] = {"web": http, "loki": loki, "tcp": tcp}
            await until(lambda: ledger.whole(messages(path)), "all in the file", told=agent.said)
            for name, receiver in everybody.items():
                await until(
                    partial(_has_all, receiver, ledger),
                    f"all in {name}, seed {seed}",
                    seconds=45,
                    told=agent.said,
                )
            assert await agent.end() == 0
    assert ledger.differences(messages(path)) == "", f"seed {seed}"
    again = (kills + 1) * UNDER_WAY * REQUEST_RECORDS
    done_all_the_same = (ANSWERS + LIES) * REQUEST_RECORDS
    for name, receiver in everybody.items():
        assert not receiver.inbox.faults, f"{name}, seed {seed}"
        assert _ignoring_order(ledger, _messages(receiver), again + done_all_the_same) == "", (
            f"{name}, seed {seed}"
        )


def _ignoring_order(ledger: Ledger, arrived: list[str], repeats: int) -> str:
    """Several requests may be under way: what was tried again comes after what was not."""
    return ledger.differences(sorted(arrived), repeats=repeats)


async def test_a_receiver_that_is_away_a_while_misses_nothing_and_gets_nothing_twice(
    engine: SimulatedEngine, container: Container, tmp_path: Path
) -> None:
    """It is told once that it fails, and once that it is well again."""
    ledger, http = Ledger(), HttpReceiver()
    async with http.listening():
        url = f"http://127.0.0.1:{http.port}/logs?batch_age=20ms"
    async with Agent(engine.docker_host, tmp_path, {"web": url}) as agent:
        ledger.write(container, LINES)
        await until(lambda: "sink web fails and is tried again" in agent.said(), "it tells", told=agent.said)
        async with http.listening():
            await until(lambda: ledger.whole(_messages(http)), "every line", told=agent.said)
            await until(lambda: "sink web is well again" in agent.said(), "it tells", told=agent.said)
            assert await agent.end() == 0
    assert _ignoring_order(ledger, _messages(http), 0) == ""
    assert agent.said().count("sink web fails") == 1


@pytest.mark.parametrize("killed", [False, True], ids=["patient", "killed"])
async def test_wrong_credentials_hold_the_records_until_they_are_mended(
    engine: SimulatedEngine, container: Container, tmp_path: Path, *, killed: bool
) -> None:
    """Nothing is refused, nothing is a dead letter, and the secret is not told."""
    ledger, http = Ledger(), HttpReceiver(authorization="Bearer right")
    async with http.listening():
        url = f"http://127.0.0.1:{http.port}/logs?batch_age=20ms&token=hunter2"
        async with Agent(engine.docker_host, tmp_path, {"web": url}) as agent:
            ledger.write(container, LINES)
            await until(
                lambda: "sink web waits until this is mended" in agent.said(), "it tells", told=agent.said
            )
            if killed:
                agent.kill()
                await agent.begin()
            http.authorization = "Bearer hunter2"
            await until(lambda: ledger.whole(_messages(http)), "every line", told=agent.said)
            assert await agent.end() == 0
    assert _ignoring_order(ledger, _messages(http), 0) == ""
    assert not (agent.state / "dead-letter").exists()
    assert "hunter2" not in agent.said()


async def test_one_record_that_loki_refuses_is_a_dead_letter_and_the_others_arrive(
    engine: SimulatedEngine, container: Container, tmp_path: Path
) -> None:
    """Loki keeps the good ones of a push it answers 400 to, and gets those again while the bad one is searched."""
    ledger, odd, loki = Ledger(), Ledger(), LokiReceiver()
    async with loki.listening():
        sinks = {"loki": f"loki+http://127.0.0.1:{loki.port}?batch_age=200ms&batch_records=200"}
        async with Agent(engine.docker_host, tmp_path, sinks) as agent:
            ledger.write(container, 500)
            odd.write(container, more=" " + "y" * 300_000, stream="stderr")
            ledger.write(container, 500)
            await until(lambda: ledger.whole(_messages(loki)), "the good ones", told=agent.said)
            await until(lambda: agent.waiting() == 0, "all is dealt with", told=agent.said)
            assert await agent.end() == 0
    assert _ignoring_order(ledger, _messages(loki), 200 * 8) == ""
    letters = (agent.state / "dead-letter" / "loki.ndjson").read_text().splitlines()
    assert len(letters) == 1
    assert "max entry size" in letters[0]
