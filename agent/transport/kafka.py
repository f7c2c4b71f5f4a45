"""A Kafka cluster as one who only writes needs it: who leads which partition, and a connection to each leader.

Source: Kafka's docs, "Protocol Guide". aiokafka connects, logs in and knows the requests' versions. Its producer is
not used: that keeps a queue and tries again by itself, for ever and without a word of why, and a sink must do
neither.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    kafka_errors,
)
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from agent.transport import TransportError, UntrustedError, reason
from agent.transport.stream import Address
from agent.transport.tls import failure

#: What is known of a topic is asked again after so long; sooner when a broker says that it is out of date.
KNOWN_S = 300.0
IDLE_MS = 540_000
CLOSE_S = 1.0
CONNECT_S = 5.0
_ALL_REPLICAS = -1
_CLUSTER_AUTHORIZATION_FAILED = 31
NO_LEADER = -1
_DENIED = (
    AuthenticationFailedError,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
# It tells of each try, at DEBUG with the password in it. What comes of them is ours to say.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class DeniedError(TransportError):
    """The broker does not let us, or cannot: no further try helps before someone mends that."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are, by SASL; `mechanism` as Kafka spells it."""

    mechanism: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Topic:
    """What a broker said of a topic. `leaders`: the node that leads each partition, -1 where none does."""

    error: int
    leaders: Mapping[int, int]
    known_at: float


class Cluster:
    """The brokers of a cluster, found by asking one of `servers`."""

    def __init__(
        self,
        servers: Sequence[Address],
        *,
        context: ssl.SSLContext | None,
        login: Login | None,
        timeout_s: float,
    ) -> None:
        self._servers = list(servers)
        self._context = context
        self._login = login
        self._timeout_ms = max(1, round(timeout_s * 1000))
        self._nodes: dict[int, Address] = {}
        self._topics: dict[str, Topic] = {}
        self._connections: dict[Address, AIOKafkaConnection] = {}
        self._connecting = asyncio.Lock()

    async def topics(self, names: Collection[str]) -> Mapping[str, Topic]:
        """What is known of these topics, or asked now; a broker may make one that is not there.

        Raises TransportError, UntrustedError, DeniedError.
        """
        youngest = time.monotonic() - KNOWN_S
        wanted = [
            name for name in names if name not in self._topics or self._topics[name].known_at < youngest
        ]
        if wanted:
            await self._ask_about(wanted)
        return {name: self._topics[name] for name in names if name in self._topics}

    async def reach(self) -> None:
        """Ask any broker who the others are. Raises as `topics`."""
        await self._ask_about([])

    def forget(self, name: str) -> None:
        """Ask anew about that topic when it is needed next."""
        self._topics.pop(name, None)

    async def producer(self) -> tuple[int, int]:
        """An id and an epoch for a new idempotent producer. Raises as `topics`."""
        answer = await self._ask_any(InitProducerIdRequest(None, -1))
        if answer.error_code == _CLUSTER_AUTHORIZATION_FAILED:
            raise DeniedError(
                "we may not be an idempotent producer: allow IdempotentWrite, or set idempotent=off"
            )
        if answer.error_code:
            raise TransportError(f"no id for a producer: {said(answer.error_code)}")
        return answer.producer_id, answer.producer_epoch

    async def produce(
        self, node: int, record_sets: Sequence[tuple[str, int, bytes]]
    ) -> Mapping[tuple[str, int], int]:
        """Have that node store one record set for each of these partitions, and all its followers: error codes.

        Of requests to the same node, those begun first arrive first. Raises as `topics`.
        """
        topics: dict[str, list[tuple[int, bytes]]] = {}
        for name, partition, data in record_sets:
            topics.setdefault(name, []).append((partition, data))
        request = ProduceRequest(None, _ALL_REPLICAS, self._timeout_ms, list(topics.items()))
        answer = await self._ask(await self._connected(self._nodes[node]), request)
        return {
            (name, partition): error
            for name, partitions in answer.topics
            for partition, error, *_ in partitions
        }

    def drop(self) -> None:
        """Give every connection up: nobody knows what is still under way on them."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        self._topics.clear()

    async def close(self) -> None:
        """Let go of every connection."""
        closing = [closed for one in self._connections.values() if (closed := one.close()) is not None]
        self._connections.clear()
        if closing:
            await asyncio.wait(closing, timeout=CLOSE_S)

    async def _ask_about(self, names: list[str]) -> None:
        answer = await self._ask_any(MetadataRequest(names))
        self._nodes |= {node: Address(host, port) for node, host, port, *_ in answer.brokers}
        now = time.monotonic()
        for error, name, *_, partitions in answer.topics:
            leaders = {
                partition: leader if leader in self._nodes else NO_LEADER
                for _, partition, leader, *_ in partitions
            }
            self._topics[name] = Topic(error, leaders, now)

    async def _ask_any(self, request: Any) -> Any:  # noqa: ANN401 - aiokafka has no types
        """What one broker answers: one we are connected to, else the first that can be reached."""
        known = [address for address, one in self._connections.items() if one.connected()]
        why: TransportError | None = None
        for address in dict.fromkeys([*known, *self._servers, *self._nodes.values()]):
            try:
                return await self._ask(await self._connected(address), request)
            except (UntrustedError, DeniedError):
                raise
            except TransportError as error:
                why = why or error
                if address in self._servers:
                    self._servers.append(self._servers.pop(self._servers.index(address)))
        raise why or TransportError("there is no broker")

    async def _connected(self, address: Address) -> AIOKafkaConnection:
        async with self._connecting:
            connection = self._connections.get(address)
            if connection is None or not connection.connected():
                connection = self._connections[address] = await self._connect(address)
            return connection

    async def _connect(self, address: Address) -> AIOKafkaConnection:
        protocol = ("SASL_" if self._login else "") + ("SSL" if self._context else "PLAINTEXT")
        login = self._login or Login("PLAIN", "", "")
        try:
            async with asyncio.timeout(CONNECT_S):
                return await create_conn(
                    address.host,
                    address.port,
                    client_id="dockferry",
                    request_timeout_ms=self._timeout_ms,
                    ssl_context=self._context,
                    security_protocol=protocol,
                    max_idle_ms=IDLE_MS,
                    sasl_mechanism=login.mechanism,
                    sasl_plain_username=login.user,
                    sasl_plain_password=login.password,
                )
        except (KafkaError, OSError, NotImplementedError) as error:
            raise _explained(error, address, connecting=True) from error
        except (AssertionError, ValueError) as error:  # what aiokafka makes of an answer out of order
            raise DeniedError(f"{address}: it does not log us in by {login.mechanism}") from error

    async def _ask(self, connection: AIOKafkaConnection, request: Any) -> Any:  # noqa: ANN401
        address = Address(connection.host, connection.port)
        try:
            return await connection.send(request)
        except (KafkaError, OSError, NotImplementedError) as error:
            raise _explained(error, address) from error


def _explained(error: Exception, address: Address, *, connecting: bool = False) -> TransportError:
    """An error of aiokafka, or of a connection, as one of ours."""
    cause = error.__cause__ if isinstance(error, KafkaConnectionError) else error
    if isinstance(cause, ssl.SSLError):
        known = failure(cause)
        return type(known)(f"{address}: {known}")
    if isinstance(error, TimeoutError):
        return TransportError(f"{address}: no answer in time")
    if isinstance(cause, OSError):
        why = reason(cause)
        return TransportError(f"cannot connect to {address}: {why}" if connecting else f"{address}: {why}")
    if isinstance(error, KafkaConnectionError):
        return TransportError(f"{address}: it closed the connection")
    if isinstance(error, _DENIED):
        return DeniedError(f"{address}: it does not log us in: {_text(error)}")
    return DeniedError(f"{address}: it does not speak our language: {error}")


def said(error: int) -> str:
    """An error code, for a person."""
    known = kafka_errors.get(error)
    return f"{error} ({known.message})" if known is not None else str(error)


def _text(error: KafkaError) -> str:
    return str(error.args[0]) if error.args and isinstance(error.args[0], str) else type(error).__name__
