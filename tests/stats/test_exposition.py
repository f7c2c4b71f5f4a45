"""What a scrape shows: cAdvisor's names, kinds and labels, and nothing of containers that are gone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import orjson
import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from agent.metrics import Metrics
from agent.stats.exposition import MOST_CONTAINERS, Exposition
from agent.stats.families import OF_ALL, OF_RUNS, OF_SAMPLES
from agent.stats.known import Known, labels_of
from agent.stats.limits import Condition, Limits
from agent.stats.sample import sample_of
from agent.stats.series import MOST_PARTS
from tests.stats.answers import ENGINES, ID, START_NS, V1, V2, described, document, facts, sample
from tests.stats.cadvisor import COMMON, COUNTERS, GAUGES, UNTYPED

NOW_S = 1_795_451_300.25
CGROUP = f"/docker/{ID}"


def known(engine: str = V1, container: str = "busy", **labels: str) -> Known:
    """A container that runs, with limits and one answer."""
    found = Known(facts(), described(facts(), **labels))
    found.limits = Limits(cpu_quota=50_000, memory=64 << 20)
    found.take(sample(engine, container), NOW_S)
    return found


def registry(*containers: Known, age_s: float = 0.0) -> CollectorRegistry:
    """A registry with those containers, asked `age_s` after their answers."""
    made = CollectorRegistry(auto_describe=True)
    made.register(Exposition(lambda: containers, oldest_s=60.0, clock=lambda: NOW_S + age_s))
    return made


def scraped(*containers: Known, age_s: float = 0.0) -> dict[str, Metric]:
    """The families that have series, read as Prometheus would, by the names of their samples."""
    text = generate_latest(registry(*containers, age_s=age_s)).decode()
    found: Iterable[Metric] = text_string_to_metric_families(text)
    return {metric.samples[0].name: metric for metric in found if metric.samples}


def value(metrics: dict[str, Metric], name: str, **labels: str) -> float:
    """Of the one series with these labels."""
    [found] = [each for each in metrics[name].samples if labels.items() <= each.labels.items()]
    return found.value


@pytest.mark.parametrize("engine", ENGINES)
def test_every_series_is_one_that_cadvisor_would_give(engine: str) -> None:
    """Name, kind and labels, strictly; but for our own, with our prefix."""
    for name, metric in scraped(known(engine)).items():
        if name.startswith("dockferry_"):
            continue
        labels = COUNTERS[name] if name in COUNTERS else GAUGES[name]
        expected = "unknown" if name in UNTYPED else "counter" if name in COUNTERS else "gauge"
        assert metric.type == expected
        for each in metric.samples:
            assert each.name == name
            assert set(each.labels) == COMMON | labels


def test_all_of_the_list_is_served() -> None:
    """By what one host or another tells; and nothing besides."""
    declared = {family.name for family in (*OF_SAMPLES, *OF_RUNS)}
    assert declared == {*COUNTERS, *GAUGES}
    seen: set[str] = set()
    for engine in ENGINES:
        seen |= scraped(known(engine)).keys()
    not_here = {"container_memory_swap", "container_fs_reads_total", "container_fs_writes_total"}
    assert declared - seen <= not_here  # needs swap accounting, and block devices that cgroup v1 counts


def test_our_own_are_declared_in_the_table_of_metrics() -> None:
    """From where the reference has them."""
    declared = {metric.name for metric in Metrics().declared}
    assert {family.name for family in OF_ALL} <= declared


def test_the_values_are_those_of_the_answer() -> None:
    """ns are seconds; v1's sums of the hierarchy."""
    answer, metrics = document(V1, "busy"), scraped(known())
    cpu, memory = answer["cpu_stats"], answer["memory_stats"]
    for name, expected in {
        "cpu_usage_seconds_total": cpu["cpu_usage"]["total_usage"] / 1e9,
        "cpu_user_seconds_total": cpu["cpu_usage"]["usage_in_usermode"] / 1e9,
        "cpu_system_seconds_total": cpu["cpu_usage"]["usage_in_kernelmode"] / 1e9,
        "cpu_cfs_periods_total": cpu["throttling_data"]["periods"],
        "cpu_cfs_throttled_periods_total": cpu["throttling_data"]["throttled_periods"],
        "cpu_cfs_throttled_seconds_total": cpu["throttling_data"]["throttled_time"] / 1e9,
        "memory_usage_bytes": memory["usage"],
        "memory_working_set_bytes": memory["usage"] - memory["stats"]["total_inactive_file"],
        "memory_rss": memory["stats"]["total_rss"],
        "memory_cache": memory["stats"]["total_cache"],
        "memory_max_usage_bytes": memory["max_usage"],
        "network_receive_bytes_total": answer["networks"]["eth0"]["rx_bytes"],
        "threads": 1,
        "threads_max": 50,
        "spec_cpu_quota": 50_000,
        "spec_cpu_period": 100_000,
        "spec_cpu_shares": 1024,
        "spec_memory_limit_bytes": 64 << 20,
        "last_seen": NOW_S,
        "start_time_seconds": START_NS // 10**9,
        "creation_time_seconds": START_NS // 10**9 - 1,
    }.items():
        assert value(metrics, f"container_{name}") == pytest.approx(expected, abs=1e-9), name
    faults = value(metrics, "container_memory_failures_total", failure_type="pgmajfault", scope="hierarchy")
    assert faults == memory["stats"]["pgmajfault"]


def test_with_cgroup_v2_memory_has_other_names() -> None:
    """`anon` is the RSS, `file` the cache."""
    stats, metrics = document(V2, "busy")["memory_stats"]["stats"], scraped(known(V2))
    assert value(metrics, "container_memory_rss") == stats["anon"]
    assert value(metrics, "container_memory_cache") == stats["file"]
    assert value(metrics, "container_memory_mapped_file") == stats["file_mapped"]
    assert "container_memory_max_usage_bytes" not in metrics


def test_without_a_quota_nothing_is_said_of_periods() -> None:
    """As cAdvisor."""
    free = known()
    free.limits = Limits()
    metrics = scraped(free)
    assert not [name for name in metrics if "cfs" in name or name == "container_spec_cpu_quota"]
    assert "container_spec_cpu_shares" in metrics


def test_labels_are_cleaned_as_cadvisor_does() -> None:
    """Chosen ones only: the container has no others. Of two that become the same one stays."""
    labels = {"com.docker.compose.project": "shop", "a.b": "first", "a-b": "other", "größe": "1"}
    made = labels_of(described(facts(), **labels))
    assert made["id"] == CGROUP
    assert (made["name"], made["image"]) == ("web", "nginx:1.27")
    assert made["container_label_com_docker_compose_project"] == "shop"
    assert made["container_label_a_b"] == "other"
    assert made["container_label_gr__e"] == "1"
    assert len(made) == 6
    assert value(scraped(known(**labels)), "container_threads", container_label_gr__e="1") == 1


def test_containers_may_have_different_labels() -> None:
    """A label that one has not is absent there, which Prometheus takes for empty."""
    one, other = known(tier="front"), known()
    metrics = scraped(one, other)
    assert [("container_label_tier" in each.labels) for each in metrics["container_threads"].samples] == [
        True,
        False,
    ]


def test_values_carry_the_time_they_are_of() -> None:
    """In ms; what is known without asking carries none."""
    metrics = scraped(known())
    assert metrics["container_threads"].samples[0].timestamp == pytest.approx(NOW_S)
    assert metrics["container_spec_cpu_shares"].samples[0].timestamp is None
    assert metrics["dockferry_container_state"].samples[0].timestamp is None


def test_an_old_answer_is_not_shown() -> None:
    """The Engine is gone, or refuses: a line that goes on flat would be a lie."""
    assert "container_threads" in scraped(known(), age_s=59)
    metrics = scraped(known(), age_s=61)
    assert not [name for name in metrics if name.startswith("container_")]
    assert "dockferry_container_state" in metrics


def test_nothing_stays_of_one_that_is_gone() -> None:
    """A scrape shows who is there, and no more."""
    there = [known()]
    made = CollectorRegistry(auto_describe=True)
    made.register(Exposition(lambda: there, oldest_s=60.0, clock=lambda: NOW_S))
    assert CGROUP.encode() in generate_latest(made)
    there.clear()
    assert CGROUP.encode() not in generate_latest(made)


def test_one_that_has_ended_shows_how() -> None:
    """State, exit code and restarts; nothing of what it used."""
    ended = facts(running=False, status="exited", exit_code=137, finished_ns=START_NS + 5, restart_count=2)
    found = Known(ended, described(ended))
    found.limits = Limits(out_of_memory=True)
    metrics = scraped(found)
    assert value(metrics, "dockferry_container_state", state="exited") == 1
    assert value(metrics, "dockferry_container_exit_code") == 137
    assert value(metrics, "dockferry_container_restarts_total") == 2
    assert value(metrics, "dockferry_container_out_of_memory") == 1
    assert not [name for name in metrics if name.startswith("container_")]


def test_one_that_never_ended_has_no_exit_code() -> None:
    """0 would say that it went well."""
    assert "dockferry_container_exit_code" not in scraped(known())


@pytest.mark.parametrize(("health", "said"), [("healthy", 1), ("unhealthy", 0), ("starting", 0), ("", -1)])
def test_health_has_cadvisors_numbers(health: str, said: int) -> None:
    """-1: it has no health check."""
    found = known()
    found.condition = Condition("running", health)
    assert value(scraped(found), "container_health_state") == said


def test_series_are_bounded() -> None:
    """Containers, those that run first; interfaces; entries of devices."""
    stopped = facts(running=False, status="exited")
    many = [Known(stopped, described(stopped)) for _ in range(MOST_CONTAINERS)] + [known()]
    metrics = scraped(*many)
    assert len(metrics["dockferry_container_state"].samples) == MOST_CONTAINERS
    assert "container_threads" in metrics
    answer = document(V1, "busy")
    answer["networks"] = {f"eth{number}": answer["networks"]["eth0"] for number in range(100)}
    entries = [{"major": 8, "minor": number, "op": "Read", "value": 1} for number in range(100)]
    answer["blkio_stats"]["io_service_bytes_recursive"] = entries
    wide = known()
    wide.sample = sample_of(orjson.dumps(answer))
    metrics = scraped(wide)
    assert len(metrics["container_network_receive_bytes_total"].samples) == MOST_PARTS
    assert len(metrics["container_blkio_device_usage_total"].samples) == MOST_PARTS


def test_openmetrics_is_well_formed_too() -> None:
    """The form that Prometheus asks for first, read by a strict parser."""
    other = known(V2)
    other.update(facts(id="cd" * 32), described(facts(id="cd" * 32)))
    text = openmetrics(registry(known(), other)).decode()  # type: ignore[no-untyped-call]
    names = {each.name for metric in parse_openmetrics(text) for each in metric.samples}  # type: ignore[no-untyped-call]
    assert "container_cpu_usage_seconds_total" in names


def test_the_page_names_every_metric() -> None:
    """And no other."""
    page = (Path(__file__).parents[2] / "docs/container-metrics.md").read_text("utf-8")
    table = page.partition("| metric |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`((?:dockferry_)?container_\w+)`", table))
    assert named == {family.name for family in (*OF_SAMPLES, *OF_RUNS, *OF_ALL)}
