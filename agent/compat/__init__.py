"""What people set for the agents they come from, understood as our own settings and labels. Pure.

    golang       durations, globs, patterns and templates of Go programs
    route        one URI of Logspout as a sink's URL
    logspout     ROUTE_URIS and Logspout's other variables
    filebeat     hints in labels
    datadog      rules in a label
    translation  what comes of them

`Peers` is the value of DOCKFERRY_COMPAT. An explicit `dockferry.…` label wins over what a peer's says, and what is
listed first over what comes after it. What has no counterpart is said, and stops nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, Self

from agent.compat import datadog, filebeat
from agent.compat.translation import Translation
from agent.options import WORDS, Kind

__all__ = ["LOGSPOUT", "PEERS", "Peers", "Speaking", "Translation"]

LOGSPOUT: Final = "logspout"
_NAMES: Final = (LOGSPOUT, "filebeat", "datadog")


class Speaking(Protocol):
    """A container, and what it may say of itself."""

    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def env(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Peers:
    """Whose labels and variables are understood in containers.

    multiline  how Logspout was told to join lines of a container that asks for it; empty: it was not
    """

    names: tuple[str, ...] = ()
    multiline: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Names between commas. Raises ValueError."""
        names = tuple(dict.fromkeys(name.lower() for name in WORDS.parse(text)))
        if not set(names) <= set(_NAMES):
            raise ValueError(f"a list of names out of {', '.join(_NAMES)}")
        return cls(names)

    def __str__(self) -> str:
        return ",".join(self.names)

    def translate(self, container: Speaking) -> Translation:
        """What it says to these peers."""
        found = Translation()
        for name in self.names:
            match name:
                case "filebeat":
                    filebeat.translate(container.labels, found)
                case "datadog":
                    datadog.translate(container.labels, found)
                case _:
                    self._logspout(container.env, found)
        return found

    def _logspout(self, env: Mapping[str, str], into: Translation) -> None:
        if env.get("LOGSPOUT", "").lower() == "ignore":
            into.say("enable", "variable LOGSPOUT", lambda: "false")
        wanted = env.get("LOGSPOUT_MULTILINE", "").lower()
        if self.multiline and wanted in {"true", "false"}:
            into.say(
                "multiline",
                "variable LOGSPOUT_MULTILINE",
                lambda: self.multiline if wanted == "true" else "off",
            )


PEERS: Kind[Peers] = Kind("names", Peers.parse)
