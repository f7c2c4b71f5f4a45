"""Redis' own protocol, RESP2: commands go out in one piece, their replies come back in order.

Source: Redis' docs, "Redis serialization protocol specification". Not redis-py: with it, a command costs four
times as much as all else we do for a record (docs/decisions/own-protocols.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agent.transport import TransportError
from agent.transport.dialogue import Dialogue
from agent.transport.stream import Address

_LONGEST_LINE = 64 * 1024
_STATUS, _ERROR, _INTEGER, _BULK = b"+-:$"


@dataclass(frozen=True, slots=True)
class Replies:
    """What came back for some commands.

    count   how many were answered, from the first on
    said    by number of the command, the replies that are words: `+OK` and `-ERR why`, the sign left on
    broken  why no more were answered, when that is so
    """

    count: int
    said: Mapping[int, str] = field(default_factory=dict)
    broken: TransportError | None = None

    @property
    def errors(self) -> dict[int, str]:
        """By number of the command, what it was refused for."""
        return {number: text[1:] for number, text in self.said.items() if text.startswith("-")}


class RespTalk(Dialogue):
    """One connection to Redis, or to what speaks like it."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._buffer = bytearray()
        self._count = 0
        self._said: dict[int, str] = {}

    async def ask(self, commands: bytes, count: int) -> Replies:
        """Send `commands`, `count` of them, and wait for the replies, or for as many as there will be."""
        self._count, self._said = 0, {}
        self.say(commands)
        try:
            await self.until(lambda: self._count >= count)
        except TransportError as error:
            return replace(self.replies, broken=error)
        return self.replies

    @property
    def replies(self) -> Replies:
        """Those that have come since the last request."""
        return Replies(self._count, self._said)

    def heard(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        at = 0
        while (end := buffer.find(b"\r\n", at)) >= 0:
            kind = buffer[at]
            if kind == _BULK:
                size = _number(buffer[at + 1 : end])
                end += size + 2 if size >= 0 else 0
                if len(buffer) < end + 2:
                    break
            elif kind in {_STATUS, _ERROR}:
                self._said[self._count] = buffer[at:end].decode(errors="replace")
            elif kind != _INTEGER:
                raise TransportError("its answer is not Redis'")
            self._count += 1
            at = end + 2
        del buffer[:at]
        if len(buffer) > _LONGEST_LINE and buffer[0] != _BULK:
            raise TransportError("its answer is not Redis'")


def command(*words: str) -> bytes:
    """One command with its arguments."""
    parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in map(str.encode, words)]
    return b"*%d\r\n%b" % (len(parts), b"".join(parts))


def _number(text: bytearray) -> int:
    try:
        return int(text)
    except ValueError:
        raise TransportError("its answer is not Redis'") from None
