"""The package in docs/sinks/your-own.md, installed as pip leaves it, is a sink like any other."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured
from tests.receivers.received import Faulty, Received, in_order, nanoseconds
from tests.receivers.sent import batch, container, expected, forget
from tests.receivers.web import Answer, Request, WebReceiver

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "sinks" / "your-own.md"
KEY = "s3cr3t-enough"


class SeqReceiver(WebReceiver):
    """Takes CLEF at /ingest/clef with the key, and answers /health."""

    good = 201

    def read(self, request: Request) -> tuple[list[Received], Answer]:
        if request.headers.get("X-Seq-ApiKey") != KEY:
            return [], Answer(401, '{"Error":"the API key is not valid"}')
        if (request.method, request.path) == ("GET", "/health"):
            return [], Answer(200)
        if (request.method, request.path) != ("POST", "/ingest/clef"):
            raise Faulty(f"{request.method} {request.path}")
        if request.headers["Content-Type"] != "application/vnd.serilog.clef":
            raise Faulty(request.headers["Content-Type"])
        events = [json.loads(line, object_pairs_hook=in_order) for line in request.body.splitlines()]
        return [self._event(event) for event in events], Answer(self.good)

    @staticmethod
    def _event(event: dict[str, Any]) -> Received:
        return Received(
            message=event.pop("@m"),
            timestamp_ns=nanoseconds(event.pop("@t")),
            stream=event.pop("Stream"),
            container=event.pop("Container"),
            container_id=event.pop("ContainerId"),
            image=event.pop("Image"),
            host=event.pop("Host"),
            id=event.pop("RecordId"),
            labels=event,
        )


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A directory that holds the page's package: its module, and metadata made of its pyproject.toml."""
    files = dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE))
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    [(group, points)] = project["entry-points"].items()
    lines = [f"[{group}]", *(f"{scheme} = {value}" for scheme, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return tmp_path


async def test_it_delivers_and_is_judged_like_any_other(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(installed)
    sent = [batch(), batch([b"not \xff utf-8"], of=container("db"))]
    async with SeqReceiver().listening() as receiver:
        sink = parse_sink("it", f"seq+http://127.0.0.1:{receiver.port}?api_key={KEY}")
        await sink.open(None, forget)
        assert await sink.probe() == Delivered()
        assert await sink.deliver(sent) == Delivered()
        await sink.close()
        records = await receiver.inbox.have(6)
    assert [(record.message, record.timestamp_ns, record.id) for record in records] == [
        (record.message, record.timestamp_ns, record.id) for record in expected(sent)
    ]
    assert [record.labels for record in records] == [record.labels for record in expected(sent)]
    assert len(sent[1].undecodable) == 1


async def test_its_wrong_key_is_for_a_person_to_mend(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(installed)
    async with SeqReceiver().listening() as receiver:
        sink = parse_sink("it", f"seq+http://127.0.0.1:{receiver.port}?api_key=of-another")
        await sink.open(None, forget)
        assert isinstance(await sink.probe(), Misconfigured)
        await sink.close()


def test_the_commands_know_it(installed: Path) -> None:
    """In a process of its own, as a user's."""

    def printed(*command: str, **environ: str) -> str:
        ran = subprocess.run(
            [sys.executable, "-m", "agent", *command],
            env={"PATH": os.defpath, "PYTHONPATH": f"{ROOT}:{installed}", **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return ran.stdout

    assert printed("options", "seq").startswith("seq+http, seq+https: Seq, by its ingestion API.\n")
    assert "api_key" in printed("options")
    shown = printed("config", DOCKFERRY_SINK_SEQ=f"seq+https://seq.example.com?api_key={KEY}")
    assert "seq+https://seq.example.com?api_key=***" in shown
