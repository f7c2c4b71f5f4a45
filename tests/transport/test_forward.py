"""The Forward protocol's handshake, against code of its own; and what is made of answers that are none."""

from __future__ import annotations

import asyncio
import hashlib

import msgpack
import pytest

from agent.options import Secret
from agent.transport import TransportError
from agent.transport.forward import Credentials, DeniedError, ForwardTalk, Helo, check_pong, ping
from agent.transport.stream import Address
from tests.receivers.forward import ForwardReceiver
from tests.receivers.served import served

KEY = "k3y-\N{SNOWMAN}"
HELO = Helo(bytes(range(16)), b"\xff" * 16)
CREDENTIALS = Credentials(Secret(KEY), "me", Secret("pässword"))


def digest(*parts: bytes) -> str:
    return hashlib.sha512(b"".join(parts)).hexdigest()


def test_a_ping_proves_key_and_password_and_is_text_throughout() -> None:
    """Fluent Bit takes no binary there."""
    name, us, salt, proof, user, password = msgpack.unpackb(ping(HELO, CREDENTIALS, b"salt"), raw=False)
    assert (name, us, salt, user) == ("PING", "dockferry", "salt", "me")
    assert proof == digest(b"salt", b"dockferry", HELO.nonce, KEY.encode())
    assert password == digest(HELO.auth, b"me", "pässword".encode())


def test_without_a_user_no_password_is_proven() -> None:
    assert msgpack.unpackb(ping(HELO, Credentials(Secret(KEY)), b"salt"))[4:] == ["", ""]


@pytest.mark.parametrize(
    ("pong", "problem"),
    [
        (
            [b"PONG", True, b"", b"server", digest(b"salt", b"server", HELO.nonce, KEY.encode()).encode()],
            None,
        ),
        ([b"PONG", True, b"", b"server", b"0" * 128], "it does not know the shared key itself"),
        ([b"PONG", False, b"shared_key mismatch", b"", b""], "it refuses us: shared_key mismatch"),
        ([b"PONG", False, b"\xff" * 9999, b"", b""], "it refuses us: " + "\ufffd" * 200),
    ],
)
def test_a_pong_is_believed_only_with_the_key(pong: list[object], problem: str | None) -> None:
    if problem is None:
        check_pong(pong, HELO, CREDENTIALS, b"salt")
        return
    with pytest.raises(DeniedError) as caught:
        check_pong(pong, HELO, CREDENTIALS, b"salt")
    assert str(caught.value) == problem


@pytest.mark.parametrize("like", ["fluentd", "fluent-bit"])
@pytest.mark.parametrize(("key", "user", "password"), [(KEY, "me", "pässword"), ("", "me", "pässword")])
async def test_hands_are_shaken(like: str, key: str, user: str, password: str) -> None:
    receiver = ForwardReceiver(shared_key=key, users={user: password}, like=like)
    async with receiver.listening():
        talk = ForwardTalk(
            Address("127.0.0.1", receiver.port), Credentials(Secret(key), user, Secret(password))
        )
        await talk.connect()
        await talk.greet()
        talk.end()
    assert receiver.inbox.faults == []


@pytest.mark.parametrize(
    ("like", "credentials", "why"),
    [
        ("fluentd", Credentials(Secret("other"), "me", Secret("pw")), "it refuses us: shared_key mismatch"),
        (
            "fluentd",
            Credentials(Secret(KEY), "me", Secret("no")),
            "it refuses us: username/password mismatch",
        ),
        ("fluentd", Credentials(Secret(KEY)), "it refuses us: username/password mismatch"),
        (
            "fluent-bit",
            Credentials(Secret(KEY), "me", Secret("no")),
            "it refuses us: username/password mismatch",
        ),
        (
            "fluent-bit",
            Credentials(Secret("other"), "me", Secret("pw")),
            "the peer closed the connection, instead of accepting the shared key or the user",
        ),
    ],
)
async def test_a_refusal_is_told(like: str, credentials: Credentials, why: str) -> None:
    receiver = ForwardReceiver(shared_key=KEY, users={"me": "pw"}, like=like)
    async with receiver.listening():
        talk = ForwardTalk(Address("127.0.0.1", receiver.port), credentials)
        await talk.connect()
        with pytest.raises(DeniedError) as caught:
            await talk.greet()
    assert str(caught.value) == f"127.0.0.1:{receiver.port}: {why}"


async def test_a_receiver_that_demands_a_key_we_do_not_have_is_told() -> None:
    receiver = ForwardReceiver(shared_key=KEY)
    async with receiver.listening():
        talk = ForwardTalk(Address("127.0.0.1", receiver.port), None)
        await talk.connect()
        with pytest.raises(DeniedError, match="it demands a shared key: set shared_key"):
            await talk.listen()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xc1",
        b"\xdb\xff\xff\xff\xff" + b"x" * 70_000,
        msgpack.packb({"ack": 1}),
        msgpack.packb({"ack": ["x"], "b": 1}),
        msgpack.packb(["PONG", True, "", "h", "d"]),
        msgpack.packb([[[]]]),
        msgpack.packb(["HELO", 1]),
    ],
)
async def test_an_answer_that_is_no_forward_protocol_is_an_error_of_the_way(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await reader.read()

    async with served(serve) as (host, port):
        talk = ForwardTalk(Address(host, port), None)
        await talk.connect()
        with pytest.raises(TransportError, match="its answer is no Forward protocol"):
            await talk.send(b"\x93", {b"chunk"})


async def test_a_helo_of_odd_values_is_answered_all_the_same() -> None:
    heard = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        writer.write(msgpack.packb(["HELO", {"nonce": 1, "auth": None}]))
        heard = await reader.read(1000)

    async with served(serve) as (host, port):
        talk = ForwardTalk(Address(host, port), CREDENTIALS)
        await talk.connect()
        with pytest.raises(DeniedError):
            await talk.greet()
    _, _, salt, proof, *_ = msgpack.unpackb(heard)
    assert proof == digest(salt.encode(), b"dockferry", KEY.encode())
