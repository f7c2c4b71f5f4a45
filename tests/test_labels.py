"""Container labels: what a container says of itself never costs its logs."""

from __future__ import annotations

import pytest

from agent.labels import RESERVED, LabelOptions, read_labels


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


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_label_of_a_later_version_is_no_mistake(name: str) -> None:
    """Compose files are shared by agents of several versions."""
    assert read_labels({f"dockferry.{name}": "x"}, container_name="web") == (LabelOptions(), [])
