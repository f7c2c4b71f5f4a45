"""datadog: the intake, at an address of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

from tests.contract.web import WebStage
from tests.receivers.datadog import DatadogReceiver
from tests.receivers.received import Received
from tests.receivers.web import WebReceiver


class DatadogStage(WebStage):
    schemes = ("datadog",)

    def made(self) -> WebReceiver:
        return DatadogReceiver(api_key=self.secret)

    @property
    def url(self) -> str:
        """One request after the other, for the order's sake; and the test's records are of no certain age."""
        scheme = "https" if self.tls else "http"
        return (
            f"datadog://?endpoint={scheme}://127.0.0.1:{self.web.port}&api_key={self.secret}"
            "&concurrency=1&max_age=200000d"
        )

    def kept(self, sent: Received) -> Received | None:
        """A status is the level, or that of the stream. Milliseconds; the nanoseconds are those of the id."""
        usual = {"stdout": "info", "stderr": "error"}
        fields = dict(sent.fields)
        if "status" in fields:
            fields["fields"] = {"status": fields.pop("status")}
        level = None if sent.level == usual.get(sent.stream or "") else sent.level
        own = not (sent.id or "").endswith(str(sent.timestamp_ns))
        stamp_ns = sent.timestamp_ns // 1_000_000 * 1_000_000 if own else sent.timestamp_ns
        return replace(sent, level=level, fields=fields, timestamp_ns=stamp_ns)

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        assert isinstance(self.web, DatadogReceiver)
        self.web.api_key = "another"
        yield
        self.web.api_key = self.secret
