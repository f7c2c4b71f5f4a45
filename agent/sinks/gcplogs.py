"""gcplogs: the records as entries of Google Cloud Logging, the payload as Docker's gcplogs driver sends it.

Source: Cloud Logging API Reference, "Method: entries.write", and its "Quotas and limits"; moby
daemon/logger/gcplogs/gcplogging.go. Each entry is judged for itself (partialSuccess), and one that comes twice is
shown once, as its insertId is the record's. google-auth finds the credentials and trades them for a token, which
blocks: so in a thread.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import google.auth
import orjson
import requests
from google.auth.exceptions import GoogleAuthError
from google.auth.exceptions import TransportError as NoAnswer
from google.auth.transport.requests import Request as TokenRequest
from google.oauth2.service_account import Credentials as ServiceAccount
from yarl import URL

from agent.batch import Batch
from agent.encode.compress import compressed
from agent.encode.gcplogs import ENTRY_BYTES, entries, payload_bytes
from agent.errors import SettingsError, SinkError
from agent.options import SECRET, TEXT, MiB, Secret, choice, option, optional
from agent.sinks.base import (
    Delivered,
    Misconfigured,
    Outcome,
    Partial,
    Retry,
    Sink,
    Target,
    TlsOptions,
    TooLarge,
)
from agent.sinks.over_http import judge
from agent.sinks.parcel import Parcel, Part
from agent.sinks.url import ENDPOINT
from agent.transport import TransportError, UntrustedError
from agent.transport.http import HttpClient, Reply, Request

SCOPES = ("https://www.googleapis.com/auth/logging.write",)
WRITE = "/v2/entries:write"
DRIVERS_LOG = "gcplogs-docker-driver"
MOST_BYTES = 10_000_000
#: Every entry of a full request may have an error of its own.
REPLY_BYTES = 8 * MiB
TOKEN_S = 10.0
_PARTIAL = "type.googleapis.com/google.logging.v2.WriteLogEntriesPartialErrors"
#: INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE (google.rpc.Code): it is the entry's own fault. All else
#: may pass, or is said of the whole once nothing else is sent.
_REFUSED = {3, 9, 11}


@dataclass(frozen=True, slots=True, kw_only=True)
class GcpLogsOptions(TlsOptions):
    """The options of `gcplogs://`."""

    credentials: Secret | None = option(
        optional(SECRET),
        None,
        help="a service account's key (JSON); unset: what GOOGLE_APPLICATION_CREDENTIALS names, or the machine's own",
        group="gcp",
    )
    endpoint: str = option(ENDPOINT, "https://logging.googleapis.com", help="the service's URL", group="gcp")
    zone: str | None = option(
        optional(TEXT), None, help="of the machine; with it entries are a gce_instance's", group="gcp"
    )
    instance: str | None = option(optional(TEXT), None, help="name of the machine", group="gcp")
    instance_id: str | None = option(optional(TEXT), None, help="id of the machine", group="gcp")
    compress: str = option(choice("none", "gzip"), "gzip", help="compression of the body")


class GcpLogsSink(Sink[GcpLogsOptions]):
    """Google Cloud Logging."""

    def __init__(self, target: Target, options: GcpLogsOptions) -> None:
        super().__init__(target, options)
        if not target.host or target.port is not None:
            raise SettingsError(
                [f"sink {target.name}: the project is missing, as in gcplogs://project/log-name"]
            )
        known = {"zone": options.zone, "name": options.instance, "id": options.instance_id}
        self._instance = {name: value for name, value in known.items() if value}
        log = quote(target.path.strip("/") or DRIVERS_LOG, safe="")
        head = {
            "logName": f"projects/{target.host}/logs/{log}",
            "resource": self._resource(),
            "partialSuccess": True,
        }
        self._head = orjson.dumps(head)[:-1]
        self._client: HttpClient | None = None
        self._credentials: Any = None
        self._tokens = requests.Session()
        self._asking = asyncio.Lock()

    async def open(self, checkpoint: bytes | None, save: Callable[[bytes], Awaitable[None]]) -> None:  # noqa: ARG002
        await self.close()
        context = self.options.context()
        try:
            self._credentials = await asyncio.to_thread(_credentials, self.options.credentials)
        except (GoogleAuthError, ValueError) as error:
            raise SinkError(f"no credentials: {_said(error)}") from error
        self._tokens = requests.Session()
        self._client = HttpClient(
            URL(self.options.endpoint),
            context=context,
            headers={"Content-Type": "application/json"},
            timeout_s=self.options.timeout,
            connections=self.options.concurrency,
        )

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        parcel = Parcel(tuple(Part.of(0, batch) for batch in batches))
        refused = self._too_long(batches)
        rows = [row for row in range(len(parcel)) if row not in refused]
        if not rows:
            return Partial(refused=refused)
        sent = [entries(batch, self._instance) for batch in parcel.pick(rows).batches]
        body = b'%b,"entries":[%b]}' % (self._head, b",".join(sent))
        if len(body) > MOST_BYTES:
            return TooLarge(f"a request of {len(body)} bytes, and it takes {MOST_BYTES}")
        match await self._write(body):
            case Delivered():
                return Partial(refused=refused) if refused else Delivered()
            case Partial() as partial:
                told = {rows[place]: why for place, why in partial.refused.items()}
                again = [rows[place] for place in partial.retry]
                return replace(partial, retry=again, refused=refused | told)
            case outcome:
                return outcome

    async def probe(self) -> Outcome:
        """A write of which nothing is kept (dryRun)."""
        return await self._write(self._head + b',"dryRun":true,"entries":[{"textPayload":"probe"}]}')

    async def close(self) -> None:
        self._tokens.close()
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _resource(self) -> dict[str, object]:
        """What the entries are of: as the driver says it, on a machine of Google's and elsewhere."""
        if not self._instance:
            return {"type": "global", "labels": {"project_id": self.target.host}}
        labels = {"instance_id": self._instance.get("id", ""), "zone": self._instance.get("zone", "")}
        return {"type": "gce_instance", "labels": labels}

    def _too_long(self, batches: Sequence[Batch]) -> dict[int, str]:
        """The rows that the service would refuse in any case, and why."""
        found: dict[int, str] = {}
        first = 0
        for batch in batches:
            room = ENTRY_BYTES - payload_bytes(batch, self._instance)
            if max(map(len, batch.messages)) > room:
                why = f"an entry may have {ENTRY_BYTES} bytes, {room} of them its message; this one has "
                sizes = enumerate(map(len, batch.messages), first)
                found |= {row: f"{why}{size}" for row, size in sizes if size > room}
            first += len(batch)
        return found

    async def _write(self, body: bytes) -> Outcome:
        if self._client is None:
            raise RuntimeError("a sink is opened before it is used")
        method = self.options.compress
        try:
            headers = await self._authorization()
            headers |= {"Content-Encoding": method} if method != "none" else {}
            path = URL(self.options.endpoint).path.rstrip("/") + WRITE
            packed = await compressed(body, method)
            reply = await self._client.send(Request("POST", path, headers, packed, reply_bytes=REPLY_BYTES))
        except (GoogleAuthError, UntrustedError) as error:
            return Retry(_said(error)) if _may_pass(error) else Misconfigured(_said(error))
        except TransportError as error:
            return Retry(str(error))
        if reply.status == 401:
            self._credentials.token = None  # the next attempt asks for another
        return _judge(
            replace(reply, body=reply.body.replace(headers["authorization"].split()[-1].encode(), b"***"))
        )

    async def _authorization(self) -> dict[str, str]:
        """The headers that say who we are. Raises GoogleAuthError."""
        async with self._asking:
            if not self._credentials.valid:
                trust = {"verify": self.options.ca} if self.options.ca else {}
                ask = functools.partial(TokenRequest(self._tokens), timeout=TOKEN_S, **trust)
                await asyncio.to_thread(self._credentials.refresh, ask)
        headers: dict[str, str] = {}
        self._credentials.apply(headers)
        return headers


def _credentials(given: Secret | None) -> Any:  # noqa: ANN401 - of many kinds
    """Raises GoogleAuthError, ValueError, SinkError."""
    if given is None:
        return google.auth.default(scopes=SCOPES)[0]
    try:
        info = orjson.loads(given.reveal())
    except ValueError:  # which may quote it
        info = None
    if not isinstance(info, dict):
        raise SinkError("no credentials: what is given is no service account's key (JSON)")
    return ServiceAccount.from_service_account_info(info, scopes=SCOPES)  # type: ignore[no-untyped-call]


def _judge(reply: Reply) -> Outcome:
    """What the reply means, for every entry or each."""
    try:
        error = orjson.loads(reply.body)["error"]
        details = {detail["@type"]: detail for detail in error.get("details", ())}
        said = f"{error['status']}: {error['message']}"
    except (ValueError, LookupError, TypeError):
        return judge(reply, now=time.time())
    if _PARTIAL not in details:
        return judge(replace(reply, body=said.encode()), now=time.time())
    errors = {int(row): about for row, about in details[_PARTIAL].get("logEntryErrors", {}).items()}
    refused = {
        row: str(about.get("message")) for row, about in errors.items() if about.get("code") in _REFUSED
    }
    return Partial(sorted(errors.keys() - refused.keys()), refused, said)


def _may_pass(error: Exception) -> bool:
    """Whether a token may be had later."""
    if isinstance(error, NoAnswer):
        return not any(isinstance(cause, requests.exceptions.SSLError) for cause in error.args)
    return isinstance(error, GoogleAuthError) and bool(error.retryable)


def _said(error: Exception) -> str:
    """What it says, in one line; google-auth's next arguments repeat the answer."""
    return str(error.args[0] if error.args else error).partition("\n")[0]
