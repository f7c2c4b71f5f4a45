"""Messages as text: what is not UTF-8 becomes U+FFFD, and its row is in `Batch.undecodable`.

The column is decoded in one call. Joined by an ASCII byte it decodes line by line all the same, because no
UTF-8 sequence, whole or broken, reaches across one.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from agent.batch import Batch

#: DEL: hardly ever in a log, and JSON does not escape it.
SEPARATOR = b"\x7f"


def joined(batch: Batch) -> str:
    """All messages as one text, `SEPARATOR` between them (and perhaps inside them, too)."""
    whole = SEPARATOR.join(batch.messages)
    try:
        return whole.decode()
    except UnicodeDecodeError:
        batch.undecodable = frozenset(
            row for row, message in enumerate(batch.messages) if not _is_utf8(message)
        )
        return whole.decode(errors="replace")


def cleaned(batch: Batch) -> Sequence[bytes]:
    """The messages in valid UTF-8; the very same objects when they were so already."""
    joined(batch)
    if not batch.undecodable:
        return batch.messages
    return [message.decode(errors="replace").encode() for message in batch.messages]


def escaped(batch: Batch) -> Sequence[bytes]:
    """The messages as JSON writes them between the quotes."""
    messages = orjson.dumps(joined(batch))[1:-1].split(SEPARATOR)
    if len(messages) == len(batch):
        return messages
    return [orjson.dumps(message.decode(errors="replace"))[1:-1] for message in batch.messages]


def _is_utf8(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True
