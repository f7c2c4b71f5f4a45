"""The stage of a test, and what all stages share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.contract.stage import Shared, Stage, Tls
from tests.receivers.certificates import PrivateCa


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """Servers that are started once."""
    with ExitStack() as stack:
        yield Shared(tmp_path_factory.mktemp("shared"), stack)


@pytest.fixture
def stage(request: pytest.FixtureRequest, shared: Shared, tmp_path: Path) -> Stage:
    """The stage that `performed` chose; its receiver does not stand yet."""
    made: type[Stage]
    how: dict[str, Any]
    made, how = request.param
    return made(tmp_path, shared, Tls(PrivateCa(tmp_path), **how) if how else None)
