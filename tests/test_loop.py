"""The agent's event loop."""

from __future__ import annotations

import asyncio
import errno
import selectors
import socket
import sys
import time

import pytest

from agent.loop import new_event_loop


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is asyncio's own")
def test_a_short_wait_is_short() -> None:
    """At best: a busy machine may always make it longer. asyncio's own takes a millisecond."""

    async def shortest() -> float:
        taken = []
        for _ in range(100):
            began = time.perf_counter()
            await asyncio.sleep(0.0003)
            taken.append(time.perf_counter() - began)
        return min(taken)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        assert 0.0003 <= runner.run(shortest()) < 0.0009


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is asyncio's own")
@pytest.mark.parametrize("timeout", [0, 0.0005, 0.5, None])
def test_what_is_ready_is_found_however_short_the_wait(timeout: float | None) -> None:
    """And who it was."""
    from agent.loop import FineSelector  # noqa: PLC0415 - only there

    left, right = socket.socketpair()
    with left, right, FineSelector() as selector:
        selector.register(left, selectors.EVENT_READ, "left")
        right.send(b"x")
        ((key, events),) = selector.select(timeout)
        assert (key.data, events) == ("left", selectors.EVENT_READ)


def test_a_lack_of_descriptors_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    lack = OSError(errno.EMFILE, "Too many open files")
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        loop = runner.get_loop()
        for _ in range(3):
            loop.call_exception_handler(
                {"message": "socket.accept() out of system resource", "exception": lack}
            )
        assert caplog.messages == [
            "no file descriptor is left (ulimit -n): who connects to the agent has to wait"
        ]
        loop.call_exception_handler({"message": "something else", "exception": ValueError("x")})
    assert caplog.messages[1:] == ["something else"]
