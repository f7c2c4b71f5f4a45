"""The bare reader counts the lines of a stream wherever its reads cut it."""

from __future__ import annotations

from struct import pack

import pytest

from tests.bench.bare import Marks, Newlines
from tests.bench.lines import Lines

LINES = Lines(10, 157)
WRITTEN = b"".join(LINES.line(number) + b"\n" for number in range(1, 11))
#: As the Engine frames them: each line of a log, and what was written at once of an attached stream. 266 bytes are
#: 0x010a: a newline within a head.
LOG = b"".join(
    pack(">BxxxI", 1, len(line) + 31) + b"2026-11-23T06:13:46.489633114Z " + line
    for line in WRITTEN.splitlines(keepends=True)
)
ATTACHED = b"".join(
    pack(">BxxxI", 1, len(WRITTEN[start : start + 266])) + WRITTEN[start : start + 266]
    for start in range(0, len(WRITTEN), 266)
)


@pytest.mark.parametrize(("kind", "stream"), [(Marks, LOG), (Newlines, ATTACHED)])
@pytest.mark.parametrize("step", [1, 2, 7, 8, 9, 20, 156, 157, 188, 5000])
def test_every_line_counts_once(kind: type[Marks | Newlines], stream: bytes, step: int) -> None:
    counted = kind()
    assert sum(counted.add(stream[start : start + step]) for start in range(0, len(stream), step)) == 10


@pytest.mark.parametrize(("kind", "stream"), [(Marks, LOG), (Newlines, ATTACHED)])
def test_two_reads_cut_anywhere_are_one_stream(kind: type[Marks | Newlines], stream: bytes) -> None:
    for cut in range(len(stream) + 1):
        counted = kind()
        assert counted.add(stream[:cut]) + counted.add(stream[cut:]) == 10
