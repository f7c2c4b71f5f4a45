"""Container labels: what a container says of itself never costs its logs."""

from __future__ import annotations

import pytest

from agent.compat.translation import Translation
from agent.labels import MAX_PROBLEMS, MAX_VALUE, LabelOptions, read_labels
from agent.options import Option, declared


def test_labels_that_say_nothing_leave_all_to_the_settings() -> None:
    """None is not false."""
    assert read_labels({"com.example": "x"}, container_name="web") == (LabelOptions(), [])


def test_labels_are_values() -> None:
    """The same kinds as those of the settings."""
    labels = {"dockferry.enable": "true", "dockferry.tag": "a-{{.ID}}", "dockferry.sinks": "loki, file"}
    options, problems = read_labels(labels, container_name="web")
    assert problems == []
    assert options.enable is True
    assert str(options.tag) == "a-{{.ID}}"
    assert options.sinks == ("loki", "file")


def test_a_bad_label_is_told_and_ignored_and_the_others_hold() -> None:
    """One mistake does not silence the rest."""
    labels = {"dockferry.enable": "perhaps", "dockferry.tagg": "x", "dockferry.sinks": "loki"}
    options, problems = read_labels(labels, container_name="web")
    assert options == LabelOptions(sinks=("loki",))
    assert problems == [
        "container web: label dockferry.enable: 'perhaps' is not true or false",
        "container web: label dockferry.tagg is not known; did you mean label dockferry.tag?",
    ]


@pytest.mark.parametrize("entry", list(declared(LabelOptions)), ids=lambda entry: entry.name)
def test_every_step_can_be_switched_off(entry: Option) -> None:
    """Where the setting of that name switches it on; the level has no such word."""
    names = {"multiline", "parse", "level", "drop", "keep", "sample", "rate", "redact"}
    options, problems = read_labels({f"dockferry.{entry.name}": "off"}, container_name="web")
    if entry.name in names:
        assert problems == []
        assert not getattr(options, entry.name).__bool__()


def test_what_a_container_says_to_another_agent_counts_as_a_label() -> None:
    """A label of ours comes first; what is wrong is told by the name that it has there."""
    said = Translation(
        labels={"enable": "false", "tag": "{{.X}}", "source": "logs"},
        sources={"enable": "variable LOGSPOUT", "tag": "label their/tag", "source": "label their/source"},
        problems=["label their/module has no counterpart"],
    )
    options, problems = read_labels({"dockferry.enable": "true"}, container_name="web", translated=said)
    assert options == LabelOptions(enable=True, source="logs")
    assert problems[0] == "container web: label their/module has no counterpart"
    assert problems[1].startswith("container web: label their/tag: '{{.X}}' is not a template")


def test_a_label_of_any_length_is_told_in_a_line() -> None:
    """Nor do ten thousand of them fill the log."""
    labels = {f"dockferry.{'x' * 100_000}{n}": "y" for n in range(3)}
    labels |= {f"dockferry.no-{n}": "y" for n in range(10_000)}
    options, problems = read_labels(
        labels | {"dockferry.tag": "z" * 1_000_000, "dockferry.source": "logs"}, container_name="web"
    )
    assert options == LabelOptions(source="logs")
    assert len(problems) == MAX_PROBLEMS + 1
    assert max(map(len, problems)) < 1000
    _, [problem] = read_labels({"dockferry.tag": "z" * 1_000_000}, container_name="web")
    assert problem == f"container web: label dockferry.tag is longer than {MAX_VALUE} characters"
