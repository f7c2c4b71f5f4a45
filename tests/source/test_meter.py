"""How many records a gap had: from whole files, the pace around it, and what was looked at meanwhile."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.batch import NS
from agent.source.lines import Records
from agent.source.meter import Meter, Sample, encoded_as

NOON = 1_790_000_000 * NS
TEXT = b"x" * 156
EACH = len(TEXT) + 71
FILE_BYTES = 10_000_000
EVERY_NS = 5000


def steady(first: int, count: int, *, every_ns: int = EVERY_NS, text: bytes = TEXT) -> Records:
    """The records of a burst, from the `first` on."""
    stamps = [NOON + number * every_ns for number in range(first, first + count)]
    return Records([1] * count, stamps, [b""] * count, [text] * count)


def in_files(text: bytes = TEXT) -> int:
    """How many records a file takes: it is full when it has `max-size` bytes."""
    return -(-FILE_BYTES // (len(text) + 71))


def read_from_the_beginning(count: int) -> Meter:
    meter = Meter("json-file", FILE_BYTES)
    meter.begin_file()
    for first in range(0, count, 1000):
        meter.add(steady(first, min(1000, count - first)))
    return meter


def gap(meter: Meter, last: int, first: int, behind: Records, *, at_file: bool = True) -> int | None:
    """Between the record `last` and the record `first`."""
    return meter.between(NOON + last * EVERY_NS, NOON + first * EVERY_NS, behind, at_file=at_file)


@given(
    read=st.integers(10_000, 300_000),
    files=st.integers(1, 4),
    hasty=st.floats(0.9, 1.1),
)
def test_whole_files_make_the_number_exact_where_the_pace_is_only_about_right(
    read: int, files: int, hasty: float
) -> None:
    """Up to 185,000 records, at a pace that is a tenth off."""
    meter = read_from_the_beginning(read)
    first = (read // in_files() + files) * in_files()
    behind = steady(first, 20_000, every_ns=EVERY_NS)
    last_ns = NOON + (read - 1) * EVERY_NS
    found = meter.between(last_ns, last_ns + int((first - read + 1) * EVERY_NS * hasty), behind, at_file=True)
    assert found == pytest.approx(first - read, rel=0.01, abs=20)


def test_where_it_stands_in_its_file_is_known_again_behind_a_gap() -> None:
    """A gap ends where a file begins."""
    meter = Meter("json-file", FILE_BYTES)
    for first in range(0, 30_000, 1000):
        meter.add(steady(first, 1000))
    assert gap(meter, 29_999, 100_000, steady(100_000, 20_000)) == pytest.approx(70_000, rel=0.01)
    meter.begin_file()
    meter.add(steady(100_000, 20_000))
    first = 100_000 + 2 * in_files()
    found = meter.between(
        NOON + 119_999 * EVERY_NS, NOON + int(first * EVERY_NS * 1.05), steady(first, 20_000), at_file=True
    )
    assert found == pytest.approx(first - 120_000, abs=20)


def test_a_container_that_slowed_down_in_the_gap_was_looked_at_meanwhile() -> None:
    """Neither the pace before nor the one behind it is the gap's."""
    meter = read_from_the_beginning(50_000)
    last_ns = NOON + 49_999 * EVERY_NS
    for look in range(10):  # ten times slower
        first_ns = last_ns + look * NS // 5
        meter.saw(Sample(first_ns, first_ns + NS // 2, 10_000))
    first_ns = last_ns + 2 * NS
    found = meter.between(last_ns, first_ns, Records(), at_file=False)
    assert found == pytest.approx(40_000, rel=0.01)


def test_a_pause_before_the_gap_does_not_count() -> None:
    """It says nothing of the burst."""
    meter = Meter("json-file", FILE_BYTES)
    for first in range(0, 10_000, 1000):
        meter.add(steady(first, 1000))
    for first in range(2_000_000, 2_020_000, 1000):
        meter.add(steady(first, 1000))
    behind = steady(2_050_000, 5000)
    assert gap(meter, 2_019_999, 2_050_000, behind, at_file=False) == pytest.approx(30_000, rel=0.1)


def test_without_ground_there_is_no_number() -> None:
    """Nothing was read yet; the pace is another; the gap is much longer than what was seen; no time passed."""
    assert gap(Meter("json-file", FILE_BYTES), 0, 1000, Records()) is None
    meter = read_from_the_beginning(10_000)
    assert gap(meter, 9999, 20_000, steady(20_000, 5000, every_ns=50 * EVERY_NS)) is None
    assert gap(meter, 9999, 9_000_000, steady(9_000_000, 5000)) is None
    assert gap(meter, 9999, 9999, Records()) is None
    meter.forget()
    assert gap(meter, 9999, 20_000, Records()) is None


def test_right_after_its_start_what_follows_tells() -> None:
    """Ten records were read, then a file was gone."""
    meter = read_from_the_beginning(10)
    assert gap(meter, 9, in_files(), steady(in_files(), 20_000)) == pytest.approx(in_files() - 10, abs=2)


def test_its_pace_and_size_are_of_late() -> None:
    """For who looks ahead."""
    meter = read_from_the_beginning(20_000)
    assert meter.pace == pytest.approx(EACH / EVERY_NS, rel=0.01)
    assert meter.pace_at(NOON + 20_001 * EVERY_NS) == meter.pace
    assert meter.pace_at(NOON + NS) == 0
    assert meter.each == pytest.approx(EACH, rel=0.01)
    assert Meter("json-file", 1).pace == Meter("json-file", 1).each == 0


@given(
    st.lists(st.text(st.characters(max_codepoint=0x1FFF, exclude_characters="\n")), min_size=1, max_size=64)
)
def test_json_file_s_lines_are_as_long_as_they_are(texts: list[str]) -> None:
    """Moby escapes as JSON does, but a tab and the like by their number, and so <, > and &."""
    lines = []
    for text in texts:
        log = "".join(
            f"\\u{ord(character):04x}"
            if character in "\t\b\f<>&"
            else json.dumps(character, ensure_ascii=False)[1:-1]
            for character in text
        )
        lines.append(f'{{"log":"{log}\\n","stream":"stdout","time":"2026-11-23T06:13:46.489633114Z"}}\n')
    records = Records([1] * len(texts), [NOON] * len(texts), [b""] * len(texts), [t.encode() for t in texts])
    assert encoded_as("json-file")(records) == sum(len(line.encode()) for line in lines)


def test_of_many_records_some_tell() -> None:
    """And `local` writes a protobuf, whose two lengths count."""
    many = steady(0, 1000, text=b'"' * 100)
    assert encoded_as("json-file")(many) == 1000 * 271
    assert encoded_as("local")(many) == 1000 * 129
