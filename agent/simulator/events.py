"""The Engine's events: a ring of the last 256 of all types, and those who listen; no I/O.

Place: beside `containers`, which announces; `server` sends what comes out.
Source: moby daemon/events/events.go and filter.go.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

RING_EVENTS: Final = 256
_MATCHED_BY_PREFIX: Final = frozenset({"health_status", "exec_create", "exec_start"})
Filters = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, `at` nanoseconds since the epoch."""

    type: str
    action: str
    id: str
    attributes: Mapping[str, str]
    at: int

    def as_json(self, *, old_fields: bool) -> bytes:
        """Return one line of the answer to `/events`; `old_fields` are those that API 1.52 dropped."""
        old = {}
        if old_fields and self.type == "container":
            old = {"status": self.action, "id": self.id, "from": self.attributes.get("image", "")}
        document = old | {
            "Type": self.type,
            "Action": self.action,
            "Actor": {"ID": self.id, "Attributes": dict(sorted(self.attributes.items()))},
            "scope": "local",
            "time": self.at // 1_000_000_000,
            "timeNano": self.at,
        }
        return json.dumps(document, separators=(",", ":")).encode() + b"\n"

    def passes(self, filters: Filters) -> bool:
        """Whether a subscriber with these filters gets it; unknown filters let all pass."""
        return (
            ("type" not in filters or self.type in filters["type"])
            and ("event" not in filters or self._action_in(filters["event"]))
            and ("container" not in filters or self._is_one_of(filters["container"]))
            and ("image" not in filters or self.attributes.get("image", "") in filters["image"])
            and all(has_label(self.attributes, label) for label in filters.get("label", ()))
        )

    def _action_in(self, wanted: frozenset[str]) -> bool:
        if wanted & _MATCHED_BY_PREFIX:
            return self.action.startswith(tuple(wanted))
        return self.action in wanted

    def _is_one_of(self, wanted: frozenset[str]) -> bool:
        prefixes = tuple(wanted)
        return self.id.startswith(prefixes) or self.attributes.get("name", "").startswith(prefixes)


def has_label(labels: Mapping[str, str], wanted: str) -> bool:
    """Whether a filter `key` or `key=value` holds."""
    key, has_value, value = wanted.partition("=")
    return key in labels and (not has_value or labels[key] == value)


def parse_filters(text: str) -> Filters:
    """Read the query's `filters`: a JSON object of lists, or of objects whose keys are the values.

    ValueError if it is neither.
    """
    if not text:
        return {}
    document = json.loads(text)
    if not isinstance(document, dict) or not all(
        isinstance(values, list | dict) for values in document.values()
    ):
        raise ValueError("filters: not an object of lists")
    return {key: frozenset(map(str, values)) for key, values in document.items()}


class Subscription:
    """One listener's queue; `wake` is called when there is something in it."""

    def __init__(self, filters: Filters, wake: Callable[[], None]) -> None:
        self.filters = filters
        self.queue: deque[Event] = deque()
        self.wake = wake


class Events:
    """The ring and the listeners."""

    def __init__(self) -> None:
        self._ring: deque[Event] = deque(maxlen=RING_EVENTS)
        self._subscriptions: set[Subscription] = set()

    @property
    def recent(self) -> tuple[Event, ...]:
        """What the ring still has, oldest first."""
        return tuple(self._ring)

    def publish(self, event: Event) -> None:
        """Remember it, and give it to everyone whose filters let it through."""
        self._ring.append(event)
        for subscription in self._subscriptions:
            if event.passes(subscription.filters):
                subscription.queue.append(event)
                subscription.wake()

    def subscribe(self, filters: Filters, since: int | None, wake: Callable[[], None]) -> Subscription:
        """Listen, beginning with what the ring has from `since` (ns, inclusive) on; None: nothing of it."""
        subscription = Subscription(filters, wake)
        if since is not None:
            subscription.queue.extend(e for e in self._ring if e.at >= since and e.passes(filters))
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop listening."""
        self._subscriptions.discard(subscription)

    def wipe(self) -> None:
        """The daemon restarted: it remembers nothing."""
        self._ring.clear()
