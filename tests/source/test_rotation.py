"""Was a file skipped? Jumps in the times of a container that writes fast, while we are behind."""

from __future__ import annotations

import math

import pytest

from agent.batch import NS
from agent.source.lines import Records
from agent.source.meter import Meter
from agent.source.rotation import Jumps, compressed, file_bytes, files

NOON = 1_790_000_000 * NS


def rows(first_ns: int, count: int, *, every_ns: int = 1000, size: int = 189) -> Records:
    """260 bytes in the file each."""
    stamps = [first_ns + row * every_ns for row in range(count)]
    return Records([1] * count, stamps, [b""] * count, [b"x" * size] * count)


def fast(rotate_bytes: int = 1 << 20) -> Jumps:
    """It has seen 0.26 bytes a ns."""
    meter = Meter("json-file", rotate_bytes)
    jumps = Jumps(rotate_bytes, meter)
    for block in range(3):
        records = rows(NOON + block * 2_000_000, 2000)
        assert jumps.suspect(records, NOON + NS) is None
        meter.add(records)
    return jumps


def test_a_jump_of_a_good_part_of_a_file_while_we_are_behind_is_suspect() -> None:
    """A quarter of a file takes a millisecond here."""
    assert fast().suspect(rows(NOON + 8_000_000, 10), NOON + NS) == 0
    assert fast().suspect(rows(NOON + 6_000_500, 10), NOON + NS) is None


def test_who_is_not_behind_has_missed_nothing() -> None:
    """The record before came just now."""
    assert fast().suspect(rows(NOON + 8_000_000, 10), NOON + 8_100_000) is None


def test_the_row_behind_the_jump_is_told() -> None:
    """What stands before it may be taken."""
    records = rows(NOON + 6_000_000, 10)
    records.extend(rows(NOON + 20_000_000, 10))
    assert fast().suspect(records, NOON + NS) == 10


def test_a_stream_opened_anew_begins_without_a_past() -> None:
    """What lies between was looked for by its mark."""
    jumps = fast()
    jumps.begin()
    assert jumps.suspect(rows(NOON + 90 * NS, 10), NOON + 99 * NS) is None


def test_before_a_container_showed_its_pace_any_gap_may_be_large() -> None:
    """So that a loss found right after the agent's start is reported."""
    unknown = Jumps(1 << 20, Meter("json-file", 1 << 20))
    assert unknown.written_in(1) == math.inf
    assert unknown.written_in(0) == 0
    assert fast().written_in(1000) == pytest.approx(260, rel=0.01)


@pytest.mark.parametrize(
    ("driver", "options", "size", "count", "packed"),
    [
        ("json-file", {}, None, 1, False),
        ("json-file", {"max-size": "10m", "compress": "true"}, 10_000_000, 1, True),
        ("json-file", {"max-size": "1.5KiB", "max-file": "3"}, 1500, 3, False),
        ("json-file", {"max-size": "odd"}, None, 1, False),
        ("json-file", {"max-size": "1.2.3"}, None, 1, False),
        ("json-file", {"max-size": "-1"}, None, 1, False),
        ("local", {}, 20 << 20, 5, True),
        ("local", {"max-size": "1m", "compress": "false", "max-file": "2"}, 1_000_000, 2, False),
        ("syslog", {"max-file": "2"}, 20 << 20, 5, True),
        ("journald", {"max-size": "1m"}, None, 5, False),
        ("none", {}, None, 5, False),
    ],
)
def test_files_rotate_as_the_driver_says(
    driver: str,
    options: dict[str, str],
    size: int | None,
    count: int,
    packed: bool,  # noqa: FBT001
) -> None:
    """Drivers that cannot be read have a cache like `local`."""
    assert file_bytes(driver, options) == size
    assert files(driver, options) == count
    assert compressed(driver, options) is packed
