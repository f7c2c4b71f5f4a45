"""datadog: Datadog's log intake.

Source: Datadog's API reference, "Send logs", and its guide "Log collection troubleshooting": what is older than 18
hours it drops, and answers 202 all the same. So such records are not sent: they are refused, and that is counted.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from yarl import URL

from agent.batch import NS, Batch
from agent.encode.compress import METHODS
from agent.encode.datadog import Naming, logs
from agent.errors import SettingsError
from agent.options import (
    DURATION,
    TEXT,
    WORDS,
    Secret,
    choice,
    integer,
    option,
    optional,
    show_duration,
)
from agent.sinks.base import Delivered, Limits, Outcome, Partial, Target
from agent.sinks.over_http import KEY, HttpOptions, HttpSink
from agent.tag import TAG, Tag
from agent.transport.http import Request

SITE = "datadoghq.com"
INTAKE = "/api/v2/logs"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatadogOptions(HttpOptions):
    """The options of `datadog://`."""

    api_key: Secret = option(KEY, help="API key, of the organisation whose site this is")
    service: Tag | None = option(
        optional(TAG),
        None,
        help="service of the logs, with the markup of DOCKFERRY_TAG; unset: the Compose or Swarm service, else "
        "the container's name",
        example="shop-{{.Name}}",
    )
    source: Tag | None = option(
        optional(TAG),
        None,
        help="source of the logs, which chooses Datadog's pipeline; unset: the image's short name, as the Agent "
        "has it",
        example="nginx",
    )
    tags: tuple[str, ...] = option(
        WORDS, (), help="further tags, beside those of the container", example="env:prod,team:shop"
    )
    endpoint: str | None = option(
        optional(TEXT),
        None,
        help="where to send instead of the site's intake: a proxy, or Vector's source datadog_agent",
        example="http://vector:8282",
    )
    max_age: float = option(
        DURATION, 18 * 3600.0, help="older records are refused: Datadog would drop them without a word"
    )
    compress: str = option(choice(*METHODS[:2]), "gzip", help="compression of the body")
    concurrency: int = option(
        integer(1, 64),
        4,
        help="requests under way at once, of 1000 records at the most; Datadog orders by time",
        group="batch",
    )


class DatadogSink(HttpSink[DatadogOptions]):
    """Datadog's log intake."""

    limits = Limits(request_bytes=4_000_000, request_records=1000)
    most_bytes = 5_000_000

    def __init__(self, target: Target, options: DatadogOptions) -> None:
        super().__init__(_intake(target, options.endpoint), options)
        self._naming = Naming(options.service, options.source, options.tags)

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        oldest = time.time_ns() - round(self.options.max_age * NS)
        if all(min(batch.timestamps, default=oldest) >= oldest for batch in batches):
            return await super().deliver(batches)
        stamps = itertools.chain.from_iterable(batch.timestamps for batch in batches)
        why = f"older than {show_duration(self.options.max_age)} (max_age)"
        refused = {row: why for row, stamp in enumerate(stamps) if stamp < oldest}
        rest = [_since(batch, oldest) for batch in batches]
        outcome = await super().deliver(rest) if any(rest) else Delivered()
        return Partial(refused=refused) if isinstance(outcome, Delivered) else outcome

    def encode(self, batches: Sequence[Batch]) -> Request:
        return self._post(logs(batches, self._naming), self.options.compress)

    def question(self) -> Request:
        """What the Agent asks when it starts; no log comes of it."""
        return self._post(b"{}", "none")

    def _own_headers(self) -> dict[str, str]:
        return super()._own_headers() | {"DD-API-KEY": self.options.api_key.reveal()}

    def _post(self, body: bytes, compress: str) -> Request:
        headers = {"Content-Type": "application/json"}
        if compress != "none":
            headers["Content-Encoding"] = compress
        return Request("POST", self.target.path, headers, body, compress)


def _intake(target: Target, endpoint: str | None) -> Target:
    """Where the site's records go, or the `endpoint`. Raises SettingsError."""
    if endpoint is None:
        site = target.host.removeprefix("app.") or SITE  # as it stands in the browser
        return replace(target, transport="https", host=f"http-intake.logs.{site}", path=INTAKE)
    try:
        url = URL(endpoint)
        if url.scheme not in {"http", "https"} or not url.host or url.user or url.query_string:
            raise ValueError
    except ValueError:
        raise SettingsError(
            [f"sink {target.name}: option 'endpoint' is not an address such as http://vector:8282"]
        ) from None
    path = url.path if url.path.strip("/") else INTAKE
    return replace(target, transport=url.scheme, host=url.host, port=url.explicit_port, path=path)


def _since(batch: Batch, oldest: int) -> Batch:
    """The rows that are not older, wherever among the others they are."""
    if min(batch.timestamps, default=oldest) >= oldest:
        return batch
    return batch.pick([row for row, stamp in enumerate(batch.timestamps) if stamp >= oldest])
