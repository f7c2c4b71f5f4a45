"""Was a file skipped? Jumps in the times of a container that writes fast, while we are behind."""

from __future__ import annotations

import math

import pytest

from agent.batch import NS
from agent.source.lines import Records
from agent.source.rotation import Jumps, compressed, file_bytes

NOON = 1_790_000_000 * NS


def rows(first_ns: int, count: int, *, every_ns: int = 1000, size: int = 200) -> Records:
    """260 bytes in the file each."""
    stamps = [first_ns + row * every_ns for row in range(count)]
    return Records([1] * count, stamps, [b""] * count, [b"x" * size] * count)


def fast(rotate_bytes: int = 1 << 20) -> Jumps:
    """It has seen 0.26 bytes a ns."""
    jumps = Jumps(rotate_bytes)
    for block in range(3):
        assert jumps.suspect(rows(NOON + block * 2_000_000, 2000), NOON + NS) is None
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
    assert Jumps(1 << 20).written_in(1) == math.inf
    assert Jumps(1 << 20).written_in(0) == 0
    assert fast().written_in(1000) == pytest.approx(260, rel=0.01)


@pytest.mark.parametrize(
    ("driver", "options", "size", "packed"),
    [
        ("json-file", {}, None, False),
        ("json-file", {"max-size": "10m", "compress": "true"}, 10 << 20, True),
        ("json-file", {"max-size": "odd"}, None, False),
        ("local", {}, 20 << 20, True),
        ("local", {"max-size": "1m", "compress": "false"}, 1 << 20, False),
        ("syslog", {}, 20 << 20, True),
        ("journald", {"max-size": "1m"}, None, False),
        ("none", {}, None, False),
    ],
)
def test_files_rotate_as_the_driver_says(
    driver: str,
    options: dict[str, str],
    size: int | None,
    packed: bool,  # noqa: FBT001
) -> None:
    """Drivers that cannot be read have a cache like `local`."""
    assert file_bytes(driver, options) == size
    assert compressed(driver, options) is packed
