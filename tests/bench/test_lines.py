"""The lines of the benchmark are what it counts by."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from asyncio.subprocess import Process
from types import SimpleNamespace
from typing import cast

import pytest

from tests.bench.lines import MARK, NUMBER, STAMP, Lines
from tests.bench.measured import metric
from tests.bench.processes import Child, Memory, cpu_seconds, memory_bytes
from tests.bench.receivers import Count, Tail
from tests.bench.yardsticks import busy


@pytest.mark.parametrize("size", [Lines.least_size(), 157, 1000])
def test_the_script_prints_the_lines(size: int) -> None:
    """So the real Engine's containers write what the simulated one's do."""
    lines = Lines(20, size)
    printed = subprocess.run(["sh", "-c", lines.script], capture_output=True, check=True).stdout
    assert printed == b"".join(lines.line(number) + b"\n" for number in range(1, 21))
    assert len(printed) == 20 * size


def test_every_line_has_a_number_of_its_own() -> None:
    """In whatever a sink makes of them."""
    lines = Lines(12_345_678, 157)
    written = b'{"message":"' + b'"},{"message":"'.join(map(lines.line, (1, 12_345_678))) + b'"}'
    assert NUMBER.findall(written) == [b"0000001", b"12345678"]


def test_writers_share_all_of_them() -> None:
    """None is written twice, and the shares differ by one at the most."""
    shares = Lines(11, 157, first=5).shared(3)
    numbers = [list(range(share.first, share.last + 1)) for share in shares]
    assert numbers == [[5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15]]
    printed = subprocess.run(["sh", "-c", shares[1].script], capture_output=True, check=True).stdout
    assert NUMBER.findall(printed) == [b"%07d" % number for number in numbers[1]]


@pytest.mark.parametrize("size", [Lines.least_size(stamped=True), 157, 16_000])
def test_a_stamped_line_is_as_wide_and_says_when_it_was_written(size: int) -> None:
    written = Lines(3, size).stamped(range(1, 4), 1_795_414_426_489_633_114)
    assert [len(line) for line in written.splitlines(keepends=True)] == [size] * 3
    assert NUMBER.findall(written) == [b"0000001", b"0000002", b"0000003"]
    assert STAMP.findall(written) == [b"1795414426489633114"] * 3
    assert written.count(MARK) == 3


@pytest.mark.parametrize(("count", "size"), [(0, 157), (1, Lines.least_size() - 1)])
def test_lines_that_cannot_be_are_refused(count: int, size: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        Lines(count, size)


def test_a_repeat_is_no_new_line() -> None:
    """What is complete has every line, not as many."""
    lines, count = Lines(2, 157), Count(2)
    count.add(lines.line(1))
    count.add(lines.line(1))
    assert not count.complete.is_set()
    count.add(lines.line(2))
    assert count.complete.is_set()
    assert (count.told()["lines"], count.told()["distinct"]) == (3, 2)


def test_a_line_cut_by_two_reads_is_counted_once() -> None:
    """Wherever the cut is."""
    lines = Lines(3, 157)
    written = b"".join(lines.line(number) + b"\n" for number in (1, 2, 3))
    for cut in range(len(written) + 1):
        count = Count(3)
        tail = Tail(count.add)
        tail.feed(written[:cut])
        tail.feed(written[cut:])
        assert count.told()["lines"] == 3


def test_a_process_may_have_any_name() -> None:
    """proc(5): it stands in brackets, and may hold some."""
    stat = "17 (odd) name (x) S 1 17 17 0 -1 4194560 2024 0 5 0 250 50 0 0 20 0 1 0 88 1 2"
    assert cpu_seconds(stat) == pytest.approx(3.0)


def test_memory_is_read_in_bytes() -> None:
    status = "Name:\tpython\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n"
    assert (memory_bytes(status, "VmRSS"), memory_bytes(status, "VmHWM")) == (1 << 20, 2 << 20)
    with pytest.raises(ValueError, match="has ended"):
        memory_bytes("Name:\tpython\n", "VmRSS")


def test_memory_grows_by_its_greatest() -> None:
    """Each figure has its own moment."""
    assert Memory(3, 2, 1).most(Memory(1, 5, 1)) == Memory(3, 5, 1)


def test_our_own_time_is_seen_from_outside() -> None:
    """To nanoseconds, threads that have ended among it."""
    child = Child(cast("Process", SimpleNamespace(pid=os.getpid())))
    before_s = child.cpu_s
    worker = threading.Thread(target=lambda: sum(range(3_000_000)))
    worker.start()
    worker.join()
    used_s = child.cpu_s - before_s
    assert 0.005 < used_s <= time.process_time()


def test_waiting_for_a_disk_is_no_work() -> None:
    """Of ten seconds of the cores, three were used."""
    before = "cpu  100 0 100 1000 50 0 0 0 0 0\ncpu0 1 1 1 1\n"
    after = "cpu  250 0 250 1600 150 0 0 0 0 0\ncpu0 9 9 9 9\n"
    assert busy(before, after) == pytest.approx(0.3)


def test_a_metric_is_the_sum_over_its_labels() -> None:
    """And not that of one whose name goes on."""
    text = '# HELP opens x\nopens{a="b c"} 2.0\nopens{a="d"} 3.0\nopens_created{a="d"} 9.0\n'
    assert metric(text, "opens") == 5
