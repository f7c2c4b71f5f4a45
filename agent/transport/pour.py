"""Datagrams from first to last, from a thread, which may wait where the event loop may not."""

from __future__ import annotations

import errno
import socket
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from agent.transport import TransportError, reason
from agent.transport.mmsg import as_sent

#: A receiver's buffer of the usual 208 KiB holds some 160 small datagrams: a burst must leave it room.
BURST_DATAGRAMS = 32
BURST_BYTES = 64 * 1024
#: What waits for its reader loses nothing: as many at once as are not long to wait for, if we are to stop.
CALL_DATAGRAMS = 128
#: A timer is late by a millisecond or two: so much may be caught up.
CATCH_UP_S = 0.003
NO_BUFFER_PAUSE_S = 0.001
#: Longest wait in one piece, so that we stop when told to.
NAP_S = 0.05
_NO_BUFFER = {errno.ENOBUFS, errno.ENOMEM}


class OversizeError(TransportError):
    """The kernel takes no datagram of that size; those before it were sent."""


@dataclass(slots=True)
class Pace:
    """Spreads datagrams over time: `due` is when the next may go."""

    per_second: float
    due: float = 0.0

    def delay(self, size: int, count: int, now: float) -> float:
        """Seconds to wait after `count` datagrams of `size` bytes in all; a large one counts as several."""
        self.due = max(self.due, now - CATCH_UP_S) + (count + size // 1024) / self.per_second
        return self.due - now


class Pour:
    """Sends `datagrams`, one or more, over a socket that blocks no longer than a limit of its own.

    sent  how many the kernel has taken so far
    full  it had no room for the next within that limit
    """

    def __init__(self, datagrams: Sequence[bytes], pace: Pace | None) -> None:
        self.sent = 0
        self.full = False
        self._ends = list(accumulate(map(len, datagrams), initial=0))
        self._datagrams = as_sent(datagrams)
        self._pace = pace
        self._most = CALL_DATAGRAMS if pace is None else BURST_DATAGRAMS
        self._stopping = False

    @property
    def done(self) -> bool:
        """Whether all are sent."""
        return self.sent == len(self._ends) - 1

    def stop(self) -> None:
        """Have `run` return soon."""
        self._stopping = True

    def run(self, sock: socket.socket) -> None:
        """Send until it is `done`, `full` or told to stop, and close `sock`. Raises OversizeError, OSError."""
        self.full = False
        with sock:
            while not (self.done or self.full or self._stopping):
                self._send(sock)

    def _send(self, sock: socket.socket) -> None:
        """The next few, or one alone that is larger than they may be together."""
        before = self._ends[self.sent]
        fitting = bisect_right(self._ends, before + BURST_BYTES, self.sent + 1)
        try:
            count = self._datagrams.send(sock, self.sent, min(self._most, max(1, fitting - self.sent - 1)))
        except InterruptedError:
            return
        except BlockingIOError:
            self.full = True
        except OSError as error:
            short = error.errno in _NO_BUFFER  # of memory in one piece, where the datagram is large
            large = self._ends[self.sent + 1] - before > BURST_BYTES
            if error.errno == errno.EMSGSIZE or (short and large):
                raise OversizeError(reason(error)) from error
            if not short:
                raise
            self._rest(NO_BUFFER_PAUSE_S)
        else:
            self.sent += count
            if self._pace is not None:
                self._rest(self._pace.delay(self._ends[self.sent] - before, count, time.monotonic()))

    def _rest(self, seconds: float) -> None:
        """A lock with a time-out could be told to stop at once, and costs the processor twice as much."""
        while seconds > 0 and not self._stopping:
            time.sleep(min(seconds, NAP_S))
            seconds -= NAP_S
