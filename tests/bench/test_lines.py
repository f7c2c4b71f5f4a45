"""The lines of the benchmark are what it counts by."""

from __future__ import annotations

import subprocess

import pytest

from tests.bench.lines import NUMBER, Lines
from tests.bench.measured import metric
from tests.bench.processes import cpu_seconds, memory_bytes
from tests.bench.receivers import Count, Tail


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


def test_a_metric_is_the_sum_over_its_labels() -> None:
    """And not that of one whose name goes on."""
    text = '# HELP opens x\nopens{a="b c"} 2.0\nopens{a="d"} 3.0\nopens_created{a="d"} 9.0\n'
    assert metric(text, "opens") == 5
