"""What `multiline` may say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.options import KiB
from agent.pipeline.multiline.rule import MULTILINE, Rule


@pytest.mark.parametrize(
    "text",
    [
        "java",
        "java;python",
        "auto;timeout=250ms",
        "indent;max_lines=50;max_bytes=4KiB",
        r"start=^\d{4}-",
        r"start=^\[;end=\]$;timeout=5s",
        "start=^BEGIN;continue=^[ ];end=^END",
        "continue=^[ \t]|^=",
        "end=[^\\\\]$",
        "off",
    ],
)
def test_a_rule_is_shown_as_it_is_written(text: str) -> None:
    """In the order of the reference."""
    rule = MULTILINE.parse(text)
    assert MULTILINE.show(rule) == text
    assert MULTILINE.parse(MULTILINE.show(rule)) == rule
    assert bool(rule) == (text != "off")


def test_blanks_case_and_repetition_do_not_matter() -> None:
    """As they do not in other settings."""
    assert MULTILINE.parse(" Java ; java;timeout = 1s; ") == Rule(("java",))
    assert MULTILINE.parse("OFF") == MULTILINE.parse("") == Rule()


def test_bounds_and_timeout_are_kept() -> None:
    """And have values when nothing is said."""
    rule = MULTILINE.parse("go;timeout=3s;max_lines=9;max_bytes=64KiB")
    assert (rule.timeout, rule.max_lines, rule.max_bytes) == (3.0, 9, 64 * KiB)
    assert (Rule().timeout, Rule().max_lines, Rule().max_bytes) == (1.0, 2000, 256 * KiB)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("jva", "one of java, python, .*'jva' is not known; did you mean 'java'"),
        ("start:^a", "one of .*did you mean 'start=…'"),
        ("timeout=1s", "a rule that says which lines: java, .* or end="),
        ("java;start=^a", "either presets or patterns"),
        ("java;indent", "indent alone"),
        ("continue=^a;end=b$", "with start= where both"),
        ("start=^a;start=^b", "start= once"),
        ("start=(", "start= with a pattern in RE2's syntax .*missing"),
        ("start=", "start= with a pattern"),
        ("continue=(?=a)", "continue= with a pattern in RE2's syntax"),
        ("java;timeout=0", "timeout= with a value from 10ms to 1m"),
        ("java;timeout=soon", "timeout= with a duration such as"),
        ("java;max_lines=1", "max_lines= with a whole number from 2 to 10000"),
        ("java;max_bytes=2MiB", "max_bytes= with a value from 1KiB to 1MiB"),
        ("off;java", "one of java"),
    ],
)
def test_what_is_not_understood_says_what_would_be(text: str, said: str) -> None:
    """As the end of a sentence."""
    with pytest.raises(ValueError, match=said):
        MULTILINE.parse(text)


def test_the_examples_of_the_documentation_are_rules() -> None:
    """Each that is shown."""
    page = Path(__file__).parents[3] / "docs/pipeline/multiline.md"
    shown = re.findall(r"DOCKFERRY_MULTILINE=(.+)|dockferry\.multiline=([^']+)'", page.read_text("utf-8"))
    assert len(shown) == 6
    assert all(MULTILINE.parse(variable or label) for variable, label in shown)


def test_the_order_of_languages_does_not_matter() -> None:
    """What was held by one rule is gone on with by the other."""
    assert MULTILINE.parse("java;go").grammar is MULTILINE.parse("go;java").grammar
    assert MULTILINE.parse("java;go").grammar.digest != MULTILINE.parse("java").grammar.digest
