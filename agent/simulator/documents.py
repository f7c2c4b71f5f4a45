"""The JSON documents that the simulated Engine answers with.

Place: used by `server`; plain functions of a container or of the Engine's description.
Source: the answers of Engine 20.10.24, and moby api/types.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent.simulator.containers import NEVER, Container, State
from agent.simulator.wire import NANOSECONDS, rfc3339

Document = dict[str, Any]
_LIVE: Final = frozenset({State.RUNNING, State.PAUSED, State.RESTARTING})


@dataclass(frozen=True, slots=True)
class Description:
    """What the Engine says of itself."""

    name: str
    engine_version: str
    api_version: str
    minimum_api_version: str

    @property
    def release(self) -> int:
        """The major version, which decides about habits."""
        return int(self.engine_version.partition(".")[0])


def version(engine: Description) -> Document:
    """Answer `/version`."""
    common = {"GitCommit": "0000000", "GoVersion": "go1.24.9", "Os": "linux", "Arch": "amd64"}
    kernel = {"KernelVersion": "6.1.0", "BuildTime": "2025-11-05T00:00:00.000000000+00:00"}
    details = (
        common
        | kernel
        | {
            "ApiVersion": engine.api_version,
            "MinAPIVersion": engine.minimum_api_version,
            "Experimental": "false",
        }
    )
    return {
        "Platform": {"Name": "simulated Engine"},
        "Components": [{"Name": "Engine", "Version": engine.engine_version, "Details": details}],
        "Version": engine.engine_version,
        "ApiVersion": engine.api_version,
        "MinAPIVersion": engine.minimum_api_version,
        **common,
        **kernel,
    }


def info(engine: Description, containers: Iterable[Container], now: int) -> Document:
    """Answer `/info`."""
    states = [container.state for container in containers]
    return {
        "ID": f"simulated-{engine.name}",
        "Containers": len(states),
        "ContainersRunning": sum(state in {State.RUNNING, State.RESTARTING} for state in states),
        "ContainersPaused": states.count(State.PAUSED),
        "ContainersStopped": sum(state not in _LIVE for state in states),
        "Images": 0,
        "Driver": "overlay2",
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge"],
            "Authorization": None,
            "Log": ["json-file", "local"],
        },
        "SystemTime": time_text(now),
        "LoggingDriver": "json-file",
        "CgroupDriver": "systemd",
        "CgroupVersion": "2",
        "KernelVersion": "6.1.0",
        "OperatingSystem": "simulated",
        "OSType": "linux",
        "Architecture": "x86_64",
        "NCPU": 2,
        "MemTotal": 4 * 1024**3,
        "DockerRootDir": "/var/lib/docker",
        "Name": engine.name,
        "Labels": [],
        "ServerVersion": engine.engine_version,
        "Swarm": {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False},
        "LiveRestoreEnabled": True,
        "SecurityOptions": [],
        "Warnings": None,
    }


def inspect(container: Container) -> Document:
    """Answer `/containers/{id}/json`."""
    spec = container.spec
    return {
        "Id": container.id,
        "Created": time_text(spec.created),
        "Path": "/simulated",
        "Args": [],
        "State": _state(container),
        "Image": image_id(spec.image),
        "LogPath": f"/var/lib/docker/containers/{container.id}/{container.id}-json.log",
        "Name": f"/{container.name}",
        "RestartCount": container.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "HostConfig": {
            "LogConfig": {"Type": spec.driver, "Config": dict(spec.log_options)},
            "NetworkMode": "default",
            "RestartPolicy": {"Name": spec.restart_policy, "MaximumRetryCount": 0},
            "AutoRemove": spec.auto_remove,
        },
        "Mounts": [],
        "Config": {
            "Hostname": container.id[:12],
            "Tty": spec.tty,
            "Env": [f"{key}={value}" for key, value in spec.env.items()],
            "Cmd": ["/simulated"],
            "Image": spec.image,
            "Entrypoint": None,
            "Labels": dict(spec.labels),
        },
        "NetworkSettings": {"Networks": {}},
    }


def summary(container: Container, now: int) -> Document:
    """Answer one entry of `/containers/json`."""
    spec = container.spec
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": spec.image,
        "ImageID": image_id(spec.image),
        "Command": "/simulated",
        "Created": spec.created // NANOSECONDS,
        "Ports": [],
        "Labels": dict(spec.labels),
        "State": container.state.value,
        "Status": _status(container, now),
        "HostConfig": {"NetworkMode": "default"},
        "NetworkSettings": {"Networks": {}},
        "Mounts": [],
    }


def image_id(image: str) -> str:
    """Return the content id that an image of this name has here."""
    return "sha256:" + hashlib.sha256(image.encode()).hexdigest()


def log_attributes(
    spec_labels: Mapping[str, str], env: Mapping[str, str], options: Mapping[str, str]
) -> dict[str, str]:
    """Return what `details=1` shows: the attributes that the log options `labels`, `env` and `tag` name."""
    attributes = {key: spec_labels[key] for key in options.get("labels", "").split(",") if key in spec_labels}
    attributes |= {key: env[key] for key in options.get("env", "").split(",") if key in env}
    if "tag" in options:
        attributes["tag"] = options["tag"]
    return attributes


def _state(container: Container) -> Document:
    state = container.state
    return {
        "Status": state.value,
        "Running": state in _LIVE,
        "Paused": state is State.PAUSED,
        "Restarting": state is State.RESTARTING,
        "OOMKilled": False,
        "Dead": False,
        "Pid": 4242 if container.running else 0,
        "ExitCode": container.exit_code,
        "Error": "",
        "StartedAt": time_text(container.started_at),
        "FinishedAt": time_text(container.finished_at),
    }


def _status(container: Container, now: int) -> str:
    seconds = max(0, now - container.started_at) // NANOSECONDS
    match container.state:
        case State.RUNNING:
            return f"Up {seconds} seconds"
        case State.PAUSED:
            return f"Up {seconds} seconds (Paused)"
        case State.RESTARTING:
            return f"Restarting ({container.exit_code}) {seconds} seconds ago"
        case State.EXITED:
            ago = max(0, now - container.finished_at) // NANOSECONDS
            return f"Exited ({container.exit_code}) {ago} seconds ago"
        case State.CREATED:
            return "Created"
        case State.REMOVING:
            return "Removal In Progress"


def time_text(at: int) -> str:
    """Write a time as Go's JSON does: no trailing zeros in the fraction."""
    if at == NEVER:
        return "0001-01-01T00:00:00Z"
    return rfc3339(at)[:-1].decode().rstrip("0").rstrip(".") + "Z"
