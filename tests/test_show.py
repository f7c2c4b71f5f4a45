"""What `config`, `options` and `spool` print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.batch import NS, Batch, Container, Stream
from agent.errors import UsageError
from agent.losses import Losses
from agent.metrics import Metrics
from agent.options import declared
from agent.settings import Settings
from agent.show import backlogs, config, options
from agent.sinks.deadletter import DeadLetters
from agent.sinks.letterbox import Refusal
from agent.spool import Spool, SpoolConfig, Subscriber


def batch(*messages: bytes, at_ns: int = 1) -> Batch:
    container = Container(id="a" * 64, name="web", image="nginx", tag="web", host="node")
    return Batch(container, Stream.STDOUT, [at_ns] * len(messages), messages)


def test_config_tells_value_and_origin_of_every_setting(tmp_path: Path) -> None:
    """From the environment, a file, the command line, or nowhere."""
    path = tmp_path / "level"
    path.write_text("debug\n")
    environ = {"DOCKFERRY_LOG_LEVEL_FILE": str(path), "DOCKFERRY_STATE": "memory", "DOCKER_HOST": "tcp://e:1"}
    shown = [line.split() for line in config(Settings.load(environ, ["tcp://h:1"]))]
    assert ["DOCKFERRY_LOG_LEVEL", "file", str(path), "debug"] in shown
    assert ["DOCKFERRY_STATE", "environment", "memory"] in shown
    assert ["DOCKFERRY_HTTP", "default", "127.0.0.1:9469"] in shown
    assert ["DOCKFERRY_SINK_TCP", "command", "line", "tcp://h:1"] in shown
    assert ["DOCKER_HOST", "environment", "tcp://e:1"] in shown
    assert len(shown) == 1 + len(list(declared(Settings))) + 2


def test_config_keeps_to_one_line_a_setting() -> None:
    """Whatever a value holds."""
    lines = list(config(Settings.load({"DOCKFERRY_TAG": "a\n\x1b[31mb"})))
    assert not any("\x1b" in line or "\n" in line for line in lines)


def test_options_name_everything_that_can_be_set() -> None:
    """Variables, labels, URL options and every sink."""
    text = "\n".join(options(None))
    for name in (
        "DOCKFERRY_SINK_<NAME>",
        "DOCKFERRY_TAG",
        "dockferry.enable",
        "batch_records",
        "verify",
        "loki+https",
    ):
        assert re.search(rf"(^|\s){re.escape(name)}\b|{re.escape(name)}", text)
    for entry in declared(Settings):
        assert f"DOCKFERRY_{entry.name.upper()} " in text


def test_options_of_a_sink_are_found_by_scheme_or_kind() -> None:
    """Its own first, then those it shares."""
    text = list(options("loki"))
    assert text == list(options("LOKI+https"))
    assert text[0].startswith("loki+http, loki+https: ")
    assert text.index("Its own options") < text.index("Every sink: requests")
    assert "Sinks that speak TLS" in text
    assert "Sinks that speak TLS" not in list(options("console"))


def test_options_of_an_unknown_sink_name_the_nearest() -> None:
    """And all there are."""
    with pytest.raises(
        UsageError, match=r"sink 'lokki' is not known; did you mean sink 'loki'\?; there are: console"
    ):
        list(options("lokki"))


async def test_spool_tells_what_waits_and_what_is_dead(tmp_path: Path) -> None:
    """Per sink, with age; a hint where there are dead letters."""
    metrics = Metrics()
    losses = Losses(metrics)
    settings = Settings.load({"DOCKFERRY_STATE": str(tmp_path)})
    async with Spool.open(
        SpoolConfig(tmp_path, 1 << 20, 1 << 20),
        [Subscriber("loki", "block"), Subscriber("file", "block")],
        metrics=metrics,
        losses=losses,
    ) as spool:
        await spool.put([batch(b"one", b"three")])
        await spool.flush()
        entries = await spool.reader("file").fill(records=1, bytes=1, age=0)
        spool.reader("file").done(entries)
        await spool.reader("file").save(b"")
    rows = [line.split() for line in backlogs(settings, now_ns=3601 * NS)]
    assert rows[1:] == [["file", "0", "0", "-", "0", "0"], ["loki", "2", "8", "1h", "ago", "0", "0"]]
    await DeadLetters(settings.dead_letters, "gone").add([Refusal(batch(b"bad"), "too odd")])
    *rows, _, hint = [line.split() for line in backlogs(settings, now_ns=3601 * NS)]
    assert rows[2][:5] == ["gone", "0", "0", "-", "1"]
    assert int(rows[2][5]) > 0
    assert "replay" in hint


def test_a_spool_that_never_was_is_empty(tmp_path: Path) -> None:
    """Before the first start there is nothing, and that is no error."""
    settings = Settings.load({"DOCKFERRY_STATE": str(tmp_path)})
    assert list(backlogs(settings, 0)) == [f"no agent has kept anything in {tmp_path} yet"]


def test_memory_mode_has_nothing_to_look_into() -> None:
    """What waits is in the process."""
    with pytest.raises(UsageError, match="DOCKFERRY_STATE is memory"):
        list(backlogs(Settings.load({"DOCKFERRY_STATE": "memory"}), 0))
