"""An Engine on another host over `ssh`, as the Docker CLI does it (docker/cli `cli/connhelper/connhelper.go`).

Each connection is an `ssh` process that runs `docker system dial-stdio` over there; its standard input and
output are one end of a socket pair, and aiohttp has the other. Keys, ports, jumps and the sharing of one
connection by many (ControlMaster) are the business of `~/.ssh/config`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

import aiohttp

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.tracing import Trace

log = logging.getLogger(__name__)
_REMOTE: Final = ("docker", "system", "dial-stdio")
_END_S: Final = 2.0


def command(url: str, connect_timeout: float) -> list[str]:
    """The ssh command for an `ssh://[user@]host[:port]`; it asks nobody for a password."""
    where = urlsplit(url)
    options = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={max(1, round(connect_timeout))}", "-T"]
    options += ["-l", where.username] if where.username else []
    options += ["-p", str(where.port)] if where.port else []
    return ["ssh", *options, "--", where.hostname or "", *_REMOTE]


class SshConnector(aiohttp.BaseConnector):
    """Connections through `command`, as many as are asked for."""

    def __init__(self, command: list[str]) -> None:
        super().__init__(limit=0)
        self._command = command
        self._processes: set[_Process] = set()

    async def _create_connection(  # overrides aiohttp's, which limits the time
        self,
        req: ClientRequest,  # noqa: ARG002
        traces: list[Trace],  # noqa: ARG002
        timeout: aiohttp.ClientTimeout,  # noqa: ARG002, ASYNC109
    ) -> ResponseHandler:
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as undo, theirs:
            undo.callback(ours.close)
            end = theirs.fileno()
            try:
                await loop.subprocess_exec(
                    lambda: _Process(self._processes), *self._command, stdin=end, stdout=end
                )
            except OSError as error:
                raise aiohttp.ClientOSError(error.errno, f"{self._command[0]}: {error.strerror}") from error
            _, protocol = await loop.create_connection(self._factory, sock=ours)
            undo.pop_all()
        return protocol

    async def end(self) -> None:
        """Wait until the processes have ended whose connections are closed; after 2 s they are killed."""
        try:
            async with asyncio.timeout(_END_S):
                for process in tuple(self._processes):
                    await process.ended.wait()
        except TimeoutError:
            for process in tuple(self._processes):
                process.transport.kill()


class _Process(asyncio.SubprocessProtocol):
    """One ssh; it logs what that has to say."""

    def __init__(self, processes: set[_Process]) -> None:
        self.transport: asyncio.SubprocessTransport
        self.ended = asyncio.Event()
        self._processes = processes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.SubprocessTransport", transport)
        self._processes.add(self)

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - it is stderr
        log.warning("ssh says: %s", data.decode("utf-8", "replace").strip())

    def process_exited(self) -> None:
        self._processes.discard(self)
        self.transport.close()
        self.ended.set()
