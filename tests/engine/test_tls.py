"""An Engine behind TLS, as `dockerd --tlsverify` is: who may read it, and what is said when one may not.

The private Engine has a network of its own, so the agent is run in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.dockerd import Engine, PrivateEngine
from tests.engine.shipping import Agent, messages, until
from tests.receivers.certificates import PrivateCa

pytestmark = pytest.mark.engine
PORT = 2376


class _Inside(Agent):
    """An agent in the network of this Engine, with these certificates."""

    def __init__(
        self, engine: PrivateEngine, directory: Path, certificates: Path, host: str = "127.0.0.1"
    ) -> None:
        super().__init__(
            f"tcp://{host}:{PORT}", directory, {"file": f"file://{directory}/out.ndjson?batch_age=100ms"}
        )
        self.environ |= {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(certificates)}
        process = (engine.directory / "docker.pid").read_text().strip()
        self._within = ["nsenter", f"--net=/proc/{process}/ns/net", sys.executable, "-m", "agent"]

    def launch(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([*self._within, "run"], env=self.environ, stdout=log, stderr=log)

    def check(self) -> subprocess.CompletedProcess[str]:
        """What `dockferry check` says."""
        return subprocess.run(
            [*self._within, "check"],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> PrivateCa:
    return PrivateCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> PrivateCa:
    """An authority that the Engine does not know."""
    return PrivateCa(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def guarded(
    engine: Engine, ca: PrivateCa, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrivateEngine]:
    """One that lets nobody in over TCP without a certificate."""
    if engine.podman:
        pytest.skip("Podman is behind no TLS of its own")
    if os.getuid() != 0:
        pytest.skip("only root can start an Engine")
    certificate, key = ca.files("127.0.0.1")
    flags = [f"--host=tcp://127.0.0.1:{PORT}", "--tlsverify", f"--tlscacert={ca.ca_file}"]
    flags += [f"--tlscert={certificate}", f"--tlskey={key}"]
    with PrivateEngine(tmp_path_factory.mktemp("dockerd"), *flags) as private:
        yield private


def test_lines_arrive_from_an_engine_behind_tls(
    guarded: PrivateEngine, ca: PrivateCa, tmp_path: Path
) -> None:
    """Followed, attached to, and found again after a restart of the agent."""
    agent = _Inside(guarded, tmp_path, ca.docker_directory(tmp_path / "certificates"))
    assert "Docker Engine" in agent.check().stdout
    file = tmp_path / "out.ndjson"
    with guarded.run_container as run, agent:
        run("echo followed")
        until(lambda: messages(file) == ["followed"], "a line of the log", told=agent.said)
        agent.kill()
        agent.environ["DOCKFERRY_SOURCE"] = "attach"
        agent.start()
        run("echo attached; exec sleep 600")
        until(lambda: messages(file) == ["followed", "attached"], "a line as it came", told=agent.said)
        assert agent.stop() == 0


@pytest.fixture
def refused(
    request: pytest.FixtureRequest, guarded: PrivateEngine, ca: PrivateCa, stranger: PrivateCa, tmp_path: Path
) -> Iterator[_Inside]:
    """An agent that is not let in, for the reason of the parameter."""
    who: str = request.param
    directory = tmp_path
    certificates, host = directory / "certificates", "127.0.0.1"
    match who:
        case "trusts another CA":
            ca.docker_directory(certificates, trusted=stranger.ca_file)
        case "comes from another CA":
            stranger.docker_directory(certificates, trusted=ca.ca_file)
        case "has expired":
            ca.docker_directory(certificates, expired=True)
        case "calls it by another name":
            ca.docker_directory(certificates)
            host = "localhost"
        case _:
            pass
    agent = _Inside(guarded, directory, certificates, host)
    if who in {"shows no certificate", "speaks no TLS"}:
        del agent.environ["DOCKER_TLS_VERIFY"], agent.environ["DOCKER_CERT_PATH"]
    if who == "shows no certificate":
        agent.environ |= {"DOCKER_HOST": f"https://127.0.0.1:{PORT}", "SSL_CERT_FILE": str(ca.ca_file)}
    yield agent
    if agent._process is not None:
        agent.kill()


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ("trusts another CA", "is not of a CA that is trusted here"),
        ("calls it by another name", "is not for the name in DOCKER_HOST"),
        ("comes from another CA", "it does not accept the certificate"),
        ("has expired", "it does not accept the certificate"),
        ("shows no certificate", "it does not accept the certificate"),
        ("speaks no TLS", "set DOCKER_TLS_VERIFY=1"),
    ],
    indirect=["refused"],
)
def test_whoever_may_not_is_told_why_and_waits(refused: _Inside, said: str) -> None:
    """One line, in `check` and in `run`, which waits as it does for any Engine that cannot be reached."""
    checked = refused.check()
    assert checked.returncode == 1
    [line] = [line for line in checked.stdout.splitlines() if " engine " in line]
    assert said in line
    assert checked.stderr == ""
    refused.launch()
    until(lambda: "waiting for the Engine" in refused.said(), "it waits", told=refused.said)
    [line] = [line for line in refused.said().splitlines() if "waiting for the Engine" in line]
    assert said in line
    assert "Traceback" not in refused.said()
    assert refused.stop() == 0
