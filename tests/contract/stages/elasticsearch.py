"""elasticsearch+http(s): a data stream and an API key. opensearch+http(s): an index for each day and a password."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from tests.contract.stage import Stage
from tests.contract.web import WebStage
from tests.receivers.elasticsearch import ElasticsearchReceiver
from tests.receivers.parsed import dotted
from tests.receivers.received import Received


class ElasticsearchStage(WebStage):
    schemes = ("elasticsearch+http", "elasticsearch+https")
    receiver = ElasticsearchReceiver
    authorization = f"ApiKey {base64.b64encode(f'agent:{Stage.secret}'.encode()).decode()}"

    @property
    def url(self) -> str:
        return f"{self.address}/logs-docker-default?api_key=agent:{self.secret}"

    def kept(self, sent: Received) -> Received | None:
        """A dot in the name of a label or field would make an object of it."""
        return replace(sent, labels=_flat(sent.labels), fields=_flat(dotted(sent.fields)))


class OpenSearchStage(ElasticsearchStage):
    schemes = ("opensearch+http", "opensearch+https")
    authorization = "Basic bWU6czNjcjN0LWVub3VnaA=="

    @property
    def url(self) -> str:
        return f"{self.address}?user=me&password={self.secret}&index=docker-%Y.%m.%d"

    @contextlib.asynccontextmanager
    async def throttling(self) -> AsyncIterator[float | None]:
        """Document by document, as its queues for writing fill up; it does not say for how long."""
        assert isinstance(self.web, ElasticsearchReceiver)
        self.web.rejects = 7
        yield None


def _flat(names: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace(".", "_"): value for name, value in names.items()}
