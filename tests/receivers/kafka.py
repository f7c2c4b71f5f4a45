"""A strict Kafka cluster on loopback: it takes record sets as brokers do, and answers by script.

Source: Kafka's docs, "Protocol Guide", and its ProducerStateManager for what an idempotent producer has to keep.
Requests are taken apart here; record sets are read by aiokafka, which the sink does not write them with.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import hashlib
import hmac
import ssl
import struct
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Self

from aiokafka.errors import KafkaError
from aiokafka.record.memory_records import MemoryRecords

from tests.receivers.proxy import reset
from tests.receivers.received import Faulty, Inbox, Received, read_line

PRODUCE, METADATA, SASL_HANDSHAKE, API_VERSIONS, INIT_PRODUCER_ID, SASL_AUTHENTICATE = 0, 3, 17, 18, 22, 36
#: The versions that the brokers know.
VERSIONS = {PRODUCE: (3, 7), METADATA: (4, 4), SASL_HANDSHAKE: (1, 1), API_VERSIONS: (0, 0)}
VERSIONS |= {INIT_PRODUCER_ID: (0, 0), SASL_AUTHENTICATE: (0, 0)}
NO_LEADER, UNKNOWN_TOPIC, NOT_LEADER, TOO_LARGE = -1, 3, 6, 10
OUT_OF_ORDER, AUTHENTICATION_FAILED, UNKNOWN_PRODUCER, INVALID_RECORD = 45, 58, 59, 87
KNOWN_AGAIN = 5
ROUNDS = 4096


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of the next produce request.

    error   for each of its partitions, nothing of which is stored; 0: as it should be
    cut     the connection is reset instead of an answer, before or ("stored") after storing
    silent  there is no answer
    """

    error: int = 0
    cut: str = ""
    silent: bool = False


@dataclass(slots=True)
class Stored:
    """A record as it is in a partition."""

    record: Received
    key: bytes
    timestamp_ms: int


@dataclass(slots=True)
class _Reader:
    """Takes a request apart."""

    data: bytes
    at: int = 0

    def number(self, kind: str) -> int:
        (value,) = struct.unpack_from(f">{kind}", self.data, self.at)
        self.at += struct.calcsize(f">{kind}")
        return int(value)

    def sized(self, kind: str = "h") -> bytes | None:
        size = self.number(kind)
        if size < 0:
            return None
        self.at += size
        assert self.at <= len(self.data)
        return self.data[self.at - size : self.at]

    def text(self) -> str:
        found = self.sized()
        assert found is not None
        return found.decode()


def text(value: str | None) -> bytes:
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value.encode())) + value.encode()


def array(items: list[bytes]) -> bytes:
    return struct.pack(">i", len(items)) + b"".join(items)


@dataclass(eq=False)
class KafkaCluster:
    """Some brokers with some topics, each of as many partitions.

    makes_topics  a topic that is asked about is made, and there when asked about again
    user          whom it lets in, and by which password and mechanism
    most_bytes    the longest record set
    poison        the message of a record that it finds invalid
    script        what becomes of the next produce requests; then all is well
    """

    nodes: int = 1
    partitions: int = 3
    topics: set[str] = field(default_factory=lambda: {"logs"})
    makes_topics: bool = False
    user: str | None = None
    password: str = ""
    mechanism: str = "PLAIN"
    most_bytes: int = 1_048_588
    poison: str | None = None
    script: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inbox = Inbox()
        self.ports = [0] * self.nodes
        self.logs: defaultdict[tuple[str, int], list[Stored]] = defaultdict(list)
        self.codecs: set[int] = set()
        self.producers: list[int] = []
        self.requests = 0
        self.topic_error = 0
        self.leaders = {partition: partition % self.nodes for partition in range(self.partitions)}
        self._sequences: defaultdict[tuple[int, str, int], list[tuple[int, int]]] = defaultdict(list)
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def addresses(self) -> str:
        """As in a sink's URL."""
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    @contextlib.asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Self]:
        """Serve until the block ends, on the same ports again when listening anew."""
        servers = []
        for node in range(self.nodes):
            serve = functools.partial(self._serve, node)
            server = await asyncio.start_server(serve, "127.0.0.1", self.ports[node], ssl=tls)
            self.ports[node] = server.sockets[0].getsockname()[1]
            servers.append(server)
        try:
            yield self
        finally:
            for server in servers:
                server.close()
            for writer in self._writers:
                writer.transport.abort()
            while self._writers:  # noqa: ASYNC110 - asyncio's own wait knows only of some Pythons' connections
                await asyncio.sleep(0.001)

    def forget_producers(self) -> None:
        """As when nothing was heard of them for long."""
        self._sequences.clear()
        self.producers.clear()

    async def _serve(self, node: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                await self._talk(node, reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self._writers.discard(writer)

    async def _talk(self, node: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        known = self.user is None
        login = _login(self)
        while True:
            (size,) = struct.unpack(">i", await reader.readexactly(4))
            request = _Reader(await reader.readexactly(size))
            api, version, correlation = request.number("h"), request.number("h"), request.number("i")
            request.sized()
            try:
                least, most = VERSIONS[api]
                if not least <= version <= most:
                    raise Faulty(f"version {version} of request {api} is not known")
                if not known and api not in {API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE}:
                    return
                if api == SASL_AUTHENTICATE:
                    answer, known = login.step(request.sized("i") or b"")
                else:
                    answer = self._answer(node, api, request)
                if request.at != len(request.data):
                    raise Faulty(f"request {api} is longer than it should be")
            except (AssertionError, Faulty, KafkaError, LookupError, ValueError, struct.error) as error:
                self.inbox.fault(error)
                return
            except _Cut:
                reset(writer.transport)
                return
            except _Silent:
                continue
            message = struct.pack(">i", correlation) + answer
            writer.write(struct.pack(">i", len(message)) + message)

    def _answer(self, node: int, api: int, request: _Reader) -> bytes:
        match api:
            case 18:
                return struct.pack(">h", 0) + array(
                    [struct.pack(">hhh", key, *versions) for key, versions in VERSIONS.items()]
                )
            case 17:
                error = 0 if request.text() == self.mechanism else 33
                return struct.pack(">h", error) + array([text(self.mechanism)])
            case 3:
                return self._metadata(request)
            case 22:
                assert request.sized() is None
                request.number("i")
                self.producers.append(1000 + len(self.producers))
                return struct.pack(">ihqh", 0, 0, self.producers[-1], 0)
            case _:
                return self._produce(node, request)

    def _metadata(self, request: _Reader) -> bytes:
        names = [request.text() for _ in range(request.number("i"))]
        may_make = request.number("b")
        brokers = [
            struct.pack(">i", node) + text("127.0.0.1") + struct.pack(">i", port) + text(None)
            for node, port in enumerate(self.ports)
        ]
        topics = []
        for name in names:
            error = self.topic_error or (0 if name in self.topics else UNKNOWN_TOPIC)
            if may_make and self.makes_topics:
                self.topics.add(name)
            parts = [
                struct.pack(">hii", 0, partition, leader) + array([]) + array([])
                for partition, leader in self.leaders.items()
            ]
            topics.append(struct.pack(">h", error) + text(name) + b"\x00" + array([] if error else parts))
        return struct.pack(">i", 0) + array(brokers) + text("cluster") + struct.pack(">i", 0) + array(topics)

    def _produce(self, node: int, request: _Reader) -> bytes:
        self.requests += 1
        assert request.sized() is None  # no transaction
        assert request.number("h") == -1  # all replicas
        assert request.number("i") > 0
        script = self.script.pop(0) if self.script else Answer()
        if script.cut == "before":
            raise _Cut
        topics = []
        for _ in range(request.number("i")):
            name, parts = request.text(), []
            for _ in range(request.number("i")):
                partition, data = request.number("i"), request.sized("i")
                assert data is not None
                error = script.error or self._take(node, name, partition, data)
                parts.append(struct.pack(">ihqqq", partition, error, 0, -1, 0))
            topics.append(text(name) + array(parts))
        self.inbox.notify()
        if script.cut:
            raise _Cut
        if script.silent:
            raise _Silent
        return array(topics) + struct.pack(">i", 0)

    def _take(self, node: int, name: str, partition: int, data: bytes) -> int:
        if name not in self.topics:
            return UNKNOWN_TOPIC
        if self.leaders[partition] != node:
            return NOT_LEADER
        if len(data) > self.most_bytes:
            return TOO_LARGE
        sets = MemoryRecords(data)
        found = sets.next_batch()
        if found is None or sets.has_next() or not found.validate_crc():
            raise Faulty("a request has one record set for each partition, with its checksum")
        producer, epoch, sequence = found.producer_id, found.producer_epoch, found.base_sequence
        self.codecs.add(found.compression_type)
        records = list(found)
        stored = [_stored(record) for record in records]
        if [record.offset for record in records] != list(range(len(stored))):
            raise Faulty("offsets are counted from 0")
        if [found.first_timestamp, found.max_timestamp] != [
            stored[0].timestamp_ms,
            max(s.timestamp_ms for s in stored),
        ]:
            raise Faulty("first and last time are not those of the records")
        if any(one.record.message == self.poison for one in stored):
            return INVALID_RECORD
        if producer >= 0:
            error = self._follows((producer, name, partition), epoch, sequence, len(stored))
            if error is not None:
                return error
        elif (producer, epoch, sequence) != (-1, -1, -1):
            raise Faulty("a producer that is half there")
        self.logs[name, partition] += stored
        self.inbox.records += [one.record for one in stored]
        return 0

    def _follows(self, key: tuple[int, str, int], epoch: int, sequence: int, count: int) -> int | None:
        """The error code for a set with this sequence, 0 for one that is stored already; None: store it."""
        known = self._sequences[key]
        if epoch != 0 or key[0] not in self.producers:
            return UNKNOWN_PRODUCER
        if (sequence, count) in known[-KNOWN_AGAIN:]:
            return 0
        if sequence != (sum(known[-1]) if known else 0):
            return OUT_OF_ORDER
        known.append((sequence, count))
        return None


class _Cut(Exception):
    """The connection is to be reset."""


class _Silent(Exception):
    """There is to be no answer."""


def _stored(record: Any) -> Stored:  # noqa: ANN401 - aiokafka's
    """Raises Faulty where the record is not as the contract says."""
    made = read_line(record.value)
    levels = [("level", made.level.encode())] if made.level else []
    if record.headers != [("id", (made.id or "").encode()), *levels]:
        raise Faulty(f"headers {record.headers}")
    if record.timestamp != made.timestamp_ns // 1_000_000:
        raise Faulty(f"time {record.timestamp}")
    if record.key != (made.container_id or "").encode():
        raise Faulty(f"key {record.key}")
    return Stored(made, record.key, record.timestamp)


class _Plain:
    """RFC 4616."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self._right = f"\0{cluster.user}\0{cluster.password}"

    def step(self, said: bytes) -> tuple[bytes, bool]:
        identity, _, rest = said.decode().partition("\0")
        right = f"\0{rest}" == self._right and f"\0{identity}" in {"\0", self._right[: len(identity) + 1]}
        return _login_answer(b"" if right else None), right


class _Scram:
    """RFC 5802, the server's half."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._hash = cluster.mechanism.removeprefix("SCRAM-").replace("-", "").lower()
        self._first = ""

    def step(self, said: bytes) -> tuple[bytes, bool]:
        message = said.decode()
        if not self._first:
            bare = message.removeprefix("n,,")
            user, nonce = (part[2:] for part in bare.split(","))
            server = f"r={nonce}server,s={base64.b64encode(b'salt').decode()},i={ROUNDS}"
            self._first = f"{bare},{server}"
            right = user == self._cluster.user
            return _login_answer(server.encode() if right else None), False
        without, _, proof = message.rpartition(",p=")
        signed = f"{self._first},{without}".encode()
        salted = hashlib.pbkdf2_hmac(self._hash, self._cluster.password.encode(), b"salt", ROUNDS)
        key = hmac.digest(salted, b"Client Key", self._hash)
        mark = hmac.digest(hashlib.new(self._hash, key).digest(), signed, self._hash)
        wanted = bytes(one ^ other for one, other in zip(key, mark, strict=True))
        if base64.b64decode(proof) != wanted:
            return _login_answer(None), False
        proof_of_ours = hmac.digest(hmac.digest(salted, b"Server Key", self._hash), signed, self._hash)
        return _login_answer(b"v=" + base64.b64encode(proof_of_ours)), True


def _login(cluster: KafkaCluster) -> _Plain | _Scram:
    return _Plain(cluster) if cluster.mechanism == "PLAIN" else _Scram(cluster)


def _login_answer(said: bytes | None) -> bytes:
    error = 0 if said is not None else AUTHENTICATION_FAILED
    why = None if said is not None else "Invalid username or password"
    return struct.pack(">h", error) + text(why) + struct.pack(">i", len(said or b"")) + (said or b"")
