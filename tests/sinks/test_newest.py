"""The newest dead letters, read from the end of what the letter box wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.batch import Batch, Container, Stream
from agent.sinks.letterbox import STRUCK, DeadLetters, Refusal, older
from agent.sinks.newest import MESSAGE_MOST_BYTES, newest

WEB = Container(id="a" * 64, name="web", image="i", tag="t", host="h")


async def refuse(directory: Path, *messages: bytes, why: str = "too old", max_bytes: int = 64 << 20) -> None:
    """One letter a message."""
    stamps = [1_795_449_226_489_633_114 + row for row in range(len(messages))]
    box = DeadLetters(directory, "loki", max_bytes=max_bytes, clock=lambda: 1_795_449_300_000_000_000)
    await box.add([Refusal(Batch(WEB, Stream.STDERR, stamps, list(messages)), why)])


def messages(directory: Path, limit: int = 100) -> list[object]:
    return [letter["message"] for letter in newest(directory, "loki", limit).letters]


async def test_a_letter_is_told_with_its_reason(tmp_path: Path) -> None:
    await refuse(tmp_path, b"hello \xff")
    found = newest(tmp_path, "loki", 10)
    assert not found.more
    assert found.letters == [
        {
            "refused_at": "2026-11-23T15:55:00.000000000Z",
            "why": "too old",
            "container": "web",
            "stream": "stderr",
            "time": "2026-11-23T15:53:46.489633114Z",
            "message": "hello \ufffd",
            "cut": None,
        }
    ]


async def test_the_newest_come_first_and_no_more_than_asked_for(tmp_path: Path) -> None:
    await refuse(tmp_path, *[b"%d" % number for number in range(20)])
    assert messages(tmp_path, 3) == ["19", "18", "17"]
    assert newest(tmp_path, "loki", 3).more
    assert not newest(tmp_path, "loki", 20).more
    assert len(messages(tmp_path)) == 20


async def test_letters_of_the_older_file_follow(tmp_path: Path) -> None:
    """Those of both are one row; none twice."""
    for number in range(40):
        await refuse(tmp_path, b"%d" % number, max_bytes=20_000)
    assert older(tmp_path / "loki.ndjson").exists()
    found = messages(tmp_path, 500)
    assert found == [f"{number}" for number in range(39, 39 - len(found), -1)]
    assert len(found) > 20


async def test_large_letters_are_read_over_many_blocks(tmp_path: Path) -> None:
    """More than is read at first; a long message is cut and says so."""
    await refuse(tmp_path, *[b"%d" % number + b"x" * 300_000 for number in range(10)])
    letters = newest(tmp_path, "loki", 10).letters
    assert [str(letter["message"])[:1] for letter in letters] == list("9876543210")
    assert {letter["cut"] for letter in letters} == {300_001}
    assert {len(str(letter["message"])) for letter in letters} == {MESSAGE_MOST_BYTES}


async def test_what_was_dealt_with_or_torn_or_damaged_is_passed_over(tmp_path: Path) -> None:
    await refuse(tmp_path, b"a", b"b", b"c")
    path = tmp_path / "loki.ndjson"
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + STRUCK + second[1:] + b"{}\n" + third + b'{"refused_at":"20')
    assert messages(tmp_path) == ["c", "a"]


@pytest.mark.parametrize("directory", [None, Path("/nonexistent")])
def test_where_nothing_is_kept_there_are_none(directory: Path | None) -> None:
    """Memory mode, or nothing refused yet."""
    found = newest(directory, "loki", 10)
    assert (found.letters, found.more) == ([], False)
