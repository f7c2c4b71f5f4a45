"""Records of what a container uses, in the shape of Metricbeat's docker module; computed as `docker stats` does.

Source: Metricbeat, metricbeat/module/docker/{cpu,memory,network,diskio}/_meta/fields.yml. One record tells all four.
Shares are parts of 1, as there. What needs an earlier answer of the same run is left out of its first record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from agent.batch import NS, Batch, Container, Stream
from agent.stats.formulas import (
    cpu_share,
    each_share,
    io_sum,
    kernel_share,
    memory_share,
    memory_used,
    traffic,
    user_share,
)
from agent.stats.sample import Cpu, Disks, Memory, Sample, Traffic

Document = dict[str, Any]

#: What the tag of these records ends in: they are no output of the container.
TAG_SUFFIX: Final = ".metrics"
#: No line of a log has this place among those of its timestamp, so no line's id is a record's of ours.
_PLACE: Final = 0xFFFF_FFFF


def batch_of(container: Container, before: Sample | None, now: Sample) -> Batch:
    """A record of `now` as a batch: on stdout, with a tag of its own.

    before  the answer before it, of the same run; None: there is none
    """
    message = orjson.dumps({"docker": document_of(before, now)})
    ours = replace(container, tag=container.tag + TAG_SUFFIX)
    return Batch(ours, Stream.STDOUT, [now.read_ns], [message], ordinals=[_PLACE])


def document_of(before: Sample | None, now: Sample) -> Document:
    """What is below `docker` in Metricbeat's documents."""
    if before is not None and not before.read_ns < now.read_ns:
        before = None
    document: Document = {"cpu": _cpu(before.cpu if before else None, now.cpu)}
    if now.memory is not None:
        document["memory"] = _memory(now.memory)
    if now.interfaces:
        document["network"] = _network(before, now)
    if now.disks.bytes:
        document["diskio"] = _diskio(before, now)
    return document


def _cpu(before: Cpu | None, now: Cpu) -> Document:
    document: Document = {
        "kernel": {"ticks": now.kernel},
        "system": {"ticks": now.host},
        "user": {"ticks": now.user},
    }
    if now.each:
        document["core"] = {str(number): {"ticks": ticks} for number, ticks in enumerate(now.each)}
    if before is not None:
        document["total"] = _shares(cpu_share(before, now), now)
        document["kernel"] |= _shares(kernel_share(before, now), now)
        document["user"] |= _shares(user_share(before, now), now)
        for number, share in enumerate(each_share(before, now)):
            document["core"][str(number)] |= _shares(share, now)
    return document


def _shares(share: float, now: Cpu) -> Document:
    return {"pct": share, "norm": {"pct": share / now.online if now.online else 0.0}}


def _memory(memory: Memory) -> Document:
    used: Document = {"total": memory_used(memory), "pct": memory_share(memory)}
    if memory.highest is not None:
        used["max"] = memory.highest
    document: Document = {
        "usage": used,
        "limit": memory.limit,
        "fail": {"count": memory.failures},
        "stats": dict(memory.stats),
    }
    if (rss := memory.stat("rss", "anon")) is not None:
        document["rss"] = {"total": rss, "pct": rss / memory.limit if memory.limit else 0.0}
    return document


def _network(before: Sample | None, now: Sample) -> Document:
    names = sorted(now.interfaces)
    received, sent = traffic(now.interfaces.values())
    document: Document = {
        "interface": names[0] if len(names) == 1 else names,
        "inbound": _traffic(received),
        "outbound": _traffic(sent),
    }
    if before is not None:
        was_received, was_sent = traffic(before.interfaces.values())
        seconds = _seconds(before, now)
        document["in"] = _rates(_traffic(was_received), document["inbound"], seconds)
        document["out"] = _rates(_traffic(was_sent), document["outbound"], seconds)
    return document


def _traffic(way: Traffic) -> Document:
    return {"bytes": way.bytes, "packets": way.packets, "errors": way.errors, "dropped": way.dropped}


def _rates(before: Mapping[str, int], now: Mapping[str, int], seconds: float) -> Document:
    return {name: max(0.0, (now[name] - before[name]) / seconds) for name in now}


def _diskio(before: Sample | None, now: Sample) -> Document:
    document: Document = {}
    earlier = _operations(before.disks) if before else {}
    for name, counts in _operations(now.disks).items():
        document[name] = counts
        if before is not None and "ops" in counts and "ops" in earlier[name]:
            counts["rate"] = max(0.0, (counts["ops"] - earlier[name]["ops"]) / _seconds(before, now))
    return document


def _operations(disks: Disks) -> dict[str, Document]:
    """What was read, written, and both; of the tables only those that the kernel keeps."""
    tables = {
        "bytes": disks.bytes,
        "ops": disks.operations,
        "queued": disks.queued,
        "service_time": disks.service_ns,
        "wait_time": disks.wait_ns,
    }
    read = {name: io_sum(table, "Read") for name, table in tables.items() if table}
    written = {name: io_sum(table, "Write") for name, table in tables.items() if table}
    return {"read": read, "write": written, "summary": {name: read[name] + written[name] for name in read}}


def _seconds(before: Sample, now: Sample) -> float:
    return (now.read_ns - before.read_ns) / NS
