"""The ring of events, and who hears of what."""

import json

import pytest

from agent.simulator.events import RING_EVENTS, Event, Events, has_label, parse_filters


def event(action: str = "start", at: int = 1, **attributes: str) -> Event:
    """An event of the container `c0ffee`, named web."""
    return Event("container", action, "c0ffee", {"name": "web", "image": "nginx:1", **attributes}, at)


def nothing() -> None:
    """Wake nobody."""


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        ({}, True),
        ({"type": ["container"]}, True),
        ({"type": ["network"]}, False),
        ({"event": ["die", "start"]}, True),
        ({"event": ["star"]}, False),
        ({"event": {"start": True}}, True),
        ({"container": ["web"]}, True),
        ({"container": ["c0f"]}, True),
        ({"container": ["db"]}, False),
        ({"image": ["nginx:1"]}, True),
        ({"image": ["nginx"]}, False),
        ({"label": ["tier"]}, True),
        ({"label": ["tier=front"]}, True),
        ({"label": ["tier=back"]}, False),
        ({"label": ["tier", "owner"]}, False),
        ({"scope": ["swarm"]}, True),
    ],
)
def test_filters_choose(filters: dict[str, object], passes: bool) -> None:  # noqa: FBT001
    """As moby's: values are alternatives, labels conditions."""
    assert event(tier="front").passes(parse_filters(json.dumps(filters))) is passes


def test_actions_with_a_text_behind_are_matched_by_their_beginning() -> None:
    """Only if such a one is asked for: then all are."""
    assert event("health_status: healthy").passes(parse_filters('{"event":["health_status"]}'))
    assert event("exec_create: sh").passes(parse_filters('{"event":["exec_create","start"]}'))
    assert not event("exec_die").passes(parse_filters('{"event":["exec_create"]}'))


@pytest.mark.parametrize("text", ["no", "[]", '{"type":"container"}'])
def test_filters_that_are_none_are_an_error(text: str) -> None:
    """An object of lists, or of objects."""
    with pytest.raises(ValueError):  # noqa: PT011  (json's own text, or ours)
        parse_filters(text)


def test_a_label_is_asked_for_by_key_or_by_key_and_value() -> None:
    """An empty value is a value."""
    assert has_label({"a": ""}, "a")
    assert has_label({"a": ""}, "a=")
    assert not has_label({"a": "1"}, "a=")


def test_the_ring_keeps_the_last_256() -> None:
    """Of all types."""
    events = Events()
    for at in range(RING_EVENTS + 10):
        events.publish(event(at=at))
    assert [e.at for e in events.recent] == list(range(10, RING_EVENTS + 10))
    events.wipe()
    assert events.recent == ()


def test_a_subscriber_gets_the_past_it_asked_for_then_what_comes() -> None:
    """Inclusive; without `since` nothing of the past."""
    events, woken = Events(), list[bool]()
    for at in (1, 2, 3):
        events.publish(event(at=at))
    past = events.subscribe({}, 2, lambda: woken.append(True))
    present = events.subscribe({}, None, nothing)
    events.publish(event(at=4))
    assert [e.at for e in past.queue] == [2, 3, 4]
    assert [e.at for e in present.queue] == [4]
    assert woken == [True]
    events.unsubscribe(past)
    events.publish(event(at=5))
    assert len(past.queue) == 3


def test_the_old_fields_are_there_if_asked_for() -> None:
    """Below API 1.52; in moby's order."""
    old = json.loads(event("die", 1_500_000_000, exitCode="3").as_json(old_fields=True))
    assert list(old) == ["status", "id", "from", "Type", "Action", "Actor", "scope", "time", "timeNano"]
    assert (old["status"], old["id"], old["from"]) == ("die", "c0ffee", "nginx:1")
    assert (old["time"], old["timeNano"]) == (1, 1_500_000_000)
    new = json.loads(event().as_json(old_fields=False))
    assert list(new) == ["Type", "Action", "Actor", "scope", "time", "timeNano"]
    assert new["Actor"] == {"ID": "c0ffee", "Attributes": {"image": "nginx:1", "name": "web"}}
