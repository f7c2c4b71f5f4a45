"""Which version both sides speak."""

from __future__ import annotations

import pytest

from agent.engine.version import NEWEST_API, EngineVersion, engine_version, negotiate
from agent.errors import EngineError


def test_the_engines_newest_version_is_spoken() -> None:
    assert negotiate(None, {"ApiVersion": "1.41", "MinAPIVersion": "1.12"}, {}) == (1, 41)


def test_a_version_from_the_future_is_not() -> None:
    assert negotiate(None, {"ApiVersion": "1.99", "MinAPIVersion": "1.40"}, {}) == NEWEST_API


def test_what_the_engine_has_given_up_is_not() -> None:
    assert negotiate(None, {"ApiVersion": "2.7", "MinAPIVersion": "2.0"}, {}) == (2, 0)


def test_the_ping_tells_where_the_version_is_forbidden() -> None:
    assert negotiate(None, {}, {"Api-Version": "1.44"}) == (1, 44)


def test_a_pinned_version_is_spoken() -> None:
    assert negotiate("1.43", {"ApiVersion": "1.51"}, {}) == (1, 43)


def test_a_pinned_version_that_is_none_is_named() -> None:
    with pytest.raises(EngineError, match="DOCKER_API_VERSION 'latest' is not a version"):
        negotiate("latest", {}, {})


def test_podman_is_told_by_its_ping() -> None:
    ping = {"Server": "Libpod/5.4.0 (linux)", "Libpod-API-Version": "5.4.0", "Api-Version": "1.41"}
    version = engine_version((1, 41), {}, ping, None)
    assert version.podman
    assert version.engine == "5.4.0"
    assert str(version) == "Podman 5.4.0, API 1.41"


@pytest.mark.parametrize(
    ("release", "whole"),
    [("4.3.1", True), ("5.7.1", True), ("5.8.0", False), ("6.0.0-dev", False), ("?", True)],
)
def test_podman_tells_fractions_of_seconds_since_5_8(release: str, whole: bool) -> None:  # noqa: FBT001
    assert EngineVersion((1, 41), release, None, podman=True).whole_seconds == whole
    assert not EngineVersion((1, 41), release, None, podman=False).whole_seconds


def test_an_engine_that_says_nothing_is_spoken_to_all_the_same() -> None:
    version = engine_version(negotiate(None, {}, {}), {}, {}, None)
    assert str(version) == "Docker Engine of unknown version, API 1.24"
