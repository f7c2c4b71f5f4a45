"""http, https: JSON lines, and with each way to compress them."""

from __future__ import annotations

from tests.contract.web import WebStage
from tests.receivers.web import HttpReceiver


class HttpStage(WebStage):
    schemes = ("http", "https")
    receiver = HttpReceiver

    @property
    def url(self) -> str:
        return f"{self.address}/logs?token={self.secret}"


class HttpJsonGzipStage(HttpStage):
    @property
    def url(self) -> str:
        return f"{super().url}&format=json&compress=gzip"


class HttpZstdBasicStage(HttpStage):
    authorization = "Basic bWU6czNjcjN0LWVub3VnaA=="

    @property
    def url(self) -> str:
        return f"{self.address}/logs?user=me&password={self.secret}&compress=zstd"
