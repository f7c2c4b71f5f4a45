"""kafka, kafka+tls: a record each, keyed by container, acknowledged by all replicas.

Source: Kafka's docs, "Protocol Guide" (error codes), KIP-98 (idempotence), KIP-467 (errors of single records). A
request of ours is as many produce requests as it has partition leaders and, for each partition, record sets.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from aiokafka.partitioner import murmur2

from agent.batch import Batch
from agent.encode.kafka import CODECS, Column, RecordSet, record_sets
from agent.errors import SettingsError
from agent.options import BOOLEAN, SECRET, SIZE, TEXT, Secret, choice, option, optional
from agent.sinks.base import (
    Delivered,
    Misconfigured,
    Outcome,
    Refused,
    Retry,
    Sink,
    Target,
    TlsOptions,
    TooLarge,
)
from agent.sinks.names import name_template
from agent.sinks.sequences import NOBODY, Name, Place, Producer, Sequences
from agent.sinks.verdicts import Verdict, outcome
from agent.transport import TransportError, UntrustedError
from agent.transport.kafka import NO_LEADER, Cluster, DeniedError, Login, Topic, said
from agent.transport.stream import Address

PORT = 9092
#: How many sets of a partition are under way at once: so many does a broker know again.
IN_FLIGHT = 5
LONGEST_TOPIC = 249
_TOPIC = rf"(?!\.{{1,2}}$)[A-Za-z0-9._-]{{1,{LONGEST_TOPIC}}}"
_UNFIT = r"[^A-Za-z0-9._-]"
_UNKNOWN_TOPIC = 3
_DUPLICATE_SEQUENCE = 46
_OUT_OF_ORDER = 45
#: Error codes by what they ask for; all others pass.
_STORED = {0, _DUPLICATE_SEQUENCE}
_TOO_LARGE = {10, 18}
_REFUSED = {32, 87}  # INVALID_TIMESTAMP, INVALID_RECORD
_MENDED = {17, 21, 29, 31, 35, 43, 44, 54, 76}
_OTHER_PRODUCER = {47, 49, 59, 90}  # its epoch is over, or nobody knows it any more


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaOptions(TlsOptions):
    """The options of `kafka://` and `kafka+tls://`."""

    user: str | None = option(optional(TEXT), None, help="name to log in with (SASL)", group="login")
    password: Secret | None = option(optional(SECRET), None, help="password to it", group="login")
    sasl: str = option(
        choice("plain", "scram-sha-256", "scram-sha-512"),
        "plain",
        help="how to log in, where there is a user",
        group="login",
    )
    compress: str = option(choice(*CODECS), "none", help="compression of the records; zstd needs Kafka 2.1")
    idempotent: bool = option(
        BOOLEAN, True, help="let brokers drop what is sent twice and keep the order (enable.idempotence)"
    )
    max_message_bytes: int = option(
        SIZE, 1_000_000, help="most bytes of a record set; as the topic's max.message.bytes, or less"
    )


@dataclass(slots=True, eq=False)
class _Parcel:
    """A record set on its way to its partition. `answer`: an error code, or why there is none."""

    name: Name
    records: RecordSet
    leader: int
    number: int = -1
    answer: int | TransportError | None = None

    @property
    def stored(self) -> bool:
        return self.answer in _STORED


class KafkaSink(Sink[KafkaOptions]):
    """Apache Kafka, and what speaks its protocol."""

    many_hosts = True

    def __init__(self, target: Target, options: KafkaOptions) -> None:
        super().__init__(target, options)
        wanted = f"a host and a topic are needed, as in {target.scheme}://b1:{PORT},b2:{PORT}/logs"
        self._names = name_template(target, wanted, allowed=_TOPIC, unfit=_UNFIT, most=LONGEST_TOPIC // 2)
        if (options.user is None) != (options.password is None):
            raise SettingsError([f"sink {target.name}: user and password go together"])
        self._cluster: Cluster | None = None
        self._sequences = Sequences()
        self._numbering = asyncio.Lock()
        self._missed: set[str] = set()

    async def open(self, checkpoint: bytes | None, save: Callable[[bytes], Awaitable[None]]) -> None:  # noqa: ARG002
        options, login = self.options, None
        if options.user is not None and options.password is not None:
            login = Login(options.sasl.upper(), options.user, options.password.reveal())
        encrypted = self.target.transport == "tls"
        hosts = [(self.target.host, self.target.port), *self.target.more]
        self._cluster = Cluster(
            [Address(host, port or PORT) for host, port in hosts],
            context=options.context() if encrypted else None,
            login=login,
            timeout_s=options.timeout,
        )

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        return await self._attempt(self._deliver(batches))

    async def probe(self) -> Outcome:
        return await self._attempt(self._probe())

    async def close(self) -> None:
        if self._cluster is not None:
            await self._cluster.close()

    @property
    def _opened(self) -> Cluster:
        if self._cluster is None:
            raise RuntimeError("a sink is opened before it is used")
        return self._cluster

    async def _attempt(self, attempt: Awaitable[Outcome]) -> Outcome:
        try:
            return await attempt
        except TransportError as error:
            return _judge_error(error)
        except BaseException:
            self._opened.drop()
            raise

    async def _probe(self) -> Outcome:
        if self._names.template.varies:
            await self._opened.reach()
            return Delivered()
        name = str(self._names.template)
        self._opened.forget(name)
        return self._judge_topic(name, await self._opened.topics([name])) or Delivered()

    async def _deliver(self, batches: Sequence[Batch]) -> Outcome:
        names = [self._names.of(batch.container).decode() for batch in batches]
        topics = await self._opened.topics(dict.fromkeys(names))
        judged = {name: self._judge_topic(name, topics) for name in dict.fromkeys(names)}
        verdicts: dict[int, Verdict] = {}
        columns: defaultdict[Place, list[tuple[int, Batch]]] = defaultdict(list)
        row = 0
        for name, batch in zip(names, batches, strict=True):
            bad = judged[name]
            if bad is None:
                columns[Place(name, _partition(batch, topics[name]))].append((row, batch))
            else:
                verdicts |= dict.fromkeys(range(row, row + len(batch)), bad)
            row += len(batch)
        parcels = [
            _Parcel(_name(place, records), await records.compressed(self.options.compress), leader)
            for place, parts in columns.items()
            for leader in [topics[place.topic].leaders.get(place.partition, NO_LEADER)]
            for records in record_sets(Column.of(parts), self.options.max_message_bytes)
        ]
        verdicts |= self._take_out(parcels)
        producer = await self._number(parcels)
        await self._send(parcels, producer)
        verdicts |= self._judge(parcels, producer)
        # What is too large comes first: it is divided before anything is tried again with it.
        first = sorted(verdicts.items(), key=lambda item: (not isinstance(item[1], TooLarge), item[0]))
        return outcome(row, dict(first))

    def _take_out(self, parcels: list[_Parcel]) -> dict[int, Verdict]:
        """Take out of `parcels` what no broker needs to see; what becomes of those rows."""
        verdicts: dict[int, Verdict] = {}
        for parcel in list(parcels):
            place, size, most = parcel.name.place, parcel.records.size, self.options.max_message_bytes
            if parcel.leader == NO_LEADER:
                self._opened.forget(place.topic)
                why = f"partition {place.partition} of {place.topic} has no leader"
                verdicts |= dict.fromkeys(parcel.records.rows, Retry(why))
            elif size > most and len(parcel.records) == 1:
                why = f"{size} bytes, and max_message_bytes is {most}"
                verdicts |= dict.fromkeys(parcel.records.rows, Refused(why))
            else:
                continue
            parcels.remove(parcel)
        return verdicts

    async def _send(self, parcels: Sequence[_Parcel], producer: Producer) -> None:
        """Send them, those of a partition in order, and none behind some that were not stored."""
        columns: dict[Place, list[_Parcel]] = {}
        for parcel in parcels:
            columns.setdefault(parcel.name.place, []).append(parcel)
        waiting = list(columns.values())
        try:
            while waiting:
                await self._send_some([column[:IN_FLIGHT] for column in waiting], producer)
                well = [column for column in waiting if all(parcel.stored for parcel in column[:IN_FLIGHT])]
                waiting = [column[IN_FLIGHT:] for column in well if len(column) > IN_FLIGHT]
        finally:
            for parcel in parcels:
                if producer != NOBODY and not parcel.stored:
                    self._sequences.leave(producer, parcel.name, parcel.number)

    async def _send_some(self, columns: Sequence[Sequence[_Parcel]], producer: Producer) -> None:
        async with asyncio.TaskGroup() as group:
            for place in range(max(map(len, columns))):
                requests: defaultdict[int, list[_Parcel]] = defaultdict(list)
                for column in columns:
                    for parcel in column[place : place + 1]:
                        requests[parcel.leader].append(parcel)
                for leader, together in requests.items():
                    group.create_task(self._request(leader, together, producer))

    async def _request(self, leader: int, parcels: Sequence[_Parcel], producer: Producer) -> None:
        framed = [(*parcel.name.place, parcel.records.framed(*producer, parcel.number)) for parcel in parcels]
        try:
            answers = await self._opened.produce(leader, framed)
        except TransportError as error:
            for parcel in parcels:
                parcel.answer = error
        else:
            for parcel in parcels:
                parcel.answer = answers.get(parcel.name.place)

    async def _number(self, parcels: Sequence[_Parcel]) -> Producer:
        """Give them their sequence numbers, and say whose they are."""
        if not self.options.idempotent or not parcels:
            return NOBODY
        names = [parcel.name for parcel in parcels]
        async with self._numbering:
            while (numbers := self._sequences.assign(names)) is None:
                self._sequences.begin(Producer(*await self._opened.producer()))
            for parcel, number in zip(parcels, numbers, strict=True):
                parcel.number = number
            return self._sequences.producer

    def _judge(self, parcels: Sequence[_Parcel], producer: Producer) -> dict[int, Verdict]:
        verdicts: dict[int, Verdict] = {}
        unstored: dict[Place, _Parcel] = {}
        for parcel in parcels:
            if parcel.stored:
                continue
            place = parcel.name.place
            self._opened.forget(place.topic)  # most of what goes wrong comes of a leader that is no more
            answer, first = parcel.answer, unstored.setdefault(place, parcel) is parcel
            # Out of order behind one that was not stored, that is as it should be; else nobody knows us any more.
            if answer in _OTHER_PRODUCER or (answer == _OUT_OF_ORDER and first):
                self._sequences.forget(producer)
            verdicts |= dict.fromkeys(parcel.records.rows, _judge(parcel))
        return verdicts

    def _judge_topic(self, name: str, topics: Mapping[str, Topic]) -> Verdict | None:
        topic = topics.get(name)
        if topic is not None and not topic.error and topic.leaders:
            self._missed.discard(name)
            return None
        self._opened.forget(name)
        error = topic.error if topic is not None else _UNKNOWN_TOPIC
        if error == _UNKNOWN_TOPIC and name in self._missed:
            return Misconfigured(f"the topic {name} does not exist, and the broker makes none: make it")
        if error == _UNKNOWN_TOPIC:
            self._missed.add(name)  # a broker that makes it on being asked says so, too, at first
            return Retry(f"the topic {name} does not exist, or not yet")
        why = f"of the topic {name} it answered {said(error)}"
        return Misconfigured(why) if error in _MENDED else Retry(why)


def _partition(batch: Batch, topic: Topic) -> int:
    """Where Kafka's own producer would put this key."""
    return int(murmur2(batch.container.id.encode()) & 0x7FFFFFFF) % len(topic.leaders)


def _name(place: Place, records: RecordSet) -> Name:
    return Name(place, records.first_id, records.last_id, len(records))


def _judge(parcel: _Parcel) -> Verdict:
    """What becomes of the rows of a record set that was not stored."""
    match parcel.answer:
        case None:
            return Retry("one before it was not stored")
        case TransportError() as error:
            return _judge_error(error)
        case code:
            return _judge_code(code, alone=len(parcel.records) == 1)


def _judge_code(code: int, *, alone: bool) -> Verdict:
    why = f"it answered {said(code)}"
    if code in _MENDED:
        return Misconfigured(why)
    if code in _TOO_LARGE or code in _REFUSED:
        # Of a set with one bad record, nothing is stored; divided, the others are.
        return Refused(why) if alone else TooLarge(why)
    return Retry(why)


def _judge_error(error: TransportError) -> Verdict:
    if isinstance(error, (UntrustedError, DeniedError)):
        return Misconfigured(str(error))
    return Retry(str(error))
