"""Log groups and streams, and what becomes of a request that is many calls."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from agent.batch import Batch
from agent.errors import SettingsError
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Outcome, Partial, Refused, Retry, TooLarge
from agent.sinks.cloudwatch import CloudWatchSink
from tests.contract.play import opened
from tests.receivers.aws import ACCESS_KEY_ID
from tests.receivers.cloudwatch import GROUP, CloudWatchReceiver, error
from tests.receivers.moto import REGION, client, moto
from tests.receivers.sent import START_NS, batch, container
from tests.receivers.web import Answer

SECRET = "s3cr3t-enough"
KEYS = f"access_key_id={ACCESS_KEY_ID}&secret_access_key={SECRET}"
DAY_NS = 24 * 3600 * 10**9


def sink(url: str) -> CloudWatchSink:
    made = parse_sink("it", url)
    assert isinstance(made, CloudWatchSink)
    return made


@contextlib.asynccontextmanager
async def logs(
    more: str = "", group: str = GROUP
) -> AsyncIterator[tuple[CloudWatchReceiver, CloudWatchSink]]:
    receiver = CloudWatchReceiver(secret=SECRET)
    async with receiver.listening():
        endpoint = f"endpoint=http://127.0.0.1:{receiver.port}"
        async with opened(
            sink(f"cloudwatch://{REGION}/{group}?{endpoint}&{KEYS}{more and '&'}{more}")
        ) as made:
            assert isinstance(made, CloudWatchSink)
            yield receiver, made
    assert not receiver.inbox.faults


def of_each(*names: str) -> list[Batch]:
    return [batch([name.encode()], of=container(name)) for name in names]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with moto(tmp_path_factory.mktemp("moto")) as port:
        yield port


async def test_moto_has_the_events_in_the_stream_of_the_container(server: int) -> None:
    now_ns = time.time_ns() - 10**9
    url = f"cloudwatch://{REGION}//containers/shop?endpoint=http://127.0.0.1:{server}&{KEYS}"
    async with client("logs", server) as cloudwatch:
        async with opened(sink(url)) as made:
            outcome = await made.probe()
            assert isinstance(outcome, Misconfigured)
            assert "The specified log group does not exist" in outcome.why
            assert await made.deliver([batch(start_ns=now_ns)]) == outcome
        async with opened(sink(f"{url}&create_group=true")) as made:
            assert await made.probe() == Delivered()
            assert await made.deliver([batch(start_ns=now_ns)]) == Delivered()
            assert await made.probe() == Delivered()
        there = await cloudwatch.get_log_events(
            logGroupName="/containers/shop", logStreamName=container().id, startFromHead=True
        )
    assert [(event["timestamp"], event["message"]) for event in there["events"]] == [
        (now_ns // 1_000_000 + row, message.decode() or " ") for row, message in enumerate(batch().messages)
    ]


async def test_a_stream_is_named_as_dockers_driver_names_it_and_made_once() -> None:
    async with logs() as (receiver, made):
        for _ in range(3):
            assert await made.deliver(of_each("web", "db")) == Delivered()
    assert set(receiver.groups[GROUP]) == {container("web").id, container("db").id}
    assert receiver.operations.count("CreateLogStream") == 2
    assert receiver.operations.count("PutLogEvents") == 2 + 3 * 2


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{{.Name}}", "a_b_c"),
        ("{{.Name}}/{{.ID}}", "a_b_c/613a622a6361"),
        ('{{index .Labels "none"}}', "_"),
        ("x" * 600, "x" * 512),
    ],
)
async def test_a_stream_is_named_in_the_letters_allowed(template: str, name: str) -> None:
    async with logs(f"stream={template}") as (receiver, made):
        assert await made.deliver(of_each("a:b*c")) == Delivered()
    assert set(receiver.groups[GROUP]) == {name}


async def test_a_stream_that_is_not_to_be_made_is_for_a_person_to_mend() -> None:
    async with logs("create_stream=false") as (receiver, made):
        assert await made.deliver(of_each("web")) == Misconfigured(
            "it answered 400: ResourceNotFoundException: The specified log stream does not exist."
        )
        receiver.groups[GROUP][container("web").id] = []
        assert await made.deliver(of_each("web")) == Delivered()


async def test_a_stream_made_by_another_meanwhile_is_no_trouble() -> None:
    async with logs() as (receiver, made):
        receiver.hidden = True
        outcome = await made.deliver(of_each("web"))
        assert isinstance(outcome, Retry)
        assert "is not there yet" in outcome.why
        assert isinstance(await made.deliver(of_each("web")), Retry)
        receiver.hidden = False
        assert await made.deliver(of_each("web")) == Delivered()


async def test_events_out_of_time_are_refused_one_by_one() -> None:
    sent = [
        batch([b"too old", b"too old, too"], start_ns=START_NS - 15 * DAY_NS),
        batch([b"fine"]),
        batch([b"too new"], start_ns=START_NS + DAY_NS // 2),
    ]
    async with logs() as (receiver, made):
        outcome = await made.deliver(sent)
    old = "it is more than 14 days old, or older than the log group keeps events"
    assert outcome == Partial(refused={0: old, 1: old, 3: "its time is more than 2 hours ahead"})
    assert [record.message for record in receiver.inbox.records] == ["fine"]


async def test_expired_events_are_refused() -> None:
    async with logs() as (receiver, made):
        assert await made.deliver([batch([b"1"])]) == Delivered()
        said = '{"rejectedLogEventsInfo": {"expiredLogEventEndIndex": 2}}'
        receiver.script.append(Answer(200, said, {"Content-Type": "application/x-amz-json-1.1"}))
        outcome = await made.deliver([batch([b"1", b"2", b"3"])])
    assert outcome == Partial(refused=dict.fromkeys((0, 1), "it is older than the log group keeps events"))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "ThrottlingException", Retry),
        (500, "ServiceUnavailableException", Retry),
        (503, "InternalFailure", Retry),
        (400, "InvalidParameterException", Refused),
        (400, "AccessDeniedException", Misconfigured),
        (400, "UnrecognizedClientException", Misconfigured),
        (400, "ExpiredTokenException", Misconfigured),
        (413, "RequestEntityTooLarge", TooLarge),
    ],
)
async def test_each_error_has_its_meaning(status: int, code: str, kind: type[Outcome]) -> None:
    async with logs() as (receiver, made):
        receiver.groups[GROUP][container("web").id] = []
        receiver.script.append(error(status, code))
        outcome = await made.deliver(of_each("web"))
        assert (type(outcome), getattr(outcome, "why", "")) == (
            kind,
            f"it answered {status}: {code}: said so",
        )
        assert await made.deliver(of_each("web")) == Delivered()


async def test_it_waits_as_long_as_it_is_told() -> None:
    async with logs() as (receiver, made):
        receiver.groups[GROUP][container("web").id] = []
        receiver.script.append(error(400, "ThrottlingException", retry_after="7"))
        outcome = await made.deliver(of_each("web"))
    assert outcome == Retry("it answered 400: ThrottlingException: said so", 7.0)


async def test_what_one_stream_did_not_take_is_asked_again_without_the_others() -> None:
    async with logs() as (receiver, made):
        receiver.poison = "db"
        outcome = await made.deliver(of_each("web", "db", "cache"))
        assert outcome == Partial({1}, {}, "it answered 400: InvalidParameterException: poison")
        assert await made.deliver(of_each("db")) == Refused(
            "it answered 400: InvalidParameterException: poison"
        )
    assert sorted(record.message for record in receiver.inbox.records) == ["cache", "web"]


async def test_after_a_call_that_fails_the_later_ones_of_its_stream_are_not_made() -> None:
    """So events stay in order."""
    sent = [batch([b"x" * 500_000] * 6)]
    async with logs() as (receiver, made):
        receiver.groups[GROUP][container("web").id] = []
        receiver.script += [Answer(200, "{}"), error(400, "ThrottlingException")]
        outcome = await made.deliver(sent)
    assert outcome == Partial({2, 3, 4, 5}, {}, "it answered 400: ThrottlingException: said so")
    assert receiver.operations == ["PutLogEvents"] * 2


async def test_a_longest_event_of_before_2025_is_kept_to() -> None:
    receiver = CloudWatchReceiver(secret=SECRET, event_bytes=256 * 1024)
    async with receiver.listening():
        url = f"cloudwatch://{REGION}/{GROUP}?endpoint=http://127.0.0.1:{receiver.port}&{KEYS}&event_bytes=256KiB"
        async with opened(sink(url)) as made:
            assert await made.deliver([batch([b"x" * (1 << 20)])]) == Delivered()
    assert [len(record.message) for record in receiver.inbox.records] == [262_118] * 4 + [104]


async def test_what_a_refusal_repeats_of_the_signed_request_is_not_shown() -> None:
    async with logs("session_token=a-token-of-the-test") as (receiver, made):
        said = f"Check your key. {SECRET} a-token-of-the-test\nThe Canonical String was {SECRET}"
        receiver.groups[GROUP][container("web").id] = []
        receiver.script.append(error(400, "InvalidSignatureException", said))
        assert await made.deliver(of_each("web")) == Misconfigured(
            "it answered 400: InvalidSignatureException: Check your key. *** ***"
        )


async def test_a_group_that_may_not_be_described_may_still_be_written_to() -> None:
    async with logs() as (receiver, made):
        receiver.undescribed = True
        assert await made.probe() == Delivered()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("cloudwatch://eu-west-1", "region and log group are needed, as in cloudwatch://eu-west-1/my-group"),
        ("cloudwatch:///group", "region and log group are needed"),
        ("cloudwatch://eu-west-1/a b", "region and log group are needed"),
        ("cloudwatch://eu-west-1:80/g", "cloudwatch takes no port; see option 'endpoint'"),
        ("cloudwatch://eu-west-1/g?event_bytes=2MiB", "option 'event_bytes': from 1KiB to 1MiB"),
    ],
)
def test_what_cannot_work_is_said_at_once(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        sink(url)
    assert caught.value.problems[0].startswith(f"sink it: {problem}")
