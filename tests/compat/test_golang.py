"""Texts in the forms of Go programs."""

from __future__ import annotations

import fnmatch

import pytest

from agent.compat.golang import boolean, condition, duration, glob, pattern, template, wait
from agent.pipeline import grammar
from agent.pipeline.multiline.rule import MULTILINE
from agent.pipeline.patterns import pattern as compiled


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5.0),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        ("250ms", 0.25),
        ("+1s500ms", 1.5),
        ("100us", 0.0001),
        ("0", 0.0),
        (".5s", 0.5),
    ],
)
def test_a_duration_is_the_same_time(text: str, seconds: float) -> None:
    """In seconds."""
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("seconds", "item"), [(0.0, "timeout=10ms"), (0.5, "timeout=500ms"), (3600.0, "timeout=1m")]
)
def test_a_wait_is_within_our_bounds(seconds: float, item: str) -> None:
    """Rather than refused with the rule that it is of."""
    assert wait(seconds) == item
    assert MULTILINE.parse(f"start=x;{item}")


@pytest.mark.parametrize("text", ["", "5", "5 s", "s", "-5s", "5d", "1m 30s"])
def test_what_is_no_duration_is_told(text: str) -> None:
    """As Go has it, and never a negative one."""
    with pytest.raises(ValueError, match="a duration such as"):
        duration(text)


def test_truth_has_go_s_words() -> None:
    """`yes` is none of them there."""
    assert [boolean(word) for word in ("1", "t", "TRUE", "False", "f")] == [True, True, True, False, False]
    with pytest.raises(ValueError, match="true or false"):
        boolean("yes")


@pytest.mark.parametrize(
    ("text", "name", "matches"),
    [
        ("*_db", "shop_db", True),
        ("*_db", "shop_web", False),
        ("web-[0-9]", "web-7", True),
        ("web-[^0-9]", "web-7", False),
        ("web-[^0-9]", "web-x", True),
        (r"a\*b", "a*b", True),
        (r"a\*b", "axb", False),
        ("R&D,x", "R&D,x", True),
        ("[a,b]x", "ax", True),
    ],
)
def test_a_glob_matches_what_it_matched(text: str, name: str, matches: bool) -> None:  # noqa: FBT001
    """In a selector, where comma and & have another meaning."""
    assert fnmatch.fnmatchcase(name, glob(text)) is matches
    assert not set(glob(text)) & set(",&")


@pytest.mark.parametrize(
    ("text", "matching", "other"),
    [
        ("a;b", b"a;b", b"ab"),
        (r"a\;b", b"a;b", b"a"),
        (r"[;:]x", b";x", b"x"),
        (r"\\;", b"\\;", b";"),
        (" at ", b"x at y", b"xaty"),
        ("level<3", b"level<3", b"level 3"),
        ("off", b"off", b"on"),
        ("a|b", b"b", b"c"),
    ],
)
def test_a_pattern_is_one_item_that_matches_the_same(text: str, matching: bytes, other: bytes) -> None:
    """Whatever the grammar of our settings makes of `;` and blanks."""
    for written in (pattern, condition):
        [item] = grammar.items(f"{written(text)};") or [written(text)]
        assert compiled(item).search(matching)
        assert not compiled(item).search(other)


def test_a_semicolon_that_cannot_be_kept_is_told() -> None:
    """Rather than matched as something else."""
    with pytest.raises(ValueError, match=r"\\Q"):
        pattern(r"\Qa;b\E")


def test_a_template_has_our_fields() -> None:
    """The rest is told with what is understood."""
    fields = {".ContainerName": "{{.Name}}", ".Container.Config.Labels": "index .Labels"}
    text = '{{ .ContainerName }}/{{- index .Container.Config.Labels "a.b" -}}.db'
    assert template(text, fields, "…") == '{{.Name}}/{{index .Labels "a.b"}}.db'
    for other in (
        "{{.Container.HostConfig}}",
        "{{.Container.Config.Labels}}",
        '{{index .ContainerName "x"}}',
        "{{}}",
    ):
        with pytest.raises(ValueError, match="a template of the fields"):
            template(other, fields, "the fields")
