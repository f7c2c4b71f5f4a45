"""The tap: who tails is shown what passes on to the spool. Nobody tails: it hears nothing, and costs nothing.

Sans-I/O but for one timer. What passes is put into a bounded queue of each client, as columns; a client that
does not take it, or takes less than comes, misses lines and is told how many. Nobody waits for a client.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from agent.batch import Batch, Container
from agent.http.wanted import Wanted

MAX_CLIENTS: Final = 8
#: What waits for a client to take it, ten times a second: so this bounds what is looked through for one, too.
WAITING_LINES, WAITING_BYTES = 5_000, 4 << 20
#: What is kept for one that comes back.
RECENT_LINES, RECENT_BYTES = 5_000, 2 << 20
LINGER_S: Final = 30.0

Hear: TypeAlias = Callable[[Sequence[Batch]], None]


class Tapped(Protocol):
    """What batches are put into: `agent.spool.Spool`. `tap` is told of them, if there is one."""

    tap: Hear | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """The columns of a batch that are shown. `first`: the number of its first line, of all that passed."""

    first: int
    container: Container
    stream: str
    timestamps: Sequence[int]
    messages: Sequence[bytes]
    levels: bytes | None
    fields: Sequence[bytes | None] | None
    bytes: int

    @classmethod
    def of(cls, first: int, batch: Batch) -> Chunk:
        return cls(
            first,
            batch.container,
            batch.stream.value,
            batch.timestamps,
            batch.messages,
            batch.levels,
            batch.fields,
            sum(map(len, batch.messages)),
        )

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def end(self) -> int:
        """The number after its last line's."""
        return self.first + len(self.messages)


class Queue:
    """Chunks up to a bound, of which the newest stay."""

    def __init__(self, lines: int, bytes: int) -> None:
        self.chunks: deque[Chunk] = deque()
        self._most_lines, self._most_bytes = lines, bytes
        self._lines = self._bytes = 0

    def add(self, chunk: Chunk) -> list[Chunk]:
        """Append, and return what had to go for it. One chunk alone may exceed the bounds."""
        self.chunks.append(chunk)
        self._lines += len(chunk)
        self._bytes += chunk.bytes
        gone = []
        while len(self.chunks) > 1 and (self._lines > self._most_lines or self._bytes > self._most_bytes):
            gone.append(self.chunks.popleft())
            self._lines -= len(gone[-1])
            self._bytes -= gone[-1].bytes
        return gone

    def empty(self) -> list[Chunk]:
        """All there is; then there is nothing."""
        chunks = list(self.chunks)
        self.chunks.clear()
        self._lines = self._bytes = 0
        return chunks


class Client:
    """One who tails.

    first    the number of the first line that it may be shown
    skipped  lines that went by, by container, since it was told last
    unknown  whether it missed an unknown number of lines before it came back
    """

    def __init__(self, wanted: Wanted, first: int) -> None:
        self.wanted = wanted
        self.first = first
        self.skipped: dict[str, int] = {}
        self.unknown = False
        self.ended = False
        self.news = asyncio.Event()
        self._queue = Queue(WAITING_LINES, WAITING_BYTES)

    def offer(self, chunk: Chunk) -> None:
        """It passes; whoever takes next gets it."""
        if self.wanted.container(chunk.container):
            for gone in self._queue.add(chunk):
                self.skip(gone.container.id, len(gone))
            self.news.set()

    def take(self) -> list[Chunk]:
        """What passed since, oldest first."""
        self.news.clear()
        return self._queue.empty()

    def skip(self, container_id: str, lines: int) -> None:
        if lines:
            self.skipped[container_id] = self.skipped.get(container_id, 0) + lines

    def miss(self) -> None:
        """It missed an unknown number of lines."""
        self.unknown = True
        self.news.set()

    def end(self) -> None:
        """Nothing more comes."""
        self.ended = True
        self.news.set()


class Tap:
    """Begins to hear with the first client, and ends half a minute (`linger_s`) after the last."""

    def __init__(self, tapped: Tapped, *, linger_s: float = LINGER_S) -> None:
        self._linger_s = linger_s
        self.clients: set[Client] = set()
        self._tapped = tapped
        self._run = secrets.token_hex(3)
        self._passed = 0
        self._recent = Queue(RECENT_LINES, RECENT_BYTES)
        self._off: asyncio.TimerHandle | None = None

    def join(self, wanted: Wanted, last_id: str | None = None) -> Client | None:
        """A new client, shown first what passed after `last_id`, as far as that is kept. None: there are too many."""
        if len(self.clients) >= MAX_CLIENTS:
            return None
        client = Client(wanted, self._passed)
        if last_id is not None:
            self._catch_up(client, last_id)
        if self._off is not None:
            self._off.cancel()
            self._off = None
        self.clients.add(client)
        self._tapped.tap = self._hear
        return client

    def leave(self, client: Client) -> None:
        self.clients.discard(client)
        if not self.clients and self._off is None:
            self._off = asyncio.get_running_loop().call_later(self._linger_s, self.close)

    def close(self) -> None:
        """Hear nothing more; clients end."""
        self._tapped.tap = None
        if self._off is not None:
            self._off.cancel()
            self._off = None
        self._recent.empty()
        self._run = secrets.token_hex(3)
        for client in self.clients:
            client.end()

    def id_at(self, end: int) -> str:
        """What a client sends to go on after the line before that number."""
        return f"{self._run}.{end}"

    def _hear(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            if len(batch):
                chunk = Chunk.of(self._passed, batch)
                self._passed = chunk.end
                self._recent.add(chunk)
                for client in self.clients:
                    client.offer(chunk)

    def _catch_up(self, client: Client, last_id: str) -> None:
        run, _, number = last_id.partition(".")
        if run != self._run or not number.isdecimal():
            client.miss()
            return
        kept = self._recent.chunks[0].first if self._recent.chunks else self._passed
        if int(number) < kept:
            client.miss()
        client.first = min(max(int(number), kept), self._passed)
        for chunk in self._recent.chunks:
            if chunk.first >= client.first:
                client.offer(chunk)
