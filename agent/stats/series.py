"""How a metric of containers gets its series: from the newest sample, from the limits, by interface or by device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from agent.stats.known import Known
from agent.stats.limits import Limits
from agent.stats.sample import Cpu, Disks, Interface, Io, Memory, Sample

Labels = Mapping[str, str]
Series = Iterable[tuple[Labels, float]]

#: Interfaces, and entries of a table of devices, that one container may have series of.
MOST_PARTS: Final = 32
NO_LABELS: Final[Labels] = {}


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. `values` gives the labels beside the container's own, and the value, of each of its series.

    kind  `counter` or `gauge`; `unknown` for a counter of cAdvisor's whose name does not end in `_total`, which
          Prometheus's library for Python cannot write
    """

    name: str
    kind: str
    help: str
    values: Callable[[Known], Series]


def of_sample(get: Callable[[Sample], float | None]) -> Callable[[Known], Series]:
    """One series, of the newest sample."""

    def values(known: Known) -> Iterator[tuple[Labels, float]]:
        if known.sample is not None and (value := get(known.sample)) is not None:
            yield NO_LABELS, value

    return values


def of_memory(get: Callable[[Memory], float | None]) -> Callable[[Known], Series]:
    """One series, where the Engine tells of memory."""
    return of_sample(lambda sample: None if sample.memory is None else get(sample.memory))


def of_quota(get: Callable[[Cpu], float]) -> Callable[[Known], Series]:
    """One series, if the container has a quota."""

    def values(known: Known) -> Iterator[tuple[Labels, float]]:
        if known.sample is not None and known.limits is not None and known.limits.cpu_quota:
            yield NO_LABELS, get(known.sample.cpu)

    return values


def of_limits(get: Callable[[Limits], float | None]) -> Callable[[Known], Series]:
    """One series, once the limits are known, where this one is set."""

    def values(known: Known) -> Iterator[tuple[Labels, float]]:
        if known.limits is not None and (value := get(known.limits)) is not None:
            yield NO_LABELS, value

    return values


def of_interfaces(get: Callable[[Interface], float]) -> Callable[[Known], Series]:
    """A series for each network interface."""

    def values(known: Known) -> Iterator[tuple[Labels, float]]:
        if known.sample is not None:
            for name, interface in islice(known.sample.interfaces.items(), MOST_PARTS):
                yield {"interface": name}, get(interface)

    return values


def of_devices(get: Callable[[Disks], Iterable[Io]], operation: str) -> Callable[[Known], Series]:
    """A series for each block device that has this operation."""

    def values(known: Known) -> Iterator[tuple[Labels, float]]:
        if known.sample is not None:
            for entry in islice(get(known.sample.disks), MOST_PARTS):
                if entry.operation == operation:
                    yield {"device": device_of(entry)}, entry.value

    return values


def device_of(entry: Io) -> str:
    """The device by its numbers: its name stands in the host's files, where cAdvisor looks it up."""
    return f"{entry.major}:{entry.minor}"
