"""Answers of real Engines, and what is none."""

from __future__ import annotations

import contextlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.stats.sample import Io, Traffic, sample_of
from tests.stats.answers import ENGINES, PODMAN, V1, V2, document, recorded, sample

each_engine = pytest.mark.parametrize("engine", ENGINES)


@each_engine
@pytest.mark.parametrize("container", ["busy", "host", "plain", "paused"])
def test_the_answer_for_whatever_runs_is_a_sample(engine: str, container: str) -> None:
    """Paused, with the host's network, or with none: all have used CPU time and memory."""
    found = sample(engine, container)
    assert found.cpu.total > 10_000_000
    assert found.cpu.host > found.cpu.total
    assert found.cpu.online == 2
    assert found.memory is not None
    assert found.memory.usage > 0
    assert found.memory.limit >= found.memory.usage
    assert found.threads == 1


@each_engine
def test_one_that_has_ended_has_no_sample(engine: str) -> None:
    """moby answers with zeros, Podman with an error in an answer of status 200."""
    assert sample_of(recorded(engine, "ended")) is None


@pytest.mark.parametrize("engine", [V1, V2])
def test_limits_and_throttling_are_told(engine: str) -> None:
    """`--cpus 0.5 -m 64m --pids-limit 50` of a container in a loop."""
    found = sample(engine, "busy")
    assert found.memory is not None
    assert found.memory.limit == 64 << 20
    assert found.threads_limit == 50
    assert 0 < found.cpu.throttled_periods <= found.cpu.periods
    assert found.cpu.throttled > 0


def test_what_only_cgroup_v1_tells() -> None:
    """The share of each CPU, and the highest usage."""
    v1, v2 = sample(V1, "busy"), sample(V2, "busy")
    assert v1.memory is not None
    assert v2.memory is not None
    assert sum(v1.cpu.each) == v1.cpu.total
    assert (v1.memory.highest or 0) >= v1.memory.usage
    assert v2.cpu.each == ()
    assert v2.memory.highest is None
    assert v1.memory.is_v1
    assert not v2.memory.is_v1


def test_podman_tells_less() -> None:
    """No memory.stat, no throttling: absent, not 0 made up."""
    found = sample(PODMAN, "busy")
    assert found.memory is not None
    assert found.memory.stats == {}
    assert found.memory.stat("rss", "anon") is None
    assert found.interfaces == {}


def test_interfaces_are_told_where_the_container_has_its_own() -> None:
    """With the host's network, or without one, the Engine says nothing."""
    for engine in (V1, V2):
        assert sample(engine, "busy").interfaces.keys() == {"eth0"}
        assert sample(engine, "host").interfaces == {}
    assert sample(V1, "busy").interfaces["eth0"].received.packets > 0
    assert sample(V1, "busy").interfaces["eth0"].sent == Traffic()


def test_disks_are_told_in_one_spelling() -> None:
    """cgroup v2 says `read` where v1 says `Read`; 4 MiB were written."""
    entries = sample(V2, "busy").disks.bytes
    assert {entry.operation for entry in entries} == {"Read", "Write"}
    assert sum(entry.value for entry in entries if entry.operation == "Write") >= 4 << 20
    answer = document(V1, "busy")
    answer["blkio_stats"]["io_serviced_recursive"] = [{"major": 8, "minor": 0, "op": "Sync", "value": 7}]
    found = sample_of(orjson.dumps(answer))
    assert found is not None
    assert found.disks.operations == (Io(8, 0, "Sync", 7),)


def test_what_is_left_out_is_nothing() -> None:
    """moby leaves out what is 0, and an older one what it does not know."""
    answer = document(V1, "busy")
    for part in ("pids_stats", "blkio_stats", "memory_stats", "networks"):
        del answer[part]
    answer["cpu_stats"] = {"cpu_usage": {"total_usage": 5}}
    found = sample_of(orjson.dumps(answer))
    assert found is not None
    assert (found.memory, found.threads, found.interfaces, found.disks.bytes) == (None, None, {}, ())
    assert (found.cpu.total, found.cpu.host, found.cpu.online) == (5, 0, 0)


def test_a_limit_as_large_as_a_counter_is_none() -> None:
    """Some kernels say so of threads."""
    answer = document(V1, "busy")
    answer["pids_stats"]["limit"] = (1 << 64) - 1
    found = sample_of(orjson.dumps(answer))
    assert found is not None
    assert found.threads_limit == 0


@pytest.mark.parametrize(
    "rubbish",
    [
        b"",
        b"{",
        b"<html>",
        b"[]",
        b"null",
        b"7",
        b"{}",
        b'{"read":3,"cpu_stats":{"cpu_usage":{"total_usage":1}}}',
        b'{"read":"yesterday","cpu_stats":{"cpu_usage":{"total_usage":1}}}',
        b'{"read":"2026-11-23T16:14:05Z","cpu_stats":[]}',
        b'{"read":"2026-11-23T16:14:05Z","cpu_stats":{"cpu_usage":{"total_usage":"many"}}}',
        b'{"read":"2026-11-23T16:14:05Z","cpu_stats":{"cpu_usage":{"total_usage":1}},"networks":{"eth0":1}}',
        b'{"message":"no space left on device"}',
    ],
)
def test_rubbish_is_refused_with_a_reason(rubbish: bytes) -> None:
    """Nothing else comes out of it than ValueError."""
    with pytest.raises(ValueError, match=r"."):
        sample_of(rubbish)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_PARTS = sorted(document(V1, "busy"))


@given(st.sampled_from(_PARTS), _JSON)
def test_whatever_stands_in_one_place_is_understood_or_refused(part: str, value: object) -> None:
    """A real answer, spoilt in one part."""
    answer = document(V1, "busy") | {part: value}
    with contextlib.suppress(ValueError):
        sample_of(orjson.dumps(answer))
