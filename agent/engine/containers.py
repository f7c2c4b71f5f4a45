"""The Engine's answers about containers as values: inspect, list, events. Sans-I/O.

Shapes are moby's `api/types/container` and `api/types/events`; Podman's compatible answers leave fields out
and write times with the local zone's offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agent.batch import NS


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """What inspect says about one container. Times are ns since the epoch, 0: never.

    running     its process runs now; False while it waits to be restarted, when the Engine says True
    restarting  it waits to be restarted by its policy
    exit_code   of the last run that ended
    partial     the container was gone before it could be inspected: name, image and labels are the event's,
                `tty`, `driver` and the rest are guesses
    """

    id: str
    name: str
    image: str = ""
    image_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    tty: bool = False
    driver: str = "json-file"
    log_options: Mapping[str, str] = field(default_factory=dict)
    created_ns: int = 0
    started_ns: int = 0
    finished_ns: int = 0
    running: bool = False
    restarting: bool = False
    paused: bool = False
    status: str = "created"
    exit_code: int = 0
    restart_count: int = 0
    auto_remove: bool = False
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """One container of the list. `network`: its network mode; None: the list does not say (Podman)."""

    id: str
    name: str
    running: bool
    network: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that befell a container. `attributes`: image, name, exitCode …, and the labels among them."""

    action: str
    id: str
    time_ns: int
    attributes: Mapping[str, str]

    @property
    def key(self) -> tuple[int, str, str]:
        """The same for the same event, sent however often."""
        return (self.time_ns, self.id, self.action)


#: Attributes moby and Podman put beside the labels.
_OWN_ATTRIBUTES = frozenset(
    {"image", "name", "exitCode", "execDuration", "oldName", "signal", "containerExitCode", "podId"}
)
#: What Podman calls what Docker calls otherwise.
_PODMAN_ACTIONS = {"died": "die", "remove": "destroy"}
#: How Podman's refusals end (its `libpod/define/errors.go`), and the status Docker has for that.
_PODMAN_REFUSALS = {"no such container": 404, "this container is not logging output": 501}


def facts_of(answer: Mapping[str, Any]) -> ContainerFacts:
    """The facts in an answer of `/containers/{id}/json`."""
    config, state = answer.get("Config") or {}, answer.get("State") or {}
    host = answer.get("HostConfig") or {}
    log = host.get("LogConfig") or {}
    restarting = bool(state.get("Restarting"))
    return ContainerFacts(
        id=answer["Id"],
        name=answer.get("Name", "").lstrip("/"),
        image=config.get("Image") or "",
        image_id=answer.get("Image") or "",
        labels=config.get("Labels") or {},
        env=dict(entry.partition("=")[::2] for entry in config.get("Env") or ()),
        tty=bool(config.get("Tty")),
        driver=log.get("Type") or "json-file",
        log_options=log.get("Config") or {},
        created_ns=time_ns(answer.get("Created") or ""),
        started_ns=time_ns(state.get("StartedAt") or ""),
        finished_ns=time_ns(state.get("FinishedAt") or ""),
        running=bool(state.get("Running")) and not restarting,
        restarting=restarting,
        paused=bool(state.get("Paused")),
        status=state.get("Status") or "",
        exit_code=state.get("ExitCode") or 0,
        restart_count=answer.get("RestartCount") or 0,
        auto_remove=bool(host.get("AutoRemove")),
    )


def facts_of_event(event: Event) -> ContainerFacts:
    """What an event tells of a container that can no longer be inspected."""
    started = event.action == "start"
    return ContainerFacts(
        id=event.id,
        name=event.attributes.get("name", ""),
        image=event.attributes.get("image", ""),
        labels={key: value for key, value in event.attributes.items() if key not in _OWN_ATTRIBUTES},
        created_ns=event.time_ns,
        started_ns=event.time_ns if started else 0,
        running=started,
        status="running" if started else "created",
        auto_remove=True,
        partial=True,
    )


def summary_of(entry: Mapping[str, Any]) -> Summary:
    """One entry of an answer of `/containers/json`."""
    # A legacy link adds `/other/alias` to the names.
    own = [name.lstrip("/") for name in entry.get("Names") or () if "/" not in name.lstrip("/")]
    return Summary(
        id=entry["Id"],
        name=own[0] if own else "",
        running=entry.get("State") == "running",
        network=(entry.get("HostConfig") or {}).get("NetworkMode"),
    )


def event_of(entry: Mapping[str, Any]) -> Event | None:
    """The event in one line of `/events`; None when it is not about a container.

    `status`, `id` and `from`, gone with API 1.52, are not looked at.
    """
    actor = entry.get("Actor") or {}
    if entry.get("Type") != "container" or not actor.get("ID"):
        return None
    action = entry.get("Action", "")
    return Event(
        action=_PODMAN_ACTIONS.get(action, action),
        id=actor["ID"],
        time_ns=entry.get("timeNano") or entry.get("time", 0) * NS,
        attributes=actor.get("Attributes") or {},
    )


def meant(status: int, headers: Mapping[str, str], message: str) -> int:
    """The status of a refusal as Docker gives it: Podman says 500 of what it came upon under way."""
    if status != 500 or "Libpod-API-Version" not in headers:
        return status
    return next((meant for words, meant in _PODMAN_REFUSALS.items() if message.endswith(words)), status)


def time_ns(text: str) -> int:
    """An RFC 3339 time, with up to nine fraction digits and any offset, in ns since the epoch; 0: never."""
    if not text or text.startswith("0001-"):
        return 0
    head, point, tail = text.partition(".")
    if not point:
        return round(datetime.fromisoformat(text).timestamp()) * NS
    digits = len(tail) - len(tail.lstrip("0123456789"))
    fraction = int(tail[:digits][:9].ljust(9, "0"))
    return round(datetime.fromisoformat(head + tail[digits:]).timestamp()) * NS + fraction
