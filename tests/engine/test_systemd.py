"""The agent on a real Engine, within the sandbox of conf/systemd/dockferry.service as far as it can be had here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deployments.unit import UNIT, Unit, confined
from tests.engine.containers import RunContainer
from tests.engine.dockerd import Engine
from tests.engine.shipping import Agent, Lines, messages, until

pytestmark = pytest.mark.engine
LINES = 20_000


class ConfinedAgent(Agent):
    """An agent that a forbidden system call kills."""

    def launch(self) -> None:
        self.state.mkdir(mode=0o700, exist_ok=True)
        within = confined(Unit(UNIT), self.state, self.state.parent / "logs")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*within, sys.executable, "-m", "agent", "run"], env=self.environ, stdout=log, stderr=log
            )


@pytest.mark.parametrize("source", ["logs", "attach"])
def test_in_the_unit_s_sandbox_the_agent_does_all_it_does(
    engine: Engine, run_container: RunContainer, tmp_path: Path, unused_tcp_port: int, source: str
) -> None:
    """Files that rotate and are compressed, TCP, UDP, metrics, a kill, a stop: nothing is missed in it."""
    logs = tmp_path / "logs"
    logs.mkdir()
    file = logs / "all.ndjson"
    with Lines() as lines:
        sinks = {
            "file": f"file://{file}?batch_age=50ms&rotate_bytes=1MiB&keep=99&fsync=true",
            "packed": f"file://{logs}/packed.ndjson?rotate_bytes=1MiB&keep=99&compress=gzip",
            "tcp": lines.url,
            "udp": "gelf+udp://localhost:9",
        }
        settings = {
            "include": f"label={run_container.label}",
            "source": source,
            "stats": "1s",
            "http": f"127.0.0.1:{unused_tcp_port}",
            "shutdown_grace": "1s",
        }
        writes: dict[str, Any] = {"log_opts": {"max-size": "1g"}}
        with ConfinedAgent(engine.host, tmp_path, sinks, **settings) as agent:
            run_container(f"seq -w 1 {LINES}; exec sleep 600", **writes)
            until(lambda: len(set(lines.messages)) == LINES, "every line", told=agent.said)
            agent.kill()
            agent.start()
            run_container(f"seq -w {LINES + 1} {2 * LINES}; exec sleep 600", **writes)
            until(
                lambda: len(set(lines.messages)) == 2 * LINES,
                "the other lines",
                seconds=100,
                told=lambda: (
                    f"{len(set(lines.messages))} by TCP, {len(messages(file))} in files\n{agent.said()}"
                ),
            )
            until(lambda: len(messages(file)) >= 2 * LINES, "all in files", told=agent.said)
            until(lambda: list(logs.glob("packed.ndjson.*.gz")) != [], "a packed file", told=agent.said)
            until(lambda: agent.waiting("file") == 0, "its position is saved", told=agent.said)
            assert agent.stop() == 0, agent.said()
        said = agent.said()
    assert sorted(messages(file)) == [f"{number:05}" for number in range(1, 2 * LINES + 1)]
    assert "cannot compress" not in said
    assert "the watchdog's process is gone" not in said
    assert " ERROR " not in said
