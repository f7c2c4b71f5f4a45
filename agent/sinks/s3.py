"""s3: the records as objects of JSON lines in a bucket, of Amazon S3 or of whatever speaks its protocol.

An object's key follows from its first record, and what goes into it is cut alike after a kill (`cuts.py`): sent
again, it replaces itself, and every record is in the bucket once. S3 stores an object whole or not at all, so
no error is about a record: what is no passing trouble is for a person to mend. Source: Amazon S3 API Reference,
"PutObject" and "Error Responses".
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent.batch import NS, Batch
from agent.encode.compress import METHODS, compress
from agent.encode.ndjson import ndjson
from agent.errors import SettingsError
from agent.options import BOOLEAN, DURATION, SIZE, TEXT, MiB, choice, integer, option, optional
from agent.sinks.base import Delivered, Misconfigured, Outcome, Partial, Refused, Retry, Target
from agent.sinks.cuts import Cuts, first_id
from agent.sinks.over_aws import AwsOptions, AwsSink, Declined, Failed, worst
from agent.transport.http import Reply
from agent.transport.object_key import KeyTemplate

_SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}
_CONTENT_TYPES = {"none": "application/x-ndjson", "gzip": "application/gzip", "zstd": "application/zstd"}
_SSE = {"aes256": "AES256", "aws:kms": "aws:kms", "aws:kms:dsse": "aws:kms:dsse"}
_ACLS = (
    "private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read", "bucket-owner-read",
    "bucket-owner-full-control",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Options(AwsOptions):
    """The options of `s3://`."""

    batch_records: int = option(
        integer(1, 1_000_000), 100_000, help="most records in one request", group="batch"
    )
    batch_bytes: int = option(
        SIZE, 16 * MiB, help="most bytes in one request, before compression", group="batch"
    )
    batch_age: float = option(DURATION, 300.0, help="longest wait for a request to fill", group="batch")
    timeout: float = option(DURATION, 60.0, help="longest wait for one answer", group="retry")
    region: str | None = option(
        optional(TEXT),
        None,
        help="the bucket's region; unset: as AWS_DEFAULT_REGION or the profile says",
        group="aws",
    )
    path_style: bool | None = option(
        optional(BOOLEAN),
        None,
        help="http://host/bucket/key rather than http://bucket.host/key; unset: with an endpoint of your own",
        group="aws",
    )
    key_prefix: str = option(
        TEXT,
        "{{.Date}}/{{.Host}}",
        help="where an object goes below the URL's path, of {{.Date}} {{.Year}} {{.Month}} {{.Day}} {{.Hour}} "
        "{{.Host}} and the markup of DOCKFERRY_TAG; with that of a container, each has objects of its own",
        example="dt={{.Date}}/{{.Name}}",
    )
    compress: str = option(choice(*METHODS), "gzip", help="compression of an object")
    storage_class: str | None = option(
        optional(TEXT), None, help="x-amz-storage-class", example="STANDARD_IA", group="object"
    )
    sse: str | None = option(
        optional(choice(*_SSE)), None, help="encryption at rest; unset: the bucket's own", group="object"
    )
    sse_kms_key_id: str | None = option(
        optional(TEXT), None, help="the KMS key, for sse=aws:kms", group="object"
    )
    acl: str | None = option(
        optional(choice(*_ACLS)), None, help="canned ACL, for buckets that have ACLs", group="object"
    )


class S3Sink(AwsSink[S3Options]):
    """Amazon S3, MinIO, Ceph and their like: objects of JSON lines, each record once."""

    service = "s3"

    def __init__(self, target: Target, options: S3Options) -> None:
        super().__init__(target, options)
        if not target.host:
            raise SettingsError([f"sink {target.name}: the bucket is missing, as in s3://bucket/prefix"])
        if options.concurrency != 1:
            raise SettingsError(
                [f"sink {target.name}: objects are stored one after the other: concurrency can only be 1"]
            )
        if options.sse_kms_key_id and not (options.sse or "").startswith("aws:kms"):
            raise SettingsError([f"sink {target.name}: sse_kms_key_id is of no use without sse=aws:kms"])
        try:
            self._template = KeyTemplate.parse(f"{target.path.strip('/')}/{options.key_prefix}")
        except ValueError as error:
            raise SettingsError([f"sink {target.name}: path and key_prefix must be {error}"]) from None
        self._cuts = Cuts()
        self._save: Callable[[bytes], Awaitable[None]] | None = None

    @property
    def region(self) -> str | None:
        return self.options.region

    def configure(self) -> dict[str, Any]:
        own = self.options
        path_style = own.endpoint is not None if own.path_style is None else own.path_style
        return {
            "s3": {"addressing_style": "path" if path_style else "virtual"},
            # Content-MD5 stands for it, which every server knows.
            "request_checksum_calculation": "when_required",
        }

    async def open(self, checkpoint: bytes | None, save: Callable[[bytes], Awaitable[None]]) -> None:
        await super().open(checkpoint, save)
        # A server that does not know it would be waited for in vain.
        self._client.meta.events.register_last("before-call.s3", _without_expect)
        self._cuts, self._save = Cuts(checkpoint), save

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        if self._save is None:
            raise RuntimeError("a sink is opened before it is used")
        requests = self._cuts.requests(batches)
        size = sum(map(len, batches))
        start = size - sum(len(batch) for request in requests for batch in request)
        for request in requests:
            await self._save(self._cuts.begin(request))
            failed = await self._store(request)
            if failed is not None:
                after = failed.after if isinstance(failed, Retry) else None
                return Partial(range(start, size), why=failed.why, after=after) if start else failed
            self._cuts.end()
            start += sum(map(len, request))
        return Delivered()

    def checkpoint(self) -> bytes | None:
        return self._cuts.settled()

    async def probe(self) -> Outcome:
        """A bucket that may be written to need not be listed: who is told that is known there."""
        try:
            await self.ask("list_objects_v2", Bucket=self.target.host, MaxKeys=1)
        except Declined as declined:
            return Delivered() if declined.code == "AccessDenied" else declined.outcome
        return Delivered()

    def judge(self, code: str, reply: Reply) -> Outcome:
        outcome = super().judge(code, reply)
        return Misconfigured(outcome.why) if isinstance(outcome, Refused) else outcome

    async def _store(self, batches: Sequence[Batch]) -> Failed | None:
        """Each path's records as an object. They replace themselves, so that all may be stored again for one."""
        folders: dict[str, list[Batch]] = {}
        for batch in batches:
            folder = self._template.render(batch.container, _begun(batch))
            folders.setdefault(folder, []).append(batch)
        async with asyncio.TaskGroup() as group:
            stored = [
                group.create_task(self._put(folder + self._name(parts[0]), [ndjson(part) for part in parts]))
                for folder, parts in folders.items()
            ]
        return worst(task.result() for task in stored)

    async def _put(self, key: str, lines: Sequence[bytes]) -> Outcome:
        body, digest = await asyncio.to_thread(_packed, lines, self.options.compress)
        try:
            await self.ask(
                "put_object",
                Bucket=self.target.host,
                Key=key,
                Body=io.BytesIO(body),
                ContentMD5=digest,
                ContentType=_CONTENT_TYPES[self.options.compress],
                **self._attributes(),
            )
        except Declined as declined:
            return declined.outcome
        return Delivered()

    def _name(self, batch: Batch) -> str:
        """The object's name, from its first record: `20261123T061346Z-<id>.ndjson.gz`."""
        begun = datetime.fromtimestamp(_begun(batch) // NS, UTC)
        return f"{begun:%Y%m%dT%H%M%SZ}-{first_id(batch)}.ndjson{_SUFFIXES[self.options.compress]}"

    def _attributes(self) -> Mapping[str, str]:
        own = self.options
        wanted = {
            "StorageClass": own.storage_class,
            "ServerSideEncryption": own.sse and _SSE[own.sse],
            "SSEKMSKeyId": own.sse_kms_key_id,
            "ACL": own.acl,
        }
        return {name: value for name, value in wanted.items() if value}


def _begun(batch: Batch) -> int:
    """When its first record was written, by the Engine's clock: no container makes folders as it likes."""
    return (batch.timestamps if batch.read_at is None else batch.read_at)[0]


def _packed(lines: Sequence[bytes], method: str) -> tuple[bytes, str]:
    """The object, and its Content-MD5."""
    body = compress(b"".join(lines), method)
    return body, base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def _without_expect(params: dict[str, Any], **_: object) -> None:
    params["headers"].pop("Expect", None)
