"""The message alone, a line each: for receivers that want an application's lines as they were written.

A message of several lines is several then, and nothing tells whose they are.
"""

from __future__ import annotations

from agent.batch import Batch


def plain(batch: Batch) -> bytes:
    r"""Every message and `\n`."""
    return b"\n".join(batch.messages) + b"\n" if len(batch) else b""


def plain_lines(batch: Batch) -> list[bytes]:
    r"""Every message and `\n`, each by itself."""
    return [message + b"\n" for message in batch.messages]
