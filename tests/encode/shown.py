"""The record that the pages of docs/sinks show, and what they show of it."""

from __future__ import annotations

import re
from pathlib import Path

from agent.batch import Batch, Container, Stream

DOCS = Path(__file__).parent.parent.parent / "docs/sinks"
_BLOCK = re.compile(r"^```json\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def record() -> Batch:
    """The same on every page."""
    of = Container(
        id="904acff211e842567c0ce711f6d4b166747e79c1f6d46dc21be80efbca42a1f0",
        name="web",
        image="nginx:1.27",
        tag="web",
        host="node-1",
        labels={"com.example.team": "shop"},
        project="shop",
        service="web",
    )
    return Batch(of, Stream.STDOUT, [1_795_430_878_710_136_512], [b"GET /orders/1 200"])


def block(page: str) -> bytes:
    """The first block of JSON on that page."""
    match = _BLOCK.search((DOCS / page).read_text("utf-8"))
    assert match is not None
    return match[1].encode()
