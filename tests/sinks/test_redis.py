"""What Redis demands beyond the contract, of Redis itself; and what it seldom answers, of one that is played."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from agent.batch import Batch
from agent.errors import SettingsError
from agent.sinks import parse_sink, redact
from agent.sinks.base import Delivered, Misconfigured, Outcome, Partial, Retry, Sink, TooLarge
from tests.contract.play import opened
from tests.receivers.certificates import PrivateCa
from tests.receivers.received import DEADLINE_S, read_line
from tests.receivers.redis import PASSWORD, USER, RedisServer, redis_server
from tests.receivers.sent import batch, container, expected
from tests.receivers.served import served

WEB, DB = container("web"), container("db")
OK = b"$3\r\n1-1\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest) -> None:
    if "server" in request.fixturenames:
        request.getfixturevalue("server").admin.flushall()


def url(server: RedisServer, rest: str = "/0/logs", credentials: str = "") -> str:
    return f"redis://{credentials}127.0.0.1:{server.port}{rest}"


async def delivered(url: str, *batches: Batch) -> Outcome:
    async with opened(parse_sink("it", url)) as sink:
        return await sink.deliver(batches or [batch()])


async def probed(url: str) -> Outcome:
    async with opened(parse_sink("it", url)) as sink:
        return await sink.probe()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis:///0/logs", "host, database and key are needed, as in redis://host:6379/0/logs"),
        ("redis://h", "host, database and key are needed, as in redis://host:6379/0/logs"),
        ("rediss://h/0", "host, database and key are needed, as in rediss://host:6379/0/logs"),
        ("redis://h/0/", "host, database and key are needed, as in redis://host:6379/0/logs"),
        ("redis://h/logs", "host, database and key are needed, as in redis://host:6379/0/logs"),
        ("redis://h/one/logs", "host, database and key are needed, as in redis://host:6379/0/logs"),
        ("redis://me@h/0/logs", "a user needs a password"),
        ("redis://h/0/{{.Nam}}", "the key '{{.Nam}}' is not a template of "),
    ],
)
def test_what_cannot_work_is_said_at_once(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_sink("it", url)
    assert caught.value.problems[0].startswith(f"sink it: {problem}")


def test_the_password_is_not_shown() -> None:
    assert redact("redis://me:s3cr3t@h/0/logs?type=list") == "redis://me:***@h/0/logs?type=list"


async def test_a_key_may_hold_slashes_and_what_it_says_of_the_container(server: RedisServer) -> None:
    sent = [batch([b"one"], of=WEB), batch([b"two"], of=DB), batch([b"three"], of=WEB)]
    assert await delivered(url(server, "/3/logs/{{.Name}}"), *sent) == Delivered()
    server.admin.select(3)
    try:
        assert lines(server, "logs/web") == expected([sent[0], sent[2]])
        assert lines(server, "logs/db") == expected([sent[1]])
    finally:
        server.admin.select(0)


async def test_a_stream_is_bounded_unless_it_is_not_to_be(server: RedisServer) -> None:
    many = batch([b"x"] * 2000)
    assert await delivered(url(server, "/0/short?maxlen=100"), many) == Delivered()
    assert await delivered(url(server, "/0/long?maxlen=0"), many) == Delivered()
    assert 100 <= server.admin.xlen("short") < 300  # it forgets a hundred or so at a time
    assert server.admin.xlen("long") == 2000


async def test_a_key_of_another_type_is_for_a_person_to_mend(server: RedisServer) -> None:
    server.admin.set("logs", "text")
    server.admin.rpush("list", "element")
    wrong = "WRONGTYPE Operation against a key holding the wrong kind of value"
    for kind in ("stream", "list"):
        assert await delivered(url(server, f"/0/logs?type={kind}")) == Misconfigured(f"it answered {wrong}")
        assert await probed(url(server, f"/0/logs?type={kind}")) == Misconfigured(
            f"the key 'logs' holds a string, not a {kind}"
        )
    assert await probed(url(server, "/0/list?type=list")) == Delivered()
    assert isinstance(await probed(url(server, "/0/list")), Misconfigured)


async def test_the_key_of_one_container_does_not_hold_up_the_others(server: RedisServer) -> None:
    server.admin.set("db", "text")
    for kind in ("stream", "list"):
        sent = [batch([b"1", b"2"], of=WEB), batch([b"3", b"4"], of=DB), batch([b"5"], of=WEB)]
        outcome = await delivered(url(server, f"/0/{{{{.Name}}}}?type={kind}"), *sent)
        assert isinstance(outcome, Partial)
        assert list(outcome.refused) == [2, 3]
        assert not outcome.retry
        assert "WRONGTYPE" in outcome.refused[2]
        server.admin.delete("web")


@pytest.mark.parametrize(
    ("credentials", "said"),
    [
        ("", "NOAUTH Authentication required."),
        ("agent:wrong@", "WRONGPASS invalid username-password pair or user is disabled."),
        (":wrong@", "WRONGPASS invalid username-password pair or user is disabled."),
        ("nobody:wrong@", "WRONGPASS invalid username-password pair or user is disabled."),
    ],
)
async def test_wrong_credentials_are_for_a_person_to_mend(
    server: RedisServer, credentials: str, said: str
) -> None:
    server.admin.config_set("requirepass", "another")
    try:
        where = url(server, credentials=credentials)
        assert await delivered(where) == Misconfigured(f"it answered {said}")
        assert await probed(where) == Misconfigured(f"it answered {said}")
        assert await delivered(url(server, credentials=f"{USER}:{PASSWORD}@")) == Delivered()
        assert await delivered(url(server, credentials=":another@")) == Delivered()
    finally:
        server.admin.config_set("requirepass", "")


async def test_one_who_may_only_add_can_do_so_and_be_probed(server: RedisServer) -> None:
    server.admin.acl_setuser("adder", enabled=True, passwords=["+pw"], commands=["+xadd"], keys=["logs"])
    where = url(server, credentials="adder:pw@")
    assert await probed(where) == Delivered()
    assert await delivered(where) == Delivered()
    assert "no permissions" in str(await delivered(where + "?type=list"))
    assert isinstance(await delivered(where + "?type=list"), Misconfigured)
    outcome = await delivered(url(server, "/0/{{.Name}}", "adder:pw@"))
    assert isinstance(outcome, Partial)
    assert len(outcome.refused) == 5
    assert "NOPERM" in outcome.refused[0]


async def test_a_probe_tells_what_a_record_would_and_adds_none(server: RedisServer) -> None:
    server.admin.acl_setuser(
        "reader", enabled=True, passwords=["+pw"], commands=["+@all", "-xadd", "-rpush"], keys=["*"]
    )
    for kind in ("stream", "list"):
        where = f"/0/logs?type={kind}"
        assert await probed(url(server, where)) == Delivered()
        assert isinstance(await probed(url(server, where, "reader:pw@")), Misconfigured)
    assert await probed(url(server, "/0/{{.Name}}", "reader:pw@")) == Delivered()
    assert server.admin.keys() == []
    server.admin.config_set("maxmemory", 1)
    try:
        assert isinstance(await probed(url(server)), Retry)
    finally:
        server.admin.config_set("maxmemory", 0)


async def test_a_database_that_does_not_exist_is_for_a_person_to_mend(server: RedisServer) -> None:
    assert await delivered(url(server, "/99/logs")) == Misconfigured(
        "it answered ERR DB index is out of range"
    )


async def test_after_a_replica_has_refused_the_name_is_asked_anew(server: RedisServer) -> None:
    """After a failover, the name stands for another server."""
    async with opened(parse_sink("it", url(server))) as sink:
        assert await sink.deliver([batch()]) == Delivered()
        before = clients(server)
        server.admin.replicaof("127.0.0.1", 1)
        try:
            outcome = await sink.deliver([batch()])
        finally:
            server.admin.replicaof("NO", "ONE")
        assert isinstance(outcome, Retry)
        assert outcome.why.startswith("it answered READONLY ")
        assert await sink.deliver([batch()]) == Delivered()
        assert clients(server).isdisjoint(before)


async def test_requests_at_once_have_connections_of_their_own(server: RedisServer) -> None:
    async with opened(parse_sink("it", url(server))) as sink:
        server.admin.client_pause(200)
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(sink.deliver([batch([b"x" * 1000] * 1000)])) for _ in range(3)]
        assert [task.result() for task in asked] == [Delivered()] * 3
        assert len(clients(server)) == 3
    assert server.admin.xlen("logs") == 3000


async def test_a_record_over_the_limit_is_refused_and_those_before_it_are_not_sent_again(
    server: RedisServer,
) -> None:
    """Redis hangs up while the record is still coming; what it answered before that is known."""
    server.admin.config_set("proto-max-bulk-len", 1 << 20)
    try:
        outcome = await delivered(url(server), batch([b"a", b"b", b"x" * (8 << 20), b"c"]))
        assert isinstance(outcome, Partial)
        assert outcome.refused == {2: "it answered ERR Protocol error: invalid bulk length"}
        assert list(outcome.retry) == [3]
        assert server.admin.xlen("logs") == 2
        large = await delivered(url(server, "/0/list?type=list"), batch([b"a", b"x" * (8 << 20)]))
        assert large == TooLarge("it answered ERR Protocol error: invalid bulk length")
        assert server.admin.llen("list") == 0
    finally:
        server.admin.config_set("proto-max-bulk-len", 512 << 20)


async def test_tls_of_redis_itself(tmp_path: Path) -> None:
    """With a certificate of ours it lets us in, without one it says that it does not."""
    ca = PrivateCa(tmp_path)
    chain, key = ca.files("127.0.0.1")
    cert, cert_key = ca.client()
    place = tmp_path / "server"
    place.mkdir()
    tls = {"cert-file": chain, "key-file": key, "ca-cert-file": ca.ca_file}
    with redis_server(place, tls) as server:
        where = f"rediss://{USER}:{PASSWORD}@127.0.0.1:{server.tls_port}/0/logs?ca={ca.ca_file}"
        assert await delivered(f"{where}&cert={cert}&key={cert_key}") == Delivered()
        assert lines(server, "logs") == expected([batch()])
        outcome = await delivered(where)
        assert isinstance(outcome, Misconfigured)
        assert "it does not accept our certificate" in outcome.why


@contextlib.asynccontextmanager
async def played(answer: bytes, more: str = "") -> AsyncIterator[Sink[Any]]:
    """A sink whose server says this once it is spoken to, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 20)
        writer.write(answer)
        await writer.drain()

    async with (
        served(serve) as (host, port),
        opened(parse_sink("it", f"redis://{host}:{port}/0/logs{more}")) as sink,
    ):
        async with asyncio.timeout(DEADLINE_S):
            yield sink


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", Retry),
        ("LOADING Redis is loading the dataset in memory", Retry),
        ("BUSY Redis is busy running a script.", Retry),
        ("MASTERDOWN Link with MASTER is down", Retry),
        ("MISCONF Redis is configured to save RDB snapshots, but it is unable to persist", Retry),
        ("NOREPLICAS Not enough good replicas to write.", Retry),
        ("CLUSTERDOWN The cluster is down", Retry),
        ("ERR max number of clients reached", Retry),
        ("ERR max daily request limit exceeded. Limit: 10000", Retry),
        ("MOVED 3999 10.0.0.2:6379", Misconfigured),
        ("NOPERM this user has no permissions to run the 'xadd' command", Misconfigured),
        ("DENIED Redis is running in protected mode", Misconfigured),
        ("ERR unknown command 'XADD', with args beginning with: 'logs'", Misconfigured),
        ("ERR Client sent AUTH, but no password is set", Misconfigured),
    ],
)
async def test_each_error_has_its_meaning(error: str, kind: type[Outcome]) -> None:
    async with played(f"-{error}\r\n".encode()) as sink:
        outcome = await sink.deliver([batch([b"one"])])
    assert isinstance(outcome, kind)
    assert outcome == cast("Any", kind)(f"it answered {error}")


async def test_a_record_that_is_too_large_is_refused_by_itself() -> None:
    async with played(OK + b"-ERR max single record size exceeded\r\n" + OK) as sink:
        outcome = await sink.deliver([batch([b"1", b"2", b"3"])])
    assert outcome == Partial(refused={1: "it answered ERR max single record size exceeded"})


async def test_of_a_request_partly_taken_only_the_rest_is_sent_again() -> None:
    async with played(OK + b"-OOM no\r\n" + OK) as sink:
        outcome = await sink.deliver([batch([b"1", b"2"]), batch([b"3"])])
    assert outcome == Partial({1: None}.keys(), {}, "it answered OOM no")


async def test_a_cut_repeats_only_what_was_not_answered() -> None:
    async with played(OK * 2 + b"$3\r\n1") as sink:
        outcome = await sink.deliver([batch([b"1", b"2", b"3", b"4"])])
    assert isinstance(outcome, Partial)
    assert list(outcome.retry) == [2, 3]
    assert outcome.why.endswith("the peer closed the connection")


async def test_a_list_is_one_command_and_all_or_nothing() -> None:
    async with played(b":4\r\n", "?type=list") as sink:
        assert await sink.deliver([batch([b"1", b"2"]), batch([b"3", b"4"])]) == Delivered()
    async with played(b"", "?type=list") as sink:
        assert isinstance(await sink.deliver([batch([b"1", b"2"])]), Retry)


async def test_a_password_that_is_repeated_is_hidden() -> None:
    async with played(
        b"-ERR unknown command 'AUTH', with args beginning with: 's3cr3t-enough'\r\n",
        "?password=s3cr3t-enough",
    ) as sink:
        assert await sink.probe() == Misconfigured(
            "it answered ERR unknown command 'AUTH', with args beginning with: '***'"
        )


async def test_who_is_not_redis_is_told() -> None:
    async with played(b"HTTP/1.1 400 Bad Request\r\n\r\n") as sink:
        outcome = await sink.deliver([batch()])
    assert isinstance(outcome, Retry)
    assert outcome.why.endswith("its answer is not Redis'")


def lines(server: RedisServer, stream: str) -> list[Any]:
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", server.admin.xrange(stream))
    return [read_line(fields[b"record"]) for _, fields in entries]


def clients(server: RedisServer) -> set[str]:
    """The connections beside the one that asks."""
    ours = str(server.admin.client_id())
    return {client["id"] for client in server.admin.client_list()} - {ours}
