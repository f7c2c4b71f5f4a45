"""The pod of conf/kubernetes, its containers run on a real Engine with the rights that the manifest gives them."""

from __future__ import annotations

import http.client
import os
from pathlib import Path

import pytest

from tests.deployments.pod import AGENT, INIT, POD, docker_options, settings_of, the
from tests.engine.containers import RunContainer
from tests.engine.dockerd import Engine
from tests.engine.image import BUILD_S, RunAgent, said
from tests.engine.shipping import until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(BUILD_S)]
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def test_on_a_directory_of_root_s_the_pod_starts_its_probes_are_answered_and_it_ships(
    engine: Engine, run_agent: RunAgent, run_container: RunContainer, tmp_path: Path
) -> None:
    """The socket's group is this machine's. The first container runs twice, as after a restart."""
    socket = Path(engine.host.removeprefix("unix://"))
    places = {"engine": socket, "state": tmp_path / "state", "secrets": tmp_path / "secrets"}
    places["state"].mkdir(mode=0o755)
    places["secrets"].mkdir()
    settings_of(places["secrets"])  # writes the files
    for path in places["secrets"].iterdir():
        os.chown(path, 0, POD["securityContext"]["fsGroup"])
        path.chmod(next(each["secret"]["defaultMode"] for each in POD["volumes"] if "secret" in each))

    for _ in range(2):
        program, *arguments = INIT["command"]
        init = run_agent(*arguments, entrypoint=program, network_mode="none", **docker_options(INIT, places))
        assert init.wait(timeout=60)["StatusCode"] == 0, said(init)
    state = places["state"].stat()
    assert (state.st_uid, state.st_gid, state.st_mode & 0o777) == (65532, 65532, 0o700)

    options = docker_options(AGENT, places)
    options["group_add"][-1] = socket.stat().st_gid
    agent = run_agent(
        *("run", "console:"),
        environment=the("ConfigMap")["data"] | {"DOCKFERRY_INCLUDE": f"label={run_container.label}"},
        network_mode="bridge",
        **options,
    )
    until(lambda: "connected to" in said(agent), "the agent is connected", told=lambda: said(agent))
    run_container("echo a line of a pod")
    until(lambda: "a line of a pod" in said(agent), "its line", told=lambda: said(agent))
    agent.reload()
    address = agent.attrs["NetworkSettings"]["IPAddress"]
    [port] = AGENT["ports"]
    for name in PROBES:
        assert _get(address, port["containerPort"], AGENT[name]["httpGet"]["path"]) == 200, name
    assert _get(address, port["containerPort"], "/metrics") == 401
    agent.stop(timeout=POD["terminationGracePeriodSeconds"])
    agent.reload()
    assert agent.attrs["State"]["ExitCode"] == 0, said(agent)
    assert [path.name for path in places["state"].glob("spool.db")] == ["spool.db"]


def _get(address: str, port: int, path: str) -> int:
    connection = http.client.HTTPConnection(address, port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()
