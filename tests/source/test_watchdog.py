"""The watchdog: no connection stays unread for longer than the limit, whatever becomes of the agent."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from agent.source.flow import Room
from agent.source.watchdog import Watchdog
from tests.source.attached import Connection, until

LIMIT_S = 0.5
#: An agent: guards one connection, to the port given, and says the warden's number once that holds it.
AGENT = """
import asyncio, socket, sys, time
from agent.source.watchdog import Watchdog
from tests.source.attached import Connection, until
from tests.source.test_watchdog import held_by
from agent.source.flow import Room

async def main(port, limit_s):
    connection = Connection(Room(1 << 20))
    connection.ours = connection.flow._socket = socket.create_connection(("127.0.0.1", port))
    watchdog = Watchdog(limit_s)
    async with watchdog.beating():
        with watchdog.guard(connection.flow):
            await until(lambda: held_by(watchdog) == 1)
            connection.ours.sendall(b"%d\\n" % watchdog._warden.pid)
            await until(lambda: connection.flow.stalled, within_s=60)
    print("stalled")

asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
"""


def held_by(watchdog: Watchdog) -> int:
    """How many connections its warden has in its hands."""
    if watchdog._warden is None:
        return 0
    descriptors = Path(f"/proc/{watchdog._warden.pid}/fd")
    with contextlib.suppress(FileNotFoundError):  # closed just now
        return sum("socket" in str(link.readlink()) for link in descriptors.iterdir()) - 1
    return 0


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def connection() -> Iterator[Connection]:
    connection = Connection(Room(1 << 20))
    yield connection
    connection.close()


def seen_cut(connection: Connection) -> list[float]:
    """When the other end sees that it is cut, once it does: noted by a thread."""
    seen: list[float] = []

    def wait() -> None:
        if connection.theirs.recv(1) == b"":
            seen.append(time.monotonic())

    threading.Thread(target=wait, daemon=True).start()
    return seen


async def test_a_loop_that_is_blocked_is_cut_off_by_the_warden(connection: Connection) -> None:
    """Within the limit, while it is blocked; then it knows."""
    watchdog = Watchdog(LIMIT_S)
    async with watchdog.beating():
        with watchdog.guard(connection.flow):
            await until(lambda: held_by(watchdog) == 1)
            seen, began = seen_cut(connection), time.monotonic()
            time.sleep(2 * LIMIT_S)  # noqa: ASYNC251 - this is what is tested
            assert seen
            assert seen[0] - began < LIMIT_S + 0.3
            await until(lambda: connection.flow.stalled)


async def test_while_the_loop_beats_nothing_is_cut(connection: Connection) -> None:
    """However long it takes."""
    watchdog = Watchdog(1.0)
    async with watchdog.beating():
        with watchdog.guard(connection.flow):
            await until(lambda: held_by(watchdog) == 1)
            await asyncio.sleep(1.5)  # nothing is to happen: there is nothing else to wait for
            assert not connection.is_cut()
            assert not connection.flow.stalled


async def test_a_connection_let_go_is_not_the_warden_s_any_more(connection: Connection) -> None:
    """Else closing it would not end it."""
    watchdog = Watchdog(LIMIT_S)
    async with watchdog.beating():
        with watchdog.guard(connection.flow):
            await until(lambda: held_by(watchdog) == 1)
        await until(lambda: held_by(watchdog) == 0)
        connection.ours.close()
        await until(connection.is_cut)


async def test_a_flow_held_too_long_is_cut(connection: Connection) -> None:
    """Though the loop runs; another that is read is not."""
    held = Connection(Room(0))  # one line is too much
    watchdog = Watchdog(LIMIT_S)
    async with watchdog.beating(), asyncio.TaskGroup() as tasks:
        with watchdog.guard(held.flow), watchdog.guard(connection.flow):
            filling = tasks.create_task(held.flow.fill(), name="fill")
            began = time.monotonic()
            held.send(b"x" * (100 << 10) + b"\n")
            await until(held.is_cut)
            assert time.monotonic() - began < LIMIT_S + 0.3
            assert held.flow.stalled
            assert not connection.flow.stalled
            assert len(held.flow.take()) == 1
            held.flow.release()
            held.end()
            await filling
    held.close()


async def test_a_warden_that_died_is_followed_by_another(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """It guards what the one before did, and it is said once."""
    watchdog = Watchdog(LIMIT_S)
    async with watchdog.beating():
        with watchdog.guard(connection.flow):
            await until(lambda: held_by(watchdog) == 1)
            first = watchdog._warden
            assert first is not None
            first.kill()
            await until(lambda: watchdog._warden is not first and held_by(watchdog) == 1)
            assert not connection.is_cut()
            seen, began = seen_cut(connection), time.monotonic()
            time.sleep(2 * LIMIT_S)  # noqa: ASYNC251 - this is what is tested
            assert seen
            assert seen[0] - began < LIMIT_S + 0.3
        second = watchdog._warden
        assert second is not None
    assert not is_alive(second.pid)
    assert caplog.messages.count("the watchdog's process is gone ([Errno 32] Broken pipe); begun anew") == 1
    assert [record for record in caplog.records if record.levelno > logging.WARNING] == []


async def test_without_room_for_a_warden_one_is_called_as_soon_as_there_is(
    connection: Connection, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No descriptor is left for a while: nothing fails, it is said once, and each beat tries again."""
    tries = 0

    def refuse(*_: object, **__: object) -> NoReturn:
        nonlocal tries
        tries += 1
        raise OSError(errno.EMFILE, "Too many open files")

    watchdog = Watchdog(LIMIT_S)
    async with watchdog.beating():
        with monkeypatch.context() as short:
            short.setattr("agent.source.watchdog.subprocess.Popen", refuse)
            with watchdog.guard(connection.flow):
                await until(lambda: tries > 3)
                short.undo()
                await until(lambda: held_by(watchdog) == 1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "cannot be started ([Errno 24] Too many open files); tried again" in caplog.text


async def test_a_warden_that_was_stopped_is_replaced(connection: Connection) -> None:
    """Its queue is full: it does not hear us any more."""
    watchdog = Watchdog(0.02)
    async with watchdog.beating():
        with watchdog.guard(connection.flow):
            await until(lambda: held_by(watchdog) == 1)
            first = watchdog._warden
            assert first is not None
            first.send_signal(signal.SIGSTOP)
            await until(lambda: watchdog._warden is not first and held_by(watchdog) == 1)
    assert not is_alive(first.pid)


@contextlib.contextmanager
def agent() -> Iterator[tuple[subprocess.Popen[bytes], socket.socket, int]]:
    """An agent as a process, the other end of its connection, and its warden's number."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", AGENT, str(server.getsockname()[1]), str(LIMIT_S)], stdout=subprocess.PIPE
        )
        try:
            server.settimeout(20)
            theirs, _ = server.accept()
            theirs.settimeout(20)
            with theirs:
                yield process, theirs, int(theirs.makefile("rb").readline())
        finally:
            process.kill()
            process.communicate()


def test_an_agent_that_is_stopped_lets_go() -> None:
    """SIGSTOP; what it learns when it goes on."""
    with agent() as (process, theirs, _):
        began = time.monotonic()
        os.kill(process.pid, signal.SIGSTOP)
        assert theirs.recv(1) == b""
        assert time.monotonic() - began < LIMIT_S + 0.5
        os.kill(process.pid, signal.SIGCONT)
        out, _ = process.communicate(timeout=20)
        assert out == b"stalled\n"


def test_an_agent_that_is_killed_leaves_nothing_behind() -> None:
    """Neither a connection nor a process."""
    with agent() as (process, theirs, warden):
        assert is_alive(warden)
        process.kill()
        began = time.monotonic()
        assert theirs.recv(1) == b""
        assert time.monotonic() - began < LIMIT_S + 0.5
        while is_alive(warden):
            assert time.monotonic() - began < 5
            time.sleep(0.01)


def test_signals_for_the_agent_s_group_are_not_for_the_warden() -> None:
    """A ^C, a polite end: the agent still drains, and its connections are guarded meanwhile."""
    with agent() as (_, _, warden):
        assert os.getpgid(warden) == warden
        os.kill(warden, signal.SIGTERM)
        time.sleep(0.1)  # nothing is to happen: there is nothing else to wait for
        assert is_alive(warden)
