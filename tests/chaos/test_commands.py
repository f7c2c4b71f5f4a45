"""The commands as a person types them: what is wrong, where, what to do; the right status; never a traceback."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent.simulator import SimulatedEngine
from tests.chaos.commands import ROOT, run
from tests.chaos.ledger import Ledger
from tests.chaos.shipping import TRACEBACK, Agent, until
from tests.engine.shipping import messages

pytestmark = pytest.mark.chaos
MISTAKES = {
    "scheme": (["lokki+http://h"], {}, "scheme 'lokki+http' is not known; did you mean scheme 'loki+http'?"),
    "no-scheme": (["localhost:3100"], {}, "scheme 'localhost' is not known"),
    "port": (["tcp://h:70000"], {}, "sink tcp: "),
    "no-port": (["tcp://h"], {}, "sink tcp: host and port are needed"),
    "host": (["http:///logs"], {}, "sink http: the host is missing"),
    "bracket": (["http://[::1/logs"], {}, "sink "),
    "option": (["http://h/?batch_ag=1s"], {}, "did you mean"),
    "value": (["http://h/?batch_age=soon"], {}, "batch_age"),
    "twice": (["http://h/?batch_age=1s&batch_age=2s"], {}, "batch_age"),
    "negative": (["http://h/?concurrency=-1"], {}, "concurrency"),
    "variable": ([], {"DOCKFERRY_STAET": "/x"}, "DOCKFERRY_STAET is not known; did you mean"),
    "size": ([], {"DOCKFERRY_MEMORY_MAX_BYTES": "much"}, "DOCKFERRY_MEMORY_MAX_BYTES: 'much'"),
    "duration": ([], {"DOCKFERRY_SHUTDOWN_GRACE": "-1s"}, "DOCKFERRY_SHUTDOWN_GRACE"),
    "choice": ([], {"DOCKFERRY_ON_FULL": "drop"}, "DOCKFERRY_ON_FULL"),
    "tag": ([], {"DOCKFERRY_TAG": "{{.Nmae}}"}, "DOCKFERRY_TAG"),
    "file": ([], {"DOCKFERRY_TAG_FILE": "/no/such/file"}, "/no/such/file"),
    "directory": ([], {"DOCKFERRY_TAG_FILE": "/"}, "DOCKFERRY_TAG_FILE"),
    "binary": ([], {"DOCKFERRY_TAG_FILE": sys.executable}, "DOCKFERRY_TAG_FILE"),
    "engine": ([], {"DOCKER_HOST": "nonsense://"}, "DOCKER_HOST"),
    "engine-port": ([], {"DOCKER_HOST": "tcp://h:x"}, "DOCKER_HOST"),
    "context": ([], {"DOCKER_HOST": "", "DOCKER_CONTEXT": "nowhere"}, "nowhere"),
    "certificates": (
        [],
        {"DOCKER_HOST": "tcp://h:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/no/such/place"},
        "DOCKER_HOST is 'tcp://h:1'",
    ),
}


@pytest.mark.parametrize(("urls", "environ", "said"), MISTAKES.values(), ids=MISTAKES)
async def test_a_mistake_is_a_line_that_names_it_and_status_2(
    urls: list[str], environ: dict[str, str], said: str, tmp_path: Path
) -> None:
    """`run` does not begin: it makes no directory, asks nobody."""
    right = {"DOCKER_HOST": f"unix://{tmp_path}/no.sock", "DOCKFERRY_STATE": str(tmp_path / "state")}
    right["DOCKFERRY_HTTP"] = "off"
    ended = await run("run", *urls, **(right | environ))
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
    assert all(line.startswith("dockferry: ") for line in ended.err.splitlines())
    assert not (tmp_path / "state").exists()


async def test_a_port_that_is_taken_is_told_with_its_setting(engine: SimulatedEngine, tmp_path: Path) -> None:
    """Status 2, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        here = {
            "DOCKER_HOST": engine.docker_host,
            "DOCKFERRY_STATE": str(tmp_path),
            "DOCKFERRY_HTTP": address,
        }
        ended = await run("run", "console:", **here)
    assert ended.status == 2
    wanted = f"cannot listen on {address}: Address already in use; set another address, or off"
    assert ended.err == f"dockferry: DOCKFERRY_HTTP: {wanted}\n"


async def test_an_engine_that_is_not_there_is_waited_for(tmp_path: Path, short_path: str) -> None:
    """It is told once, with what to do, and its first line arrives when it comes."""
    ledger, path = Ledger(), tmp_path / "out.ndjson"
    agent = Agent(f"unix://{short_path}/docker.sock", tmp_path, {"file": f"file://{path}?batch_age=50ms"})
    agent.launch()
    try:
        await until(lambda: "waiting for the Engine: " in agent.said(), "it tells", told=agent.said)
        assert f"{short_path}/docker.sock" in agent.said()
        async with SimulatedEngine(f"{short_path}/docker.sock") as engine:
            container = engine.create("web")
            container.start()
            ledger.write(container, 10)
            await until(lambda: ledger.whole(messages(path)), "the lines", told=agent.said)
            assert await agent.end() == 0
    finally:
        agent.kill()
    assert agent.said().count("waiting for the Engine") == 1
    assert ledger.differences(messages(path)) == ""
    assert TRACEBACK not in agent.said()


async def test_check_is_status_0_1_or_2(engine: SimulatedEngine, tmp_path: Path) -> None:
    """All is well; something does not answer; a setting is wrong."""
    here = {
        "DOCKER_HOST": engine.docker_host,
        "DOCKFERRY_STATE": str(tmp_path / "state"),
        "DOCKFERRY_HTTP": "off",
    }
    well = f"file://{tmp_path}/out.ndjson"
    assert (await run("check", well, **here)).status == 0
    assert (await run("check", well, "tcp://127.0.0.1:1", **here)).status == 1
    assert (await run("check", well, **here | {"DOCKER_HOST": f"unix://{tmp_path}/no.sock"})).status == 1
    assert (await run("check", well, "http://", **here)).status == 2


async def test_config_shows_no_secret_and_survives_any_value(tmp_path: Path) -> None:
    """In a URL, in a header, in a file, in Docker's own variables."""
    (tmp_path / "secret").write_text("http://user:hunter2@h/?headers=X-Key=hunter2\n")
    ended = await run(
        "config",
        DOCKFERRY_SINK_A="loki+https://u:hunter2@h:1/?token_file=/x&tenant=t",
        DOCKFERRY_SINK_B_FILE=str(tmp_path / "secret"),
        DOCKER_HOST="tcp://user:hunter2@h:2375",
    )
    assert "hunter2" not in ended.out + ended.err
    assert ended.status in {0, 2}


@pytest.mark.parametrize("command", ["options", "config", "--help", "spool", "check", "options file"])
def test_a_reader_that_is_gone_already_is_no_error(command: str, tmp_path: Path) -> None:
    """`dockferry … | true`: nothing on stderr."""
    shell = f"{sys.executable} -m agent {command} 2>err | true"
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "DOCKFERRY_STATE": str(tmp_path / "state")}
    ended = subprocess.run(
        ["bash", "-c", shell],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env=environ,
        text=True,
        timeout=60,
    )
    assert (tmp_path / "err").read_text() == ""
    assert (ended.stdout, ended.stderr) == ("", "")


async def test_a_console_whose_reader_is_gone_holds_its_records_and_nobody_elses(
    engine: SimulatedEngine, tmp_path: Path
) -> None:
    """`dockferry run console: | head -1`: told, without a traceback, and the file goes on."""
    ledger, path = Ledger(), tmp_path / "out.ndjson"
    container = engine.create("web")
    container.start()
    sinks = {"console": "console:?batch_age=50ms", "file": f"file://{path}?batch_age=50ms"}
    agent = Agent(engine.docker_host, tmp_path, sinks, shutdown_grace="500ms")
    with agent.log.open("wb") as log:
        agent._process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            [sys.executable, "-m", "agent", "run"], env=agent.environ, stdout=subprocess.PIPE, stderr=log
        )
    try:
        assert agent.process.stdout is not None
        await until(lambda: "connected to" in agent.said(), "it is connected", told=agent.said)
        ledger.write(container, 10)
        await asyncio.to_thread(agent.process.stdout.readline)
        agent.process.stdout.close()
        ledger.write(container, 1000)
        await until(lambda: ledger.whole(messages(path)), "the file has all", told=agent.said)
        await until(lambda: "sink console " in agent.said(), "it is told", told=agent.said)
        assert await agent.end() == 0
    finally:
        agent.kill()
    assert TRACEBACK not in agent.said()
    assert ledger.differences(messages(path)) == ""
