"""What RabbitMQ demands beyond the contract, of RabbitMQ itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aio_pika
import pytest
import yaml
from aio_pika.abc import AbstractChannel, AbstractQueue

from agent.batch import Batch
from agent.errors import SettingsError
from agent.sinks import parse_sink
from agent.sinks.amqp import AmqpSink
from agent.sinks.base import Delivered, Misconfigured, Outcome, Partial, Retry, TooLarge
from agent.transport import amqp
from agent.transport.amqp import ClosedError
from tests.contract.play import opened
from tests.receivers.certificates import PrivateCa
from tests.receivers.rabbitmq import PASSWORD, READER, USER, VHOST, RabbitServer, rabbitmq_server
from tests.receivers.received import DEADLINE_S, Received, read_line
from tests.receivers.sent import batch, container, expected

WEB, DB = container("web"), container("db")
EXAMPLE = Path(__file__).parents[2] / "conf" / "sinks" / "amqp.compose.yaml"
ABRUPT = "client unexpectedly closed TCP connection"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> PrivateCa:
    return PrivateCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ca: PrivateCa) -> Iterator[RabbitServer]:
    place = tmp_path_factory.mktemp("rabbitmq")
    with rabbitmq_server(place, (ca.ca_file, *ca.files("127.0.0.1"))) as running:
        yield running


@pytest.fixture
async def channel(server: RabbitServer) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(server.admin()) as connection:
        yield await connection.channel()


@pytest.fixture
async def queue(channel: AbstractChannel) -> AbstractQueue:
    """Bound to the exchange `logs` by the key `web`."""
    exchange = await channel.declare_exchange("logs", "direct", auto_delete=True)
    queue = await channel.declare_queue("of-web", exclusive=True)
    await queue.bind(exchange, "web")
    return queue


def url(server: RabbitServer, rest: str, *, user: str = USER, password: str = PASSWORD) -> str:
    return f"amqp://{user}:{password}@127.0.0.1:{server.port}/{rest}"


async def delivered(url: str, *batches: Batch) -> Outcome:
    async with opened(parse_sink("it", url)) as sink:
        return await sink.deliver(batches or [batch()])


async def probed(url: str) -> Outcome:
    async with opened(parse_sink("it", url)) as sink:
        return await sink.probe()


async def read(queue: AbstractQueue, count: int) -> list[Received]:
    """The records of the next so many messages; there are no more."""
    records = []
    async with asyncio.timeout(DEADLINE_S):
        for _ in range(count):
            message = await queue.get(no_ack=True)
            records += [read_line(line) for line in message.body.splitlines()]
    assert await queue.get(no_ack=True, fail=False) is None
    return records


@pytest.mark.parametrize(
    ("url", "vhost", "exchange"),
    [
        ("amqp://h/shop/logs", "shop", "logs"),
        ("amqp://h/%2F/logs", "/", "logs"),
        ("amqp://h//logs", "/", "logs"),
        ("amqp://h/a%2Fb/logs", "a/b", "logs"),
        ("amqps://h/shop/", "shop", ""),
        ("amqps://h/%2F/", "/", ""),
    ],
)
def test_the_path_is_vhost_and_exchange(url: str, vhost: str, exchange: str) -> None:
    sink = parse_sink("it", url)
    assert isinstance(sink, AmqpSink)
    assert (sink._vhost, sink._exchange) == (vhost, exchange)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("amqp:///shop/logs", "host, vhost and exchange are needed, as in amqp://host/vhost/exchange"),
        ("amqp://h", "host, vhost and exchange are needed, as in amqp://host/vhost/exchange"),
        ("amqps://h/logs", "host, vhost and exchange are needed, as in amqps://host/vhost/exchange"),
        ("amqp://me@h/shop/logs", "a user needs a password"),
        ("amqp://h/shop/" + "x" * 256, "vhost and exchange have at most 255 bytes each"),
        ("amqp://h/shop/logs?routing_key={{.Nam}}", "option 'routing_key': '{{.Nam}}' is not a template of "),
    ],
)
def test_what_cannot_work_is_said_at_once(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_sink("it", url)
    assert caught.value.problems[0].startswith(f"sink it: {problem}")


async def test_an_exchange_that_is_not_there_is_for_a_person_to_mend(
    server: RabbitServer, channel: AbstractChannel
) -> None:
    where = url(server, "shop/soon")
    for outcome in (await delivered(where), await probed(where)):
        assert isinstance(outcome, Misconfigured)
        assert "404: NOT_FOUND - no exchange 'soon' in vhost 'shop'" in outcome.why
    await channel.declare_exchange("soon", auto_delete=True)
    assert await probed(where) == Delivered()


async def test_a_key_that_leads_nowhere_is_for_a_person_to_mend(
    server: RabbitServer, queue: AbstractQueue
) -> None:
    """Once the key is bound, what waited arrives."""
    async with opened(parse_sink("it", url(server, "shop/logs?routing_key=late"))) as sink:
        assert await sink.deliver([batch()]) == Misconfigured(
            "no queue takes it: 312 NO_ROUTE (exchange 'logs', routing key 'late')"
        )
        await queue.bind("logs", "late")
        assert await sink.deliver([batch()]) == Delivered()
    assert await read(queue, 5) == expected([batch()])


async def test_the_key_of_one_container_does_not_hold_up_the_others(
    server: RabbitServer, queue: AbstractQueue
) -> None:
    where = url(server, "shop/logs?routing_key={{.Name}}")
    sent = [batch([b"1", b"2"], of=WEB), batch([b"3", b"4"], of=DB), batch([b"5"], of=WEB)]
    why = "no queue takes it: 312 NO_ROUTE (exchange 'logs', routing key '{{.Name}}')"
    assert await delivered(where, *sent) == Partial(refused={2: why, 3: why})
    assert await read(queue, 3) == expected([sent[0], sent[2]])
    assert await delivered(where + "&batch=ndjson", *sent) == Partial(refused={2: why, 3: why})
    assert await read(queue, 2) == expected([sent[0], sent[2]])


async def test_not_mandatory_what_no_queue_wants_is_gone(server: RabbitServer, queue: AbstractQueue) -> None:
    assert await delivered(url(server, "shop/logs?routing_key=none&mandatory=false")) == Delivered()
    assert await read(queue, 0) == []


async def test_without_an_exchange_the_key_is_the_queue(
    server: RabbitServer, channel: AbstractChannel
) -> None:
    where = url(server, "shop/?routing_key=plain")
    probe = await probed(where)
    assert isinstance(probe, Misconfigured)
    assert "no queue 'plain' in vhost 'shop'" in probe.why
    assert isinstance(await delivered(where), Misconfigured)
    queue = await channel.declare_queue("plain")
    assert await probed(where) == Delivered()
    assert await delivered(where) == Delivered()
    assert await read(queue, 5) == expected([batch()])
    await queue.delete()


async def test_one_who_may_not_publish_is_for_a_person_to_mend(
    server: RabbitServer, queue: AbstractQueue
) -> None:
    outcome = await delivered(url(server, "shop/logs?routing_key=web", user=READER))
    assert isinstance(outcome, Misconfigured)
    assert "403: ACCESS_REFUSED" in outcome.why


@pytest.mark.parametrize(
    ("rest", "password", "said"),
    [
        ("shop/logs", "wrong", "403: ACCESS_REFUSED - Login was refused"),
        ("none/logs", PASSWORD, "530: NOT_ALLOWED - vhost none not found"),
    ],
)
async def test_who_is_not_let_in_is_told_why(
    server: RabbitServer, rest: str, password: str, said: str
) -> None:
    where = url(server, rest, password=password)
    for outcome in (await delivered(where), await probed(where)):
        assert isinstance(outcome, Misconfigured)
        assert said in outcome.why


async def test_a_record_over_the_limit_is_refused_and_the_rest_tried_again(
    server: RabbitServer, queue: AbstractQueue
) -> None:
    sent = batch([b"a", b"b", b"x" * 2000, b"c"])
    with server.taking(2000):
        async with opened(parse_sink("it", url(server, "shop/logs?routing_key=web"))) as sink:
            outcome = await sink.deliver([sent])
            assert isinstance(outcome, Partial)
            assert list(outcome.refused) == [2]
            assert "is larger than configured max size 2000" in outcome.refused[2]
            rest = [sent.rows(row, row + 1) for row in sorted(outcome.retry)]
            assert {3} <= set(outcome.retry) <= {0, 1, 3}
            assert await sink.deliver(rest) == Delivered()
    arrived = [(await queue.get(no_ack=True)).body]
    while (message := await queue.get(no_ack=True, fail=False)) is not None:
        arrived.append(message.body)
    assert {read_line(body).message for body in arrived} == {"a", "b", "c"}


async def test_a_message_of_many_that_is_too_large_is_to_be_split(
    server: RabbitServer, queue: AbstractQueue
) -> None:
    where = url(server, "shop/logs?routing_key=web&batch=ndjson")
    sent = batch([b"x" * 1000] * 8)
    with server.taking(8000):
        assert isinstance(await delivered(where, sent), TooLarge)
        assert await delivered(where, sent.rows(0, 4)) == Delivered()
    assert len(await read(queue, 1)) == 4


async def test_a_long_record_travels_in_several_frames(server: RabbitServer, queue: AbstractQueue) -> None:
    sent = batch([b"x" * (1 << 20), bytes(range(256)), b"y" * 131_072])
    assert await delivered(url(server, "shop/logs?routing_key=web"), sent) == Delivered()
    assert await read(queue, 3) == expected([sent])


async def test_a_broker_short_of_memory_is_tried_again(
    server: RabbitServer, queue: AbstractQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp, "BLOCKED_S", 0.3)
    much = batch([b"x" * 1000] * 5000)
    async with opened(parse_sink("it", url(server, "shop/logs?routing_key=web"))) as sink:
        with server.short_of_memory():
            outcome = await sink.deliver([much])
            assert isinstance(outcome, Retry | Partial)
            assert "it takes nothing for now: low on memory" in outcome.why
        assert await sink.deliver([batch([b"on"])]) == Delivered()


async def test_a_full_queue_is_tried_again(server: RabbitServer, channel: AbstractChannel) -> None:
    """What fitted is delivered, and only the rest is sent again."""
    queue = await channel.declare_queue(
        "small", exclusive=True, arguments={"x-max-length": 3, "x-overflow": "reject-publish"}
    )
    sent = batch([b"%d" % row for row in range(6)])
    outcome = await delivered(url(server, "shop/?routing_key=small"), sent)
    assert isinstance(outcome, Partial)
    assert "a queue is full" in outcome.why
    kept = [row for row in range(6) if row not in outcome.retry]
    assert [record.message for record in await read(queue, len(kept))] == [str(row) for row in kept]
    assert outcome.retry


async def test_closed_while_nothing_is_under_way_it_connects_anew(server: RabbitServer) -> None:
    """As when the broker is restarted; no request fails."""
    sink = parse_sink("it", url(server, "shop/amq.fanout?mandatory=false"))
    assert isinstance(sink, AmqpSink)
    async with opened(sink):
        assert await sink.deliver([batch()]) == Delivered()
        [talk] = sink._talks._idle
        await asyncio.to_thread(server.control, "close_all_user_connections", USER, "for a test")
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(ClosedError, match="320: CONNECTION_FORCED - for a test"):
                await talk.until(lambda: False)
        assert await sink.deliver([batch()]) == Delivered()


async def test_it_takes_its_leave(server: RabbitServer) -> None:
    """Else every end of the agent, and every exchange that is missing, is a warning in the broker's log."""
    before = server.log.read_text("utf-8").count(ABRUPT)
    assert await delivered(url(server, "shop/amq.fanout?mandatory=false")) == Delivered()
    assert isinstance(await probed(url(server, "shop/missing")), Misconfigured)
    assert isinstance(await delivered(url(server, "shop/missing")), Misconfigured)
    await asyncio.to_thread(server.control, "close_all_user_connections", "nobody", "lets it log the rest")
    assert server.log.read_text("utf-8").count(ABRUPT) == before


async def test_the_example_of_a_rabbitmq_beside_the_agent_works(server: RabbitServer, tmp_path: Path) -> None:
    example = yaml.safe_load(EXAMPLE.read_text("utf-8"))
    definitions = tmp_path / "definitions.json"
    definitions.write_text(example["configs"]["definitions"]["content"], "utf-8")
    server.control("import_definitions", str(definitions))
    sink = example["services"]["dockferry"]["environment"]["DOCKFERRY_SINK_RABBITMQ"]
    where = sink.replace("@rabbitmq/", f"@127.0.0.1:{server.port}/")
    assert await probed(where) == Delivered()
    assert await delivered(where) == Delivered()
    async with await aio_pika.connect(server.admin("%2F")) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue("logs")
        assert await read(queue, 5) == expected([batch()])


async def test_tls_of_rabbitmq_itself(server: RabbitServer, queue: AbstractQueue, ca: PrivateCa) -> None:
    """With a certificate of ours it lets us in, without one it says that it does not."""
    cert, key = ca.client()
    where = (
        f"amqps://{USER}:{PASSWORD}@127.0.0.1:{server.tls_port}/{VHOST}/logs?routing_key=web&ca={ca.ca_file}"
    )
    assert await delivered(f"{where}&cert={cert}&key={key}") == Delivered()
    assert await read(queue, 5) == expected([batch()])
    outcome = await delivered(where)
    assert isinstance(outcome, Misconfigured)
    assert "it does not accept our certificate" in outcome.why
