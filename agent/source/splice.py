"""What comes live, from the moment we are attached: what of it can be taken, and when. Sans-I/O.

Place: between `attach`, which reads the connection and the log, and `seam`, which knows where the one begins in the
other. While the log is read, call `amid` after each of its steps; around each read `begin` and `end`.
"""

from __future__ import annotations

from agent.batch import NS
from agent.source.lines import Records
from agent.source.seam import Seam

#: While the log cannot be joined it is read again after so long, more and more seldom.
_AGAIN_NS, _AGAIN_MOST_NS = NS // 200, NS // 2


class Splice:
    """The live output of one connection; without a seam it is taken as it comes."""

    def __init__(self, seam: Seam | None = None) -> None:
        self._seam = seam
        self._waiting: dict[int, Records] = {}  # by stream: not joined yet
        self._given: dict[int, int] = {}  # by stream: how many are still to come that the log gave already
        self._ready = Records()
        self._began_ns = 0
        self._joined = False
        self._again_ns = 0
        self._pause_ns = _AGAIN_NS

    @property
    def waits(self) -> bool:
        """Whether something came that cannot be taken yet."""
        return bool(self._waiting)

    def sort(self, records: Records, now_ns: int) -> Records:
        """Those of these, which came by `now_ns`, that can be taken now; the others wait."""
        seam, records = self._seam, self._fresh(records)
        if seam is None or seam.open.isdisjoint(records.streams):
            return records
        seam.receive(records, now_ns)
        for stream in seam.open:
            rows = [row for row, of in enumerate(records.streams) if of == stream]
            if rows:
                self._waiting.setdefault(stream, Records()).extend(records.take(rows))
        return records.take([row for row, of in enumerate(records.streams) if of not in seam.open])

    def due_ns(self, now_ns: int) -> int | None:
        """When the log is to be read; None: not before something comes."""
        if self._seam is None:
            return None
        self._seam.set_back(now_ns)
        self._again_ns = min(self._again_ns, now_ns + self._pause_ns)
        due_ns = self._seam.due_ns()
        return None if due_ns is None else max(due_ns, self._again_ns)

    def begin(self, now_ns: int) -> bool:
        """Whether the log has to be read now; else what came by now decided it."""
        self._began_ns, self._joined = now_ns, False
        if self._seam is None:
            return False
        self._let_go(self._seam.join_late(now_ns))
        return self._seam.needs_log

    def amid(self, came: Records, now_ns: int) -> bool:
        """The log was read so far, and these came meanwhile; whether that is far enough."""
        seam = self._seam
        self._ready.extend(self.sort(came, now_ns))
        if seam is None:
            return True
        self._let_go(seam.join_amid())
        return not seam.open or seam.over or (seam.covered and (self._joined or not seam.needs_log))

    def end(
        self, came: Records, now_ns: int, *, hurry: bool = False, read_to_ns: int | None = None
    ) -> Records:
        """The log was read to its end, or far enough; what can be taken now.

        hurry       see `Seam.join`
        read_to_ns  what was written up to then was read; None: to when the read began
        """
        if not self.amid(came, now_ns) and self._seam is not None:
            began_ns = self._began_ns if read_to_ns is None else read_to_ns
            self._let_go(self._seam.join(began_ns, now_ns, hurry=hurry))
        self._pause_ns = _AGAIN_NS if self._joined else min(2 * self._pause_ns, _AGAIN_MOST_NS)
        self._again_ns = now_ns + self._pause_ns
        return self._take_ready()

    def settle(self) -> None:
        """See `Seam.settle`."""
        if self._seam is not None:
            self._let_go(self._seam.settle())

    def give_up(self, came: Records, now_ns: int) -> Records:
        """The log cannot be read any more: take what it did not give, as far as that can be told."""
        self._ready.extend(self.sort(came, now_ns))
        if self._seam is not None:
            self._let_go(self._seam.join_late(now_ns, hurry=True))
        return self._take_ready()

    def _take_ready(self) -> Records:
        ready, self._ready = self._ready, Records()
        return ready

    def _let_go(self, given: dict[int, range]) -> None:
        """These streams are joined: what waited of them is ready, less what the log gave already."""
        for stream, lines in given.items():
            self._joined = True
            waited = self._waiting.pop(stream, Records())
            self._ready.extend(waited.take(slice(0, lines.start)))
            self._ready.extend(waited.take(slice(lines.stop, None)))
            if lines.stop > len(waited):
                self._given[stream] = lines.stop - len(waited)

    def _fresh(self, records: Records) -> Records:
        """Those of these that the log did not give."""
        if not self._given:
            return records
        rows: list[int] = []
        for row, stream in enumerate(records.streams):
            if self._given.get(stream):
                self._given[stream] -= 1
            else:
                rows.append(row)
        self._given = {stream: count for stream, count in self._given.items() if count}
        return records.take(rows)
