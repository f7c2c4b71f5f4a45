"""auto: what a line looks like."""

from __future__ import annotations

import pytest

from tests.pipeline.parse.lines import fields, parsed
from tests.pipeline.steps import Tallied


def test_each_line_is_read_as_what_it_is() -> None:
    """Side by side in one batch."""
    tally = Tallied()
    lines = (b'{"a":1}', b"plain", b"level=warn a=1", b"x = y", b"{broken", b'{"level":"error"}')
    found = parsed("auto", *lines, tally=tally)
    assert found.fields == [b'{"a":1}', None, b'{"level":"warn","a":"1"}', None, None, b'{"level":"error"}']
    assert found.levels == bytes([0, 0, 5, 0, 0, 6])
    assert tally.counts["unparsed"] == 1


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"a=1",
        b"started a=1 b=2",
        b"export PATH=/bin:/sbin",
        b"a=1 and then some",
        b"x=y is not z=1",
        b"GET /?a=1&b=2",
        b"https://h/?a=b c=d",
        b"[1,2]",
        b' {"a":1}',
        b"if a==b c=d",
        b'key="never closed b=c',
    ],
)
def test_in_doubt_it_stays_plain(line: bytes) -> None:
    """A field that nobody wrote is worse than none; and plain lines are not counted."""
    tally = Tallied()
    assert parsed("auto", line, tally=tally).fields is None
    assert not tally.counts


@pytest.mark.parametrize(
    "line",
    [
        b"level=info msg=x",
        b'ts=2026-11-23T06:13:46.489Z caller=main.go:10 level=info msg="x y"',
        b'msg="a \\" b" n=1',
        b"a= b=",
    ],
)
def test_two_pairs_are_logfmt(line: bytes) -> None:
    """One might be anything."""
    assert fields("auto", line) == fields("logfmt", line) is not None


def test_a_batch_of_plain_lines_is_the_same_batch() -> None:
    """So it costs its readers nothing."""
    found = parsed("auto", b"a", b"b")
    assert (found.fields, found.levels) == (None, None)
