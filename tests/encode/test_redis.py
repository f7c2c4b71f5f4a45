"""What Redis is told, taken apart as its protocol says: arrays of strings, each with its length before it."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from agent.batch import Batch, Container
from agent.encode.ndjson import ndjson
from agent.encode.redis import rpush, xadd
from agent.level import Level
from tests.encode.batches import batches
from tests.receivers.sent import batch, container


def commands(data: bytes) -> Iterator[list[bytes]]:
    """Each command with its arguments; whatever is no such thing is an AssertionError."""
    while data:
        count, data = number(data, b"*")
        words = []
        for _ in range(count):
            size, data = number(data, b"$")
            words.append(data[:size])
            assert data[size : size + 2] == b"\r\n"
            data = data[size + 2 :]
        yield words


def number(data: bytes, sign: bytes) -> tuple[int, bytes]:
    line, _, rest = data.partition(b"\r\n")
    assert line[:1] == sign
    assert line[1:] == str(int(line[1:])).encode()
    return int(line[1:]), rest


def key(of: Container) -> bytes:
    return f"logs:{of.name}".encode()


def records(sent: list[Batch]) -> list[bytes]:
    return [line for each in sent for line in ndjson(each).split(b"\n")[:-1]]


@given(st.lists(batches(), max_size=3), st.sampled_from([0, 1000]))
def test_each_record_is_an_entry_of_its_stream(sent: list[Batch], maxlen: int) -> None:
    made = xadd(sent, key, maxlen)
    bound = [b"MAXLEN", b"~", b"1000"] if maxlen else []
    streams = [key(each.container) for each in sent for _ in range(len(each))]
    assert list(commands(made.data)) == [
        [b"XADD", stream, *bound, b"*", b"record", record]
        for stream, record in zip(streams, records(sent), strict=True)
    ]
    assert list(made.records) == [1] * len(streams)


@given(st.lists(batches(), max_size=3))
def test_every_record_is_pushed_once_in_order(sent: list[Batch]) -> None:
    made = rpush(sent, key)
    pushed = list(commands(made.data))
    assert [words[0] for words in pushed] == [b"RPUSH"] * len(pushed)
    assert [record for words in pushed for record in words[2:]] == records(sent)
    assert [len(words) - 2 for words in pushed] == list(made.records)
    assert 0 not in made.records


def test_neighbours_of_one_list_are_one_command() -> None:
    web, db = container("web"), container("db")
    sent = [batch([b"1"], of=web), batch([b"2"], of=web), batch([b"3"], of=db), batch([b"4"], of=web)]
    assert list(rpush(sent, key).records) == [2, 1, 1]


def test_a_known_level_is_a_field_beside_the_record() -> None:
    sent = batch([b"x", b"y"])
    sent.levels = bytes([Level.ERROR, 0])
    first, second = commands(xadd([sent], lambda of: of.name.encode(), 5).data)
    assert first[:-2] == [b"XADD", b"web", b"MAXLEN", b"~", b"5", b"*", b"level", b"error"]
    assert second[:-2] == [b"XADD", b"web", b"MAXLEN", b"~", b"5", b"*"]
    assert [b"%b\n" % first[-1], b"%b\n" % second[-1]] == ndjson(sent).splitlines(keepends=True)
