"""Options: one declaration, every fault at once, no secret in sight."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import SettingsError
from agent.options import (
    DURATION,
    SECRET,
    SIZE,
    TEXT,
    Secret,
    declared,
    duration,
    integer,
    load,
    option,
    optional,
    size,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    url: str = option(TEXT, help="where")
    limit: int = option(SIZE, 1024, help="how much")
    token: Secret | None = option(optional(SECRET), None, help="who")
    many: int = option(integer(1, 9), 3, help="how many")


@pytest.mark.parametrize(
    ("text", "value"),
    [("4096", 4096), ("64MiB", 64 << 20), ("1.5GB", 1_500_000_000), ("10m", 10 << 20), (" 1 kB ", 1000)],
)
def test_sizes(text: str, value: int) -> None:
    """Also as Docker's `max-size` spells them."""
    assert size(text) == value


@pytest.mark.parametrize(("text", "value"), [("500ms", 0.5), ("1.5h", 5400.0), ("0", 0.0), ("2d", 172_800.0)])
def test_durations(text: str, value: float) -> None:
    """A unit is needed, but for zero."""
    assert duration(text) == value


@pytest.mark.parametrize("text", ["", "x", "-1s", "1e3s", "5", "1 s s", "٣s"])
def test_what_is_no_duration_is_told(text: str) -> None:
    """With an example."""
    with pytest.raises(ValueError, match="a duration such as"):
        duration(text)


@given(st.integers(0, 1 << 50))
def test_a_size_is_shown_as_it_may_be_typed(value: int) -> None:
    """Exactly."""
    assert SIZE.parse(SIZE.show(value)) == value


@given(st.integers(0, 10**7))
def test_a_duration_is_shown_as_it_may_be_typed(milliseconds: int) -> None:
    """To the millisecond, for some hours."""
    assert DURATION.parse(DURATION.show(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, rel=1e-5)


def test_every_fault_is_told_at_once_and_no_secret() -> None:
    """Names as a person knows them; the nearest known one for a slip."""
    with pytest.raises(SettingsError) as raised:
        load(Group, {"limti": "1", "limit": "much", "many": "10"}, describe="option {}".format)
    assert raised.value.problems == (
        "option limti is not known; did you mean option limit?",
        "option url is missing: where",
        "option limit: 'much' is not a size such as 64MiB, 1GB or 4096",
        "option many: '10' is not a whole number from 1 to 9",
    )


def test_a_group_is_filled() -> None:
    """Defaults where nothing is said."""
    group = load(Group, {"url": "x", "token": "hunter2"})
    assert (group.limit, group.many) == (1024, 3)
    assert group.token is not None
    assert group.token.reveal() == "hunter2"
    assert "hunter2" not in repr(group)
    assert [entry.name for entry in declared(Group) if entry.secret] == ["token"]
