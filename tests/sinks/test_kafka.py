"""What Kafka asks of a sink beyond the contract: partitions and their leaders, and that nothing is stored twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from agent.batch import Batch
from agent.errors import SettingsError
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Outcome, Partial, Retry, Sink, TooLarge
from tests.contract.cases import noise
from tests.contract.play import opened
from tests.receivers.kafka import Answer, KafkaCluster
from tests.receivers.program import free_port
from tests.receivers.received import DEADLINE_S, Received, read_line
from tests.receivers.sent import batch, container, expected

NAMES = [f"c{number}" for number in range(12)]


@contextlib.asynccontextmanager
async def between(cluster: KafkaCluster, more: str = "", topic: str = "logs") -> AsyncIterator[Sink[Any]]:
    """A sink that delivers to this cluster, both open."""
    async with (
        cluster.listening(),
        opened(parse_sink("it", f"kafka://{cluster.addresses}/{topic}?{more}")) as sink,
    ):
        yield sink


def messages(cluster: KafkaCluster) -> list[str]:
    return [record.message for record in cluster.inbox.records]


def of_all(count: int, size: int = 100) -> list[Batch]:
    """Records of a dozen containers, which are in all partitions."""
    return [
        batch([f"{name} {message.decode()}".encode() for message in noise(count, size)], of=container(name))
        for name in NAMES
    ]


def in_order(cluster: KafkaCluster, sent: list[Batch]) -> bool:
    """Whether each container's records are there once, in one partition and in order."""
    found: dict[str | None, list[tuple[int, Received]]] = {}
    for (_, partition), stored in cluster.logs.items():
        for one in stored:
            found.setdefault(one.record.container_id, []).append((partition, one.record))
    return all(
        [record for _, record in found[each.container.id]] == expected([each])
        and len({partition for partition, _ in found[each.container.id]}) == 1
        for each in sent
    )


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("kafka://host", "a host and a topic are needed, as in kafka://b1:9092,b2:9092/logs"),
        ("kafka:///logs", "a host and a topic are needed"),
        ("kafka+tls://h/..", "what follows the host is no name there"),
        ("kafka://h/a/b", "what follows the host is no name there"),
        ("kafka://h/" + "x" * 250, "what follows the host is no name there"),
        ("kafka://h/{{.Nam}}", "what follows the host is not a template of {{.ID}}"),
        ("kafka://me@h/logs", "user and password go together"),
        ("kafka://h,/logs", "of a list of hosts, one is empty"),
        ("kafka://h/logs?sasl=gssapi", "option 'sasl': 'gssapi' is not one of plain, scram-sha-256"),
    ],
)
def test_what_cannot_work_is_said_at_once(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_sink("it", url)
    [said] = caught.value.problems
    assert said.startswith(f"sink it: {problem}")


@pytest.mark.parametrize("idempotent", ["on", "off"])
async def test_a_container_is_in_one_partition_in_order_and_once(idempotent: str) -> None:
    """More record sets for each partition than may be under way at once."""
    cluster = KafkaCluster(nodes=2)
    sent = of_all(400)
    async with between(cluster, f"max_message_bytes=30KiB&idempotent={idempotent}") as sink:
        assert await sink.deliver(sent) == Delivered()
    assert in_order(cluster, sent)
    assert all(len(stored) for stored in cluster.logs.values())
    assert len(cluster.logs) == 3
    assert cluster.requests > 3 * 5
    assert len(cluster.producers) == (idempotent == "on")


async def test_what_was_stored_before_the_connection_broke_is_not_stored_again() -> None:
    cluster = KafkaCluster(script=[Answer(cut="stored")])
    sent = of_all(50)
    async with between(cluster) as sink:
        assert isinstance(await sink.deliver(sent), Retry)
        assert len(cluster.inbox.records) == 600
        assert await sink.deliver(sent) == Delivered()
    assert in_order(cluster, sent)


async def test_what_was_cancelled_is_not_stored_twice() -> None:
    cluster = KafkaCluster(script=[Answer(silent=True)])
    sent = of_all(50)
    async with between(cluster) as sink:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await sink.deliver(sent)
        assert await sink.deliver(sent) == Delivered()
    assert in_order(cluster, sent)
    assert len(cluster.producers) == 1


async def test_without_idempotence_it_may_be() -> None:
    cluster = KafkaCluster(script=[Answer(cut="stored")])
    async with between(cluster, "idempotent=off") as sink:
        assert isinstance(await sink.deliver([batch()]), Retry)
        assert await sink.deliver([batch()]) == Delivered()
    assert len(cluster.inbox.records) == 10


async def test_after_a_kill_what_is_there_twice_has_the_same_id() -> None:
    """No broker can know the records of another process again: who reads can, by the header `id`."""
    cluster = KafkaCluster()
    async with between(cluster) as sink:
        assert await sink.deliver([batch()]) == Delivered()
    async with between(cluster) as sink:
        assert await sink.deliver([batch()]) == Delivered()
    assert cluster.inbox.records == expected([batch(), batch()])


async def test_a_set_in_the_middle_that_is_not_stored_stops_those_behind_it() -> None:
    cluster = KafkaCluster(partitions=1, script=[Answer(), Answer(19)])
    sent = [batch(noise(3_000, 100))]
    async with between(cluster, "max_message_bytes=30KiB") as sink:
        outcome = await sink.deliver(sent)
        assert isinstance(outcome, Partial)
        assert outcome.why == "it answered 19 (NOT_ENOUGH_REPLICAS)"
        done = len(cluster.inbox.records)
        assert sorted(outcome.retry) == list(range(done, 3_000))
        assert await sink.deliver([sent[0].rows(done, 3_000)]) == Delivered()
    assert in_order(cluster, sent)
    assert len(cluster.producers) == 1


async def test_other_records_than_those_left_open_need_another_producer() -> None:
    """The broker would wait for the gap to be filled, for ever."""
    cluster = KafkaCluster(script=[Answer(19)])
    async with between(cluster) as sink:
        assert isinstance(await sink.deliver([batch([b"given up"])]), Retry)
        assert await sink.deliver([batch([b"and on"], start_ns=1)]) == Delivered()
    assert messages(cluster) == ["and on"]
    assert len(cluster.producers) == 2


@pytest.mark.parametrize("concurrent", [1, 4])
async def test_a_producer_that_the_brokers_have_forgotten_is_replaced(concurrent: int) -> None:
    cluster = KafkaCluster()
    async with between(cluster) as sink:
        assert await sink.deliver([batch([b"one"])]) == Delivered()
        cluster.forget_producers()
        waiting = [batch([b"%d" % number]) for number in range(concurrent)]
        for _ in range(3):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(sink.deliver([each])) for each in waiting]
            waiting = [
                each for each, task in zip(waiting, tasks, strict=True) if task.result() != Delivered()
            ]
    assert waiting == []
    assert sorted(messages(cluster)) == sorted(["one", *(str(number) for number in range(concurrent))])


async def test_a_leader_that_moved_is_found() -> None:
    cluster = KafkaCluster(nodes=2)
    sent = of_all(5)
    async with between(cluster) as sink:
        assert await sink.deliver([batch([b"before"])]) == Delivered()
        cluster.leaders = {partition: 1 - node for partition, node in cluster.leaders.items()}
        outcome = await sink.deliver(sent)
        assert outcome == Retry("it answered 6 (NOT_LEADER_FOR_PARTITION)")
        assert await sink.deliver(sent) == Delivered()
    assert in_order(cluster, sent)


async def test_a_partition_without_a_leader_waits_alone() -> None:
    cluster = KafkaCluster()
    cluster.leaders[1] = -1
    sent = of_all(5)
    async with between(cluster) as sink:
        outcome = await sink.deliver(sent)
        assert isinstance(outcome, Partial)
        assert outcome.why == "partition 1 of logs has no leader"
        assert len(cluster.inbox.records) + len(outcome.retry) == 60
        cluster.leaders[1] = 0
        rows = sorted({row // 5 for row in outcome.retry})
        assert await sink.deliver([sent[row] for row in rows]) == Delivered()
    assert in_order(cluster, sent)


async def test_a_topic_that_is_not_there_is_waited_for_once_and_then_told() -> None:
    cluster = KafkaCluster(topics=set())
    async with between(cluster) as sink:
        assert await sink.deliver([batch()]) == Retry("the topic logs does not exist, or not yet")
        missing = Misconfigured("the topic logs does not exist, and the broker makes none: make it")
        assert await sink.deliver([batch()]) == missing
        assert await sink.probe() == missing
        cluster.topics.add("logs")
        assert await sink.probe() == Delivered()
        assert await sink.deliver([batch()]) == Delivered()


async def test_a_topic_that_the_broker_makes_is_there_the_second_time() -> None:
    cluster = KafkaCluster(topics=set(), makes_topics=True)
    sent = of_all(2)
    async with between(cluster) as sink:
        assert isinstance(await sink.deliver(sent), Retry)
        assert await sink.deliver(sent) == Delivered()
    assert in_order(cluster, sent)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (5, Retry("of the topic logs it answered 5 (LEADER_NOT_AVAILABLE)")),
        (29, Misconfigured("of the topic logs it answered 29 (TOPIC_AUTHORIZATION_FAILED)")),
    ],
)
async def test_what_is_said_of_a_topic(error: int, outcome: Outcome) -> None:
    cluster = KafkaCluster()
    cluster.topic_error = error
    async with between(cluster) as sink:
        assert await sink.deliver([batch()]) == outcome
        assert await sink.probe() == outcome


async def test_each_container_may_have_a_topic() -> None:
    cluster = KafkaCluster(topics={"logs.web", "logs.of_a_label", "logs._"})
    sent = [
        batch([b"one"]),
        batch([b"two"], of=container("of a label")),
        batch([b"three"], of=container("/")),
    ]
    async with between(cluster, topic="logs.{{.Name}}") as sink:
        assert await sink.probe() == Delivered()
        assert await sink.deliver(sent) == Delivered()
    found = {topic: [one.record.message for one in stored] for (topic, _), stored in cluster.logs.items()}
    assert found == {"logs.web": ["one"], "logs.of_a_label": ["two"], "logs._": ["three"]}


@pytest.mark.parametrize(
    ("code", "one", "many"),
    [
        (-1, Retry, Retry),
        (2, Retry, Retry),
        (3, Retry, Retry),
        (7, Retry, Retry),
        (46, Delivered, Delivered),
        (10, Partial, TooLarge),
        (18, Partial, TooLarge),
        (29, Misconfigured, Misconfigured),
        (32, Partial, TooLarge),
        (45, Retry, Retry),
        (76, Misconfigured, Misconfigured),
        (87, Partial, TooLarge),
        (4711, Retry, Retry),
    ],
)
async def test_each_error_has_its_meaning(code: int, one: type[Outcome], many: type[Outcome]) -> None:
    """Of one record, and of several together: these are divided to find the one at fault."""
    cluster = KafkaCluster(script=[Answer(code), Answer(code)])
    async with between(cluster) as sink:
        outcome = await sink.deliver([batch([b"one"])])
        assert type(outcome) is one
        if isinstance(outcome, Partial):
            assert not outcome.retry
            assert outcome.refused[0].startswith(f"it answered {code}")
        assert type(await sink.deliver([batch()])) is many


async def test_a_record_that_is_too_long_is_refused_and_its_neighbours_arrive() -> None:
    """Before it is sent, where that is known. Small enough when compressed, it goes."""
    sent = [batch([b"one", b"x" * 20_000, b"two"])]
    for compress, refused in (("none", {1}), ("gzip", set())):
        cluster = KafkaCluster()
        async with between(cluster, f"max_message_bytes=10KiB&compress={compress}") as sink:
            outcome = await sink.deliver(sent)
        assert set(outcome.refused if isinstance(outcome, Partial) else ()) == refused
        assert len(cluster.inbox.records) == 3 - len(refused)


async def test_the_first_of_the_hosts_may_be_away() -> None:
    cluster = KafkaCluster()
    async with cluster.listening():
        url = f"kafka://127.0.0.1:{free_port()},{cluster.addresses}/logs"
        async with opened(parse_sink("it", url)) as sink:
            assert await sink.deliver([batch()]) == Delivered()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_each_way_to_log_in(mechanism: str) -> None:
    cluster = KafkaCluster(user="me", password="s3cr=t,", mechanism=mechanism)
    how = f"sasl={mechanism}&user=me&password="
    async with between(cluster, f"{how}s3cr%3Dt%2C") as sink:
        assert await sink.deliver([batch()]) == Delivered()
    async with between(cluster, f"{how}wrong") as sink:
        where = f"127.0.0.1:{cluster.ports[0]}"
        wrong = Misconfigured(f"{where}: it does not log us in: Invalid username or password")
        assert await sink.probe() == wrong
        assert await sink.deliver([batch()]) == wrong


async def test_a_way_to_log_in_that_the_broker_does_not_know_is_told() -> None:
    cluster = KafkaCluster(user="me", password="s3cr3t", mechanism="SCRAM-SHA-512")
    async with between(cluster, "user=me&password=s3cr3t") as sink:
        outcome = await sink.deliver([batch()])
    assert isinstance(outcome, Misconfigured)
    assert "it does not log us in" in outcome.why
    assert "s3cr3t" not in outcome.why


@pytest.fixture(scope="module")
def librdkafka() -> Iterator[str]:
    """Three brokers that are librdkafka's."""
    holder = Producer({"test.mock.num.brokers": 3, "bootstrap.servers": ""})
    brokers = holder.list_topics(timeout=DEADLINE_S).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    holder.flush(DEADLINE_S)  # and so is still there


def consumed(servers: str, topic: str, count: int) -> list[Any]:
    """What librdkafka's consumer reads there, once there is so much."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "tests"})
    try:
        partitions = consumer.list_topics(topic, DEADLINE_S).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
        found: list[Any] = []
        while len(found) < count:
            some = consumer.consume(count, DEADLINE_S)
            assert some
            found += some
        return found
    finally:
        consumer.close()


@pytest.mark.parametrize("compress", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_librdkafka_reads_it(librdkafka: str, compress: str) -> None:
    topic = f"logs-{compress}"
    sent = of_all(50)
    async with opened(parse_sink("it", f"kafka://{librdkafka}/{topic}?compress={compress}")) as sink:
        assert await sink.deliver(sent) == Delivered()
    found = await asyncio.to_thread(consumed, librdkafka, topic, 600)
    records = [read_line(message.value()) for message in found]
    assert sorted(records, key=str) == sorted(expected(sent), key=str)
    for message, record in zip(found, records, strict=True):
        assert message.headers() == [("id", (record.id or "").encode())]
        assert message.key() == (record.container_id or "").encode()
        assert message.timestamp()[1] == record.timestamp_ns // 1_000_000


async def test_a_container_is_where_other_producers_would_put_it(librdkafka: str) -> None:
    """Kafka's own partitioner, murmur2, as librdkafka has it."""
    sent = [batch([b"x"], of=container(name)) for name in NAMES]
    other = Producer({"bootstrap.servers": librdkafka, "partitioner": "murmur2_random"})
    for each in sent:
        other.produce("places", b"other", key=each.container.id)
    other.flush(DEADLINE_S)
    async with opened(parse_sink("it", f"kafka://{librdkafka}/places")) as sink:
        assert await sink.deliver(sent) == Delivered()
    found = await asyncio.to_thread(consumed, librdkafka, "places", 2 * len(NAMES))
    places: dict[bytes, set[int]] = {}
    for message in found:
        places.setdefault(message.key(), set()).add(message.partition())
    assert len(places) == len(NAMES)
    assert all(len(partitions) == 1 for partitions in places.values())
    assert len(set.union(*places.values())) > 1
