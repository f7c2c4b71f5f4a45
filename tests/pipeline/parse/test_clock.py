"""Times as fields hold them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.batch import NS, rfc3339
from agent.pipeline.parse import Parse
from agent.pipeline.parse.clock import AHEAD_NS, FLOOR_NS, Clock, time_of
from tests.pipeline.parse.lines import FIRST_NS, parsed
from tests.pipeline.steps import Tallied

READ = 1_795_500_000 * NS


def clock_ns(value: object, form: str | None = None) -> int | None:
    """What a field's value tells; None: nothing."""
    found = Clock("t", form)([{"t": value}], [READ])
    return found[0] if found else None


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("2026-11-23T06:13:46Z", "2026-11-23T06:13:46.000000000Z"),
        ("2026-11-23T06:13:46.4Z", "2026-11-23T06:13:46.400000000Z"),
        ("2026-11-23T06:13:46.489633114Z", "2026-11-23T06:13:46.489633114Z"),
        ("2026-11-23T06:13:46.489633114999Z", "2026-11-23T06:13:46.489633114Z"),
        ("2026-11-23t06:13:46.489z", "2026-11-23T06:13:46.489000000Z"),
        ("2026-11-23T06:13:46+01:00", "2026-11-23T05:13:46.000000000Z"),
        ("2026-11-23T06:13:46.5-0730", "2026-11-23T13:43:46.500000000Z"),
        ("2026-11-23T06:13:46+01", "2026-11-23T05:13:46.000000000Z"),
        ("2026-11-23 06:13:46,489", "2026-11-23T06:13:46.489000000Z"),
        ("2026-11-23 06:13:46 +0200", "2026-11-23T04:13:46.000000000Z"),
        ("2026-11-23 06:13:46.489 UTC", "2026-11-23T06:13:46.489000000Z"),
        ("2026/11/23 06:13:46", "2026-11-23T06:13:46.000000000Z"),
        ("23/Nov/2026:06:13:46 -0700", "2026-11-23T13:13:46.000000000Z"),
        (1795414426, "2026-11-23T06:13:46.000000000Z"),
        (1795414426489, "2026-11-23T06:13:46.489000000Z"),
        (1795414426489633, "2026-11-23T06:13:46.489633000Z"),
        (1795414426489633114, "2026-11-23T06:13:46.489633114Z"),
        (1795414426.489633, "2026-11-23T06:13:46.489633000Z"),
        (1795414426489.25, "2026-11-23T06:13:46.489250000Z"),
        ("1795414426", "2026-11-23T06:13:46.000000000Z"),
        ("1795414426.489633114", "2026-11-23T06:13:46.489633114Z"),
        ("1795414426489", "2026-11-23T06:13:46.489000000Z"),
    ],
)
def test_it_is_read_whatever_its_form(value: object, wanted: str) -> None:
    """To the nanosecond, where it tells it."""
    told = clock_ns(value)
    assert told is not None
    assert rfc3339(told).decode() == wanted


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "",
        "now",
        [],
        {},
        -1,
        0,
        0.0,
        1,
        1e300,
        2**63,
        "0",
        "Infinity",
        "1e9",
        "1989-12-31T23:59:59Z",
        "2027-11-23T06:13:46Z",
        "2026-13-23T06:13:46Z",
        "2026-02-30T06:13:46Z",
        "2026-11-23T25:13:46Z",
        "2026-11-23T06:13:60Z",
        "2026-11-23T06:13:46+99:00",
        "2026-11/23 06:13:46",
        "0000-11-23T06:13:46Z",
        "31/Nov/2026:06:13:46 -0700",
        "23/Nox/2026:06:13:46 -0700",
        "\u0662\u0660\u0662\u0666-11-23T06:13:46Z",
        "2026-11-23T06:13:46Z" + " " * 100,
        "9" * 100_000,
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_cannot_be_leaves_the_engine_s(value: object) -> None:
    """No form that is known, no such day, before 1990, or more than a day ahead."""
    assert clock_ns(value) in {None, READ}


def test_the_bounds_belong_to_what_can_be() -> None:
    """To the nanosecond."""
    stamps = [FLOOR_NS, FLOOR_NS - 1, READ + AHEAD_NS, READ + AHEAD_NS + 1]
    texts = [{"t": rfc3339(stamp).decode()} for stamp in stamps]
    assert Clock("t")(texts, [READ] * 4) == [FLOOR_NS, READ, READ + AHEAD_NS, READ]


@pytest.mark.parametrize(
    ("form", "value", "wanted"),
    [
        ("%d.%m.%Y %H:%M:%S", "23.11.2026 06:13:46", "2026-11-23T06:13:46.000000000Z"),
        ("%b %d, %Y %I:%M:%S %p", "Nov 23, 2026 4:44:43 PM", "2026-11-23T16:44:43.000000000Z"),
        ("%Y%m%dT%H%M%S.%f%z", "20261123T061346.489+0100", "2026-11-23T05:13:46.489000000Z"),
        ("%d.%m.%Y %H:%M:%S", "2026-11-23T06:13:46Z", None),
        ("%d.%m.%Y %H:%M:%S", 1795414426, None),
    ],
)
def test_a_form_of_one_s_own_is_read(form: str, value: object, wanted: str | None) -> None:
    """And no other beside it."""
    told = clock_ns(value, form)
    assert (told and rfc3339(told).decode()) == wanted


@given(st.integers(FLOOR_NS, READ))
def test_any_time_comes_back(stamp: int) -> None:
    """As the Engine writes it, in seconds with a fraction, and as a number of any unit."""
    assert time_of(rfc3339(stamp).decode()) == stamp
    assert clock_ns(f"{stamp // NS}.{stamp % NS:09}") == stamp
    second = stamp // NS
    assert time_of(datetime.fromtimestamp(second, UTC).isoformat()) == second * NS


@given(st.text(max_size=40) | st.from_regex(r"\A\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d:\d\d[.,]\d*[ -~]{0,6}\Z"))
def test_no_text_is_an_error(text: str) -> None:
    """A container may write what it likes."""
    clock_ns(text)
    clock_ns(text, "%Y-%m-%d %H:%M:%S%z")


def test_the_engine_s_time_is_kept_for_the_id() -> None:
    """The record's own is sent; ids do not change, so a line that is read again is known again."""
    lines = (b'{"ts":"2026-11-23T06:13:46Z"}', b'{"ts":"?"}', b"plain", b'{"ts":1795414426489}')
    before = replace(parsed("json", *lines), times=[b"the Engine's"] * 4)
    after = Parse.parse("json;time=ts").step(Tallied())(before)
    assert after.timestamps == [1795414426 * NS, FIRST_NS + 1, FIRST_NS + 2, 1795414426489 * 10**6]
    assert after.read_at == before.timestamps
    assert after.ids() == before.ids()
    assert after.rfc3339()[0] == b"2026-11-23T06:13:46.000000000Z"


def test_without_any_time_of_their_own_nothing_changes() -> None:
    """No second column of the same."""
    assert parsed("json;time=ts", b'{"a":1}', b'{"ts":"?"}').read_at is None
