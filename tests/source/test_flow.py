"""What waits to be taken: read as long as there is room, held when there is none, and all of it counted."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest

from agent.errors import EngineUnreachable
from agent.source.flow import Room
from tests.source.attached import Connection, until

KiB = 1024
#: So much of one connection may always wait.
OWN = 64 * KiB


@contextlib.asynccontextmanager
async def filling(*connections: Connection) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        fills = [tasks.create_task(connection.flow.fill(), name="fill") for connection in connections]
        yield
        for fill in fills:
            fill.cancel()
    for connection in connections:
        connection.close()


async def test_what_came_is_taken_once_and_in_order() -> None:
    """Up to the end, after which nothing more is to be waited for."""
    connection = Connection(Room(1 << 20))
    flow = connection.flow
    async with filling(connection):
        connection.send(b"a\r\nb\r")
        assert await flow.came(5)
        assert flow.take().messages == [b"a"]
        assert not await flow.came(0.01)
        connection.send(b"\nc\r\nrest")
        connection.end()
        await until(lambda: flow.ended)
        assert flow.take().messages == [b"b", b"c"]
        assert flow.take().messages == []
        assert await flow.came(5)
        assert flow.finish().messages == [b"rest"]
        assert flow.error is None


async def test_the_lines_before_a_failure_can_be_taken() -> None:
    """And why the connection ended is told."""
    connection = Connection(Room(1 << 20))
    async with filling(connection):
        connection.send(b"a\n")
        connection.fail()
        await until(lambda: connection.flow.ended)
        assert connection.flow.take().messages == [b"a"]
        assert isinstance(connection.flow.error, EngineUnreachable)


async def test_the_lines_before_the_engine_s_own_error_can_be_taken() -> None:
    """Though they came in one chunk with it."""
    connection = Connection(Room(1 << 20), tty=False)
    async with filling(connection):
        connection.send(b"\1\0\0\0\0\0\0\2a\n\3\0\0\0\0\0\0\4gone")
        await until(lambda: connection.flow.ended)
        assert connection.flow.take().messages == [b"a"]
        assert str(connection.flow.error) == "gone"


async def test_without_room_it_is_not_read_until_something_is_safe() -> None:
    """To take is not enough: only what was released makes room."""
    room = Room(300 * KiB)
    connection = Connection(room)
    flow = connection.flow
    async with filling(connection):
        for _ in range(20):
            connection.send(b"x" * 50 * KiB + b"\n")
        await until(lambda: flow.held_since is not None)
        unread = connection.unread
        assert unread >= 10
        assert flow.crowded
        taken = len(flow.take())
        await asyncio.sleep(0)
        assert (connection.unread, flow.held_since is None) == (unread, False)
        while taken < 20:
            flow.release()
            await flow.came(5)
            taken += len(flow.take())
        flow.release()
        await until(lambda: flow.held_since is None)
        assert (connection.unread, room.waiting) == (0, 0)


async def test_others_crowd_no_connection_out() -> None:
    """A little of each is always read."""
    room = Room(300 * KiB)
    greedy, modest = Connection(room), Connection(room)
    async with filling(greedy, modest):
        for _ in range(20):
            greedy.send(b"x" * 50 * KiB + b"\n")
        await until(lambda: greedy.flow.held_since is not None)
        for _ in range(10):
            modest.send(b"y" * 5 * KiB + b"\n")
        await until(lambda: modest.unread == 0)
        assert modest.flow.held_since is None
        assert modest.flow.take().messages == [b"y" * 5 * KiB] * 10
        assert greedy.flow.held_since is not None


@pytest.mark.parametrize("seed", range(20))
async def test_all_room_is_given_back(seed: int) -> None:
    """However taking, releasing and abandoning follow one another."""
    chance, room = random.Random(seed), Room(200 * KiB)
    connections = [Connection(room) for _ in range(3)]
    async with filling(*connections):
        for _ in range(60):
            flow = chance.choice(connections).flow
            match chance.randrange(4):
                case 0 | 1:
                    chance.choice(connections).send(b"z" * chance.choice((0, 10, 40 * KiB)) + b"\n")
                case 2:
                    flow.take()
                case _:
                    flow.release()
            await asyncio.sleep(0)
            assert room.waiting >= 0
        for connection in connections:
            connection.end()
        while not all(connection.flow.ended for connection in connections):
            for connection in connections:
                connection.flow.take()
                connection.flow.release()
            await asyncio.sleep(0)
        chance.choice(connections).flow.abandon()
        for connection in connections:
            connection.flow.take()
            connection.flow.release()
            connection.flow.abandon()
        assert room.waiting == 0
