"""Which Engine answers, and which version of its API both sides speak.

The Docker SDK asks `/version`; where a socket proxy forbids that (and over ssh, which the SDK would need
paramiko for), the headers of `/_ping` tell as much (moby `daemon/server/middleware/version.go`).
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import docker
import requests
from docker.errors import APIError

from agent.engine.endpoint import Endpoint
from agent.errors import EngineError, EngineUnreachable

Api = tuple[int, int]

#: The newest API whose answers are known; a newer Engine is spoken to in this one, unless it has given it up.
NEWEST_API: Api = (1, 55)
#: What an Engine speaks that does not say.
_OLDEST_API: Api = (1, 24)


@dataclass(frozen=True, slots=True)
class EngineVersion:
    """The Engine at the other end. `name`: its host's name, None where `/info` is forbidden."""

    api: Api
    engine: str
    name: str | None
    podman: bool

    @property
    def exact_since(self) -> bool:
        """Whether `since` only finds where to begin (since 24.0, moby e278d3f185); else it filters records."""
        return self.api >= (1, 43) and not self.podman

    @property
    def repeats_on_rotation(self) -> bool:
        """Whether a follower may be sent a file twice when it rotates (before 23.0, moby 01915a725e)."""
        return self.api < (1, 42) and not self.podman

    @property
    def follow_is_whole(self) -> bool:
        """Whether a follow gives all that is written.

        Podman's gives half a line where it comes upon one, and goes on at the file's end (nxadm/tail,
        tailFileSync): what was written meanwhile is left out.
        """
        return not self.podman

    @property
    def attach_is_harmless(self) -> bool:
        """Whether to attach changes nothing.

        Podman initialises a container anew that has ended, and one between two runs never starts again
        (libpod/container_api.go, HTTPAttach).
        """
        return not self.podman

    @property
    def whole_seconds(self) -> bool:
        """Whether times have no fraction (Podman before 5.8): lines of one second are told apart by number."""
        release = re.match(r"(\d+)\.(\d+)", self.engine)
        return self.podman and not (release and (int(release[1]), int(release[2])) >= (5, 8))

    @property
    def pieces_of_any_size(self) -> bool:
        """Whether a line without a newline goes on however short it is: Podman's conmon logs what a read gave."""
        return self.podman

    def __str__(self) -> str:
        kind = "Podman" if self.podman else "Docker Engine"
        return f"{kind} {self.engine}, API {self.api[0]}.{self.api[1]}"


def ask_version(endpoint: Endpoint, timeout_s: float) -> Mapping[str, Any]:
    """The answer of `/version`, through the SDK; empty where it is forbidden. Blocks: call it in a thread.

    Raises EngineUnreachable.
    """
    sdk = docker.APIClient(
        base_url=endpoint.host, version="1.24", tls=endpoint.tls or False, timeout=math.ceil(timeout_s)
    )
    sdk.trust_env = False  # a proxy set for the web is no way to the Engine
    with contextlib.closing(sdk):
        try:
            answer: Mapping[str, Any] = sdk.version(api_version=False)
        except APIError as error:
            if error.response is not None and error.response.status_code < 500:
                return {}
            raise EngineUnreachable(f"the Engine at {endpoint.said} is not ready: {error}") from error
        except requests.RequestException as error:
            raise EngineUnreachable(f"cannot reach the Docker Engine at {endpoint.said}: {error}") from error
    return answer


def negotiate(wanted: str | None, answer: Mapping[str, Any], ping: Mapping[str, str]) -> Api:
    """The API version to speak.

    wanted  DOCKER_API_VERSION: taken as it is
    answer  of `/version`, or nothing
    ping    headers of `/_ping`
    Raises EngineError when no version is agreed on.
    """
    if wanted:
        return _api(wanted, "DOCKER_API_VERSION")
    said = answer.get("ApiVersion") or ping.get("Api-Version")
    newest = _api(said, "its API version") if said else _OLDEST_API
    oldest = _api(answer.get("MinAPIVersion") or "1.12", "its oldest API version")
    return max(min(newest, NEWEST_API), oldest)


def engine_version(
    api: Api, answer: Mapping[str, Any], ping: Mapping[str, str], name: str | None
) -> EngineVersion:
    """What is known of the Engine from these answers."""
    # The header reads "Docker/28.5.2 (linux)" or "Libpod/5.4.0 (linux)".
    server = re.match(r"[A-Za-z]+/(\S+)", ping.get("Server", ""))
    return EngineVersion(
        api=api,
        engine=answer.get("Version") or (server[1] if server else "of unknown version"),
        name=name,
        podman="Libpod-API-Version" in ping,
    )


def _api(text: str, what: str) -> Api:
    match = re.fullmatch(r"v?(\d+)\.(\d+)", text.strip())
    if match is None:
        raise EngineError(f"{what} {text!r} is not a version such as 1.44")
    return int(match[1]), int(match[2])
