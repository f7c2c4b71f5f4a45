"""An Engine over ssh: with a program named ssh that does what sshd and `docker system dial-stdio` would."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

import pytest

from agent.engine.client import EngineClient
from agent.engine.endpoint import resolve
from agent.engine.ssh import command
from agent.errors import EngineUnreachable
from agent.simulator import SimulatedEngine

FAKE = """\
#!{python}
import os, socket, sys, threading
if sys.argv[-5:] != ["--", "node-1", "docker", "system", "dial-stdio"]:
    sys.exit(f"usage: {{sys.argv}}")
engine = socket.socket(socket.AF_UNIX)
engine.connect({path!r})

def upstream():
    while data := os.read(0, 65536):
        engine.sendall(data)
    engine.shutdown(socket.SHUT_WR)

threading.Thread(target=upstream, daemon=True).start()
with open(1, "wb", 0) as output:
    while data := engine.recv(65536):
        while data:
            data = data[output.write(data):]
"""


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("ssh://node-1", []),
        ("ssh://root@node-1", ["-l", "root"]),
        ("ssh://root@node-1:2222", ["-l", "root", "-p", "2222"]),
    ],
)
def test_the_command_leaves_to_ssh_what_is_not_said(url: str, options: list[str]) -> None:
    told = command(url, 10)
    assert told[:6] == ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-T"]
    assert told[6:] == [*options, "--", "node-1", "docker", "system", "dial-stdio"]


def install(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program named ssh before all others."""
    program = directory / "ssh"
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}/usr/bin{os.pathsep}/bin")


async def test_the_engine_is_spoken_to_through_ssh(
    engine: SimulatedEngine, tmp_path: Path, socket_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, FAKE.format(python=sys.executable, path=socket_path), monkeypatch)
    web = engine.create("web")
    web.start()
    async with (
        asyncio.timeout(20),
        EngineClient(resolve({"DOCKER_HOST": "ssh://node-1"}), docker={}) as client,
    ):
        version = await client.connect()
        assert (version.api, version.engine) == ((1, 51), "28.5.2")
        assert (await client.inspect(web.id)).name == "web"
        async with client.stream_logs(web.id, since=None, tail=None, follow=True) as chunks:
            web.write(b"x" * 1_000_000 + b"\n")
            web.finish()
            size = sum([len(chunk) async for chunk in chunks])
    assert size > 1_000_000
    assert engine.streams == set()


async def test_what_ssh_complains_about_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    install(
        tmp_path, "#!/bin/sh\necho 'root@node-1: Permission denied (publickey).' >&2\nexit 255\n", monkeypatch
    )
    async with EngineClient(resolve({"DOCKER_HOST": "ssh://root@node-1"}), docker={}) as client:
        with pytest.raises(EngineUnreachable, match="ssh://root@node-1"):
            await client.connect()
    assert "ssh says: root@node-1: Permission denied (publickey)." in caplog.messages


async def test_a_machine_without_ssh_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with EngineClient(resolve({"DOCKER_HOST": "ssh://node-1"}), docker={}) as client:
        with pytest.raises(EngineUnreachable, match="ssh: No such file"):
            await client.connect()
