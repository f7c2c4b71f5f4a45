"""The Engine's answers as values."""

from __future__ import annotations

from typing import Any

import pytest

from agent.engine.containers import Event, event_of, facts_of, facts_of_event, meant, summary_of, time_ns

ID = "f91800efb22f4c6c5b88d48005bb2d209185f6e5045619b31943ca3439f30064"


def answer(**state: Any) -> dict[str, Any]:  # noqa: ANN401 - as JSON has it
    """What Engine 28.5 answers, shortened."""
    return {
        "Id": ID,
        "Created": "2026-11-23T09:53:59.479721835Z",
        "State": {
            "Status": "running",
            "Running": True,
            "Paused": False,
            "Restarting": False,
            "ExitCode": 0,
            "StartedAt": "2026-11-23T09:54:00.000000001Z",
            "FinishedAt": "0001-01-01T00:00:00Z",
            **state,
        },
        "Image": "sha256:a82c34f2",
        "Name": "/web",
        "RestartCount": 2,
        "HostConfig": {"LogConfig": {"Type": "local", "Config": {"max-size": "10m"}}, "AutoRemove": True},
        "Config": {
            "Tty": True,
            "Env": ["PATH=/bin", "EMPTY=", "EQUALS=a=b", "BARE"],
            "Image": "shop/web:1.0",
            "Labels": {"com.docker.compose.project": "shop"},
        },
    }


def test_every_fact_is_taken() -> None:
    facts = facts_of(answer())
    assert facts.id == ID
    assert (facts.name, facts.image, facts.image_id) == ("web", "shop/web:1.0", "sha256:a82c34f2")
    assert facts.labels == {"com.docker.compose.project": "shop"}
    assert facts.env == {"PATH": "/bin", "EMPTY": "", "EQUALS": "a=b", "BARE": ""}
    assert (facts.tty, facts.driver, facts.log_options) == (True, "local", {"max-size": "10m"})
    assert (facts.started_ns - facts.created_ns, facts.finished_ns) == (520278166, 0)
    assert (facts.running, facts.status, facts.restart_count, facts.auto_remove) == (True, "running", 2, True)
    assert not facts.partial


def test_a_container_waiting_to_be_restarted_does_not_run() -> None:
    """The Engine says Running then, but there is nothing to follow: a loop that believed it would spin."""
    facts = facts_of(answer(Restarting=True, Status="restarting", ExitCode=3))
    assert not facts.running
    assert facts.restarting
    assert facts.exit_code == 3


def test_what_is_null_or_left_out_is_empty() -> None:
    facts = facts_of({"Id": ID, "Name": "/web", "Config": {"Env": None, "Labels": None}, "State": {}})
    assert (facts.env, facts.labels, facts.log_options) == ({}, {}, {})
    assert not facts.running


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T00:00:01.000000001Z", 1_000_000_001),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T02:00:01.123456789+02:00", 1_123_456_789),
        ("1969-12-31T19:00:01-05:00", 1_000_000_000),
        ("2026-11-23T06:13:46.489633114Z", 1_795_414_426_489_633_114),
        ("0001-01-01T00:00:00Z", 0),
        ("", 0),
    ],
)
def test_times_are_exact(text: str, ns: int) -> None:
    assert time_ns(text) == ns


def event(action: str, **attributes: str) -> dict[str, Any]:
    """A line of /events as API 1.52 sends it: without status, id and from."""
    return {
        "Type": "container",
        "Action": action,
        "Actor": {"ID": ID, "Attributes": {"image": "i", "name": "n", **attributes}},
        "scope": "local",
        "time": 12,
        "timeNano": 12_000_000_034,
    }


def test_an_event_needs_no_old_fields() -> None:
    parsed = event_of(event("die", exitCode="3"))
    assert parsed == Event("die", ID, 12_000_000_034, {"image": "i", "name": "n", "exitCode": "3"})


@pytest.mark.parametrize(("podman", "docker"), [("died", "die"), ("remove", "destroy"), ("start", "start")])
def test_podmans_words_are_translated(podman: str, docker: str) -> None:
    parsed = event_of(event(podman))
    assert parsed is not None
    assert parsed.action == docker


def test_events_of_other_things_are_none() -> None:
    assert event_of({**event("pull"), "Type": "image"}) is None
    assert event_of({"Type": "container", "Action": "prune", "Actor": {"ID": ""}}) is None


def test_a_vanished_container_is_known_by_its_event() -> None:
    parsed = event_of(event("start", **{"com.docker.compose.project": "shop", "execDuration": "1"}))
    assert parsed is not None
    facts = facts_of_event(parsed)
    assert (facts.name, facts.image, facts.labels) == ("n", "i", {"com.docker.compose.project": "shop"})
    assert (facts.running, facts.started_ns, facts.partial) == (True, 12_000_000_034, True)


def test_the_list_names_a_container_by_its_own_name() -> None:
    entry = {"Id": ID, "Names": ["/other/alias", "/web"], "State": "running"}
    assert summary_of(entry).name == "web"
    assert summary_of({"Id": ID, "Names": ["web"], "State": "exited"}).name == "web"


def test_the_list_tells_whose_network_is_shared() -> None:
    entry = {"Id": ID, "Names": ["/web"], "State": "running", "HostConfig": {"NetworkMode": "container:abc"}}
    assert summary_of(entry).network == "container:abc"
    assert summary_of({"Id": ID, "Names": ["/web"], "State": "running"}).network is None


PODMAN = {"Libpod-API-Version": "5.4.2"}


@pytest.mark.parametrize(
    ("status", "headers", "message", "meaning"),
    [
        (500, PODMAN, f"no container with ID {ID} found in database: no such container", 404),
        (
            500,
            PODMAN,
            "this container is using the 'none' log driver: this container is not logging output",
            501,
        ),
        (500, PODMAN, "container state improper", 500),
        (409, PODMAN, "no such container", 409),
        (500, {}, "no such container", 500),
    ],
)
def test_podmans_500_means_what_docker_would_have_said(
    status: int, headers: dict[str, str], message: str, meaning: int
) -> None:
    """Of a container that went while it was asked for, and of one without a log."""
    assert meant(status, headers, message) == meaning
