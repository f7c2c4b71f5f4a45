"""Objects in a bucket: what they are called, what goes with them, and that no kill makes two of one."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.batch import Batch
from agent.errors import SettingsError, SinkError
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Retry, TooLarge
from agent.sinks.s3 import S3Sink
from tests.contract.play import opened
from tests.receivers.aws import ACCESS_KEY_ID
from tests.receivers.moto import REGION, client, moto
from tests.receivers.s3 import BUCKET, S3Receiver, error
from tests.receivers.sent import START_NS, batch, container, expected, forget
from tests.receivers.web import Answer
from tests.sinks.s3_victim import entries

SECRET = "s3cr3t-enough"
KEYS = f"access_key_id={ACCESS_KEY_ID}&secret_access_key={SECRET}"
PATIENCE_S = 30.0
DAY_NS = 24 * 3600 * 10**9


def sink(url: str) -> S3Sink:
    made = parse_sink("it", url)
    assert isinstance(made, S3Sink)
    return made


@contextlib.asynccontextmanager
async def bucket(path: str = "/docker", more: str = "") -> AsyncIterator[tuple[S3Receiver, S3Sink]]:
    receiver = S3Receiver(secret=SECRET)
    async with receiver.listening():
        url = f"s3://{BUCKET}{path}?endpoint=http://127.0.0.1:{receiver.port}&{KEYS}{more and '&'}{more}"
        async with opened(sink(url)) as made:
            assert isinstance(made, S3Sink)
            yield receiver, made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with moto(tmp_path_factory.mktemp("moto")) as port:
        yield port


async def test_moto_has_the_object_as_it_is_documented(server: int) -> None:
    sent = batch()
    url = f"s3://{BUCKET}/docker?region={REGION}&endpoint=http://127.0.0.1:{server}&{KEYS}"
    async with client("s3", server) as s3, opened(sink(url)) as made:
        assert await made.probe() == await made.deliver([sent])
        outcome = await made.deliver([sent])
        assert isinstance(outcome, Misconfigured)
        assert outcome.why.startswith("it answered 404: NoSuchBucket: ")
        await s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        assert await made.probe() == Delivered()
        for _ in range(2):  # the second takes the first one's place
            assert await made.deliver([sent]) == Delivered()
        [only] = (await s3.list_objects_v2(Bucket=BUCKET))["Contents"]
        assert only["Key"] == f"docker/2026-11-23/node-1/20261123T061346Z-{sent.ids()[0].decode()}.ndjson.gz"
        there = await s3.get_object(Bucket=BUCKET, Key=only["Key"])
        lines = gzip.decompress(await there["Body"].read()).splitlines()
    assert there["ContentType"] == "application/gzip"
    assert "ContentEncoding" not in there
    assert [json.loads(line)["message"].encode() for line in lines] == sent.messages


@pytest.mark.parametrize(
    ("path", "more", "folders"),
    [
        ("", "", {"2026-11-23/node-1/"}),
        ("/a/b/", "key_prefix=", {"a/b/"}),
        ("", "key_prefix=", {""}),
        (
            "/logs",
            "key_prefix={{.Date}}/{{.Hour}}/{{.Name}}",
            {"logs/2026-11-23/06/web/", "logs/2026-11-23/06/db/"},
        ),
        (
            "/{{.Year}}/{{.Month}}{{.Day}}",
            "key_prefix={{.ID}}",
            {"2026/1123/776562776562/", "2026/1123/646264626462/"},
        ),
    ],
)
async def test_the_key_has_a_folder_for_each_that_is_asked_for(
    path: str, more: str, folders: set[str]
) -> None:
    sent = [batch(), batch([b"of another"], of=container("db")), batch([b"later"], start_ns=START_NS + 10**9)]
    async with bucket(path, more) as (receiver, made):
        assert await made.deliver(sent) == Delivered()
    assert {key.rpartition("/")[0] + "/" if "/" in key else "" for key in receiver.objects} == folders
    assert sorted(map(str, receiver.records)) == sorted(map(str, expected(sent)))


async def test_over_midnight_each_day_has_its_object() -> None:
    midnight_ns = (START_NS // DAY_NS + 1) * DAY_NS
    sent = [batch([b"before"], start_ns=midnight_ns - 1), batch([b"after"], start_ns=midnight_ns)]
    async with bucket() as (receiver, made):
        assert await made.deliver(sent) == Delivered()
    assert {key.split("/")[1]: records[0].message for key, records in receiver.objects.items()} == {
        "2026-11-23": "before",
        "2026-11-24": "after",
    }


async def test_an_object_s_folder_is_of_the_day_on_which_its_records_were_read() -> None:
    """By times of its own a container could have any number of them made."""
    sent = batch([b"one", b"two"])
    sent.read_at = sent.timestamps
    sent.timestamps = [0, DAY_NS]
    async with bucket() as (receiver, made):
        assert await made.deliver([sent]) == Delivered()
    [key] = receiver.objects
    assert key.startswith("docker/2026-11-23/node-1/20261123T061346Z-")
    assert receiver.records == expected([sent])


async def test_the_region_is_found_as_by_all_aws_programs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An endpoint of one's own has mostly none: then it is the first there was."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for given, more, region in (
        (None, "", "us-east-1"),
        ("eu-west-3", "", "eu-west-3"),
        ("eu-west-3", "region=eu-central-1", "eu-central-1"),
    ):
        if given is None:
            monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
        else:
            monkeypatch.setenv("AWS_DEFAULT_REGION", given)
        async with bucket(more=more) as (receiver, made):
            assert await made.deliver([batch()]) == Delivered()
        assert f"/{region}/s3/aws4_request" in receiver.requests[0].headers["Authorization"]


async def test_attributes_go_with_each_object() -> None:
    more = "storage_class=STANDARD_IA&sse=aws:kms&sse_kms_key_id=alias/logs&acl=bucket-owner-full-control"
    async with bucket(more=f"{more}&compress=zstd") as (receiver, made):
        assert await made.deliver([batch()]) == Delivered()
    [headers] = receiver.headers.values()
    assert headers["x-amz-storage-class"] == "STANDARD_IA"
    assert headers["x-amz-server-side-encryption"] == "aws:kms"
    assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/logs"
    assert headers["x-amz-acl"] == "bucket-owner-full-control"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (error(503, "SlowDown", retry_after="7"), Retry("it answered 503: SlowDown: said so", 7.0)),
        (error(500, "InternalError"), Retry("it answered 500: InternalError: said so")),
        (error(400, "RequestTimeout"), Retry("it answered 400: RequestTimeout: said so")),
        (error(400, "EntityTooLarge"), TooLarge("it answered 400: EntityTooLarge: said so")),
        (Answer(413), TooLarge("it answered 413: Request Entity Too Large")),
        (error(403, "AccessDenied"), Misconfigured("it answered 403: AccessDenied: said so")),
        (error(404, "NoSuchBucket"), Misconfigured("it answered 404: NoSuchBucket: said so")),
        (error(400, "InvalidStorageClass"), Misconfigured("it answered 400: InvalidStorageClass: said so")),
        (
            error(400, "KMS.NotFoundException"),
            Misconfigured("it answered 400: KMS.NotFoundException: said so"),
        ),
    ],
)
async def test_each_error_has_its_meaning_and_none_is_a_records_fault(
    answer: Answer, outcome: object
) -> None:
    async with bucket() as (receiver, made):
        receiver.script.append(answer)
        assert await made.deliver([batch()]) == outcome
        assert await made.deliver([batch()]) == Delivered()


async def test_of_several_objects_that_fail_the_worst_is_told_and_all_are_stored_again() -> None:
    sent = [batch([b"x"], of=container(name)) for name in ("a", "b", "c")]
    async with bucket(more="key_prefix={{.Name}}") as (receiver, made):
        receiver.script += [
            error(503, "SlowDown"),
            Answer(200, headers={"ETag": "x"}),
            error(403, "AccessDenied"),
        ]
        outcome = await made.deliver(sent)
        assert isinstance(outcome, Misconfigured)
        assert await made.deliver(sent) == Delivered()
    assert len(receiver.records) == 3


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("s3:///prefix", "the bucket is missing, as in s3://bucket/prefix"),
        ("s3://b:9000/x", "s3 takes no port; see option 'endpoint'"),
        ("s3://b/?concurrency=2", "objects are stored one after the other: concurrency can only be 1"),
        ("s3://b/?access_key_id=a", "access_key_id and secret_access_key go together: one is missing"),
        ("s3://b/?sse_kms_key_id=a", "sse_kms_key_id is of no use without sse=aws:kms"),
        ("s3://b/../c", "path and key_prefix must be a path without '..' or NUL"),
        (
            "s3://b/?endpoint=minio:9000",
            "option 'endpoint': 'minio:9000' is not a URL such as https://host:port",
        ),
    ],
)
def test_what_cannot_work_is_said_at_once(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        sink(url)
    assert caught.value.problems == (f"sink it: {problem}",)


async def test_a_profile_that_is_not_there_is_said_when_it_opens() -> None:
    made = sink("s3://b/?profile=no-such-profile")
    with pytest.raises(SinkError, match="no-such-profile"):
        await made.open(None, forget)
    await made.close()


async def test_without_credentials_a_person_has_to_mend_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with opened(sink("s3://b/?endpoint=http://127.0.0.1:9")) as made:
        outcome = await made.deliver([batch()])
    assert isinstance(outcome, Misconfigured)
    assert outcome.why.startswith("no credentials are found: ")


async def test_opened_again_it_first_makes_the_object_that_was_under_way() -> None:
    """The same again, though more is waiting by now: should the first still arrive late, it changes nothing."""
    first, later = batch(), batch([b"later"], start_ns=START_NS + 10**9)
    saved: list[bytes] = []

    async def save(checkpoint: bytes) -> None:
        saved.append(checkpoint)

    async with bucket() as (receiver, made):
        await made.open(None, save)
        receiver.script.append(replace(error(500, "InternalError"), store=True))
        assert isinstance(await made.deliver([first]), Retry)
        before = dict(receiver.objects)
        await made.open(saved[-1], save)
        assert await made.deliver([first, later]) == Delivered()
    assert [receiver.objects[key] for key in before] == list(before.values())
    assert [len(records) for records in receiver.objects.values()] == [5, 1]
    assert len(saved) == 3


async def test_killed_at_any_put_and_cut_otherwise_after_it_the_bucket_has_each_record_once(
    tmp_path: Path,
) -> None:
    """The server has the whole request, and stores it; the agent dies before, or after, it is told."""
    receiver, chance = S3Receiver(secret=SECRET), random.Random(3)
    async with receiver.listening():
        url = f"s3://{BUCKET}/x?endpoint=http://127.0.0.1:{receiver.port}&{KEYS}&key_prefix="
        for _ in range(5):
            receiver.script += [Answer(200, headers={"ETag": "x"}, delay=0.05) for _ in range(50)]
            kill_at = len(receiver.requests) + chance.randint(2, 6)
            how = f"batch_age={chance.choice([1, 60])}ms&batch_records={chance.choice([30, 100])}"
            victim = await _victim(tmp_path, f"{url}&{how}")
            async with asyncio.timeout(PATIENCE_S):
                while len(receiver.requests) < kill_at:  # noqa: ASYNC110 - it is another process that asks
                    await asyncio.sleep(0.001)
                await asyncio.sleep(chance.choice([0, 0.03, 0.06]))
            victim.send_signal(signal.SIGKILL)
            await victim.wait()
            receiver.script.clear()
        async with asyncio.timeout(PATIENCE_S):
            victim = await _victim(tmp_path, f"{url}&batch_age=1s")
            assert await victim.wait() == 0
    assert not receiver.inbox.faults
    assert max(receiver.puts.values()) > 1  # else no kill has hit
    assert Counter(_ids(receiver)) == Counter(_sent(entries()))


async def _victim(directory: Path, url: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.sinks.s3_victim", str(directory), url
    )


def _ids(receiver: S3Receiver) -> list[str | None]:
    return [record.id for record in receiver.records]


def _sent(batches: list[Batch]) -> list[str]:
    return [name.decode() for each in batches for name in each.ids()]
