"""What the agent is trusted with does not come out: not by log, page, metrics, files or commands."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from agent.simulator import SimulatedEngine
from tests.receivers.program import free_port
from tests.secrets import Planted, parrot, urls

COMMANDS = (("config",), ("options",), ("check",), ("spool",), ("health",), ("top", "--once"))
PATHS = (
    "/",
    "/metrics",
    "/api/state",
    "/api/dead-letters",
    "/healthz",
    "/readyz",
    "/api/tail?secret=1",
    "/nothing",
)
DEADLINE_S = 60
_TROUBLE = re.compile(r" sink (\S+) (?:fails and|waits until|refused) ")


@dataclass(frozen=True, slots=True)
class Scene:
    """Secrets in every place that takes one, and the environment of an agent that has them all."""

    planted: Planted
    environ: Mapping[str, str]
    token: str
    port: int
    sinks: frozenset[str]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Receivers that refuse and quote what they heard, in three ways, and one that is not there."""
    planted = Planted()
    async with parrot(400, 401, 500) as addresses, SimulatedEngine(str(tmp_path / "docker.sock")) as engine:
        made = urls(planted, [*addresses, f"127.0.0.1:{free_port()}"])
        environ = {"PATH": os.defpath, "DOCKER_HOST": engine.docker_host, "DOCKFERRY_BACKLOG": "all"}
        environ |= {"DOCKFERRY_STATE": str(tmp_path / "state"), "DOCKFERRY_LOG_LEVEL": "debug"}
        environ |= {"DOCKFERRY_SHUTDOWN_GRACE": "1s"}
        for number, (name, url) in enumerate(made.items()):
            variable = f"DOCKFERRY_SINK_{name.upper()}"
            if number % 2:
                environ[variable] = url
            else:
                (tmp_path / name).write_text(url)
                environ[f"{variable}_FILE"] = str(tmp_path / name)
        token = planted.new("http_token")
        (tmp_path / "token").write_text(token)
        environ["DOCKFERRY_HTTP_TOKEN_FILE"] = str(tmp_path / "token")
        environ["DOCKFERRY_REDACT_KEY"] = planted.new("redact_key")
        environ["DOCKFERRY_REDACT"] = "email;with=hash"
        port = free_port()
        environ["DOCKFERRY_HTTP"] = f"127.0.0.1:{port}"
        talker = engine.create("talker")
        talker.start()
        talker.write(b"hello from me@example.org\n")
        yield Scene(planted, environ, token, port, frozenset(made))


async def _output(environ: Mapping[str, str], *arguments: str) -> str:
    """What a command prints, on both channels."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "agent", *arguments),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(DEADLINE_S):
        out, _ = await process.communicate()
    return out.decode()


@contextlib.asynccontextmanager
async def _running(environ: Mapping[str, str], log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agent", "run"), env=environ, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _pages(scene: Scene) -> dict[str, str]:
    """What is answered on DOCKFERRY_HTTP, headers too, to who has the token, and to who has not."""
    found = {}
    timeout = aiohttp.ClientTimeout(total=2)
    for token in (scene.token, "wrong" * 8):
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(f"http://127.0.0.1:{scene.port}", headers=headers) as session:
            for path in PATHS:
                with contextlib.suppress(TimeoutError):  # one streams for ever
                    async with session.get(path, timeout=timeout) as answer:
                        found[f"{path}, {answer.status}"] = f"{answer.headers} {await answer.text()}"
    return found


async def _all_in_trouble(scene: Scene, process: asyncio.subprocess.Process, log: Path) -> None:
    """Return once every sink has said what is wrong."""
    async with asyncio.timeout(DEADLINE_S):
        while _in_trouble(log) < scene.sinks:
            assert process.returncode is None, "the agent has ended"
            await asyncio.sleep(0.2)


def _in_trouble(log: Path) -> set[str]:
    return set(_TROUBLE.findall(log.read_text()))


async def test_no_secret_comes_out(scene: Scene, tmp_path: Path) -> None:
    """Every secret of every sink, of a receiver that quotes it in three kinds of refusal, or is not there."""
    assert len(scene.sinks) > 100
    log = tmp_path / "agent.log"
    async with _running(scene.environ, log) as process:
        await _all_in_trouble(scene, process, log)
        said = await _pages(scene)
        said |= {" ".join(command): await _output(scene.environ, *command) for command in COMMANDS}
        said["cmdline"] = _command_lines(process.pid)
        assert re.search(r"^Max core file size +0 ", _text(f"/proc/{process.pid}/limits"), re.MULTILINE)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    said["log"] = log.read_text()
    state = [file for file in (tmp_path / "state").rglob("*") if file.is_file()]
    said |= {file.name: file.read_bytes().decode("latin-1") for file in state}
    assert {"spool.db", "/api/state, 200", "/api/state, 401", "/metrics, 200", "/, 200"} <= said.keys()
    assert scene.sinks <= set(re.findall(r"[a-z0-9_-]+", said["/api/state, 200"]))
    assert any(name.endswith(".ndjson") for name in said), "nothing was refused"
    assert {where: found for where, text in said.items() if (found := scene.planted.found_in(text))} == {}


def _command_lines(process: int) -> str:
    """Of the process and its children, as everybody on the machine can read them."""
    children = _text(f"/proc/{process}/task/{process}/children").split()
    return "\n".join(_text(f"/proc/{each}/cmdline") for each in (str(process), *children))


def _text(path: str) -> str:
    return Path(path).read_text()


def test_a_secret_is_found_in_whatever_form() -> None:
    """Else the promise above is none."""
    planted = Planted()
    secret, _ = planted.new("here"), planted.new("there")
    for text in (secret, secret.upper(), secret.encode().hex()):
        assert planted.found_in(f"it answered 401: {text}!") == {"here"}
    for ahead in ("", "m", "me", "me:", "me:x"):
        assert planted.found_in(base64.b64encode(f"{ahead}{secret}:z".encode()).decode()) == {"here"}
    assert planted.found_in("it answered 401: ***") == set()
