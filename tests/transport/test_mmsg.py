"""Several datagrams in one call, and one by one: the same to whoever sends, and to whoever reads."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import pytest

from agent.transport.mmsg import HAS_SENDMMSG, OneByOne, Together

Pair: TypeAlias = tuple[socket.socket, socket.socket]
Way: TypeAlias = type[Together] | type[OneByOne]

each_way = pytest.mark.parametrize(
    "way",
    [pytest.param(Together, marks=pytest.mark.skipif(not HAS_SENDMMSG, reason="no sendmmsg here")), OneByOne],
)


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Ours, which does not block, and theirs."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        yield ours, theirs


def read(theirs: socket.socket, count: int) -> Sequence[bytes]:
    return [theirs.recv(1 << 20) for _ in range(count)]


@each_way
def test_those_asked_for_arrive_as_they_are(pair: Pair, way: Way) -> None:
    ours, theirs = pair
    sent = [b"not this one", b"a", b"", b"\0" * 5_000, bytes(range(256)), b"nor this"]
    assert way(sent).send(ours, 1, 4) == 4
    assert read(theirs, 4) == sent[1:5]
    with pytest.raises(BlockingIOError):
        theirs.recv(1)


@each_way
def test_it_says_how_many_went_before_there_was_no_more_room(pair: Pair, way: Way) -> None:
    ours, theirs = pair
    sent = [b"%d" % number for number in range(10_000)]
    column = way(sent)
    taken = column.send(ours, 0, 10_000)
    with pytest.raises(BlockingIOError):
        column.send(ours, taken, 10_000 - taken)
    assert 0 < taken < 10_000
    assert read(theirs, taken) == sent[:taken]


@each_way
def test_what_is_wrong_with_one_is_told_when_it_is_the_first(pair: Pair, way: Way) -> None:
    ours, theirs = pair
    column = way([b"before", b"x" * (1 << 24), b"behind"])
    assert column.send(ours, 0, 3) == 1
    with pytest.raises(OSError, match="Message too long") as raised:
        column.send(ours, 1, 2)
    assert raised.value.errno == errno.EMSGSIZE
    assert column.send(ours, 2, 1) == 1
    assert read(theirs, 2) == [b"before", b"behind"]


@each_way
def test_a_peer_that_is_gone_is_told(pair: Pair, way: Way) -> None:
    ours, theirs = pair
    theirs.close()
    with pytest.raises(ConnectionRefusedError):
        way([b"x"]).send(ours, 0, 1)
