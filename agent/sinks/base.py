"""What a sink is, and what may become of what it was given.

A sink judges: it makes a request of batches, and an outcome of the reply. It neither queues, retries, sleeps
nor counts: `agent.sinks.runner` does that, once for all.
"""

from __future__ import annotations

import abc
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeAlias, TypeVar

from agent.batch import Batch
from agent.level import LEVEL, Level
from agent.options import (
    BOOLEAN,
    DURATION,
    PATH,
    SECRET,
    SIZE,
    MiB,
    Secret,
    choice,
    integer,
    option,
    optional,
)
from agent.pipeline.conditions import CONDITIONS, NONE, Conditions
from agent.pipeline.redact import NOTHING, REDACT, Redaction
from agent.pipeline.sample import ALL, SAMPLE, Sampling
from agent.selectors import SELECTORS, Selector
from agent.transport.tls import client_context


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has every record; the position may move."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Nothing is known to have arrived: the whole, again; not before `after` seconds, where it said so."""

    why: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Partial:
    """Some rows (counted over all batches of the request) came to something else than delivered."""

    retry: Collection[int] = ()
    refused: Mapping[int, str] = field(default_factory=dict)
    why: str = ""
    after: float | None = None


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The receiver takes no request of this size: split it. A single record that is too large is refused."""

    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver will never take this request.

    isolate  True: nothing of it was stored, so halves may be tried to find the record at fault; False: the
             rest may have been stored, so all of it goes to the dead letters.
    """

    why: str
    isolate: bool = True


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """Nothing will pass until a person mends something (credentials, a path): hold this sink, and say so."""

    why: str


Outcome: TypeAlias = Delivered | Retry | Partial | TooLarge | Refused | Misconfigured


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request of a protocol may carry at the most; None: no limit."""

    request_bytes: int | None = None
    request_records: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkOptions:
    """The options every sink's URL takes. A sink's own options are a subclass."""

    batch_records: int = option(
        integer(1, 1_000_000), 10_000, help="most records in one request", group="batch"
    )
    batch_bytes: int = option(
        SIZE, 4 * MiB, help="most bytes in one request, before compression", group="batch"
    )
    batch_age: float = option(DURATION, 1.0, help="longest wait for a request to fill", group="batch")
    concurrency: int = option(
        integer(1, 64),
        1,
        help="requests under way at once; more than one gives up their order",
        group="batch",
    )
    timeout: float = option(DURATION, 30.0, help="longest wait for one answer", group="retry")
    retry_for: float | None = option(
        optional(DURATION),
        None,
        help="give a request up after this long, into the dead letters; unset: never",
        group="retry",
    )
    on_full: str | None = option(
        optional(choice("drop_oldest", "block")),
        None,
        help="what this sink's lag does to a full spool; unset: DOCKFERRY_ON_FULL",
        group="retry",
    )
    select: tuple[Selector, ...] = option(
        SELECTORS, (), help="only these containers", example="project=shop,web-*"
    )
    min_level: Level | None = option(
        optional(LEVEL),
        None,
        help="only records of this level or a graver one, and those of none",
        example="warning",
    )
    drop: Conditions = option(
        CONDITIONS,
        NONE,
        help="all but the records that meet one of these",
        example="GET /healthz;level=debug",
    )
    keep_only: Conditions = option(
        CONDITIONS, NONE, help="only records that meet one of these", example="level>=error;field.user"
    )
    sample: Sampling = option(
        SAMPLE, ALL, help="one record in so many", example="10;by=field.trace_id;except=level>=warning"
    )
    redact: Redaction = option(
        REDACT, NOTHING, help="secrets taken out", example="email;card;with=hash", group="records"
    )
    redact_key: Secret | None = option(
        optional(SECRET), None, help="what makes the hashes of `redact` hard to guess", group="records"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions(SinkOptions):
    """The options of sinks that may speak TLS."""

    ca: str | None = option(optional(PATH), None, help="file of trusted CA certificates (PEM)", group="tls")
    cert: str | None = option(optional(PATH), None, help="file of our certificate (PEM)", group="tls")
    key: str | None = option(optional(PATH), None, help="file of our certificate's key (PEM)", group="tls")
    verify: bool = option(BOOLEAN, True, help="check the receiver's certificate and name", group="tls")

    def context(self) -> ssl.SSLContext:
        """What we trust and who we are. Raises SinkError naming the file that cannot be used."""
        return client_context(self.ca, self.cert, self.key, verify=self.verify)


Options = TypeVar("Options", bound=SinkOptions)


@dataclass(frozen=True, slots=True)
class Target:
    """A sink's URL, taken apart. Percent-escapes are decoded; user and password are options of the sink.

    more  further hosts after the first, each with its port; only for a sink that takes `many_hosts`
    """

    name: str
    scheme: str
    transport: str
    host: str
    port: int | None
    path: str
    more: tuple[tuple[str, int | None], ...] = ()


class Sink(abc.ABC, Generic[Options]):
    """One destination. Made without I/O; `open` before the first `deliver`, `close` after the last.

    `deliver`, `probe` and `close` may be cancelled at any await; the sink is whole afterwards and can go on.

    many_hosts  whether its URL may name several hosts, of which any will do to begin with
    proven      what a probe that went well has shown of the receiver, as `dockferry check` says it
    """

    limits: ClassVar[Limits] = Limits()
    many_hosts: ClassVar[bool] = False
    proven: ClassVar[str] = "would accept"

    def __init__(self, target: Target, options: Options) -> None:
        self.target = target
        self.options = options

    async def open(self, checkpoint: bytes | None, save: Callable[[bytes], Awaitable[None]]) -> None:
        """Get ready. Raises SinkError.

        checkpoint  what `checkpoint()` or `save` gave last, saved with the position
        save        saves a checkpoint with the present position, durably, before it returns; may be kept
        """

    @abc.abstractmethod
    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        """Send these records, in this order, as one request, and judge the reply.

        A lost connection, a time-out or an unresolvable name is a `Retry`, not an exception.
        """

    @abc.abstractmethod
    async def probe(self) -> Outcome:
        """Ask whether the receiver would accept, as cheaply and with as little trace as its protocol allows."""

    def checkpoint(self) -> bytes | None:
        """What `open` needs to know after a crash, saved with the position; None: nothing."""
        return None

    async def close(self) -> None:
        """Let go of connections and files. Bounded: never waits for a receiver longer than a second."""
