"""Where a sink plays its contract: a receiver, its URL, and the trouble it can be made to give.

A stage is a class in `stages/`, one for each receiver: tests/contract/README.md shows how to write one.
"""

from __future__ import annotations

import abc
import enum
import importlib
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import pytest

from agent.sinks import parse_sink
from agent.sinks.base import Sink
from tests.receivers.certificates import PrivateCa
from tests.receivers.received import Received

T = TypeVar("T")
HERE = Path(__file__).parent


class Case(enum.Enum):
    """What every sink promises; the value is how it is said in the README."""

    DELIVERS = "delivers every record once, in order"
    MAPPED = "maps the record and its metadata"
    PARSED = "sends levels and parsed fields, and times of a record's own"
    LIMIT = "keeps the limits of a request"
    SPLIT = "splits what is too large"
    THROTTLED = "waits as long as it is told"
    FAILING = "tries again until the receiver is well"
    REFUSED = "dead-letters a refused record, its neighbours arrive"
    CUT = "a connection reset repeats one batch at the most"
    LOCKED = "says once that the credentials are wrong, and holds"
    TLS = "speaks TLS with a private authority"

    UTF8 = "counts what is not UTF-8"
    STRANGE = "takes a megabyte, NUL and every other byte, or refuses it with a reason"
    PROBED = "is probed without a trace"
    ABSENT = "finds a receiver that was not there"
    NAMELESS = "tries a name again that does not exist"
    CANCELLED = "goes on after it was cancelled anywhere"
    UNTRUSTED = "holds at a certificate that is not trusted"
    WRONG_NAME = "holds at a certificate of another name"
    UNVERIFIED = "takes any certificate with verify=off"
    OURS = "shows its own certificate"


@dataclass(frozen=True, slots=True)
class Tls:
    """How the receiver shows itself: a certificate for `name`; `clients`: it demands one of ours."""

    ca: PrivateCa
    name: str = "127.0.0.1"
    clients: bool = False

    def context(self) -> ssl.SSLContext:
        """For a server of Python's."""
        return self.ca.server(self.name, clients=self.clients)

    def files(self) -> tuple[Path, Path]:
        """Certificate chain and key, for a server that is a program; the authority is `ca.ca_file`."""
        return self.ca.files(self.name)


class Shared:
    """What is started once for all tests: real servers take their time."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._running: dict[object, object] = {}

    def once(self, start: Callable[[Path], AbstractContextManager[T]]) -> T:
        """What `start` gives, in a directory of its own; it ends after the last test."""
        if start not in self._running:
            place = self._directory / f"{len(self._running)}-{start.__name__}"
            place.mkdir()
            self._running[start] = self._stack.enter_context(start(place))
        return cast("T", self._running[start])


class Stage(abc.ABC):
    """A receiver and the sink that delivers to it; one for each test.

    schemes   the schemes of sinks that play here; the first without, the last with TLS
    cannot    what the protocol has no way of: the case, and why
    together  a refusal costs the whole request, as the protocol does not say which record is at fault
    secret    the credential in `url`, which must never be shown
    """

    schemes: ClassVar[tuple[str, ...]]
    cannot: ClassVar[Mapping[Case, str]] = {}
    together: ClassVar[bool] = False
    secret: ClassVar[str] = "s3cr3t-enough"

    def __init__(self, directory: Path, shared: Shared, tls: Tls | None) -> None:
        self.directory = directory
        self.shared = shared
        self.tls = tls

    @abc.abstractmethod
    def standing(self) -> AbstractAsyncContextManager[None]:
        """The receiver is there while the block lasts; with `self.tls` it speaks TLS."""

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """The sink's URL once the receiver stands, with the right credentials; options may follow."""

    @abc.abstractmethod
    async def have(self, count: int) -> list[Received]:
        """All that arrived, in order, once there are so many. Raises Faulty when a rule was broken."""

    def kept(self, sent: Received) -> Received | None:
        """What of a record the destination has a place for; None: the sink refuses it with a reason."""
        return sent

    def sink(self, more: str = "") -> Sink[Any]:
        """The sink with `more` options, not yet open."""
        mark = "" if not more else "&" if "?" in self.url else "?"
        return parse_sink("it", f"{self.url}{mark}{more}")

    def forgive(self) -> None:  # noqa: B027 - most keep none
        """Forget the faults found so far: a request that was cut off is no whole one."""

    # Trouble: it lasts as long as the block, or one request, as the protocol has it.

    def throttling(self) -> AbstractAsyncContextManager[float | None]:
        """It says "later": how many seconds it asks for; None: it cannot say how many."""
        raise NotImplementedError

    def failing(self) -> AbstractAsyncContextManager[None]:
        """It answers that it is in trouble itself (5xx, out of memory, loading)."""
        raise NotImplementedError

    def shrunk(self, most_bytes: int) -> AbstractAsyncContextManager[None]:
        """It takes no request larger than that."""
        raise NotImplementedError

    def refusing(self) -> AbstractAsyncContextManager[bytes]:
        """It refuses the record with this message, and no other."""
        raise NotImplementedError

    def cutting(self) -> AbstractAsyncContextManager[None]:
        """It resets a connection in the middle of a request."""
        raise NotImplementedError

    def locked(self) -> AbstractAsyncContextManager[None]:
        """It does not take the credentials in `url`; after the block it does."""
        raise NotImplementedError

    def absent(self) -> AbstractAsyncContextManager[None]:
        """Nobody listens; after the block it listens again, where it did."""
        raise NotImplementedError


def stages() -> Iterator[type[Stage]]:
    """Every stage there is: the classes in stages/ that a file defines itself and that can be played."""
    for path in sorted((HERE / "stages").glob("*.py")):
        module = importlib.import_module(f"tests.contract.stages.{path.stem}")
        for found in vars(module).values():
            if (
                isinstance(found, type)
                and issubclass(found, Stage)
                and found.__module__ == module.__name__
                and not found.__abstractmethods__
            ):
                yield found


def performed(case: Case, **tls: Any) -> pytest.MarkDecorator:  # noqa: ANN401 - the fields of Tls but `ca`
    """Play this on every stage (`stage: Stage`); where the protocol cannot, the reason is told.

    tls  what makes the receiver's `Tls`; `name` at the least
    """
    return pytest.mark.parametrize(
        "stage",
        [
            pytest.param(
                (stage, tls),
                id=stage.__name__.removesuffix("Stage"),
                marks=[pytest.mark.skip(reason=f"{stage.__name__}: {stage.cannot[case]}")]
                if case in stage.cannot
                else [],
            )
            for stage in stages()
        ],
        indirect=True,
    )
