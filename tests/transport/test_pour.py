"""Sending from a thread: in bursts, at a rate, until the kernel has no room or we are told to stop."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from agent.transport import pour
from agent.transport.pour import BURST_BYTES, BURST_DATAGRAMS, CATCH_UP_S, OversizeError, Pace, Pour


class Kernel:
    """Takes what `answers` say, call by call: so many, or an error; then everything."""

    def __init__(self, *answers: int) -> None:
        self.calls: list[tuple[int, int]] = []
        self._answers = list(answers)

    def send(self, sock: socket.socket, first: int, count: int) -> int:
        self.calls.append((first, count))
        answer = self._answers.pop(0) if self._answers else count
        if answer < 0:
            raise OSError(-answer, os.strerror(-answer))
        return answer


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        yield made


def pouring(
    monkeypatch: pytest.MonkeyPatch, kernel: Kernel, datagrams: Sequence[bytes], pace: Pace | None = None
) -> Pour:
    monkeypatch.setattr(pour, "as_sent", lambda _: kernel)
    return Pour(datagrams, pace)


def test_a_burst_is_bounded_by_number_and_by_bytes(
    monkeypatch: pytest.MonkeyPatch, sock: socket.socket
) -> None:
    kernel = Kernel()
    large = b"x" * (BURST_BYTES // 2)
    made = pouring(monkeypatch, kernel, [*[b"x"] * 40, large, large, large, large * 3, b"x"], Pace(10**7))
    made.run(sock)
    assert made.done
    assert kernel.calls == [(0, BURST_DATAGRAMS), (32, 9), (41, 2), (43, 1), (44, 1)]


def test_what_was_not_taken_is_sent_next(monkeypatch: pytest.MonkeyPatch, sock: socket.socket) -> None:
    kernel = Kernel(3, -errno.EINTR, -errno.ENOBUFS, 1)
    made = pouring(monkeypatch, kernel, [b"x"] * 10)
    made.run(sock)
    assert made.done
    assert [first for first, _ in kernel.calls] == [0, 3, 3, 3, 4]


def test_it_returns_when_there_is_no_room_and_goes_on_later(
    monkeypatch: pytest.MonkeyPatch, sock: socket.socket
) -> None:
    made = pouring(monkeypatch, Kernel(4, -errno.EAGAIN), [b"x"] * 10)
    made.run(sock.dup())
    assert (made.sent, made.full, made.done) == (4, True, False)
    made.run(sock)
    assert (made.sent, made.full, made.done) == (10, False, True)


@pytest.mark.parametrize("code", [errno.EMSGSIZE, errno.ENOBUFS])
def test_one_too_large_is_told_apart(monkeypatch: pytest.MonkeyPatch, sock: socket.socket, code: int) -> None:
    """That memory is short for a small one will pass; for a large one, in one piece, it will not."""
    made = pouring(monkeypatch, Kernel(1, -code), [b"x", b"x" * (BURST_BYTES + 1), b"x"])
    with pytest.raises(OversizeError, match=os.strerror(code)):
        made.run(sock)
    assert made.sent == 1


def test_any_other_error_comes_out(monkeypatch: pytest.MonkeyPatch, sock: socket.socket) -> None:
    made = pouring(monkeypatch, Kernel(2, -errno.ECONNREFUSED), [b"x"] * 5)
    with pytest.raises(ConnectionRefusedError):
        made.run(sock)
    assert made.sent == 2
    assert sock.fileno() == -1  # whatever happens, it lets go of the socket


def test_told_to_stop_it_does_not_wait_for_its_turn(
    monkeypatch: pytest.MonkeyPatch, sock: socket.socket
) -> None:
    """At this rate the second burst would be due in a minute."""
    kernel = Kernel()
    made = pouring(monkeypatch, kernel, [b"x"] * 64, Pace(0.5))
    running = threading.Thread(target=made.run, args=[sock])
    running.start()
    deadline = time.monotonic() + 10
    while not made.sent and time.monotonic() < deadline:
        time.sleep(0.001)
    made.stop()
    running.join(10)
    assert not running.is_alive()
    assert kernel.calls == [(0, BURST_DATAGRAMS)]


def test_a_reader_that_stops_fills_a_blocking_socket() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", 0, 10_000))
        made = Pour([b"%d" % number for number in range(5_000)], None)
        made.run(ours.dup())
        assert made.full
        for number in range(made.sent):
            assert theirs.recv(10) == b"%d" % number


def test_the_pace_keeps_to_the_rate() -> None:
    pace, now = Pace(1_000), 100.0
    for _ in range(50):
        now += max(0.0, pace.delay(32 * 200, 32, now))
    assert now - 100.0 == pytest.approx(50 * (32 + 6) / 1_000, abs=0.01)


def test_a_large_datagram_counts_by_its_kib() -> None:
    assert Pace(1_000).delay(10 * 1024, 1, 0.0) == pytest.approx(0.011, abs=1.01 * CATCH_UP_S)


def test_a_pause_is_not_made_up_for() -> None:
    """An hour of silence is no reason for a burst of an hour's datagrams."""
    pace = Pace(1_000)
    pace.delay(32, 32, 0.0)
    assert pace.delay(32, 32, 3600.0) == pytest.approx(0.032, abs=1.01 * CATCH_UP_S)
