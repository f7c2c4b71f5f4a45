"""`dockferry spool replay`: sink after sink, with an honest line for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.batch import Batch, Container, Stream
from agent.errors import UsageError
from agent.replay import replay
from agent.settings import Settings
from agent.sinks import parse_sink
from agent.sinks.deadletter import DeadLetters, inspect
from agent.sinks.letterbox import Refusal


async def dead_letter(settings: Settings, sink: str) -> None:
    """One record that the sink's receiver once refused."""
    container = Container(id="a" * 64, name="web", image="nginx", tag="web", host="node")
    batch = Batch(container, Stream.STDOUT, [1], [b"refused once"])
    await DeadLetters(settings.dead_letters, sink).add([Refusal(batch, "too odd")])


async def test_dead_letters_are_delivered_and_gone(tmp_path: Path) -> None:
    """The second time there is nothing left to send."""
    url = f"file://{tmp_path}/out.ndjson"
    settings = Settings.load({"DOCKFERRY_STATE": str(tmp_path), "DOCKFERRY_SINK_A": url})
    await dead_letter(settings, "a")
    said: list[str] = []
    assert await replay(settings, [parse_sink("a", url)], None, said.append) == 0
    assert await replay(settings, [parse_sink("a", url)], "a", said.append) == 0
    assert said == ["a: 1 delivered, 0 refused again", "a: no dead letters"]
    assert (tmp_path / "out.ndjson").read_text().count("refused once") == 1
    assert settings.dead_letters is not None
    assert inspect(settings.dead_letters) == []


async def test_a_sink_that_takes_none_does_not_keep_the_others_from_theirs(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    """It is told and its letters stay; the exit status says that some are left."""
    urls = {"down": f"tcp://127.0.0.1:{unused_tcp_port}", "up": f"file://{tmp_path}/out.ndjson"}
    settings = Settings.load({"DOCKFERRY_STATE": str(tmp_path)})
    for name in urls:
        await dead_letter(settings, name)
    said: list[str] = []
    assert await replay(settings, [parse_sink(*sink) for sink in urls.items()], None, said.append) == 1
    assert said[0].startswith("down: ")
    assert "refused" in said[0]
    assert said[1:] == ["up: 1 delivered, 0 refused again"]
    assert settings.dead_letters is not None
    assert [backlog.sink for backlog in inspect(settings.dead_letters)] == ["down"]


async def test_a_sink_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    """The nearest is named."""
    settings = Settings.load({"DOCKFERRY_STATE": str(tmp_path)})
    with pytest.raises(UsageError, match=r"sink 'lokki' is not known; did you mean sink 'loki'\?"):
        await replay(settings, [parse_sink("loki", "console:")], "lokki", print)


async def test_memory_mode_has_no_dead_letters() -> None:
    """And says so."""
    with pytest.raises(UsageError, match="DOCKFERRY_STATE is memory"):
        await replay(Settings.load({"DOCKFERRY_STATE": "memory"}), [], None, print)
