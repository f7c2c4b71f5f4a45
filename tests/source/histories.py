"""Histories of a container, as hypothesis makes them up: what the laws of the source must hold for.

Two streams whose records stand in the file a little out of order, equal times, equal texts, clock steps, lines
of many pieces with the other stream's records between, lines whose last piece has no newline or is empty (20.10).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

from agent.batch import NS
from tests.source.engine_file import PIECE, Piece

NOON = 1_790_000_000 * NS
#: Nothing, a coarse clock's step, a live one's, a pause; then a clock set forward and back.
TICKS_NS = (0, 0, 0, 1, 900, 40_000, NS // 3, 5 * NS)
STEPS_NS = (3600 * NS, -3600 * NS, -7 * NS, -1)
#: How long before its place in the file a record may have been stamped.
LAGS_NS = (0, 0, 0, 1, 40_000, NS)
TEXTS = (b"", b"a", b"a", b"b", b"\xff\xfe", "ä".encode())


@dataclass(frozen=True, slots=True)
class History:
    """The pieces in the order of the file; the lines, with their streams, in that of their beginnings."""

    pieces: list[Piece]
    lines: list[tuple[int, bytes]] = field(repr=False)


@dataclass(slots=True)
class _Writer:
    """One stream: its stamps, none of which comes back once another came."""

    used: set[int]
    last: int = -1

    def stamp(self, wanted: int) -> int:
        while wanted in self.used and wanted != self.last:
            wanted += 1
        self.used.add(wanted)
        self.last = wanted
        return wanted


@st.composite
def histories(
    draw: st.DrawFn, *, most: int = 25, clock_goes_back: bool = True, plain: bool = False
) -> History:
    """What a container wrote. `plain`: short lines, each another, in the order of their times."""
    least = 0 if plain else -NS
    steps = [step for step in STEPS_NS if step > least or (clock_goes_back and not plain)]
    lags = (0,) if plain else LAGS_NS
    now = NOON
    writers = {1: _Writer(set()), 2: _Writer(set())}
    waiting: dict[int, list[Piece]] = {1: [], 2: []}
    pieces: list[Piece] = []
    lines: list[tuple[int, bytes]] = []
    for _ in range(draw(st.integers(1, most))):
        stepped = draw(st.integers(0, 11)) == 0
        now += draw(st.sampled_from(steps if stepped else TICKS_NS))
        stream = draw(st.sampled_from((1, 1, 2)))
        if not waiting[stream]:
            stamp = writers[stream].stamp(now - (0 if stepped else draw(st.sampled_from(lags))))
            text, parts = draw(_line(b"%d " % len(lines) if plain else None))
            waiting[stream] = [Piece(stream, stamp, part) for part in parts]
            lines.append((stream, text))
        now_kept = draw(st.integers(1, len(waiting[stream])))
        pieces += waiting[stream][:now_kept]
        del waiting[stream][:now_kept]
    for stream in draw(st.permutations((1, 2))):
        pieces += waiting[stream]
    return History(pieces, lines)


@st.composite
def _line(draw: st.DrawFn, name: bytes | None) -> tuple[bytes, list[bytes]]:
    """A line's text, and its pieces as the Engine sends them; with a name it is short."""
    text = (name or b"") + draw(st.sampled_from(TEXTS))
    full = 0 if name else draw(st.sampled_from((0, 0, 0, 0, 0, 1, 2)))
    if not full:
        return text, [text + b"\n"]
    body = [bytes([97 + number]) * PIECE for number in range(full)]
    end = draw(st.sampled_from((b"\n", b"\n", b"")))  # 20.10's `local` drops it
    return b"".join(body) + text, [*body, text + end]
