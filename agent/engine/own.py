"""Which container the agent itself runs in, so that it never ships its own output.

Three traces, each of which can mislead: the cgroup (hidden by a private cgroup namespace), the files that
Docker mounts at /etc/hostname and the like (those of another container when its network is shared, of the
pause container in a Kubernetes pod), and the hostname (anything). So a trace counts only if the Engine
confirms it, and the container's writable layer, where it is an overlay mount, has the last word.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.engine.client import EngineClient
from agent.engine.containers import ContainerFacts, facts_of
from agent.errors import EngineRefused

_MOUNTED: Final = frozenset({"/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/run/.containerenv"})
_IN_MOUNT: Final = re.compile(r"containers/([0-9a-f]{64})/")
_IN_CGROUP: Final = re.compile(r"(?:/|-)([0-9a-f]{64})(?=\.scope|/|$)")
_ID_PREFIX: Final = re.compile(r"[0-9a-f]{12,64}")


@dataclass(frozen=True, slots=True)
class Traces:
    """What a process can see of the container it runs in.

    cgroup  ids in the path of its cgroup: its own
    hints   ids, or beginnings of them, that may be another container's
    upper   the directory that takes what is written to `/`, as the host sees it
    """

    cgroup: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    upper: str | None = None


def read_traces(proc: Path = Path("/proc/self")) -> Traces:
    """The traces of this process; none where there is no such /proc."""
    return traces(_text(proc / "mountinfo"), _text(proc / "cgroup"), socket.gethostname())


def traces(mountinfo: str, cgroup: str, hostname: str) -> Traces:
    """The traces in these texts (proc(5), `/proc/pid/mountinfo`, and cgroups(7)), the surest first."""
    # Nested containers: /docker/<outer>/docker/<ours>.
    paths = [found[-1] for line in cgroup.splitlines() if (found := _IN_CGROUP.findall(line))]
    hints, upper = [], None
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        if len(fields) < 10:
            continue
        root, point, options = fields[3], fields[4], fields[-1]
        if point in _MOUNTED and (match := _IN_MOUNT.search(root)):
            hints.append(match[1])
        elif point == "/":
            upper = next(
                (o.removeprefix("upperdir=") for o in options.split(",") if o.startswith("upperdir=")), None
            )
    if _ID_PREFIX.fullmatch(hostname):
        hints.append(hostname)
    return Traces(tuple(dict.fromkeys(paths)), tuple(dict.fromkeys(hints)), upper)


async def find(client: EngineClient, traces: Traces) -> ContainerFacts | None:
    """The container that left these traces, if this Engine runs it. Raises EngineError."""
    for own in traces.cgroup:
        if (answer := await _inspect(client, own)) is not None:
            return facts_of(answer)
    for hint in traces.hints:
        answer = await _inspect(client, hint)
        if answer is None or not answer["Id"].startswith(hint):
            continue
        candidates = [answer, *await _sharing_network(client, answer["Id"])]
        mine = [found for found in candidates if _same_layer(found, traces.upper)]
        if len(mine) == 1:
            return facts_of(mine[0])
        if len(candidates) == 1 and (_layer(answer) is None or traces.upper is None):
            return facts_of(answer)
    return None


async def _sharing_network(client: EngineClient, id: str) -> list[Mapping[str, Any]]:
    mode = f"container:{id}"
    listed = await client.containers(all=False)
    maybe = [summary.id for summary in listed if summary.network in {mode, None} and summary.id != id]
    answers = [await _inspect(client, other) for other in maybe]
    return [answer for answer in answers if answer and answer["HostConfig"].get("NetworkMode") == mode]


async def _inspect(client: EngineClient, id: str) -> Mapping[str, Any] | None:
    try:
        answer: Mapping[str, Any] = await client.get(f"/containers/{id}/json")
    except EngineRefused as error:
        if error.status == 404:
            return None
        raise
    return answer


def _layer(answer: Mapping[str, Any]) -> str | None:
    return ((answer.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir")


def _same_layer(answer: Mapping[str, Any], upper: str | None) -> bool:
    # With many layers overlay2 mounts with paths relative to its directory.
    layer = _layer(answer)
    return layer is not None and upper is not None and layer.endswith(upper)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
