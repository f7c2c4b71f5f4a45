"""A strict Elasticsearch, or OpenSearch: its `_bulk`, document by document, without an index behind it.

Source: the bulk API's reference; "Data streams" (only `create`, and `@timestamp`); "Index some documents" (a name's
letters); the Elastic Common Schema's field reference.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.receivers.received import Faulty, Received, in_order, nanoseconds
from tests.receivers.web import Answer, Request, WebReceiver

CONTENT_BYTES = 100 * 1024 * 1024
ID_BYTES = 512
_INDEX = re.compile(r"[a-z0-9.][a-z0-9._-]{0,254}")
_NAMES = {"@timestamp", "message", "log", "stream", "tags", "labels", "service", "host", "container"}
_NAMES |= {"fields"}
_NAMES |= {"process", "ecs"}


class ElasticsearchReceiver(WebReceiver):
    """Takes documents, each id once: another `create` of it is a 409.

    A name that begins with `logs-` is a data stream's.

    statuses  what is said of documents with these messages, first come first served: status, type and reason
    rejects   how many of the next documents find the queues full
    stored    index by id
    pipeline  the one it has
    """

    def __init__(self, *, authorization: str | None = None, most_bytes: int = 1 << 30) -> None:
        super().__init__(authorization=authorization, most_bytes=most_bytes)
        self.statuses: dict[str, list[tuple[int, str, str]]] = {}
        self.rejects = 0
        self.stored: dict[str, str] = {}
        self.routings: set[str | None] = set()
        self.pipeline: str | None = None
        self._there: set[str | None] = set()

    def read(self, request: Request) -> tuple[list[Received], Answer]:
        url = urlsplit(request.path)
        prefix, slash, bulk = url.path.rpartition("/")
        if request.method != "POST" or (slash, bulk) != ("/", "_bulk"):
            raise Faulty(f"{request.method} {request.path}")
        if request.headers["Content-Type"] != "application/x-ndjson":
            raise Faulty(f"headers: {dict(request.headers)}")
        if not request.body:
            return [], _error(400, "parse_exception", "request body is required")
        body = request.body
        if request.headers.get("Content-Encoding") == "gzip":
            body = zlib.decompress(body, wbits=31)
        if len(body) > CONTENT_BYTES:
            raise Faulty(f"{len(body)} bytes")
        query = parse_qs(url.query)
        wanted = set(query.pop("filter_path")[0].split(","))
        if not {"errors", "items.*.status", "items.*.error.type", "items.*.error.reason"} <= wanted:
            raise Faulty(f"the answer would not say enough: {wanted}")
        [pipeline] = query.pop("pipeline", [None])
        if query:
            raise Faulty(f"query: {query}")
        items, records = [], []
        self._there = {record.id for record in self.inbox.records}
        for op, meta, document in _pairs(body):
            item, record = self._take(op, prefix.removeprefix("/"), meta, document, pipeline)
            items.append({op: item})
            records += [record] if record is not None else []
        errors = any("error" in item for each in items for item in each.values())
        return records, Answer(200, json.dumps({"errors": errors, "items": items}))

    def _take(
        self, op: str, default: str, meta: dict[str, str], document: dict[str, Any], pipeline: str | None
    ) -> tuple[dict[str, Any], Received | None]:
        """What is said of one document, and the record that is stored."""
        index = meta.pop("_index", default)
        given, routing = meta.pop("_id"), meta.pop("routing", None)
        if meta or not 0 < len(given.encode()) <= ID_BYTES:
            raise Faulty(f"action: {meta} {given}")
        record = read_document(given, document)
        said = self._complaint(op, index, record, pipeline)
        if said is not None:
            return said, None
        self.routings.add(routing)
        if given in self._there and op == "create":
            reason = f"[{given}]: version conflict, document already exists (current version [1])"
            return _item(409, "version_conflict_engine_exception", reason), None
        self.stored[given] = index
        return {"status": 201}, record

    def _complaint(
        self, op: str, index: str, record: Received, pipeline: str | None
    ) -> dict[str, Any] | None:
        if not _INDEX.fullmatch(index):
            return _item(400, "invalid_index_name_exception", f"Invalid index name [{index}]")
        if index.startswith("logs-") and op != "create":
            reason = "only write ops with an op_type of create are allowed in data streams"
            return _item(400, "illegal_argument_exception", reason)
        if pipeline != self.pipeline and pipeline is not None:
            return _item(400, "illegal_argument_exception", f"pipeline with id [{pipeline}] does not exist")
        if self.rejects:
            self.rejects -= 1
            return _item(429, "es_rejected_execution_exception", "rejected execution of primary operation")
        if self.statuses.get(record.message):
            return _item(*self.statuses[record.message].pop(0))
        if record.message == self.poison:
            return _item(
                400, "document_parsing_exception", "failed to parse field [message]", "no such thing"
            )
        return None


def _pairs(body: bytes) -> Iterator[tuple[str, dict[str, str], dict[str, Any]]]:
    """The actions, each with what it is about and its document. Raises Faulty."""
    if not body.endswith(b"\n"):
        raise Faulty("the last line has no end")
    lines = iter(body[:-1].decode("utf-8", errors="strict").split("\n"))
    for line in lines:
        [(op, meta)] = json.loads(line, object_pairs_hook=in_order).items()
        if op not in {"create", "index"}:
            raise Faulty(f"no such action: {op}")
        yield op, meta, json.loads(next(lines), object_pairs_hook=in_order)


def read_document(given: str, document: dict[str, Any]) -> Received:
    """One document. Raises Faulty for what a mapping by the common schema would not take."""
    if list(document)[:2] != ["@timestamp", "message"] or set(document) - _NAMES:
        raise Faulty(f"fields: {list(document)}")
    _check_names(document)
    container, image = document["container"], document["container"]["image"]
    fields = document.get("fields", {})
    if container["runtime"] != "docker" or set(image) - {"name", "tag"}:
        raise Faulty(f"container: {container}")
    log = document.get("log", {})
    if set(log) - {"level", "flags"} or log.get("flags", ["truncated"]) != ["truncated"]:
        raise Faulty(f"log: {log}")
    if not document["ecs"]["version"] or any(isinstance(value, dict) for value in fields.values()):
        raise Faulty(f"log or ecs: {document}")
    [tag] = document["tags"]
    return Received(
        message=document["message"],
        timestamp_ns=nanoseconds(document["@timestamp"]),
        stream=document["stream"],
        container=container["name"],
        container_id=container["id"],
        image=":".join([image["name"], *image.get("tag", [])]),
        host=document["host"]["name"],
        tag=tag,
        project=document.get("labels", {}).get("project"),
        service=document["service"]["name"],
        labels=container.get("labels", {}),
        truncated="flags" in log,
        level=log.get("level"),
        fields=fields,
        id=given,
    )


def _check_names(fields: Mapping[str, Any]) -> None:
    """A dot in a name would make an object of it, an empty one is refused."""
    for name, value in fields.items():
        if "." in name or not name.strip() or value in ([], {}):
            raise Faulty(f"field {name!r}: {value!r}")
        if isinstance(value, dict):
            _check_names(value)


def _item(status: int, kind: str, reason: str, cause: str | None = None) -> dict[str, Any]:
    error = {"type": kind, "reason": reason} | ({"caused_by": {"reason": cause}} if cause else {})
    return {"status": status, "error": error}


def _error(status: int, kind: str, reason: str) -> Answer:
    """A refusal of the whole request."""
    error = {"type": kind, "reason": reason}
    return Answer(status, json.dumps({"error": {"root_cause": [error], **error}, "status": status}))
