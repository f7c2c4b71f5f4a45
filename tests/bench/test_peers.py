"""Other programs are configured for the same work. What they make of it only they can tell: none is in Debian."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from tests.bench.cases import SINKS, Case
from tests.bench.measured import Work
from tests.bench.peers import PEERS, Peer, Started, fluent_bit, found, logspout, vector

URLS = {
    "tcp": "tcp://127.0.0.1:5170",
    "loki": "loki+http://127.0.0.1:3100",
    "file": "file:///tmp/x/bench.ndjson",
}


def work(directory: Path, sinks: int, root: str | None = "/var/lib/docker") -> Work:
    stage = SimpleNamespace(docker_host="unix:///run/docker.sock", root=Path(root) if root else None)
    crew = SimpleNamespace(name="bench-1", ids=["ab" * 32])
    return Work(cast("Any", stage), cast("Any", crew), Case("peer", "", SINKS[sinks], ""), URLS, directory)


def test_fluent_bit_tails_the_container_and_feeds_each_sink(tmp_path: Path) -> None:
    started = fluent_bit(work(tmp_path, 3))
    config = orjson.loads(started.files["fluent-bit.yaml"])["pipeline"]
    assert [each["path"] for each in config["inputs"]] == [
        f"/var/lib/docker/containers/{'ab' * 32}/{'ab' * 32}-json.log"
    ]
    assert [(each["name"], each.get("port", each.get("file"))) for each in config["outputs"]] == [
        ("tcp", 5170), ("loki", 3100), ("file", "bench.ndjson"),
    ]  # fmt: skip
    assert started.arguments == ["-c", str(tmp_path / "fluent-bit.yaml")]
    with pytest.raises(ValueError, match="no files"):
        fluent_bit(work(tmp_path, 1, root=None))


def test_vector_follows_the_container_and_feeds_each_sink(tmp_path: Path) -> None:
    config = orjson.loads(vector(work(tmp_path, 3)).files["vector.json"])
    assert config["sources"]["bench"]["include_containers"] == ["bench-1"]
    assert [(name, each["inputs"]) for name, each in config["sinks"].items()] == [
        (name, ["bench"]) for name in SINKS[3]
    ]
    assert config["sinks"]["tcp"]["address"] == "127.0.0.1:5170"


def test_logspout_follows_the_container(tmp_path: Path) -> None:
    started = logspout(work(tmp_path, 1))
    assert started.arguments == ["raw+tcp://127.0.0.1:5170?filter.name=bench-1-*"]
    assert started.environ["DOCKER_HOST"] == "unix:///run/docker.sock"


def test_what_is_on_the_path_is_found_with_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is not is none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found() == {}
    program = tmp_path / "vector"
    program.write_text("#!/bin/sh\necho 'vector 0.40.1 (x86_64 abc)'\n")
    program.chmod(0o755)
    assert found() == {"vector 0.40.1": PEERS[1]}


@pytest.mark.parametrize(("script", "runs"), [("exec sleep 60", True), ("exit 1", False)])
async def test_a_program_gets_its_files_and_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, *, runs: bool
) -> None:
    """One that ends at once is no reader."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    monkeypatch.setattr("tests.bench.peers._READY_S", 0.3)
    program = tmp_path / "dummy"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    peer = Peer("dummy", lambda _: Started([], {}, {"a.conf": b"hello"}))
    if runs:
        async with peer.run(work(tmp_path, 1)) as child:
            assert (tmp_path / "a.conf").read_bytes() == b"hello"
            assert child.memory.rss > 0
        assert child.ended
    else:
        with pytest.raises(EOFError, match="ended early"):
            async with peer.run(work(tmp_path, 1)):
                pass
