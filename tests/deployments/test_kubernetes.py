"""conf/kubernetes: of Kubernetes' own schema to the letter; its parts fit together, to the image and to the agent."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from kubernetes_validate.utils import all_versions, major_minor

from agent.options import duration
from agent.settings import Settings, os_environ
from agent.sinks import parse_sink
from tests.deployments.pod import AGENT, INIT, OBJECTS, POD, SECRETS, mounts, settings_of, the

ROOT = Path(__file__).parents[2]
#: Each whose schema there is, the newest last.
VERSIONS = list(dict.fromkeys(map(major_minor, all_versions())))
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """What the agent makes of the ConfigMap."""
    return Settings.load(
        settings_of(tmp_path), accept=lambda name, url: parse_sink(name, url, read_file=lambda _: "x")
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("each", OBJECTS, ids=lambda each: each["kind"])
def test_kubernetes_would_take_it(each: dict[str, Any], version: str) -> None:
    """Each field is known to that version, and of its type."""
    assert kubernetes_validate.validate(each, version, strict=True) == version


def test_a_field_that_kubernetes_does_not_know_would_be_noticed() -> None:
    """And one of a wrong type, deep inside."""
    for name, value in (("readOnlyRootFileSystem", True), ("runAsUser", "65532")):
        spoilt = copy.deepcopy(the("DaemonSet"))
        spoilt["spec"]["template"]["spec"]["containers"][0]["securityContext"][name] = value
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(spoilt, VERSIONS[-1], strict=True)


def test_what_one_object_names_is_another() -> None:
    """Names, the namespace, labels, volumes, keys."""
    daemon_set = the("DaemonSet")
    in_namespace = [each for each in OBJECTS if each["kind"] not in {"Namespace", "PriorityClass"}]
    assert {each["metadata"]["namespace"] for each in in_namespace} == {the("Namespace")["metadata"]["name"]}
    assert POD["serviceAccountName"] == the("ServiceAccount")["metadata"]["name"]
    assert POD["priorityClassName"] == the("PriorityClass")["metadata"]["name"]
    assert AGENT["envFrom"] == [{"configMapRef": {"name": the("ConfigMap")["metadata"]["name"]}}]
    assert (
        daemon_set["spec"]["selector"]["matchLabels"] == daemon_set["spec"]["template"]["metadata"]["labels"]
    )
    volumes = {each["name"]: each for each in POD["volumes"]}
    assert volumes.keys() == mounts(AGENT).keys() == mounts(AGENT).keys() | mounts(INIT).keys()
    assert volumes["secrets"]["secret"]["secretName"] == the("Secret")["metadata"]["name"]


def test_the_agent_understands_its_settings(tmp_path: Path) -> None:
    """By its own command, in an environment that holds these and nothing else of ours."""
    plain = {name: value for name, value in os_environ().items() if not name.startswith("DOCKFERRY_")}
    given = settings_of(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "agent", "config"],
        env=plain | given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert all(name.removesuffix("_FILE") in done.stdout for name in given)
    assert not any("replace-this" in text for text in (done.stdout, done.stderr))


def test_every_secret_is_read_from_a_file_and_none_is_left_over() -> None:
    """So that none is in the environment, and the example has what is asked for."""
    files = {value for name, value in the("ConfigMap")["data"].items() if name.endswith("_FILE")}
    assert files == {f"{mounts(AGENT)['secrets']}/{key}" for key in SECRETS}
    assert all("replace-this" in value for value in SECRETS.values())


def test_the_probes_ask_where_the_agent_listens(settings: Settings) -> None:
    """On the pod's address, which the kubelet asks; paths: tests/engine/test_kubernetes.py asks for them."""
    assert settings.http is not None
    host, number = settings.http
    [port] = AGENT["ports"]
    assert (host, number) == ("0.0.0.0", port["containerPort"])
    assert [AGENT[name]["httpGet"]["port"] for name in PROBES] == [port["name"]] * 3
    assert settings.http_token is not None


def test_a_sink_in_trouble_restarts_nothing() -> None:
    """Only /healthz ends a container; /readyz tells of receivers, which a restart does not mend."""
    asked = [AGENT[name]["httpGet"]["path"] for name in PROBES]
    assert asked == ["/healthz", "/healthz", "/readyz"]


def test_kubernetes_waits_for_longer_than_the_agent_drains(settings: Settings) -> None:
    assert duration(f"{POD['terminationGracePeriodSeconds']}s") > settings.shutdown_grace


def test_the_state_is_on_the_node_where_the_agent_looks_for_it(settings: Settings) -> None:
    assert mounts(AGENT)["state"] == mounts(INIT)["state"] == settings.state
    volumes = {each["name"]: each for each in POD["volumes"]}
    assert volumes["state"]["hostPath"]["type"] == "DirectoryOrCreate"
    assert "maxSurge" not in the("DaemonSet")["spec"]["updateStrategy"]["rollingUpdate"]


def test_it_runs_as_the_image_s_user_and_may_do_nothing_else() -> None:
    """No capability, no way to new ones, nothing to write to but its state, no token of the API's."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    [(user, group)] = re.findall(r"^USER (\d+):(\d+)$", text, re.MULTILINE)
    rights = POD["securityContext"]
    assert (rights["runAsUser"], rights["runAsGroup"]) == (int(user), int(group))
    assert rights["runAsNonRoot"] is True
    assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
    assert AGENT["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert (
        the("ServiceAccount")["automountServiceAccountToken"] is POD["automountServiceAccountToken"] is False
    )
    assert not {"hostNetwork", "hostPID", "hostIPC"} & POD.keys()


def test_who_is_root_for_a_moment_can_only_give_the_state_away() -> None:
    """It sees neither the socket nor the secrets."""
    assert mounts(INIT).keys() == {"state"}
    assert INIT["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN"]}
    assert "envFrom" not in INIT


def test_no_service_of_the_namespace_becomes_a_setting() -> None:
    """DOCKFERRY_PORT, of a Service named dockferry, would end the agent: it is not a setting."""
    assert POD["enableServiceLinks"] is False


def test_it_is_on_every_node() -> None:
    assert POD["tolerations"] == [{"operator": "Exists"}]


def test_the_image_is_of_this_version() -> None:
    """With its version rather than `latest`, which a node may have of another day."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert {each["image"].rpartition(":")[2] for each in (AGENT, INIT)} == {version}
