"""The agent on a real Engine, with nothing set but what was set for another agent."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from pathlib import Path
from typing import Self
from uuid import uuid4

import pytest

from tests.engine.containers import RunContainer
from tests.engine.dockerd import Engine
from tests.engine.shipping import Agent, messages, records, until

pytestmark = pytest.mark.engine
SYSLOG = re.compile(rb"<(\d+)>1 \d{4}-\d\d-\d\dT[\d:.]+Z \S+ (\S+) \d+ \S+ - (.*)\n")
TRACE = ["java.lang.IllegalStateException: no", "\tat a.B.c(B.java:1)", "\tat a.B.main(B.java:9)"]


class Received:
    """A TCP receiver in a thread that keeps the lines as they come."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, name="received", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._socket.accept()
                with peer, peer.makefile("rb") as lines:
                    self.lines += lines

    def wait(self, count: int, agent: Agent) -> list[bytes]:
        """The lines, once there are so many."""
        until(lambda: len(self.lines) >= count, f"{count} lines at {self.address}", told=agent.said)
        return self.lines


def moved(engine: Engine, directory: Path, **environ: str) -> Agent:
    """An agent of which no variable of its own chooses a sink."""
    agent = Agent(engine.host, directory, {})
    agent.environ |= environ
    return agent


def test_uris_of_logspout_are_enough(engine: Engine, run_container: RunContainer, tmp_path: Path) -> None:
    """Lines arrive where its filters let them, in its form; those of containers it ignored do not."""
    mark = uuid4().hex[:8]
    with Received() as syslog, Received() as raw:
        uris = [
            f"syslog+tcp://{syslog.address}?filter.name=web_{mark}*&append_tag=.app",
            f"raw+tcp://{raw.address}?filter.labels=tier_{mark}:d*&filter.sources=stderr",
        ]
        with moved(engine, tmp_path, ROUTE_URIS=",".join(uris), EXCLUDE_LABEL=f"quiet_{mark}:yes") as agent:
            say = "echo out-%s; echo err-%s >&2; sleep 1"
            run_container(
                say.replace("%s", "ignored"), name=f"web_{mark}_1", environment={"LOGSPOUT": "ignore"}
            )
            run_container(say.replace("%s", "quiet"), name=f"web_{mark}_2", labels={f"quiet_{mark}": "YES"})
            run_container(say.replace("%s", "db"), name=f"db_{mark}", labels={f"tier_{mark}": "db"})
            run_container(say.replace("%s", "web"), name=f"web_{mark}_3")
            assert raw.wait(1, agent) == [b"err-db\n"]
            found = [SYSLOG.fullmatch(line) for line in syslog.wait(2, agent)]
            assert agent.stop() == 0
    assert all(found), syslog.lines
    tag = f"web_{mark}_3.app".encode()
    assert sorted(match.groups() for match in found if match) == [
        (b"11", tag, b"err-web"),
        (b"14", tag, b"out-web"),
    ]
    said = agent.said()
    assert f"syslog+tcp://{syslog.address} is sink syslog here: syslog+tcp://{syslog.address}?" in said
    assert "Traceback" not in said


def test_labels_for_filebeat_and_datadog_are_understood(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """Lines are joined, parsed, left out and masked; what cannot be translated is said once."""
    out = tmp_path / "out.ndjson"
    script = "printf '%s\\n' " + " ".join(
        f"'{line}'" for line in ["start", *TRACE, "DBG x", "end", "pin=1234"]
    )
    hints = {
        "co.elastic.logs/multiline.pattern": r"^\s",
        "co.elastic.logs/exclude_lines": "^DBG",
        "co.elastic.logs/module": "java",
    }
    rules = [{"type": "mask_sequences", "name": "pin", "pattern": r"pin=\d+", "replace_placeholder": "x"}]
    with Agent(
        engine.host,
        tmp_path,
        {"out": f"file://{out}"},
        compat="filebeat,datadog",
        include=f"label={run_container.label}",
    ) as agent:
        labels = {**hints, "com.datadoghq.ad.logs": json.dumps([{"log_processing_rules": rules}])}
        name = run_container(f"{script}; sleep 1", labels=labels).name
        until(lambda: len(messages(out)) >= 4, "four records", told=agent.said)
        assert agent.stop() == 0
    assert messages(out) == ["start", "\n".join(TRACE), "end", "***"]
    assert (
        agent.said().count(f"container {name}: label co.elastic.logs/module has no counterpart; ignored") == 1
    )


def test_a_task_and_a_pod_are_told_of(engine: Engine, run_container: RunContainer, tmp_path: Path) -> None:
    """From the labels that Swarm and Kubernetes set; a pod's sandbox is left out. The host is the Engine's."""
    out = tmp_path / "out.ndjson"
    pod = {"io.kubernetes.pod.name": "web-x2x7p", "io.kubernetes.pod.namespace": "shop"}
    task = {"com.docker.swarm.task.name": "shop_web.1.t1", "com.docker.swarm.node.id": "n1"}
    with Agent(
        engine.host, tmp_path, {"out": f"file://{out}"}, include=f"label={run_container.label}"
    ) as agent:
        run_container("echo sandbox", labels={**pod, "io.kubernetes.docker.type": "podsandbox"})
        run_container("echo task", labels=task)
        until(lambda: len(messages(out)) >= 1, "a record", told=agent.said)
        run_container("echo pod", labels={**pod, "io.kubernetes.docker.type": "container"})
        until(lambda: len(messages(out)) >= 2, "two records", told=agent.said)
        assert agent.stop() == 0
    first, second = records(out)
    assert first["container"]["swarm"] == {"task": "shop_web.1.t1", "node_id": "n1"}
    assert second["container"]["kubernetes"] == {"namespace": "shop", "pod": "web-x2x7p"}
    assert {first["host"], second["host"]} == {engine.client.info()["Name"]}


def test_a_container_of_monstrous_labels_costs_nobody_else(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """A megabyte, control characters, a way out of the directory: its neighbour's lines come, and its own."""
    logs = tmp_path / "logs"
    labels = {
        "app": "../../../../tmp/dockferry-escaped\n\x1b[2J",
        "big": "x" * 1_000_000,
        "exitCode": "\x1b[31mnone",
        "name": "forged",
        "dockferry.tag": "{{" + " " * 1_000_000,
        "dockferry.sinks": "out,\x1b[31mnobody\n\x00",
        "co.elastic.logs/multiline.pattern": "(" * 100_000,
        "com.datadoghq.ad.logs": "[" * 1_000_000,
        **{f"dockferry.\x1b{n}": "x" for n in range(1000)},
    }
    with Agent(
        engine.host,
        tmp_path,
        {"out": f'file://{logs}/{{{{index .Labels "app"}}}}.ndjson'},
        compat="filebeat,datadog",
        labels="*",
        include=f"label={run_container.label}",
    ) as agent:
        run_container("echo monster", labels=labels)
        run_container("echo neighbour", labels={"app": "neighbour"})
        until(
            lambda: messages(logs / "neighbour.ndjson") == ["neighbour"], "the neighbour's", told=agent.said
        )
        until(lambda: len(list(logs.rglob("*.ndjson"))) == 2, "the monster's own", told=agent.said)
        assert agent.stop() == 0
    [own] = [path for path in logs.rglob("*.ndjson") if path.name != "neighbour.ndjson"]
    assert messages(own) == ["monster"]
    assert not Path("/tmp/dockferry-escaped").exists()
    assert own.stat().st_size < 100_000
    said = agent.said()
    assert "\x1b" not in said
    assert "fault of Dockferry" not in said
    assert max(map(len, said.splitlines())) < 6000
    assert said.count("WARN") < 60
