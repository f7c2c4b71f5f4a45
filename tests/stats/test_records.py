"""Records in the shape of Metricbeat's docker module, with the figures of `docker stats`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from agent.batch import Batch, Stream
from agent.encode.ndjson import ndjson
from agent.spool.codec import decode, encode
from agent.stats.records import batch_of, document_of
from agent.stats.sample import Sample, sample_of
from tests.stats.answers import ENGINES, PODMAN, V1, V2, described, document, facts, sample

KIB = 1024
#: Metricbeat's fields.yml of the four metricsets: what may stand below `docker`.
SHARE = {"pct", "norm.pct"}
FIELDS = {
    *(f"cpu.{mode}.{what}" for mode in ("kernel", "user", "system") for what in (*SHARE, "ticks")),
    *(f"cpu.total.{what}" for what in SHARE),
    *(f"cpu.core.*.{what}" for what in (*SHARE, "ticks")),
    *("memory.fail.count", "memory.limit", "memory.rss.total", "memory.rss.pct", "memory.stats.*"),
    *(f"memory.usage.{what}" for what in ("max", "pct", "total")),
    "network.interface",
    *(
        f"network.{way}.{what}"
        for way in ("in", "out", "inbound", "outbound")
        for what in ("bytes", "dropped", "errors", "packets")
    ),
    *(
        f"diskio.{way}.{what}"
        for way in ("read", "write", "summary")
        for what in ("ops", "bytes", "rate", "service_time", "wait_time", "queued")
    ),
}


def later(before: Sample, seconds: float = 10.0, **spent: int) -> Sample:
    """An answer so many seconds after, with so much more CPU time."""
    cpu = replace(before.cpu, **{name: getattr(before.cpu, name) + more for name, more in spent.items()})
    return replace(before, read_ns=before.read_ns + int(seconds * 1e9), cpu=cpu)


def names(found: Any, path: str = "") -> set[str]:  # noqa: ANN401 - whatever JSON
    """The paths of all values; cores and the kernel's own names as `*`."""
    if not isinstance(found, dict):
        return {path}
    parts = set[str]()
    for name, value in found.items():
        shown = "*" if path in {"cpu.core", "memory.stats"} else name
        parts |= names(value, f"{path}.{shown}".lstrip("."))
    return parts


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("container", ["busy", "host", "plain", "paused"])
def test_every_field_is_one_that_metricbeat_has(engine: str, container: str) -> None:
    """With an answer before it, and without."""
    before = sample(engine, container)
    for found in (
        document_of(None, before),
        document_of(before, later(before, total=5, user=3, kernel=2, host=9)),
    ):
        assert names(found) <= FIELDS


def test_a_first_record_says_nothing_of_what_it_cannot_know() -> None:
    """No shares of CPU, no rates: they are absent, not 0."""
    found = document_of(None, sample(V1, "busy"))
    assert "total" not in found["cpu"]
    assert found["cpu"]["user"].keys() == {"ticks"}
    assert "in" not in found["network"]
    assert found["memory"]["usage"]["pct"] > 0


def test_shares_are_those_of_docker_stats() -> None:
    """Half of one of two CPUs: 50 % there, 0.5 here, a quarter of all."""
    before = sample(V1, "busy")
    now = later(before, total=5_000_000_000, user=4_000_000_000, kernel=1_000_000_000, host=20_000_000_000)
    found = document_of(before, now)["cpu"]
    assert found["total"] == {"pct": 0.5, "norm": {"pct": 0.25}}
    assert found["user"]["pct"] == 0.4
    assert found["kernel"]["pct"] == 0.1
    assert found["core"].keys() == {"0", "1"}
    assert found["core"]["0"]["pct"] == 0.0


def test_memory_and_disks_are_those_of_docker_stats() -> None:
    """Which showed `596KiB / 64MiB`, `0.91%` and `147kB / 4.19MB` of this container, right after this answer."""
    found = document_of(None, sample(V2, "busy"))
    assert found["memory"]["usage"]["total"] == 596 * KIB
    assert found["memory"]["limit"] == 64 * KIB * KIB
    assert round(found["memory"]["usage"]["pct"] * 100, 2) == 0.91
    assert found["diskio"]["read"]["bytes"] == 147_456
    assert found["diskio"]["write"]["bytes"] == 4_194_304
    assert found["diskio"]["summary"]["bytes"] == 4_341_760
    assert found["network"]["inbound"]["bytes"] == 1182


def test_rates_are_per_second_and_never_negative() -> None:
    """Ten seconds lie between; a counter that went back gives 0."""
    answer = document(V1, "busy")
    answer["networks"]["eth0"] |= {"rx_bytes": answer["networks"]["eth0"]["rx_bytes"] + 5000, "rx_packets": 0}
    after = sample_of(orjson.dumps(answer))
    assert after is not None
    before = sample(V1, "busy")
    found = document_of(before, replace(after, read_ns=before.read_ns + 10_000_000_000))
    assert found["network"]["in"]["bytes"] == 500
    assert found["network"]["in"]["packets"] == 0


def test_operations_are_told_where_the_kernel_counts_them() -> None:
    """cgroup v1, with block devices."""
    answer = document(V1, "busy")
    answer["blkio_stats"] |= {
        f"{table}_recursive": [{"major": 8, "minor": 0, "op": "Read", "value": 40 * factor}]
        for table, factor in (("io_service_bytes", 512), ("io_serviced", 1))
    }
    now = sample_of(orjson.dumps(answer))
    assert now is not None
    before = replace(now, read_ns=now.read_ns - 10_000_000_000, disks=replace(now.disks, operations=()))
    found = document_of(before, now)["diskio"]
    assert found["read"] == {"bytes": 20480, "ops": 40}
    before = replace(before, disks=now.disks)
    assert document_of(before, now)["diskio"]["read"]["rate"] == 0.0


def test_several_interfaces_are_named_and_summed() -> None:
    """As `docker stats` does; one alone is named as Metricbeat names it."""
    answer = document(V1, "busy")
    answer["networks"]["eth1"] = {"rx_bytes": 1000}
    now = sample_of(orjson.dumps(answer))
    assert now is not None
    found = document_of(None, now)["network"]
    assert found["interface"] == ["eth0", "eth1"]
    assert found["inbound"]["bytes"] == answer["networks"]["eth0"]["rx_bytes"] + 1000
    assert document_of(None, sample(V1, "busy"))["network"]["interface"] == "eth0"


def test_what_the_engine_does_not_say_is_absent() -> None:
    """Podman on cgroup v1: no network, no disks, no memory.stat."""
    found = document_of(None, sample(PODMAN, "busy"))
    assert found.keys() == {"cpu", "memory"}
    assert "rss" not in found["memory"]


def test_an_answer_given_twice_is_a_first_one() -> None:
    """Nothing happened between; a share of no time is none."""
    one = sample(V1, "busy")
    assert document_of(one, one) == document_of(None, one)


def test_the_batch_is_not_mistaken_for_output() -> None:
    """A tag and ids of its own; container, host, labels and route are the container's."""
    container, now = described(facts(), tier="front"), sample(V1, "busy")
    batch = batch_of(container, None, now)
    assert batch.container.tag == "web.metrics"
    assert (batch.container.id, batch.container.name) == (container.id, container.name)
    assert batch.container.labels == {"tier": "front"}
    assert batch.timestamps == [now.read_ns]
    line = Batch(container, Stream.STDOUT, [now.read_ns], [b"a line of that very moment"])
    assert batch.ids() != line.ids()


def test_the_spool_keeps_it_as_it_is() -> None:
    """Its place among the lines of its moment, too, of which its id is made."""
    batch = batch_of(described(facts()), None, sample(V1, "busy"))
    kept = decode(encode(batch), batch.container, batch.stream)
    assert (kept.ids(), kept.messages) == (batch.ids(), batch.messages)


def test_the_record_is_json_in_json() -> None:
    """What a file or HTTP sink writes; its message is one line."""
    record = orjson.loads(ndjson(batch_of(described(facts()), None, sample(V1, "busy"))))
    assert record["tag"] == "web.metrics"
    assert "\n" not in record["message"]
    assert orjson.loads(record["message"]).keys() == {"docker"}
