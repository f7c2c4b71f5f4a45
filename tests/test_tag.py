"""The tag: Docker's own markup, as far as it is understood."""

from __future__ import annotations

import pytest

from agent.engine.containers import ContainerFacts
from agent.tag import MAX_CHARACTERS, Tag

WEB = ContainerFacts(
    id="0123456789abcdef" * 4,
    name="web",
    image="nginx:1.27",
    image_id="sha256:" + "fedcba9876543210" * 4,
    labels={"app": "shop", 'a "b"': "quoted"},
    env={"TIER": "front"},
)


@pytest.mark.parametrize(
    ("template", "tag"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{{.Name}}", "web"),
        ("{{ .ID }}/{{.FullID}}", "0123456789ab/" + "0123456789abcdef" * 4),
        ("{{.ImageName}} {{.ImageID}}", "nginx:1.27 fedcba987654"),
        ("{{.ImageFullID}}", "sha256:" + "fedcba9876543210" * 4),
        ("{{.DaemonName}}", "docker"),
        ('{{index .Labels "app"}}-{{index .Env "TIER"}}', "shop-front"),
        ("{{index .Labels `app`}}", "shop"),
        (r'{{index .Labels "a \"b\""}}', "quoted"),
        ('[{{index .Labels "none"}}{{index .Env "NONE"}}]', "[]"),
        ("{{- .Name -}}", "web"),
        ("}} {single}", "}} {single}"),
    ],
)
def test_a_template_says_what_docker_s_would(template: str, tag: str) -> None:
    """What is not set gives nothing."""
    parsed = Tag.parse(template)
    assert parsed.render(WEB) == tag
    assert str(parsed) == template


@pytest.mark.parametrize(
    "template", ["{{.Nam}}", "{{name}}", "{{.Name", "a {{", "{{range .}}x{{end}}", "{{}}"]
)
def test_a_template_that_is_not_understood_says_what_would_be(template: str) -> None:
    """At the start, not when a container comes."""
    with pytest.raises(ValueError, match="a template"):
        Tag.parse(template)


@pytest.mark.parametrize("template", ["{{" + " " * MAX_CHARACTERS, "{{" * (MAX_CHARACTERS // 2 + 1)])
def test_a_template_has_a_length(template: str) -> None:
    """A label may hold one: none takes the agent's time."""
    with pytest.raises(ValueError, match="at most 4096 characters"):
        Tag.parse(template)
    with pytest.raises(ValueError, match="no '}}'"):
        Tag.parse(template[:MAX_CHARACTERS])
