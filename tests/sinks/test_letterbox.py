"""Promises of agent/sinks/letterbox.py: what was added is there, whole, and bounded."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.batch import Batch, Container, Stream
from agent.sinks.letterbox import (
    DeadLetters,
    Dropped,
    Letter,
    Refusal,
    encode,
    letters,
    locked,
    older,
    parse,
)
from tests.sinks.scripted import DB, WEB, batch

ROOT = Path(__file__).parent.parent.parent


def read(path: Path) -> list[Letter]:
    found = [letter for _, _, letter in letters(path)]
    assert None not in found
    return [letter for letter in found if letter is not None]


def messages(path: Path) -> list[bytes]:
    return [letter.message for letter in read(path)]


async def test_a_letter_says_all_there_is_to_know(tmp_path: Path) -> None:
    """One JSON object a line: when, who, why, and the record with its container."""
    box = DeadLetters(tmp_path, "loki", clock=lambda: 1_700_000_000_000_000_001)
    refused = Batch(WEB, Stream.STDERR, [5, 5], [b"caf\xc3\xa9", b"\xff\x00"], [0, 1], frozenset({1}))
    await box.add([Refusal(refused, "too old")])
    assert box.path == tmp_path / "loki.ndjson"
    first, second = map(orjson.loads, box.path.read_bytes().splitlines())
    assert first == {
        "refused_at": "2023-11-14T22:13:20.000000001Z",
        "sink": "loki",
        "why": "too old",
        "batch": {
            "container": orjson.loads(WEB.to_json()),
            "stream": "stderr",
            "timestamp": 5,
            "ordinal": 0,
            "message": "café",
        },
    }
    assert second["batch"]["message_base64"] == "/wA="
    assert second["batch"]["truncated"] is True


texts = st.text(max_size=8)
containers = st.builds(
    Container,
    id=texts,
    name=texts,
    image=texts,
    tag=texts,
    host=texts,
    labels=st.dictionaries(texts, texts, max_size=2),
    project=st.none() | texts,
    sinks=st.none() | st.lists(texts, max_size=2),
)


written = st.builds(
    Letter,
    container=containers,
    stream=st.sampled_from(Stream),
    timestamp=st.integers(0, 2**63 - 1),
    ordinal=st.integers(0, 2**31),
    message=st.binary(),
    truncated=st.booleans(),
)


@given(written, st.text())
def test_a_letter_comes_back_as_it_was(letter: Letter, why: str) -> None:
    """Whatever the bytes: UTF-8 or not, newlines, quotes, nothing at all."""
    refused = Batch(letter.container, letter.stream, [letter.timestamp], [letter.message], [letter.ordinal])
    refused.truncated = frozenset({0} if letter.truncated else ())
    (line,) = encode("loki", Refusal(refused, why), "")
    assert line.count(b"\n") == 1
    read_back = parse(line, {})
    assert read_back is not None
    assert read_back.container.to_json() == letter.container.to_json()
    assert replace(read_back, container=letter.container) == letter


async def test_without_a_directory_nothing_is_kept() -> None:
    """Memory mode: the runner counts them as lost."""
    box = DeadLetters(None, "loki")
    assert await box.add([Refusal(batch(b"x"), "bad")]) == ()
    assert box.path is None


async def test_a_torn_last_line_is_neither_read_nor_in_the_way(tmp_path: Path) -> None:
    """Its record was not acknowledged and is refused again, on a line of its own."""
    box = DeadLetters(tmp_path, "loki")
    await box.add([Refusal(batch(b"one", b"two"), "bad")])
    assert box.path is not None
    for torn in (3, 200_000):
        whole = box.path.read_bytes()
        box.path.write_bytes(whole + b'{"refused_at":' + b"x" * torn)
        assert messages(box.path)[:2] == [b"one", b"two"]
        await box.add([Refusal(batch(b"three"), "bad")])
        assert box.path.read_bytes().startswith(whole)
        assert messages(box.path)[-1] == b"three"


@pytest.mark.parametrize("content", [b"", b"torn", b"t" * 200_000])
async def test_a_file_without_a_whole_line_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    """An empty one, or one whose only line is torn."""
    box = DeadLetters(tmp_path, "loki")
    assert box.path is not None
    box.path.write_bytes(content)
    await box.add([Refusal(batch(b"one"), "bad")])
    assert messages(box.path) == [b"one"]


async def test_the_oldest_make_room_and_are_named(tmp_path: Path) -> None:
    """Two generations within the bound; what is dropped is told by container and time range."""
    box = DeadLetters(tmp_path, "loki", max_bytes=8_000)
    assert box.path is not None
    dropped: list[Dropped] = []
    for number in range(100):
        container = DB if number % 2 else WEB
        refused = batch(b"%d" % number, container=container, first_ns=number)
        dropped += await box.add([Refusal(refused, "bad")])
        assert sum(path.stat().st_size for path in box.path.parent.iterdir()) <= 8_000
    left = [int(message) for path in (older(box.path), box.path) for message in messages(path)]
    assert left == list(range(100 - len(left), 100))
    assert sum(each.records for each in dropped) == 100 - len(left)
    assert {each.container for each in dropped} == {"web", "db"}
    assert min(each.first_ns for each in dropped) == 0
    assert max(each.last_ns for each in dropped) == left[0] - 1


async def test_one_refusal_larger_than_the_bound_keeps_its_newest(tmp_path: Path) -> None:
    """It turns the file over as it is written."""
    box = DeadLetters(tmp_path, "loki", max_bytes=8_000)
    dropped = await box.add([Refusal(batch(*(b"%d" % number for number in range(100))), "bad")])
    assert box.path is not None
    left = [int(message) for path in (older(box.path), box.path) for message in messages(path)]
    assert left == list(range(100 - len(left), 100))
    assert sum(each.records for each in dropped) == 100 - len(left)


async def test_nobody_else_may_read_them(tmp_path: Path) -> None:
    """Log lines hold secrets."""
    box = DeadLetters(tmp_path / "dead-letter", "loki")
    await box.add([Refusal(batch(b"password=hunter2"), "bad")])
    assert box.path is not None
    assert box.path.stat().st_mode & 0o077 == 0
    assert box.path.parent.stat().st_mode & 0o077 == 0


async def test_adding_at_the_same_time_mixes_no_lines(tmp_path: Path) -> None:
    """Of two boxes on one file, as of an agent and a replay."""
    boxes = [DeadLetters(tmp_path, "loki") for _ in range(4)]
    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task(boxes[number % 4].add([Refusal(batch(b"%d" % number * 1_000), "bad")]))
    assert boxes[0].path is not None
    assert len(read(boxes[0].path)) == 40


async def test_nothing_is_added_while_a_replay_takes_the_files_away(tmp_path: Path) -> None:
    """It waits for the lock, without holding up the event loop."""
    box = DeadLetters(tmp_path, "loki")
    await box.add([Refusal(batch(b"one"), "bad")])
    assert box.path is not None
    async with asyncio.TaskGroup() as group:
        with locked(box.path.parent):
            adding = group.create_task(box.add([Refusal(batch(b"two"), "bad")]))
            await asyncio.wait({adding}, timeout=0.05)
            assert not adding.done()
            assert messages(box.path) == [b"one"]
    assert messages(box.path) == [b"one", b"two"]


async def test_an_unwritable_disk_is_an_error_and_leaves_nothing_half(tmp_path: Path) -> None:
    """The caller tries again, with the same letters."""
    box = DeadLetters(tmp_path / "dead-letter", "loki")
    assert box.path is not None
    (tmp_path / "dead-letter").write_text("in the way")
    with pytest.raises(OSError, match="dead-letter"):
        await box.add([Refusal(batch(b"one"), "bad")])
    (tmp_path / "dead-letter").unlink()
    await box.add([Refusal(batch(b"one"), "bad")])
    assert messages(box.path) == [b"one"]


def test_what_was_added_survives_a_kill(tmp_path: Path) -> None:
    """Each number was printed after it was added: all printed ones are there, whole, however it was killed."""
    program = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        from agent.sinks.letterbox import DeadLetters, Refusal
        from tests.sinks.scripted import batch

        async def main():
            box = DeadLetters(Path(sys.argv[1]), "loki")
            for number in range(100_000):
                await box.add([Refusal(batch(b"%d " % number * 5_000), "bad")])
                print(number, flush=True)

        asyncio.run(main())
    """)
    chance = random.Random(1)
    for attempt in range(4):
        state = tmp_path / str(attempt)
        command = [sys.executable, "-c", program, str(state)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"0\n"
            time.sleep(chance.uniform(0, 0.05))  # the instant of the kill, not something waited for
            process.kill()
            printed = 1 + len(process.stdout.read().split(b"\n")[:-1])
        found = [int(message.split()[0]) for message in messages(state / "loki.ndjson")]
        assert found[:printed] == list(range(printed))
        assert len(found) - printed in {0, 1}
