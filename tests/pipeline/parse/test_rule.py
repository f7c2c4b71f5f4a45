"""The setting `parse` as people write it."""

from __future__ import annotations

import pytest

from agent.pipeline.parse import PARSE, Parse


@pytest.mark.parametrize(
    "text",
    [
        "off",
        "auto",
        "json",
        "json;level=lvl;time=ts;time_format=%d.%m.%Y %H:%M:%S;message=msg",
        "logfmt;time=ts",
        "clf;level=status",
        "nginx;level=off",
        r"regex=^(?P<a>[^=]+)=(?P<b>\d+)$;level=a",
    ],
)
def test_what_is_shown_can_be_typed(text: str) -> None:
    """`dockferry config` and the variable say the same."""
    assert PARSE.show(PARSE.parse(text)) == text


@pytest.mark.parametrize("text", ["", "off", " OFF "])
def test_off_is_no_step(text: str) -> None:
    """Neither is nothing."""
    assert not Parse.parse(text)


def test_case_blanks_and_order_do_not_matter() -> None:
    """Only the options' values are taken as they are."""
    assert Parse.parse(" message=Msg ; JSON ") == Parse.parse("json;message=Msg")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("jsn", "did you mean 'json'"),
        ("json;levl=x", "level=…"),
        ("json;logfmt", "one format and its options"),
        ("level=x", "one format and its options"),
        ("json;time=", "time= with the name of a field"),
        ("json;time_format=%Y", "time_format= beside time="),
        ("json;time=t;time_format=%H:%M", "year, month, day"),
        ("json;time=t;time_format=%Y-%m-%d %H:%M:%S %", "year, month, day"),
        ("regex=(?P<a>", "RE2"),
        (r"regex=(\d+)", "a named group"),
        (r"regex=(?P<a>x)(?=y)", "RE2"),
        (f"regex=(?P<a>{'x' * 5000})", "4096 bytes"),
    ],
)
def test_what_is_wrong_is_said(text: str, wanted: str) -> None:
    """And what would have been right."""
    with pytest.raises(ValueError, match=r".") as refused:
        Parse.parse(text)
    assert wanted in str(refused.value)
