"""nats, nats+tls: a message for each record, into a JetStream that acknowledges each.

Source: NATS' docs, "JetStream", and server/errors.json of nats-server. What is sent again, because no
acknowledgement came, is sent under the same `Nats-Msg-Id`: the stream drops it, inside its `duplicate_window`.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import orjson

from agent.batch import Batch
from agent.encode.nats import publications
from agent.errors import SettingsError, SinkError
from agent.options import SECRET, TEXT, Secret, option, optional
from agent.sinks.base import Delivered, Misconfigured, Outcome, Refused, Retry, Sink, Target, TlsOptions
from agent.sinks.names import Names, name_template
from agent.sinks.verdicts import Verdict, outcome
from agent.transport import TransportError, UntrustedError
from agent.transport.dialogue import Lending
from agent.transport.nats import Answer, DeniedError, Info, NatsTalk
from agent.transport.nkeys import UserKey
from agent.transport.stream import Address

PORT = 4222
NO_RESPONDERS = 503
MOST_WORD = 200  # a line of the protocol has 4096 bytes
_LONGEST_WHY = 500
_LEAST_SECRET = 4  # a shorter one would take letters out of other words
_STREAM_NAMES = "$JS.API.STREAM.NAMES"
_SUBJECT = r"[^\s.*>\x00-\x1f\x7f]+(\.[^\s.*>\x00-\x1f\x7f]+)*"
_UNFIT = r"[\s.*>\x00-\x1f\x7f\ud800-\udfff]"
#: Errors with a code of 400 that pass by themselves, and that somebody has to mend: by `err_code`.
_RESOURCE_LIMITS = {10002}
_SEALED = {10109}


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsOptions(TlsOptions):
    """The options of `nats://` and `nats+tls://`."""

    user: str | None = option(optional(TEXT), None, help="name to log in with", group="login")
    password: Secret | None = option(optional(SECRET), None, help="password to it", group="login")
    token: Secret | None = option(optional(SECRET), None, help="token to log in with", group="login")
    nkey: Secret | None = option(
        optional(SECRET), None, help="seed of a user's nkey (SU…) to log in with", group="login"
    )
    credentials: Secret | None = option(
        optional(SECRET),
        None,
        help="text of a .creds file (JWT and nkey) to log in with; best given as credentials_file",
        group="login",
    )
    inbox: str = option(
        TEXT, "_INBOX", help="what the subjects begin with that acknowledgements come to", group="login"
    )


class NatsSink(Sink[NatsOptions]):
    """NATS JetStream."""

    many_hosts = True

    def __init__(self, target: Target, options: NatsOptions) -> None:
        super().__init__(target, options)
        wanted = f"a host and a subject are needed, as in {target.scheme}://host:{PORT}/logs.{{{{.Name}}}}"
        self._names: Names = name_template(target, wanted, allowed=_SUBJECT, unfit=_UNFIT, most=MOST_WORD)
        if not re.fullmatch(_SUBJECT, options.inbox):
            raise SettingsError([f"sink {target.name}: option 'inbox' is not a subject such as _INBOX"])
        _check_login(target, options)
        self._key: UserKey | None = None
        hosts = [(target.host, target.port), *target.more]
        self._hosts = cycle([Address(host, port or PORT) for host, port in hosts])
        self._host = next(self._hosts)
        self._context: ssl.SSLContext | None = None
        self._talks = Lending(lambda: NatsTalk(self._host, options.inbox), self._begin)

    async def open(self, checkpoint: bytes | None, save: Callable[[bytes], Awaitable[None]]) -> None:  # noqa: ARG002
        self._context = self.options.context()
        self._key = _user_key(self.options)

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        return await self._attempt(self._deliver(batches))

    async def probe(self) -> Outcome:
        return await self._attempt(self._probe())

    async def close(self) -> None:
        self._talks.end()

    async def _attempt(self, attempt: Awaitable[Outcome]) -> Outcome:
        try:
            return await attempt
        except (UntrustedError, DeniedError) as error:
            return Misconfigured(self._without_secrets(str(error)))
        except TransportError as error:
            self._host = next(self._hosts)
            return Retry(self._without_secrets(str(error)))

    def _without_secrets(self, error: str) -> str:
        """`error` as it may be quoted: what answers there may repeat what it was told, in JSON."""
        secrets = [each.reveal() for each in (self.options.password, self.options.token) if each is not None]
        for told in [*secrets, *(orjson.dumps(secret).decode()[1:-1] for secret in secrets)]:
            error = error.replace(told, "***") if len(told) >= _LEAST_SECRET else error
        return error[:_LONGEST_WHY]

    async def _begin(self, talk: NatsTalk) -> None:
        if self._context is None:
            raise RuntimeError("a sink is opened before it is used")
        tls = self.options
        insist = self.target.transport == "tls" or bool(tls.ca or tls.cert)
        await talk.greet(self._context, insist=insist, login=self._login)

    def _login(self, info: Info) -> Mapping[str, str]:
        options = self.options
        if self._key is not None:
            return self._key.login(info.nonce)
        if options.token is not None:
            return {"auth_token": options.token.reveal()}
        if options.user is not None and options.password is not None:
            return {"user": options.user, "pass": options.password.reveal()}
        return {}

    async def _deliver(self, batches: Sequence[Batch]) -> Outcome:
        commands: list[bytes] = []
        verdicts: dict[int, Verdict] = {}
        async with self._talks.one() as talk:
            most = talk.info.max_payload
            for batch in batches:
                found = publications(batch, self._names.of(batch.container), talk.inbox, len(commands))
                if any(size > most for size in found.sizes):
                    why = "{} bytes, and the server takes no more than {} in a message (max_payload)".format
                    too_large = [row for row, size in enumerate(found.sizes) if size > most]
                    verdicts |= {
                        len(commands) + row: Refused(why(found.sizes[row], most)) for row in too_large
                    }
                commands += found.commands
            for number in verdicts:
                commands[number] = b""
            answers = await talk.publish(commands)
        subjects = [(self._names.of(batch.container), len(batch)) for batch in batches]
        verdicts |= _judge(answers, subjects)
        return outcome(len(commands), dict(sorted(verdicts.items())))

    async def _probe(self) -> Outcome:
        subject = self._names.with_word("*")
        try:
            async with self._talks.one() as talk:
                answer = await talk.ask(_STREAM_NAMES, orjson.dumps({"subject": subject}))
        except DeniedError as error:
            if f'"{_STREAM_NAMES}"' in str(error):  # who may not ask may still publish: only records tell
                return Delivered()
            raise
        if answer.status == NO_RESPONDERS:
            return Misconfigured(f"{self._host}: JetStream is not enabled")
        if _read(answer.body).get("total") == 0:
            return Misconfigured(_no_stream(subject))
        return Delivered()


def _check_login(target: Target, options: NatsOptions) -> None:
    """Raises SettingsError."""
    ways = [options.user, options.token, options.nkey, options.credentials]
    if sum(way is not None for way in ways) > 1:
        raise SettingsError([f"sink {target.name}: of user, token, nkey and credentials, keep one"])
    if (options.user is None) != (options.password is None):
        raise SettingsError([f"sink {target.name}: user and password go together (a token is token=…)"])


def _user_key(options: NatsOptions) -> UserKey | None:
    """What is signed with, if anything is. Raises SinkError, which does not quote it."""
    name = "nkey" if options.nkey is not None else "credentials"
    try:
        if options.nkey is not None:
            return UserKey.of_seed(options.nkey.reveal())
        if options.credentials is not None:
            return UserKey.of_credentials(options.credentials.reveal())
    except ValueError as error:
        raise SinkError(f"option {name!r} is not {error}") from None
    return None


def _judge(answers: Mapping[int, Answer], subjects: Sequence[tuple[bytes, int]]) -> dict[int, Verdict]:
    """What the answers mean that are no plain yes. `subjects`: each with how many records went there."""
    if not answers:
        return {}
    names = [subject for subject, count in subjects for _ in range(count)]
    judged = {number: judge(answer, names[number].decode()) for number, answer in answers.items()}
    return {number: verdict for number, verdict in judged.items() if verdict is not None}


def judge(answer: Answer, subject: str) -> Verdict | None:
    """What an answer means for the message that it is to; None: the stream has it."""
    if answer.status == NO_RESPONDERS:
        return Misconfigured(_no_stream(subject))
    reply = _read(answer.body)
    error = reply.get("error")
    if error is None:
        return None if "stream" in reply else Misconfigured(f"what answers on {subject} is no JetStream")
    if not isinstance(error, dict):
        error = {}
    code, number = error.get("code", 500), error.get("err_code")
    why = f"it answered {code}: {error.get('description', 'no reason given')} ({number})"
    if number in _RESOURCE_LIMITS or code >= 500 or code in {408, 429}:
        return Retry(why)
    if number in _SEALED or code in {401, 403, 404}:
        return Misconfigured(why)
    return Refused(why)


def _read(body: bytes) -> Mapping[str, object]:
    try:
        reply = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return reply if isinstance(reply, dict) else {}


def _no_stream(subject: str) -> str:
    return f"no stream takes the subject {subject}: add it to one, or make one (nats stream add)"
