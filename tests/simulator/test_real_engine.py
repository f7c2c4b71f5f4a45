"""The simulated Engine beside a real one: the same program's log, byte for byte but for the times."""

import http.client
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from agent.simulator import SimulatedEngine
from tests.engine.containers import RunContainer
from tests.engine.dockerd import Engine
from tests.simulator.client import Client

pytestmark = pytest.mark.engine

TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ")
NO_TIME = b"0000-00-00T00:00:00.000000000Z "
QUERY = {"stdout": "1", "stderr": "1", "timestamps": "1", "follow": "1"}
# Each is written on stdout by the shell and by the simulated container.
OUTPUT = {
    "a few lines": ("printf 'one\\n\\ntwo\\r\\n'", b"one\n\ntwo\r\n"),
    "40 kB in a line": ("head -c 40000 /dev/zero | tr '\\0' x; echo", b"x" * 40_000 + b"\n"),
    "16 KiB exactly": ("head -c 16384 /dev/zero | tr '\\0' x; echo", b"x" * 16_384 + b"\n"),
    "32 KiB exactly": ("head -c 32768 /dev/zero | tr '\\0' x; echo", b"x" * 32_768 + b"\n"),
    "no final newline": ("printf 'one\\ntwo'", b"one\ntwo"),
    "16 KiB without newline": ("head -c 16384 /dev/zero | tr '\\0' x", b"x" * 16_384),
    "no text": ("printf 'a\\377\\342\\202b\\355\\240\\200\\n'", b"a\xff\xe2\x82b\xed\xa0\x80\n"),
    "nothing": ("true", b""),
}


def real_answer(engine: Engine, path: str) -> tuple[str | None, bytes]:
    """Return content type and body of a GET, without the SDK's ideas of them."""
    url = urlsplit(engine.host or "unix:///var/run/docker.sock")
    connection = http.client.HTTPConnection(url.hostname or "engine", url.port, timeout=30)
    if url.scheme == "unix":
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(30)
        connection.sock.connect(str(Path(url.path)))
    connection.request("GET", path)
    with connection.getresponse() as response:
        answer = response.headers.get("Content-Type"), response.read()
    connection.close()
    return answer


@pytest.mark.parametrize("driver", ["json-file", "local"])
@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("output", OUTPUT)
async def test_a_log_is_the_same_as_the_real_engine_s(
    engine: Engine,
    run_container: RunContainer,
    socket_path: str,
    *,
    output: str,
    tty: bool,
    driver: str,
) -> None:
    """Frames, pieces, newlines, times in their places, content type."""
    script, written = OUTPUT[output]
    real = run_container(script, tty=tty, log_driver=driver)
    real.wait(timeout=30)
    query = "&".join(f"{key}={value}" for key, value in QUERY.items())
    content_type, body = real_answer(engine, f"/containers/{real.id}/logs?{query}")

    version = ".".join(map(str, engine.version))
    async with (
        SimulatedEngine(socket_path, engine_version=version, api_version=engine.api_version) as simulated,
        Client(socket_path) as client,
    ):
        container = simulated.create("web", tty=tty, driver=driver)
        container.start()
        container.write(written)
        container.finish()
        reading = await client.open("/containers/web/logs", **QUERY)
        assert TIME.sub(NO_TIME, await reading.rest()) == TIME.sub(NO_TIME, body)
        assert reading.response.headers.get("Content-Type") == content_type


async def test_refusals_are_in_the_real_engine_s_words(
    engine: Engine, run_container: RunContainer, simulated: SimulatedEngine, client: Client
) -> None:
    """Those that an agent may have to understand."""
    silent = run_container.create("true", log_driver="none")
    simulated.create("none", driver="none")
    for path in (
        "/containers/none/logs?stdout=1",
        "/containers/none/logs",
        "/containers/absent/json",
        "/nosuch",
    ):
        _, expected = real_answer(engine, path.replace("none", silent.id or ""))
        _, body = await client.request("GET", path)
        assert body.strip() == expected.strip()
