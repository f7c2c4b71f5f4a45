"""Google's credentials, its judgement of each entry, and what the sink makes of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.errors import SettingsError, SinkError
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Outcome, Partial, Refused, Retry, TooLarge
from agent.sinks.gcplogs import GcpLogsSink
from tests.contract.play import opened
from tests.receivers.certificates import PrivateCa
from tests.receivers.google import (
    ENTRY_BYTES,
    LOG,
    PROJECT,
    GcpLogsReceiver,
    ServiceAccount,
    TokenReceiver,
    error,
    partial,
)
from tests.receivers.sent import batch, forget
from tests.receivers.web import Answer

ACCOUNT = ServiceAccount()
NOBODY = "http://127.0.0.1:9"  # the discard port: nobody listens


def sink(url: str) -> GcpLogsSink:
    made = parse_sink("it", url)
    assert isinstance(made, GcpLogsSink)
    return made


@contextlib.asynccontextmanager
async def google(
    directory: Path, more: str = ""
) -> AsyncIterator[tuple[GcpLogsReceiver, TokenReceiver, GcpLogsSink]]:
    receiver, tokens = GcpLogsReceiver(), TokenReceiver(ACCOUNT)
    async with receiver.listening(), tokens.listening():
        key = directory / "key.json"
        key.write_text(ACCOUNT.json(tokens.url))
        url = f"gcplogs://{PROJECT}/{LOG}?endpoint=http://127.0.0.1:{receiver.port}&credentials_file={key}"
        async with opened(sink(url + (more and "&") + more)) as made:
            assert isinstance(made, GcpLogsSink)
            yield receiver, tokens, made
    assert receiver.inbox.faults == tokens.inbox.faults == []


async def test_one_token_serves_many_requests(tmp_path: Path) -> None:
    async with google(tmp_path) as (_, tokens, made):
        assert await made.probe() == Delivered()
        for _ in range(3):
            assert await made.deliver([batch()]) == Delivered()
    assert tokens.given == 1


async def test_a_token_that_is_not_taken_any_more_is_asked_for_anew(tmp_path: Path) -> None:
    async with google(tmp_path) as (receiver, tokens, made):
        receiver.script.append(error(401, "UNAUTHENTICATED", "expired"))
        assert await made.deliver([batch()]) == Misconfigured("it answered 401: UNAUTHENTICATED: expired")
        assert await made.deliver([batch()]) == Delivered()
    assert tokens.given == 2


async def test_sent_twice_an_entry_is_kept_once(tmp_path: Path) -> None:
    async with google(tmp_path) as (receiver, _, made):
        for _ in range(2):
            assert await made.deliver([batch()]) == Delivered()
    assert len(receiver.entries) == 5


async def test_on_a_machine_of_googles_entries_are_of_the_instance(tmp_path: Path) -> None:
    async with google(tmp_path, "zone=europe-west1-b&instance=vm-1&instance_id=123&compress=none") as (
        receiver,
        _,
        made,
    ):
        receiver.resource = {
            "type": "gce_instance",
            "labels": {"instance_id": "123", "zone": "europe-west1-b"},
        }
        assert await made.deliver([batch([b"x"])]) == Delivered()
    [entry] = receiver.entries
    assert entry["jsonPayload"]["instance"] == {"zone": "europe-west1-b", "name": "vm-1", "id": "123"}


async def test_each_entry_is_judged_for_itself(tmp_path: Path) -> None:
    """What is its own fault is refused; what may pass is sent again; too long a one is not even sent."""
    long = b"x" * (ENTRY_BYTES + 1)
    async with google(tmp_path) as (receiver, _, made):
        receiver.refuses = {"bad": (3, "it is bad"), "later": (14, "busy"), "not yet": (8, "quota")}
        outcome = await made.deliver([batch([b"1", long, b"bad"]), batch([b"later", b"2", b"not yet"])])
    assert isinstance(outcome, Partial)
    assert list(outcome.retry) == [3, 5]
    assert set(outcome.refused) == {1, 2}
    assert outcome.refused[2] == "it is bad"
    assert outcome.refused[1].startswith("an entry may have 262144 bytes, ")
    assert outcome.refused[1].endswith("this one has 262145")
    assert [record.message for record in receiver.inbox.records] == ["1", "2"]


async def test_where_the_service_finds_an_entry_too_long_that_one_is_refused(tmp_path: Path) -> None:
    """By its own measure, which counts what JSON escapes."""
    async with google(tmp_path) as (_, _, made):
        outcome = await made.deliver([batch([b"fine", b"\x01" * (ENTRY_BYTES // 2)])])
    assert isinstance(outcome, Partial)
    assert list(outcome.refused) == [1]
    assert "exceeds maximum size" in outcome.refused[1]


async def test_of_too_long_entries_alone_no_request_is_made(tmp_path: Path) -> None:
    async with google(tmp_path) as (receiver, _, made):
        outcome = await made.deliver([batch([b"x" * (1 << 20)])])
        assert isinstance(outcome, Partial)
        assert list(outcome.refused) == [0]
        assert receiver.requests == []


async def test_a_request_beyond_the_limit_is_not_sent_but_split(tmp_path: Path) -> None:
    async with google(tmp_path) as (receiver, _, made):
        outcome = await made.deliver([batch([b"x" * 200_000] * 51)])
        assert isinstance(outcome, TooLarge)
        assert receiver.requests == []


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (error(429, "RESOURCE_EXHAUSTED", "quota"), Retry("it answered 429: RESOURCE_EXHAUSTED: quota")),
        (error(503, "UNAVAILABLE", "busy"), Retry("it answered 503: UNAVAILABLE: busy")),
        (Answer(502, "<html>Bad Gateway</html>"), Retry("it answered 502")),
        (error(400, "INVALID_ARGUMENT", "log name"), Refused("it answered 400: INVALID_ARGUMENT: log name")),
        (error(403, "PERMISSION_DENIED", "no"), Misconfigured("it answered 403: PERMISSION_DENIED: no")),
        (error(404, "NOT_FOUND", "project"), Misconfigured("it answered 404: NOT_FOUND: project")),
        (partial({"0": {"code": 7}}), Partial([0], {}, "INVALID_ARGUMENT: some entries were not written")),
    ],
)
async def test_each_answer_has_its_meaning(tmp_path: Path, answer: Answer, outcome: Outcome) -> None:
    async with google(tmp_path) as (receiver, _, made):
        receiver.script.append(answer)
        assert await made.deliver([batch()]) == outcome
        assert await made.deliver([batch()]) == Delivered()


async def test_a_token_is_not_shown_though_the_answer_repeats_it(tmp_path: Path) -> None:
    async with google(tmp_path) as (receiver, _, made):
        receiver.authorization = "Bearer another"
        assert await made.deliver([batch()]) == Misconfigured("it answered 401: not allowed: Bearer ***")


async def test_while_nobody_gives_a_token_it_is_tried_again() -> None:
    key = ACCOUNT.json(f"{NOBODY}/token").replace("%", "%25").replace("&", "%26")
    async with opened(sink(f"gcplogs://{PROJECT}/?endpoint={NOBODY}&credentials={key}")) as made:
        outcome = await made.deliver([batch()])
    assert isinstance(outcome, Retry)
    assert "Connection refused" in outcome.why


async def test_a_token_server_that_is_not_trusted_is_for_a_person_to_mend(tmp_path: Path) -> None:
    async with TokenReceiver(ACCOUNT).listening(PrivateCa(tmp_path).server()) as tokens:
        (tmp_path / "key.json").write_text(ACCOUNT.json(tokens.url.replace("http:", "https:")))
        url = f"gcplogs://{PROJECT}/?endpoint={NOBODY}&credentials_file={tmp_path / 'key.json'}"
        async with opened(sink(url)) as made:
            outcome = await made.deliver([batch()])
        assert isinstance(outcome, Misconfigured)
        assert "CERTIFICATE_VERIFY_FAILED" in outcome.why
        async with opened(sink(f"{url}&ca={tmp_path / 'ca.pem'}")) as made:
            assert isinstance(await made.deliver([batch()]), Retry)
        assert tokens.given == 1


async def test_an_account_that_is_not_known_any_more_is_for_a_person_to_mend(tmp_path: Path) -> None:
    async with google(tmp_path) as (_, tokens, made):
        tokens.locked = True
        assert await made.deliver([batch()]) == Misconfigured(
            "invalid_grant: Invalid grant: account not found"
        )


async def test_without_a_key_the_machines_own_credentials_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with TokenReceiver(ACCOUNT).listening() as tokens, GcpLogsReceiver().listening() as receiver:
        (tmp_path / "key.json").write_text(ACCOUNT.json(tokens.url))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
        url = f"gcplogs://{PROJECT}/{LOG}?endpoint=http://127.0.0.1:{receiver.port}"
        async with opened(sink(url)) as made:
            assert await made.deliver([batch()]) == Delivered()
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
        lost = sink(url)
        with pytest.raises(SinkError, match=r"no credentials: .*none\.json"):
            await lost.open(None, forget)
        await lost.close()


def test_the_log_is_the_drivers_own_unless_it_is_named() -> None:
    for path, log in (("", "gcplogs-docker-driver"), ("/", "gcplogs-docker-driver"), ("/a/b", "a%2Fb")):
        made = sink(f"gcplogs://{PROJECT}{path}")
        assert json.loads(made._head + b"}")["logName"] == f"projects/{PROJECT}/logs/{log}"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("gcplogs:///log", "the project is missing, as in gcplogs://project/log-name"),
        (
            "gcplogs://p/l?endpoint=ftp://x",
            "option 'endpoint': 'ftp://x' is not a URL such as https://host:port",
        ),
    ],
)
def test_what_cannot_work_is_said_at_once(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        sink(url)
    assert caught.value.problems == (f"sink it: {problem}",)


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("s3cr3t", "what is given is no service account's key"),
        ('["s3cr3t"]', "what is given is no service account's key"),
        ('{"type":"service_account","private_key":"s3cr3t"}', "expected format"),
        (json.dumps(json.loads(ACCOUNT.json(NOBODY)) | {"private_key": "s3cr3t"}), ""),
    ],
)
async def test_a_key_that_is_none_is_said_when_it_opens_and_not_quoted(
    tmp_path: Path, key: str, problem: str
) -> None:
    (tmp_path / "key.json").write_text(key)
    made = sink(f"gcplogs://p/l?credentials_file={tmp_path / 'key.json'}")
    with pytest.raises(SinkError, match=f"no credentials: .*{problem}") as caught:
        await made.open(None, forget)
    assert "s3cr3t" not in str(caught.value)
    await made.close()
