"""Syslog: what the URL may say, and what rsyslogd and syslog-ng themselves understand."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import pytest

from agent.batch import Batch, Stream
from agent.errors import SettingsError
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Outcome, Partial, Retry
from agent.transport import datagram
from tests.receivers.certificates import PrivateCa
from tests.receivers.sent import batch, container, forget
from tests.receivers.syslog import SyslogDatagrams, SyslogTcp, read_structured_data
from tests.receivers.syslogd import Syslogd, rsyslogd, syslog_ng

#: Text, escapes, both stream ends, nothing, all that UTF-8 has of control characters.
TEXTS = ["hello", 'a "quoted" \\ [one]', "größer €", "", "two\nlines and\0null", "tab\there"]


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> PrivateCa:
    return PrivateCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def rsyslog(tmp_path_factory: pytest.TempPathFactory, ca: PrivateCa) -> Iterator[Syslogd]:
    """It demands a certificate of us."""
    own = ca.files("127.0.0.1")
    with rsyslogd(tmp_path_factory.mktemp("rsyslog"), ca=ca.ca_file, own=own, clients=True) as server:
        yield server


@pytest.fixture(scope="module")
def ng(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Syslogd]:
    with syslog_ng(tmp_path_factory.mktemp("syslog-ng")) as server:
        yield server


async def sent(url: str, batches: Sequence[Batch]) -> Outcome:
    sink = parse_sink("it", url)
    await sink.open(None, forget)
    try:
        return await sink.deliver(batches)
    finally:
        await sink.close()


def of(name: str) -> list[Batch]:
    """The texts, by a container of that name: so a test finds its own among those of others."""
    return [batch([text.encode() for text in TEXTS], of=container(name), stream=Stream.STDERR)]


def data_of(name: str, row: int) -> dict[str, str]:
    made = container(name)
    return {
        "stream": "stderr",
        "container_id": made.id,
        "container_name": name,
        "image_name": "nginx:1.27",
        "project": "shop",
        "service": f"{name}-service",
        "com_example_team": 'the "a" team',
        "record_id": f"{made.id[:20]}e{1_795_414_426_489_633_114 + row * 1_000_000}",
    }


def escaped(text: str) -> str:
    """As rsyslog writes control characters."""
    return re.sub(r"[\0-\x1f]", lambda match: f"#{ord(match[0]):03o}", text)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_rsyslog_understands_all_of_it(rsyslog: Syslogd, ca: PrivateCa, transport: str) -> None:
    cert, key = ca.client()
    url = f"syslog+{transport}://127.0.0.1:{getattr(rsyslog, transport)}"
    tls = f"?ca={ca.ca_file}&cert={cert}&key={key}" if transport == "tls" else ""
    assert await sent(url + tls, of(transport)) == Delivered()
    for row, record in enumerate(await asyncio.to_thread(rsyslog.records, transport, len(TEXTS))):
        assert orjson.loads(record.pop("data")) == {"docker@32473": data_of(transport, row)}
        assert record == {
            "priority": "27",
            "time": f"2026-11-23T06:13:46.{489633 + row * 1000}Z",
            "host": "node-1",
            "tag": f"{transport}[{os.getpid()}]",
            "program": transport,
            "msgid": transport,
            "message": escaped(TEXTS[row]),
        }


@pytest.mark.parametrize("form", ["rfc=3164", "rfc=3164&framing=octets", "rfc=5424&framing=newline"])
async def test_rsyslog_understands_either_form_in_either_framing(rsyslog: Syslogd, form: str) -> None:
    name = re.sub(r"\W", "-", form)
    assert await sent(f"syslog+tcp://127.0.0.1:{rsyslog.tcp}?{form}", of(name)) == Delivered()
    records = await asyncio.to_thread(rsyslog.records, name, len(TEXTS))
    space = " " if "3164" in form else ""  # which rsyslog counts as text
    assert [record["message"] for record in records] == [space + escaped(text) for text in TEXTS]
    assert {record["host"] for record in records} == {"node-1"}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_syslog_ng_understands_all_of_it(ng: Syslogd, transport: str) -> None:
    url = f"syslog+{transport}://127.0.0.1:{getattr(ng, transport)}"
    assert await sent(url, of(transport)) == Delivered()
    for row, record in enumerate(await asyncio.to_thread(ng.records, transport, len(TEXTS))):
        assert read_structured_data(record.pop("data")) == data_of(transport, row)
        assert record == {
            "priority": 27,
            "time": "1795414426",
            "host": "node-1",
            "program": transport,
            "pid": str(os.getpid()),
            "msgid": transport,
            "message": TEXTS[row].replace("\0", "\\x00"),
        }


async def test_syslog_ng_understands_the_older_form_by_lines(ng: Syslogd) -> None:
    """Its `network()` takes a null byte for an end, too."""
    assert await sent(f"syslog+tcp://127.0.0.1:{ng.lines}?rfc=3164", of("lines")) == Delivered()
    records = await asyncio.to_thread(ng.records, "lines", len(TEXTS))
    wanted = [text.replace("\n", "#012").replace("\0", "#000") for text in TEXTS]
    assert [record["message"] for record in records] == wanted
    assert {(record["host"], record["time"]) for record in records} == {("node-1", "1795414426")}


async def test_both_understand_what_comes_to_the_local_socket(rsyslog: Syslogd, ng: Syslogd) -> None:
    for server in (rsyslog, ng):
        assert await sent(f"syslog+unix://{server.unix}", of("unix")) == Delivered()
        records = await asyncio.to_thread(server.records, "unix", len(TEXTS))
        assert [record["message"].strip() for record in records][:4] == TEXTS[:4]
        assert {int(record["priority"]) for record in records} == {27}


async def test_rsyslog_that_does_not_know_us_hangs_up_and_nothing_is_taken_for_delivered(
    rsyslog: Syslogd, ca: PrivateCa
) -> None:
    """It says no word about the certificate, not even to TLS: so it cannot be told from a receiver in trouble."""
    outcome = await sent(f"syslog+tls://127.0.0.1:{rsyslog.tls}?ca={ca.ca_file}", of("unknown"))
    assert outcome == Retry(f"127.0.0.1:{rsyslog.tls}: the peer closed the connection")


async def test_a_burst_over_udp_does_not_overrun_a_usual_receiver() -> None:
    """At full speed a buffer of 208 KiB, as the kernel gives it, takes some 160 datagrams of ten thousand."""
    receiver = SyslogDatagrams()
    async with receiver.listening():
        url = f"syslog+udp://127.0.0.1:{receiver.port}"
        assert await sent(url, [batch([b"x" * 150] * 3_000)]) == Delivered()
        await receiver.inbox.have(3_000)


async def test_a_message_too_long_is_refused_and_its_neighbours_are_delivered() -> None:
    async with SyslogTcp().listening() as receiver:
        url = f"syslog+tcp://127.0.0.1:{receiver.port}"
        outcome = await sent(url, [batch([b"a"]), batch([b"x" * 8192, b"b"])])
        assert isinstance(outcome, Partial)
        assert list(outcome.refused) == [1]
        assert re.fullmatch(r"a message of 8\d\d\d bytes, and max_bytes=8192", outcome.refused[1])
        assert [record.message for record in await receiver.inbox.have(2)] == ["a", "b"]


async def test_a_message_too_long_is_cut_when_asked_for() -> None:
    async with SyslogTcp(most_bytes=1000).listening() as receiver:
        url = f"syslog+tcp://127.0.0.1:{receiver.port}?max_bytes=1000&too_long=cut"
        assert await sent(url, [batch([b"x" * 5000, b"b"])]) == Delivered()
        cut, whole = await receiver.inbox.have(2)
    assert re.fullmatch(r"x+\.\.\.", cut.message)
    assert whole.message == "b"


async def test_a_datagram_too_large_for_the_kernel_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagram, "SEND_BUFFER_BYTES", 50_000)
    async with SyslogDatagrams(tmp_path / "log").listening() as receiver:
        url = f"syslog+unix://{receiver.path}?rfc=5424&max_bytes=1MiB"
        outcome = await sent(url, [batch([b"a", b"x" * 500_000, b"b"])])
        assert outcome == Partial(refused={1: "it is larger than a datagram may be here (net.core.wmem_max)"})
        assert [record.message for record in await receiver.inbox.have(2)] == ["a", "b"]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("syslog+udp:///", "the host is missing, as in syslog+udp://host:514"),
        ("syslog+tls://", "the host is missing, as in syslog+tls://host:6514"),
        ("syslog+tcp://h:1/path", "syslog+tcp takes no path after the port"),
        ("syslog+unix://host/dev/log", "the path is missing, as in syslog+unix:///dev/log"),
        ("syslog+udp://h?rfc=5425", "option 'rfc': '5425' is not one of 5424, 3164"),
        (
            "syslog+udp://h?facility=local8",
            "option 'facility': 'local8' is not a facility such as daemon, user or local0, or its number",
        ),
        ("syslog+udp://h?facility=24", "option 'facility': '24' is not a facility such as"),
        ("syslog+udp://h?sd_id=docker", "option 'sd_id': 'docker' is not a name such as docker@32473, or -"),
        ("syslog+udp://h?max_bytes=479", "option 'max_bytes': every receiver takes 480 bytes"),
        ("syslog+udp://h?max_bytes=64KiB", "option 'max_bytes': a datagram holds 65507 at the most"),
        ("syslog+udp://h?framing=newline", "option 'framing' is not known"),
        ("syslog+unix:///dev/log?ca=/x", "option 'ca' is not known"),
    ],
)
def test_what_cannot_work_is_said_at_once(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_sink("it", url)
    assert caught.value.problems[0].startswith(f"sink it: {problem}")


@pytest.mark.parametrize(
    ("text", "number"), [("local0", 16), ("LOCAL7", 23), ("user", 1), ("0", 0), ("23", 23), ("authpriv", 10)]
)
def test_a_facility_is_a_name_or_a_number(text: str, number: int) -> None:
    assert parse_sink("it", f"syslog+udp://h?facility={text}").options.facility == number


async def test_the_usual_ports_need_not_be_named() -> None:
    for scheme, port in (("syslog+udp", 514), ("syslog+tcp", 514), ("syslog+tls", 6514)):
        outcome = await sent(f"{scheme}://no-such-host.invalid", of("x"))
        assert isinstance(outcome, Retry)
        assert f"no-such-host.invalid:{port}" in outcome.why


def test_no_request_over_udp_takes_longer_than_its_time_out() -> None:
    """Ten thousand at ten in a second would never end: it is cut off, and begun again."""
    options = parse_sink("it", "syslog+udp://h?rate=10&timeout=20s").options
    assert (options.batch_records, options.batch_bytes) == (50, 50 * 1024)
    options = parse_sink("it", "syslog+udp://h?rate=1&timeout=1s").options
    assert (options.batch_records, options.batch_bytes) == (1, 1024)
