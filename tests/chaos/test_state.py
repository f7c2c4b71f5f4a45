"""The state directory between two starts: damaged, of another version, in use, for other sinks, with dead letters."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from agent.simulator import Container, SimulatedEngine
from tests.chaos.commands import run
from tests.chaos.ledger import Ledger
from tests.chaos.shipping import Agent, until
from tests.engine.shipping import messages
from tests.receivers.received import Received
from tests.receivers.web import Answer, HttpReceiver, Request

pytestmark = pytest.mark.chaos
FILE = "spool.db"


def _file(directory: Path, name: str = "out") -> tuple[Path, str]:
    path = directory / f"{name}.ndjson"
    return path, f"file://{path}?batch_age=50ms"


@pytest.fixture
def web(engine: SimulatedEngine) -> Container:
    """A container that runs."""
    container = engine.create("web")
    container.start()
    return container


def _scramble(path: Path) -> None:
    path.write_bytes(random.Random(4).randbytes(path.stat().st_size))


def _scramble_the_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = slice(len(data) // 4, 3 * len(data) // 4)
    data[middle] = random.Random(5).randbytes(len(data[middle]))
    path.write_bytes(data)


def _halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _cut_off_in_a_page(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


@pytest.mark.parametrize("spoil", [_scramble, _scramble_the_middle, _halve, _cut_off_in_a_page])
async def test_a_damaged_spool_is_set_aside_told_and_begun_anew(
    engine: SimulatedEngine, web: Container, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    """What comes from then on arrives once; that something may be lost is entered in the book of losses."""
    before, after = Ledger(), Ledger()
    path, url = _file(tmp_path)
    sinks = {"file": url, "down": "tcp://127.0.0.1:1"}
    async with Agent(engine.docker_host, tmp_path, sinks, shutdown_grace="100ms") as agent:
        before.write(web, 2000)
        await until(lambda: before.whole(messages(path)), "the first lines", told=agent.said)
        assert await agent.end() == 0
        spoil(agent.state / FILE)
        await agent.begin()
        after.lines.update({key: list(said) for key, said in before.lines.items()})
        after.write(web, 100)
        await until(lambda: after.whole(messages(path)), "lines of this start", told=agent.said)
        assert await agent.end() == 0
    assert after.differences(messages(path)) == ""
    assert "damaged" in agent.said()
    assert len(list(agent.state.glob(f"{FILE}.corrupt-*Z"))) == 1
    assert "lost an unknown number of" in agent.said()


async def test_a_spool_of_a_newer_version_is_left_as_it_is(
    engine: SimulatedEngine, web: Container, tmp_path: Path
) -> None:
    """The agent says what to do, and ends with status 1."""
    _, url = _file(tmp_path)
    async with Agent(engine.docker_host, tmp_path, {"file": url}) as agent:
        assert await agent.end() == 0
        with closing(sqlite3.connect(agent.state / FILE)) as db:
            db.execute("PRAGMA user_version = 99")
        data = (agent.state / FILE).read_bytes()
        agent.launch()
        assert await agent.ended() == 1
        assert (agent.state / FILE).read_bytes() == data
    assert "was written by a newer Dockferry (format 99, this one knows 1)" in agent.said()


@pytest.mark.parametrize("where", ["file/state", "file", "spool-is-a-directory"])
async def test_a_state_directory_that_is_none_ends_the_start_with_one_line(
    engine: SimulatedEngine, tmp_path: Path, where: str
) -> None:
    """Status 1, and what can be done."""
    (tmp_path / "file").touch()
    (tmp_path / "spool-is-a-directory" / FILE).mkdir(parents=True)
    ended = await run(
        "run", "console:", DOCKER_HOST=engine.docker_host, DOCKFERRY_STATE=str(tmp_path / where)
    )
    assert ended.status == 1
    assert str(tmp_path / where) in ended.err
    assert ended.err.count("\n") == 1


async def test_a_second_agent_on_the_same_state_is_turned_away_and_the_first_goes_on(
    engine: SimulatedEngine, web: Container, tmp_path: Path
) -> None:
    """It says who is there."""
    ledger = Ledger()
    path, url = _file(tmp_path)
    async with Agent(engine.docker_host, tmp_path, {"file": url}) as agent:
        second = {
            "DOCKER_HOST": engine.docker_host,
            "DOCKFERRY_STATE": str(agent.state),
            "DOCKFERRY_HTTP": "off",
        }
        ended = await run("run", "console:", **second)
        assert (ended.status, ended.out) == (1, "")
        assert f"another agent (pid {agent.process.pid}) uses" in ended.err
        ledger.write(web, 100)
        await until(lambda: ledger.whole(messages(path)), "lines", told=agent.said)
    assert ledger.differences(messages(path)) == ""


async def test_sinks_may_be_added_removed_and_renamed_between_two_starts(
    engine: SimulatedEngine, web: Container, tmp_path: Path
) -> None:
    """A new one gets what comes from then on, one that stays misses and repeats nothing, each change is told."""
    ledger = Ledger()
    (stays, stays_url), (gone, gone_url), (new, new_url) = (
        _file(tmp_path, name) for name in ("stays", "gone", "new")
    )
    async with Agent(engine.docker_host, tmp_path, {"stays": stays_url, "gone": gone_url}) as agent:
        ledger.write(web, 100)
        await until(
            lambda: ledger.whole(messages(stays)) and ledger.whole(messages(gone)), "all", told=agent.said
        )
        assert await agent.end() == 0
    ledger.write(web, 100)
    at_second_start = messages(gone)
    async with Agent(engine.docker_host, tmp_path, {"stays": stays_url, "new": new_url}) as agent:
        ledger.write(web, 100)
        await until(lambda: ledger.whole(messages(stays)), "all that stays", told=agent.said)
        await until(lambda: len(messages(new)) >= 200, "what is new", told=agent.said)
        assert await agent.end() == 0
    assert ledger.differences(messages(stays)) == ""
    assert messages(gone) == at_second_start
    assert messages(new) == messages(stays)[100:]
    assert "sink new is new: it is sent what comes from now on" in agent.said()
    assert "sink gone is gone" in agent.said()
    async with Agent(engine.docker_host, tmp_path, {"stays": stays_url, "gone": gone_url}) as agent:
        ledger.write(web, 100)
        await until(lambda: ledger.whole(messages(stays)), "all that stays", told=agent.said)
        await until(lambda: messages(gone)[-1:] == messages(stays)[-1:], "what came back", told=agent.said)
    assert "sink gone is back" in agent.said()
    assert ledger.differences(messages(stays)) == ""
    assert messages(gone) == messages(stays)[:100] + messages(stays)[300:]


async def test_what_waited_for_a_sink_that_was_removed_is_told(
    engine: SimulatedEngine, web: Container, tmp_path: Path
) -> None:
    """It is gone with the sink: 100 records, for that sink."""
    ledger = Ledger()
    path, url = _file(tmp_path)
    async with Agent(
        engine.docker_host, tmp_path, {"file": url, "down": "tcp://127.0.0.1:1"}, shutdown_grace="100ms"
    ) as agent:
        ledger.write(web, 100)
        await until(lambda: ledger.whole(messages(path)), "lines", told=agent.said)
        assert await agent.end() == 0
    seen = len(agent.said())
    async with Agent(engine.docker_host, tmp_path, {"file": url}) as agent:
        assert await agent.end() == 0
    assert "sink down is gone" in agent.said()[seen:]
    assert "100 records" in agent.said()[seen:]


class Picky(HttpReceiver):
    """Refuses each request that has a line with the word `poison`, while it is `ill`."""

    ill = True

    def read(self, request: Request) -> tuple[list[Received], Answer]:
        records, answer = super().read(request)
        if self.ill and any("poison" in record.message for record in records):
            return [], Answer(400, "poison is not for me")
        return records, answer


async def test_dead_letters_are_shown_and_sent_again_once_the_receiver_is_mended(
    engine: SimulatedEngine, web: Container, tmp_path: Path
) -> None:
    """By `dockferry spool` and `dockferry spool replay`, beside the agent as it runs."""
    ledger, receiver = Ledger(), Picky()
    async with receiver.listening():
        sinks = {"web": f"http://127.0.0.1:{receiver.port}/logs?batch_age=50ms"}
        async with Agent(engine.docker_host, tmp_path, sinks) as agent:
            for number in range(5):
                ledger.write(web, 20)
                ledger.write(web, 1, more=f" poison {number}")
            await receiver.inbox.have(100)
            here = {"DOCKFERRY_STATE": str(agent.state), "DOCKFERRY_SINK_WEB": sinks["web"]}
            await until((agent.state / "dead-letter" / "web.ndjson").exists, "letters", told=agent.said)
            await until(lambda: agent.waiting() == 0, "all is dealt with", told=agent.said)
            assert _letters((await run("spool", **here)).out) == 5
            ended = await run("spool", "replay", **here)
            assert (ended.status, ended.out) == (1, "web: 0 delivered, 5 refused again\n")
            receiver.ill = False
            ended = await run("spool", "replay", "web", **here)
            assert (ended.status, ended.out) == (0, "web: 5 delivered, 0 refused again\n")
            assert _letters((await run("spool", **here)).out) == 0
    arrived = sorted(record.message for record in receiver.inbox.records)
    assert ledger.differences(arrived) == ""
    assert "sink web refused" in agent.said()


def _letters(table: str) -> int:
    """The dead letters of sink `web`, of the table that `dockferry spool` prints."""
    row = next(line for line in table.splitlines() if line.startswith("web "))
    return int(row.split()[-2 if row.split()[-1][0].isdigit() else -1])
