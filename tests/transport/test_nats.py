"""NATS' protocol as the sink hears it: in pieces of any size, and not always what it waits for."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.transport import TransportError
from agent.transport.nats import Answer, DeniedError, NatsTalk
from agent.transport.stream import Address

FULL = (
    b'{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"L","seq":0}'
)


def talk() -> NatsTalk:
    """Not connected: what it says goes nowhere."""
    return NatsTalk(Address("h", 1), "_INBOX")


def message(to: NatsTalk, number: int, body: bytes, head: bytes = b"") -> bytes:
    """As nats-server writes it, with two blanks where a reply's subject would stand."""
    if head:
        words = b"HMSG %b.%d 1 %d %d" % (to.inbox, number, len(head), len(head + body))
    else:
        words = b"MSG %b.%d 1  %d" % (to.inbox, number, len(body))
    return b"%b\r\n%b%b\r\n" % (words, head, body)


@given(st.data())
def test_answers_are_understood_in_pieces_of_any_size(data: st.DataObject) -> None:
    made = talk()
    said = [
        message(made, 0, b'{"stream":"L", "seq":1}'),
        message(made, 1, b'{"stream":"L","domain":"hub", "seq":1,"duplicate": true}'),
        b"PING\r\n",
        message(made, 2, FULL),
        b'INFO {"max_payload":100,"ldm":true}\r\n',
        message(made, 3, b"", b"NATS/1.0 503\r\n\r\n"),
        message(made, 77, b'{"stream":"L", "seq":9}'),
        message(made, 4, b"\r\nMSG nonsense\r\n"),
        message(made, 5, b'{"stream":"L", "seq":2}'),
    ]
    whole = b"".join(data.draw(st.permutations(said)))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=8)))

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            publishing = group.create_task(made.publish([b"x"] * 6))
            await asyncio.sleep(0)
            for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
                made.data_received(whole[start:end])
        answers = await publishing
        plain = {number: answer for number, answer in answers.items() if b'"seq":2}' not in answer.body}
        # One that came in with something else in front of it may be read by itself; it says the same.
        assert {number: plain[number] for number in (2, 3, 4)} == {
            2: Answer(200, FULL),
            3: Answer(503, b""),
            4: Answer(200, b"\r\nMSG nonsense\r\n"),
        }
        assert all(b'"stream":' in plain[number].body for number in plain.keys() & {0, 1})

    asyncio.run(run())
    assert made.lost is None
    assert made.info.max_payload == 100


async def test_no_more_are_under_way_than_a_stream_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    made, said = talk(), list[bytes]()
    monkeypatch.setattr(made, "say", said.append)
    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(made.publish([b"x"] * 10_000))
        answered = 0
        while answered < 10_000:
            for _ in range(5):
                await asyncio.sleep(0)
            under_way = sum(map(len, said)) - answered
            assert 0 < under_way <= 4096
            made.data_received(message(made, answered, b'{"stream":"L", "seq":1}'))
            answered += 1
        assert await publishing == {}


async def test_what_is_left_out_is_not_waited_for() -> None:
    assert await talk().publish([b"", b""]) == {}


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"-ERR 'Stale Connection'\r\n", TransportError),
        (b"-ERR 'Authorization Violation'\r\n", DeniedError),
        (b"MSG\r\n", TransportError),
        (b"MSG a.b 1 x\r\n", TransportError),
        (b"SUB x 1\r\n", TransportError),
        (b"x" * 70_000, TransportError),
    ],
)
async def test_an_error_ends_the_connection(said: bytes, kind: type[TransportError]) -> None:
    made = talk()
    made.data_received(said)
    assert type(made.lost) is kind
    with pytest.raises(kind):
        await made.publish([b"x"])
