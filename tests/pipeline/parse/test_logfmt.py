"""logfmt, as Go's libraries write it."""

from __future__ import annotations

import pytest

from tests.pipeline.parse.lines import fields, parsed
from tests.pipeline.steps import Tallied


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b"a=1", {"a": "1"}),
        (b'level=info msg="order taken" id=7', {"level": "info", "msg": "order taken", "id": "7"}),
        (rb'msg="say \"hi\" to C:\\x" n=1', {"msg": 'say "hi" to C:\\x', "n": "1"}),
        (rb'msg="two\nlines" tab="\t" e="\u00e9"', {"msg": "two\nlines", "tab": "\t", "e": "é"}),
        (rb'msg="Go\x00only"', {"msg": r"Go\x00only"}),
        (b'msg=""  empty= on', {"msg": "", "empty": "", "on": True}),
        (b"url=http://h/?a=b&c=d", {"url": "http://h/?a=b&c=d"}),
        (b'msg="never closed', {"msg": "never", "closed": True}),
        (rb'msg="never \" closed', {"msg": "never", "\\": True, "closed": True}),
        (b"a=1 a=2", {"a": "2"}),
        (b"@timestamp=2026-11-23T06:13:46Z _x=1", {"@timestamp": "2026-11-23T06:13:46Z", "_x": "1"}),
        (b"a=\xff", {"a": "\ufffd"}),
        (b'a="x\ny" b=1\nc=2', {"a": "x\ny", "b": "1", "c": "2"}),
    ],
)
def test_pairs_become_fields(line: bytes, wanted: object) -> None:
    """Values are texts, a bare name is true."""
    assert fields("logfmt", line) == wanted


@pytest.mark.parametrize(
    "line",
    [b"", b"plain", b"started on port=80", b"=1", b" a=1", b'"a"=1', b"1=2", b"{a=1}", b"a" * 70_000 + b"=1"],
)
def test_what_does_not_begin_with_a_pair_stays_plain(line: bytes) -> None:
    """A sentence with an `=` in it has no fields."""
    tally = Tallied()
    found = parsed("logfmt", b"a=1", line, tally=tally)
    assert (found.fields, tally.counts["unparsed"]) == ([b'{"a":"1"}', None], 1)


@pytest.mark.parametrize("piece", [b'a="', rb'a="\"', b'"', b"\\", b"a=", b"a "])
def test_no_line_takes_long(piece: bytes) -> None:
    """Whatever it repeats."""
    line = (b"a=" + piece * 65_536)[:65_536]
    assert parsed("logfmt", line).fields is not None
