"""Fixtures: the Engine that tests share, containers on it, an Engine of a test's own.

Where no Engine can be had the tests are skipped, in CI (`CI=true`) they fail.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NoReturn

import pytest
from docker.models.images import Image

from tests.engine.containers import RunContainer
from tests.engine.dockerd import Engine, NoEngineError, PrivateEngine, connected, provide
from tests.engine.image import RunAgent, built


def _give_up(error: NoEngineError) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(str(error), pytrace=False)
    pytest.skip(str(error))


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The Engine that DOCKER_HOST or the current context names, else one started for this session."""
    directory = str(tmp_path_factory.mktemp("engine"))
    try:
        host = provide(directory)
    except NoEngineError as error:
        _give_up(error)
    try:
        with connected(host) as engine:
            yield engine
    finally:
        provide("stop", directory)


@pytest.fixture
def run_container(engine: Engine) -> Iterator[RunContainer]:
    """Containers on the shared Engine, removed at the test's end."""
    with RunContainer(engine.client) as run:
        yield run


@pytest.fixture(scope="session")
def image(engine: Engine) -> Iterator[Image]:
    """The agent's, built once for all tests of a session."""
    if engine.podman:
        pytest.skip("conf/image builds with Docker")
    if not engine.client.networks.list(names=["bridge"]):
        pytest.skip("this Engine is cut off from the network (.ci/engine private): PyPI cannot be reached")
    with built(engine) as image:
        yield image


@pytest.fixture
def run_agent(engine: Engine, image: Image) -> Iterator[RunAgent]:
    """The agent in containers of its image, removed at the test's end."""
    with RunAgent(engine, image) as run:
        yield run


@pytest.fixture
def private_engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrivateEngine]:
    """An Engine to kill and restart.

    `@pytest.mark.parametrize("private_engine", [["--live-restore"]], indirect=True)` gives dockerd flags.
    """
    directory = tmp_path_factory.mktemp("dockerd")
    with ExitStack() as stack:
        try:
            engine = stack.enter_context(PrivateEngine(directory, *getattr(request, "param", ())))
        except NoEngineError as error:
            _give_up(error)
        yield engine
