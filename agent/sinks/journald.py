"""journald: the journal of this machine, through its native socket.

Source: systemd.io, "Native Journal Protocol". The socket makes us wait while journald lags. It has no answer, and
journald drops in silence, or with a line of its own, what passes the limits it was given (RateLimitBurst=).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.batch import Batch
from agent.encode.journal import entries
from agent.errors import SettingsError
from agent.options import BOOLEAN, PATH, option
from agent.sinks.base import SinkOptions, Target
from agent.sinks.over_socket import Refusals, UnixSink

SOCKET = "/run/systemd/journal/socket"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournaldOptions(SinkOptions):
    """The options of `journald:`."""

    socket: str = option(PATH, SOCKET, help="journald's native socket")
    full_id: bool = option(
        BOOLEAN,
        False,
        help="send CONTAINER_ID_FULL, too. Not where containers have the driver journald: `docker logs` finds "
        "their lines by it, and the agent would read what it sent, again and again",
    )


class JournaldSink(UnixSink[JournaldOptions]):
    """The journal of this machine."""

    def __init__(self, target: Target, options: JournaldOptions) -> None:
        if target.host or target.path:
            raise SettingsError(
                [f"sink {target.name}: journald: takes no host and no path; its socket is ?socket=/path"]
            )
        super().__init__(target, options, options.socket)

    def encode(self, batches: Sequence[Batch]) -> tuple[Sequence[bytes], Refusals]:
        full_id = self.options.full_id
        return [entry for batch in batches for entry in entries(batch, full_id=full_id)], {}

    async def send_oversize(self, datagram: bytes) -> str | None:
        await self._socket.send_file(datagram)
        return None
