"""The path of a container's file: never outside its directory, whatever a container is called."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.batch import Container
from agent.transport.files import PathTemplate
from agent.transport.files.rotation import is_rotated


def container(name: str, label: str = "") -> Container:
    return Container(id="a" * 64, name=name, image="i", tag="t", host="h", labels={"l/1": label})


TEMPLATES = (
    "/var/log/c/{{.Name}}.ndjson",
    "/var/log/c/{{.Name}}",
    '/var/log/c/{{index .Labels "l/1"}}/{{.Name}}{{index .Labels "l/1"}}',
    '/var/log/c/.{{index .Labels "l/1"}}/x.ndjson',
)
awkward = st.one_of(
    st.text(), st.text("./\0\n\ud800é"), st.sampled_from(["..", ".", "", "../../etc/passwd", "x" * 5000])
)


@given(template=st.sampled_from(TEMPLATES), name=awkward, label=awkward)
def test_no_name_leaves_the_directory(template: str, name: str, label: str) -> None:
    """Each `{{…}}` is part of one name that a file system takes and a path does not interpret."""
    parsed = PathTemplate.parse(template)
    path = parsed.render(container(name, label))
    assert parsed.root == "/var/log/c"
    assert os.path.normpath(path) == path
    names = PurePosixPath(path).relative_to("/var/log/c").parts
    assert len(names) == template.removeprefix("/var/log/c/").replace('"l/1"', "").count("/") + 1
    assert all(0 < len(name.encode()) <= 230 for name in names)
    assert not is_rotated(names[-1])
    assert path.isprintable() or not set(path) & set(map(chr, range(32)))


@pytest.mark.parametrize(
    ("template", "root", "path"),
    [
        ("/var/log/all.ndjson", "/var/log", "/var/log/all.ndjson"),
        ("/all", "/", "/all"),
        ("/{{.Name}}", "/", "/web"),
        ("//var/./log//{{.Name}}.1x", "/var/log", "/var/log/web.1x"),
        ("/l/{{.Name}}.3", "/l", "/l/web.3_"),
        ("/l/app.3", "/l", "/l/app.3"),
    ],
)
def test_ordinary_paths_stay_as_they_are(template: str, root: str, path: str) -> None:
    """What a rotated neighbour might be called gets an underscore, unless no container has a say in it."""
    parsed = PathTemplate.parse(template)
    assert (parsed.root, parsed.render(container("web"))) == (root, path)


def test_long_names_stay_apart() -> None:
    """The cut one ends in a digest of the whole."""
    parsed = PathTemplate.parse("/l/{{.Name}}.ndjson")
    first, second = (parsed.render(container("x" * 500 + end)) for end in "ab")
    assert first != second
    assert first.endswith(".ndjson")


@pytest.mark.parametrize(
    "text", ["relative/a", "", "/", "/l/", "/l/../a", "/l/{{.Name}}/..", "/l/{{.Nome}}", "/l/{{.Name", "/l/\0",
             "/l/" + "x" * 225 + "{{.Name}}"],
)  # fmt: skip
def test_what_is_no_path_is_refused(text: str) -> None:
    """With what would have been right."""
    with pytest.raises(ValueError, match=r"path|template"):
        PathTemplate.parse(text)
