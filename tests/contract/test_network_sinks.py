"""What every sink of the network promises, run for each of them against a strict receiver on loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Retry, Sink
from tests.contract.cases import (
    Case,
    Receiver,
    arrived,
    between,
    cancelled_after,
    noise,
    of_network,
    opened,
    several,
    until,
)
from tests.receivers.certificates import PrivateCa
from tests.receivers.sent import batch, expected
from tests.receivers.tcp import TcpReceiver
from tests.receivers.web import Answer


@of_network
async def test_delivers_every_record_once_in_order_with_its_metadata(case: Case) -> None:
    sent = several()
    async with between(case) as (receiver, sink):
        assert await sink.deliver(sent) == Delivered()
        records = await receiver.inbox.have(len(expected(sent)))
    assert sorted(arrived(case, records), key=str) == sorted(expected(sent), key=str)
    for each in sent:
        ids = [record.id for record in expected([each])]
        assert [record.id for record in records if record.id in ids] == ids


@of_network
async def test_counts_what_is_not_utf8(case: Case) -> None:
    sent = several()
    async with between(case) as (_, sink):
        assert await sink.deliver(sent) == Delivered()
    assert [each.undecodable for each in sent] == [0, 1, 0]


@of_network
async def test_a_probe_says_well_and_leaves_no_record(case: Case) -> None:
    async with between(case) as (receiver, sink):
        assert await sink.probe() == Delivered()
        assert await sink.deliver([batch([b"after"])]) == Delivered()
        records = await receiver.inbox.have(1)
    assert [record.message for record in records] == ["after"]


@of_network
async def test_a_receiver_that_is_not_there_is_tried_again_and_found(case: Case) -> None:
    receiver = case.receiver()
    async with receiver.listening():
        pass
    async with opened(case.sink(receiver.port)) as sink:
        outcome = await sink.deliver([batch()])
        assert isinstance(outcome, Retry)
        assert f"127.0.0.1:{receiver.port}: Connection refused" in outcome.why
        assert isinstance(await sink.probe(), Retry)
        async with receiver.listening():
            assert await sink.deliver([batch()]) == Delivered()
            await receiver.inbox.have(5)


@of_network
async def test_a_receiver_that_restarted_between_two_requests_gets_both(case: Case) -> None:
    receiver = case.receiver()
    async with receiver.listening(), opened(case.sink(receiver.port)) as sink:
        assert await sink.deliver([batch([b"one"])]) == Delivered()
        await receiver.inbox.have(1)
        await receiver_again(receiver, sink)


@of_network
async def test_a_name_that_does_not_exist_is_tried_again(case: Case) -> None:
    sink = parse_sink("it", case.url.replace("127.0.0.1", "no-such-host.invalid").format(port=1))
    async with opened(sink):
        outcome = await sink.deliver([batch()])
    assert isinstance(outcome, Retry)
    assert "no-such-host.invalid:1" in outcome.why


@of_network
async def test_a_reset_in_the_middle_is_tried_again_whole(case: Case) -> None:
    sent = [batch(noise(5000, 200))]
    async with between(case) as (receiver, sink):
        reset_next(receiver)
        outcome = await sink.deliver(sent)
        assert isinstance(outcome, Retry)
        assert outcome.why.startswith(f"127.0.0.1:{receiver.port}: ")
        await until(lambda: sink.deliver(sent), Delivered)
        records = await receiver.inbox.have(5000)
    assert {record.id for record in expected(sent)} <= {record.id for record in records}


@of_network
async def test_cancelled_in_the_middle_it_is_whole_and_goes_on(case: Case) -> None:
    sent = [batch(noise(5000, 200))]
    async with between(case) as (receiver, sink):
        for turns in range(12):
            await cancelled_after(turns, sink.deliver(sent))
        receiver.inbox.faults.clear()  # a cut request is the receiver's to refuse
        assert await sink.deliver([batch([b"and on"])]) == Delivered()
        await receiver.inbox.until(lambda: "and on" in (record.message for record in receiver.inbox.records))


@of_network
async def test_tls_with_a_private_authority(case: Case, tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    async with between(case, server=ca.server(), more=f"ca={ca.ca_file}") as (receiver, sink):
        assert await sink.probe() == Delivered()
        assert await sink.deliver([batch()]) == Delivered()
        await receiver.inbox.have(5)


@of_network
async def test_an_untrusted_authority_is_for_a_person_to_mend(case: Case, tmp_path: Path) -> None:
    async with between(case, server=PrivateCa(tmp_path).server()) as (receiver, sink):
        outcome = await sink.deliver([batch()])
    assert isinstance(outcome, Misconfigured)
    assert "its certificate is not trusted: " in outcome.why
    assert receiver.inbox.records == []


@of_network
async def test_a_wrong_name_is_for_a_person_to_mend(case: Case, tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    async with between(case, server=ca.server("elsewhere.example"), more=f"ca={ca.ca_file}") as (
        receiver,
        sink,
    ):
        outcome = await sink.deliver([batch()])
    assert isinstance(outcome, Misconfigured)
    assert "127.0.0.1" in outcome.why
    assert receiver.inbox.records == []


@of_network
async def test_verify_off_takes_any_certificate(case: Case, tmp_path: Path) -> None:
    async with between(case, server=PrivateCa(tmp_path).server("elsewhere.example"), more="verify=off") as (
        receiver,
        sink,
    ):
        assert await sink.deliver([batch()]) == Delivered()
        await receiver.inbox.have(5)


@of_network
async def test_a_receiver_that_asks_who_we_are_is_told(case: Case, tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    cert, key = ca.client()
    ours = f"ca={ca.ca_file}&cert={cert}&key={key}"
    async with between(case, server=ca.server(clients=True), more=ours) as (receiver, sink):
        assert await sink.deliver([batch()]) == Delivered()
        await receiver.inbox.have(5)


async def receiver_again(receiver: Receiver, sink: Sink[Any]) -> None:
    """Close the receiver's connections; the next request needs a new one."""
    if isinstance(receiver, TcpReceiver):
        receiver.hang_up()
        await receiver.inbox.until(lambda: bool(receiver.endings))
    else:
        receiver.script.append(Answer(cut=True))
    await until(lambda: sink.deliver([batch([b"two"])]), Delivered)
    records = await receiver.inbox.have(2)
    assert {record.message for record in records} == {"one", "two"}


def reset_next(receiver: Receiver) -> None:
    if isinstance(receiver, TcpReceiver):
        receiver.reset_after = 100_000
    else:
        receiver.script.append(Answer(cut=True))
