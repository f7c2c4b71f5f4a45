"""What NATS asks of a sink beyond the contract: subjects, logins, and that nothing is there twice."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.batch import Batch
from agent.errors import SettingsError, SinkError
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Outcome, Partial, Refused, Retry
from agent.sinks.nats import judge
from agent.sinks.verdicts import Verdict
from agent.transport.nats import Answer
from tests.contract.cases import noise
from tests.contract.play import opened
from tests.receivers.nats import NatsServer
from tests.receivers.program import free_port
from tests.receivers.sent import batch, container, expected, forget
from tests.receivers.served import served

#: Without JetStream, and without users.
ALONE = {"accounts": None, "no_auth_user": None, "jetstream": None}
NO_STREAM = "no stream takes the subject {}: add it to one, or make one (nats stream add)".format
SEED_OF, USER, OPERATOR, ACCOUNT = 18 << 3, 20 << 3, 14 << 3, 0


def letters(data: bytes) -> str:
    """A key as nkeys are written: with its checksum, in base32."""
    checked = data + binascii.crc_hqx(data, 0).to_bytes(2, "little")
    return base64.b32encode(checked).decode().rstrip("=")


class Nkey:
    """A key of a user, an account or an operator; the same one for the same number."""

    def __init__(self, kind: int, number: int) -> None:
        raw = bytes([number]) * 32
        self._key = Ed25519PrivateKey.from_private_bytes(raw)
        self.public = letters(bytes([kind]) + self._key.public_key().public_bytes_raw())
        self.seed = letters(bytes([SEED_OF | kind >> 5, (kind & 31) << 3]) + raw)

    def vouch(self, subject: Nkey, name: str, kind: str, **claims: object) -> str:
        """A JWT of NATS for another key."""
        nats = {"type": kind, "version": 2, **claims}
        parts: list[Mapping[str, object]] = [
            {"typ": "JWT", "alg": "ed25519-nkey"},
            {"jti": name, "iat": 1, "iss": self.public, "sub": subject.public, "name": name, "nats": nats},
        ]
        signed = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
        signature = base64.urlsafe_b64encode(self._key.sign(signed)).rstrip(b"=")
        return f"{signed.decode()}.{signature.decode()}"


async def outcome_of(url: str, *batches: Batch) -> Outcome:
    """What comes of one delivery by a new sink; of a probe, when there is nothing to deliver."""
    async with opened(parse_sink("it", url)) as sink:
        return await sink.deliver(batches) if batches else await sink.probe()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("nats://host", "a host and a subject are needed, as in nats://host:4222/logs.{{.Name}}"),
        ("nats:///logs", "a host and a subject are needed, as in nats://host:4222/logs.{{.Name}}"),
        ("nats://h/logs..x", "what follows the host is no name there: a host and a subject are needed"),
        ("nats://h/logs.>", "what follows the host is no name there"),
        ("nats://h/lo gs", "what follows the host is no name there"),
        ("nats://h/{{.Nam}}", "what follows the host is not a template of {{.ID}}"),
        ("nats://me@h/logs", "user and password go together (a token is token=…)"),
        ("nats://me:pw@h/logs?token=t", "of user, token, nkey and credentials, keep one"),
        ("nats://h/logs?inbox=a.>", "option 'inbox' is not a subject such as _INBOX"),
    ],
)
def test_what_cannot_work_is_said_at_once(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_sink("it", url)
    [said] = caught.value.problems
    assert said.startswith(f"sink it: {problem}")


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("nkey=s3cr3t", "option 'nkey' is not the seed of an nkey"),
        (
            f"nkey={Nkey(ACCOUNT, 1).seed}",
            "option 'nkey' is not the seed of a user's nkey, which begins with SU",
        ),
        ("credentials=s3cr3t", "option 'credentials' is not the text of a credentials file"),
    ],
)
async def test_a_key_that_is_none_is_told_on_opening(option: str, problem: str) -> None:
    with pytest.raises(SinkError) as caught:
        await parse_sink("it", f"nats://h/logs?{option}").open(None, forget)
    assert str(caught.value).startswith(problem)
    assert "s3cr3t" not in str(caught.value)


def failed(code: int, number: int) -> bytes:
    error = {"code": code, "err_code": number, "description": "why"}
    return json.dumps({"error": error, "stream": "LOGS", "seq": 0}).encode()


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Answer(200, b'{"stream":"LOGS","seq":1,"domain":"{hub}"}'), None),
        (
            Answer(503, b""),
            Misconfigured("no stream takes the subject s: add it to one, or make one (nats stream add)"),
        ),
        (Answer(200, b"OK"), Misconfigured("what answers on s is no JetStream")),
        (Answer(200, b"[]"), Misconfigured("what answers on s is no JetStream")),
        (Answer(200, b'{"error":"why"}'), Retry("it answered 500: no reason given (None)")),
        (Answer(200, failed(503, 10077)), Retry("it answered 503: why (10077)")),
        (Answer(200, failed(429, 10167)), Retry("it answered 429: why (10167)")),
        (Answer(200, failed(400, 10002)), Retry("it answered 400: why (10002)")),
        (Answer(200, failed(400, 10109)), Misconfigured("it answered 400: why (10109)")),
        (Answer(200, failed(404, 10059)), Misconfigured("it answered 404: why (10059)")),
        (Answer(200, failed(400, 10054)), Refused("it answered 400: why (10054)")),
    ],
)
def test_each_answer_has_its_meaning(answer: Answer, verdict: Verdict | None) -> None:
    assert judge(answer, "s") == verdict


async def test_a_name_is_one_word_of_the_subject(tmp_path: Path) -> None:
    """However a container is called, and whatever its labels say."""
    server = NatsServer(tmp_path)
    names = ["web", "a.b", "wild.*.>", "with blank", "größe", "x" * 300]
    async with server.standing():
        url = f'nats://127.0.0.1:{server.port}/logs.{{{{.Name}}}}.{{{{index .Labels "none"}}}}'
        for name in names:
            assert await outcome_of(url, batch([b"x"], of=container(name))) == Delivered()
        found = {record.container: subject for subject, record in await server.have(len(names))}
    assert [found[name] for name in names[:5]] == [
        "logs.web._",
        "logs.a_b._",
        "logs.wild____._",
        "logs.with_blank._",
        "logs.größe._",
    ]
    long = found["x" * 300]
    assert long.startswith("logs.xxx")
    assert len(long) == len("logs.") + 200 + len("._")


async def test_what_is_delivered_again_is_not_there_twice(tmp_path: Path) -> None:
    """As after a kill -9 of the agent that came between the delivery and the position."""
    server = NatsServer(tmp_path)
    sent = [batch(noise(5_000, 100)), batch([b"of another"], of=container("db"))]
    async with server.standing():
        url = f"nats://127.0.0.1:{server.port}/logs.{{{{.Name}}}}"
        assert await outcome_of(url, *sent) == Delivered()
        assert await outcome_of(url, *sent) == Delivered()
        found = [record for _, record in await server.have(5_001)]
    assert found == expected(sent)


async def test_a_server_killed_in_the_middle_has_each_record_once(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    sent = [batch(noise(10_000, 100))]
    async with server.standing():
        sink = parse_sink("it", f"nats://127.0.0.1:{server.port}/logs.x")
        async with opened(sink), asyncio.TaskGroup() as group:
            delivery = group.create_task(sink.deliver(sent))
            await server.stored(100)
            await server.kill()
            outcome = await delivery
            assert isinstance(outcome, Retry)
            assert outcome.why.startswith(f"127.0.0.1:{server.port}: ")
            assert isinstance(await sink.probe(), Retry)
            await server.start()
            assert 100 <= await server.stored(0) < 10_000
            assert await sink.deliver(sent) == Delivered()
        found = [record for _, record in await server.have(10_000)]
    assert sorted(found, key=str) == sorted(expected(sent), key=str)


async def test_a_record_beyond_max_payload_is_refused_and_its_neighbours_arrive(tmp_path: Path) -> None:
    server = NatsServer(tmp_path, more={"max_payload": 2_000})
    async with server.standing():
        url = f"nats://127.0.0.1:{server.port}/logs.x"
        outcome = await outcome_of(url, batch([b"one", b"x" * 2_000, b"two"]))
        assert isinstance(outcome, Partial)
        assert not outcome.retry
        assert list(outcome.refused) == [1]
        assert "and the server takes no more than 2000 in a message (max_payload)" in outcome.refused[1]
        assert [record.message for _, record in await server.have(2)] == ["one", "two"]
        room = 2_000 - len(b"NATS/1.0\r\nNats-Msg-Id: \r\n\r\n") - len(batch([b""]).ids()[0])
        [(_, empty)] = (await server.have(2))[:1]
        largest = b"x" * (room - (await size_of(server, empty.message)))
        assert await outcome_of(url, batch([largest], start_ns=1_000_000_000_000_000_000)) == Delivered()
        assert isinstance(
            await outcome_of(url, batch([largest + b"x"], start_ns=1_000_000_000_000_000_001)), Partial
        )


async def size_of(server: NatsServer, message: str) -> int:
    """How many bytes the first record has around its message."""
    first = await server.admin.jetstream().get_msg("LOGS", 1)
    return len(first.data or b"") - len(message.encode())


async def test_without_a_stream_nothing_is_lost_and_the_subject_is_named(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    async with server.standing():
        url = f"nats://127.0.0.1:{server.port}/other.{{{{.Name}}}}"
        assert await outcome_of(url) == Misconfigured(NO_STREAM("other.*"))
        assert await outcome_of(url, batch()) == Misconfigured(NO_STREAM("other.web"))
        await server.admin.jetstream().add_stream(name="OTHER", subjects=["other.>"])
        assert await outcome_of(url) == Delivered()


async def test_without_jetstream_it_says_so(tmp_path: Path) -> None:
    server = NatsServer(tmp_path, more=ALONE)
    await server.start_alone()
    try:
        assert await outcome_of(f"nats://127.0.0.1:{server.port}/logs") == Misconfigured(
            f"127.0.0.1:{server.port}: JetStream is not enabled"
        )
    finally:
        await server.stop()


async def test_what_one_may_not_do_is_said(tmp_path: Path) -> None:
    may_publish = {"publish": ["logs.>"], "subscribe": ["_INBOX.>"]}
    server = NatsServer(
        tmp_path,
        users=[
            {"user": "writer", "password": "w", "permissions": may_publish},
            {"user": "own", "password": "o", "permissions": {**may_publish, "subscribe": ["_MINE.>"]}},
        ],
    )
    async with server.standing():
        at = f"127.0.0.1:{server.port}"
        assert await outcome_of(f"nats://writer:w@{at}/logs.x", batch()) == Delivered()
        assert await outcome_of(f"nats://writer:w@{at}/logs.x") == Delivered()  # it may not ask
        outcome = await outcome_of(f"nats://writer:w@{at}/other.x", batch())
        assert outcome == Misconfigured(f'{at}: Permissions Violation for Publish to "other.x"')
        outcome = await outcome_of(f"nats://own:o@{at}/logs.x", batch())
        assert isinstance(outcome, Misconfigured)
        assert "Permissions Violation for Subscription to" in outcome.why
        assert await outcome_of(f"nats://own:o@{at}/logs.x?inbox=_MINE", batch()) == Delivered()


async def test_a_token(tmp_path: Path) -> None:
    server = NatsServer(tmp_path, more={**ALONE, "authorization": {"token": "s3cr3t"}})
    await server.start_alone()
    try:
        url = f"nats://127.0.0.1:{server.port}/logs?token="
        assert "Authorization" not in str(await outcome_of(f"{url}s3cr3t"))
        wrong = await outcome_of(f"{url}other")
        assert wrong == Misconfigured(f"127.0.0.1:{server.port}: Authorization Violation")
    finally:
        await server.stop()


async def test_an_nkey(tmp_path: Path) -> None:
    server = NatsServer(tmp_path, users=[{"nkey": Nkey(USER, 1).public}])
    async with server.standing():
        url = f"nats://127.0.0.1:{server.port}/logs.x?nkey="
        assert await outcome_of(f"{url}{Nkey(USER, 1).seed}", batch()) == Delivered()
        wrong = await outcome_of(f"{url}{Nkey(USER, 2).seed}", batch())
        assert wrong == Misconfigured(f"127.0.0.1:{server.port}: Authorization Violation")


async def test_a_credentials_file(tmp_path: Path) -> None:
    """With an operator, an account and a user, each of which vouches for the next."""
    operator, account, user = Nkey(OPERATOR, 1), Nkey(ACCOUNT, 2), Nkey(USER, 3)
    unlimited = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
    more: dict[str, Any] = {
        **ALONE,
        "operator": operator.vouch(operator, "op", "operator"),
        "resolver": "MEMORY",
        "resolver_preload": {
            account.public: operator.vouch(account, "acc", "account", limits=unlimited),
        },
    }
    server = NatsServer(tmp_path, more=more)
    await server.start_alone()
    try:
        for key, said in ((user, "JetStream is not enabled"), (Nkey(USER, 4), "Authorization Violation")):
            file = tmp_path / "user.creds"
            jwt = account.vouch(user, "user", "user", subs=-1, data=-1, payload=-1)
            file.write_text(
                f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
                "************************* IMPORTANT *************************\n\n"
                f"-----BEGIN USER NKEY SEED-----\n{key.seed}\n------END USER NKEY SEED------\n"
            )
            outcome = await outcome_of(f"nats://127.0.0.1:{server.port}/logs?credentials_file={file}")
            assert outcome == Misconfigured(f"127.0.0.1:{server.port}: {said}")
    finally:
        await server.stop()


async def test_another_host_is_tried_when_one_is_away(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    async with server.standing():
        url = f"nats://127.0.0.1:{free_port()},127.0.0.1:{server.port}/logs.x"
        async with opened(parse_sink("it", url)) as sink:
            first = await sink.deliver([batch()])
            assert isinstance(first, Retry)
            assert "Connection refused" in first.why
            assert await sink.deliver([batch()]) == Delivered()


async def test_tls_that_is_asked_for_is_insisted_on(tmp_path: Path) -> None:
    """Nobody in the middle can talk us into sending a password in the clear."""
    server = NatsServer(tmp_path)
    async with server.standing():
        outcome = await outcome_of(f"nats+tls://u:p@127.0.0.1:{server.port}/logs.x", batch())
    assert outcome == Misconfigured(
        f"127.0.0.1:{server.port}: the server speaks no TLS, and this scheme or the options ca, cert and key "
        "ask for it"
    )


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", Retry("its answer is not NATS'")),
        (b"x" * 70_000, Retry("its answer is not NATS'")),
        (b"INFO nonsense\r\n", Retry("its answer is not NATS'")),
        (b"INFO {}\r\n", Retry("its answer is not NATS'")),
        (b"-ERR 'maximum connections exceeded'\r\n", Retry("maximum connections exceeded")),
        (b"-ERR 'Secure Connection - TLS Required'\r\n", Misconfigured("Secure Connection - TLS Required")),
        (b"", Retry("the peer closed the connection")),
        (
            b'INFO {"max_payload":1000}\r\n',
            Misconfigured("the server is older than NATS 2.2, and knows no JetStream"),
        ),
    ],
)
async def test_what_is_no_welcome_is_told(said: bytes, outcome: Retry | Misconfigured) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()

    async with served(answer) as (host, port):
        found = await outcome_of(f"nats://{host}:{port}/logs", batch())
    assert found == type(outcome)(f"{host}:{port}: {outcome.why}")
