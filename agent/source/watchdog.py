"""The guard of attached containers: a process of its own, so that it works when the agent does not.

A container whose output nobody reads is stopped by the Engine in its next write, once about a megabyte is on the
way. So when the event loop does not beat for the stall limit (it hangs, the process is stopped), the `warden`, which
shares the connections, shuts them down; and when a reader does not take what came for as long, the loop does. The
container runs on, and the reader fills the gap from the log when it can.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

from agent.source.flow import Flow

log = logging.getLogger(__name__)

_WARDEN = Path(__file__).with_name("warden.py")
#: How often within the limit the loop gives a sign; and the share of it after which a connection is shut down.
_BEATS = 10
_PATIENCE = 0.8


class Watchdog:
    """Guards the flows in `guard`, while `beating`.

    limit_s  how long a container may be held
    eager    call the warden at once, not with the first flow
    """

    def __init__(self, limit_s: float, *, eager: bool = False) -> None:
        self._eager = eager
        self._patience_s = limit_s * _PATIENCE
        self._beat_s = limit_s / _BEATS
        self._guarded: dict[int, Flow] = {}
        self._numbers = count()
        self._last_s = time.monotonic()
        self._control: socket.socket | None = None
        self._warden: subprocess.Popen[bytes] | None = None
        self._missing = False

    @contextlib.asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """While the loop gives signs of life."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle

        def beat() -> None:
            nonlocal timer
            timer = loop.call_later(self._beat_s, beat)
            self._look()

        if self._eager:
            self._call()
        self._last_s = time.monotonic()
        timer = loop.call_later(self._beat_s, beat)
        try:
            yield
        finally:
            timer.cancel()
            self._dismiss()

    @contextlib.contextmanager
    def guard(self, flow: Flow) -> Iterator[None]:
        """Look after a connection."""
        number = next(self._numbers)
        self._guarded[number] = flow
        self._tell(b"+%d" % number, flow)
        try:
            yield
        finally:
            del self._guarded[number]
            self._tell(b"-%d" % number)

    def _look(self) -> None:
        """Cut what is held too long, and say that we live."""
        now = time.monotonic()
        late, self._last_s = now - self._last_s > self._patience_s, now
        for flow in self._guarded.values():
            if late or (flow.held_since is not None and now - flow.held_since > self._patience_s):
                flow.cut()
        if self._guarded:
            self._tell(b".")

    def _tell(self, message: bytes, flow: Flow | None = None) -> None:
        """Say this to the warden; without one, or if it does not hear us, call another.

        If none can be had, the next beat tries again; until then only the loop itself looks after the connections.
        """
        try:
            if self._control is not None:
                self._send(message, flow)
                return
        except OSError as error:
            log.warning("the watchdog's process is gone (%s); begun anew", error)
            self._dismiss()
        try:
            self._call()
        except OSError as error:
            self._dismiss()
            if not self._missing:
                log.warning("the watchdog's process cannot be started (%s); tried again", error)
            self._missing = True
        else:
            self._missing = False

    def _send(self, message: bytes, flow: Flow | None = None) -> None:
        if self._control is not None:
            socket.send_fds(self._control, [message], [flow.fileno] if flow and flow.fileno >= 0 else [])

    def _call(self) -> None:
        """Start a warden, and show it all there is to guard."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._control = ours
        with theirs:
            number = theirs.fileno()
            self._warden = subprocess.Popen(  # noqa: S603 - our own file
                [sys.executable, "-I", "-S", str(_WARDEN), str(number), str(self._patience_s)],
                pass_fds=[number],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        for name, flow in self._guarded.items():
            self._send(b"+%d" % name, flow)

    def _dismiss(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._warden is not None:
            self._warden.kill()
            self._warden.wait()
            self._warden = None
