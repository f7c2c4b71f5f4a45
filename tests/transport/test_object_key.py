"""Where an object goes: the day and the host are known, a container is not to be believed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.transport.object_key import KeyTemplate
from tests.receivers.sent import START_NS, container


@pytest.mark.parametrize(
    ("template", "folder"),
    [
        ("", ""),
        ("/", ""),
        ("docker", "docker/"),
        ("docker//x/", "docker/x/"),
        ("docker/{{.Date}}/{{ .Host }}", "docker/2026-11-23/node-1/"),
        ("{{.Year}}/{{.Month}}/{{.Day}}/{{.Hour}}", "2026/11/23/06/"),
        ("dt={{.Date}}/{{.Name}}-{{.ID}}", "dt=2026-11-23/web-776562776562/"),
        ('{{index .Labels "com.example.team"}}', 'the "a" team/'),
    ],
)
def test_a_template_gives_the_folder(template: str, folder: str) -> None:
    assert KeyTemplate.parse(template).render(container(), START_NS) == folder


@pytest.mark.parametrize(
    ("name", "folder"), [("../../etc", "x/.._.._etc/"), ("..", "x/__/"), ("", "x/_/"), ("a\x00b", "x/a_b/")]
)
def test_a_container_cannot_leave_its_folder(name: str, folder: str) -> None:
    assert KeyTemplate.parse("x/{{.Name}}").render(replace(container(), name=name), START_NS) == folder


def test_a_host_is_one_name_whatever_it_is_called() -> None:
    strange = replace(container(), host="a/{{.Name}}")
    assert KeyTemplate.parse("{{.Host}}").render(strange, START_NS) == "a___.Name__/"


@pytest.mark.parametrize("template", ["{{.Nmae}}", "a/../b", "{{.Name", "\x00"])
def test_what_is_no_template_is_a_fault(template: str) -> None:
    with pytest.raises(ValueError, match=r"template|path"):
        KeyTemplate.parse(template)
