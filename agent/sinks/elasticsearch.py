"""elasticsearch+http(s), opensearch+http(s): documents by `_bulk`, each under its record's id.

Source: the bulk API's reference of both. A 200 may hold refusals, one answer for each document in order; `create`
under an id that is there already is a 409, which says that an earlier try arrived: so a retry repeats nothing.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from agent.batch import Batch
from agent.encode.compress import METHODS
from agent.encode.elasticsearch import Action, IndexName, bulk
from agent.errors import SettingsError
from agent.options import TEXT, Kind, MiB, Secret, choice, option, optional
from agent.sinks.base import (
    Delivered,
    Limits,
    Misconfigured,
    Outcome,
    Partial,
    Refused,
    Target,
    TooLarge,
)
from agent.sinks.over_http import KEY, HttpOptions, HttpSink, retry_after
from agent.tag import TAG, Tag
from agent.transport.http import Reply, Request

DATA_STREAM = "logs-docker-default"  # of the type that Elasticsearch has templates for
INDEX: Kind[IndexName] = Kind("template", IndexName.parse)
_REPLY_BYTES = 16 * MiB
_WANTED = (
    "errors",
    "items.*.status",
    "items.*.error.type",
    "items.*.error.reason",
    "items.*.error.caused_by.reason",
)
_FORBIDDEN = {401, 403, 404}
#: Said where the disk is nearly full, once as a 403, too; it ends by itself.
_BLOCKED = "cluster_block_exception: "
#: Said of each document, though it is the sink's options that are wrong. A pipeline's own complaints may quote the
#: document: so these are only looked for where it cannot stand.
_MISTAKE = re.compile(
    r"invalid_index_name_exception: |illegal_argument_exception: (?:only write ops with an op_type of create|"
    r"pipeline with id \[|explicit index in bulk|index request targeting data stream \[[^]]*] specifies a custom)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ElasticsearchOptions(HttpOptions):
    """The options of `elasticsearch+http(s)://` and `opensearch+http(s)://`."""

    index: IndexName | None = option(
        optional(INDEX),
        None,
        help="index or data stream, named with each record instead of in the path: with the markup of "
        "DOCKFERRY_TAG, and %Y, %m, %d for the day of the record",
        example="docker-%Y.%m.%d",
    )
    op: str = option(
        choice("create", "index"), "create", help="create: what a data stream takes; index: overwrite"
    )
    pipeline: str | None = option(optional(TEXT), None, help="ingest pipeline to pass through")
    routing: Tag | None = option(
        optional(TAG),
        None,
        help="what chooses the shard, with the markup of DOCKFERRY_TAG",
        example="{{.ID}}",
    )
    api_key: Secret | None = option(
        optional(KEY), None, help="API key, as id:key or encoded as Elasticsearch shows it", group="http"
    )
    compress: str = option(choice(*METHODS[:2]), "gzip", help="compression of the body")


class ElasticsearchSink(HttpSink[ElasticsearchOptions]):
    """Elasticsearch, OpenSearch, and what takes their `_bulk`."""

    limits = Limits(request_bytes=64 * MiB)
    most_bytes = 100 * MiB  # http.max_content_length

    def __init__(self, target: Target, options: ElasticsearchOptions) -> None:
        super().__init__(target, options)
        if options.api_key is not None and (options.token is not None or options.user is not None):
            raise SettingsError([f"sink {target.name}: api_key and user or token are both set; keep one"])
        if "{{" in target.path:
            raise SettingsError([f"sink {target.name}: a template is given as index=…, not as the path"])
        #: An index that a container names by a label, and that is not ours to write, must not hold the others.
        self._common = options.index is None or options.index.common
        self._action = Action(options.op, options.index, options.routing)
        path = target.path.rstrip("/")
        self._path = f"{path or ('' if options.index else f'/{DATA_STREAM}')}/_bulk"

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        rows = sum(map(len, batches))
        return await self._ask(self.encode(batches), lambda reply: self._judge_bulk(reply, rows))

    def encode(self, batches: Sequence[Batch]) -> Request:
        return self._post(bulk(batches, self._action), self.options.compress)

    def judge(self, reply: Reply) -> Outcome:
        outcome = super().judge(reply)
        if isinstance(outcome, Refused) and _MISTAKE.match(_said(reply)):
            return Misconfigured(outcome.why)
        return outcome

    def question(self) -> Request:
        """A request without records: 400, but 401 to wrong credentials; it needs no right to read."""
        return self._post(b"", "none")

    def judge_answer(self, reply: Reply) -> Outcome:
        return Delivered() if reply.status == 400 else super().judge(reply)

    def _own_headers(self) -> dict[str, str]:
        headers = super()._own_headers()
        if self.options.api_key is not None:
            key = self.options.api_key.reveal()
            encoded = base64.b64encode(key.encode()).decode() if ":" in key else key
            headers["Authorization"] = f"ApiKey {encoded}"
        return headers

    def _post(self, body: bytes, compress: str) -> Request:
        headers = {"Content-Type": "application/x-ndjson"}
        if compress != "none":
            headers["Content-Encoding"] = compress
        query = f"filter_path={','.join(_WANTED)}"
        if self.options.pipeline is not None:
            query += f"&pipeline={quote(self.options.pipeline, safe='')}"
        return Request("POST", self._path, headers, body, compress, query, _REPLY_BYTES)

    def _judge_bulk(self, reply: Reply, rows: int) -> Outcome:
        if reply.status != 200:
            return self.judge(reply)
        try:
            answer = orjson.loads(reply.body)
            if not answer["errors"]:
                return Delivered()
            items = [next(iter(item.values())) for item in answer["items"]]
            if len(items) == rows:
                return self._judge_each(items, retry_after(reply, time.time()))
        except (ValueError, LookupError, TypeError, AttributeError, StopIteration):
            if len(reply.body) >= _REPLY_BYTES:
                return TooLarge("its answer is longer than we read")
        return Misconfigured("it answered 200, but not as _bulk does: is this the right address?")

    def _judge_each(self, items: Sequence[Mapping[str, Any]], after: float | None) -> Outcome:
        """The outcome of what is said of each document; its place is its record's row."""
        retry, held, refused = dict[int, str](), dict[int, str](), dict[int, str]()
        for row, item in enumerate(items):
            status = item["status"]
            if status < 300 or status == 409:
                continue
            said = _explained(item["error"])
            if status == 429 or status >= 500 or said.startswith(_BLOCKED):
                found = retry
            elif _MISTAKE.match(said) or (status in _FORBIDDEN and self._common):
                found = held
            else:
                found = refused
            found[row] = f"{status} {said}"
        if len(held) == len(items):
            return Misconfigured(held[0])
        again = retry | held
        if not again:
            return Partial(refused=refused) if refused else Delivered()
        why = f"{next(iter(again.values()))} ({len(again)} of {len(items)} records)"
        return Partial(sorted(again), refused, why, after)


def _said(reply: Reply) -> str:
    """What a refusal of the whole request says; empty where it is none of theirs."""
    try:
        return _explained(orjson.loads(reply.body)["error"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""


def _explained(error: Mapping[str, Any]) -> str:
    cause = error.get("caused_by", {}).get("reason")
    text = f"{error['type']}: {error.get('reason')}" + (f": {cause}" if cause else "")
    return " ".join(text[:500].split())
