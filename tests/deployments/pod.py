"""conf/kubernetes as the tests look at it, and its containers as Docker is asked for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

CONF = Path(__file__).parents[2] / "conf/kubernetes"
MANIFEST, EXAMPLE = CONF / "dockferry.yaml", CONF / "secret.example.yaml"
OBJECTS: list[dict[str, Any]] = [
    each for path in (MANIFEST, EXAMPLE) for each in yaml.safe_load_all(path.read_text("utf-8"))
]


def the(kind: str) -> dict[str, Any]:
    """The one object of this kind."""
    [found] = [each for each in OBJECTS if each["kind"] == kind]
    return found


POD: dict[str, Any] = the("DaemonSet")["spec"]["template"]["spec"]
[INIT], [AGENT] = POD["initContainers"], POD["containers"]
SECRETS: Mapping[str, str] = the("Secret")["stringData"]


def settings_of(secrets: Path) -> dict[str, str]:
    """The agent's environment, where its Secret is written to this directory."""
    environ = dict(the("ConfigMap")["data"])
    mount = mounts(AGENT)["secrets"]
    for name, value in SECRETS.items():
        (secrets / name).write_text(value, "utf-8")
    return {name: value.replace(mount, str(secrets)) for name, value in environ.items()}


def mounts(container: Mapping[str, Any]) -> dict[str, str]:
    """Where each volume is in a container."""
    return {each["name"]: each["mountPath"] for each in container["volumeMounts"]}


def docker_options(container: Mapping[str, Any], places: Mapping[str, Path]) -> dict[str, Any]:
    """For the Docker SDK's `containers.create()`, with these directories for volumes."""
    rights = POD["securityContext"] | container["securityContext"]
    return {
        "user": f"{rights['runAsUser']}:{rights['runAsGroup']}",
        "group_add": [rights["fsGroup"], *rights["supplementalGroups"]],
        "read_only": rights["readOnlyRootFilesystem"],
        "cap_drop": rights["capabilities"]["drop"],
        "cap_add": rights["capabilities"].get("add", []),
        "security_opt": [] if rights["allowPrivilegeEscalation"] else ["no-new-privileges"],
        "mem_limit": container["resources"]["limits"]["memory"].replace("Mi", "m"),
        "volumes": [f"{places[name]}:{path}" for name, path in mounts(container).items()],
    }
