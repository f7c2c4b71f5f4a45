"""http, https: the records as JSON lines, or as one JSON array, to whatever takes a POST."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.batch import Batch
from agent.encode.compress import METHODS
from agent.encode.ndjson import ndjson
from agent.options import SECRET, Secret, choice, option, optional
from agent.sinks.base import Delivered, Outcome
from agent.sinks.over_http import HttpOptions, HttpSink
from agent.transport.http import Reply, Request

_CONTENT_TYPES = {"ndjson": "application/x-ndjson", "json": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLinesOptions(HttpOptions):
    """The options of `http://` and `https://`."""

    format: str = option(choice("ndjson", "json"), "ndjson", help="a record per line, or an array of them")
    method: str = option(choice("post", "put"), "post", help="the request's method")
    compress: str = option(choice(*METHODS), "none", help="compression of the body")
    query: Secret | None = option(
        optional(SECRET),
        None,
        help="query of the receiver's URL, with & and % escaped once more",
        example="table%3Dlogs%26async%3D1",
    )


class HttpLinesSink(HttpSink[HttpLinesOptions]):
    """JSON lines, or a JSON array, to whatever takes a POST."""

    def encode(self, batches: Sequence[Batch]) -> Request:
        body = b"".join(map(ndjson, batches))
        if self.options.format == "json":
            body = b"[" + body[:-1].replace(b"\n", b",") + b"]"  # JSON has no bare newline
        return self._request(self.options.method.upper(), body, self.options.compress)

    def question(self) -> Request:
        return self._request("OPTIONS")

    def judge_answer(self, reply: Reply) -> Outcome:
        """An OPTIONS is seldom served, which says nothing about a POST: who is there and knows us, will do."""
        if reply.status in {400, 404, 405, 406, 415, 422, 426, 501}:
            return Delivered()
        return self.judge(reply)

    def _request(self, method: str, body: bytes = b"", compress: str = "none") -> Request:
        # Said of an empty body, too: else ClickHouse 18 waits for one until we hang up.
        headers = {"Content-Type": _CONTENT_TYPES[self.options.format]} if body else {"Content-Length": "0"}
        if compress != "none":
            headers["Content-Encoding"] = compress
        query = self.options.query.reveal() if self.options.query else ""
        return Request(method, self.target.path, headers, body, compress, query)
