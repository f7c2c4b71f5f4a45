"""What simulated containers use: in the shape of a real Engine's answer, and growing as it should."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest

from agent.simulator import Container, SimulatedEngine
from tests.simulator.client import Client
from tests.stats.answers import V2, document

ONE_SHOT = "/v1.41/containers/web/stats?stream=false&one-shot=true"


def shape(found: Any, *, but: frozenset[str] = frozenset({"stats"})) -> Any:  # noqa: ANN401 - whatever JSON
    """The names in a document and the kinds of its values; of lists the first entry's."""
    match found:
        case dict():
            return {name: shape(value) for name, value in found.items() if name not in but}
        case list():
            return [shape(entry) for entry in found[:1]]
        case _:
            return type(found).__name__


async def test_an_answer_has_the_shape_of_a_real_one(web: Container, client: Client) -> None:
    """Of a container that runs, on a host with cgroup v2; name and id are in some releases' only."""
    made, real = await client.json(ONE_SHOT), document(V2, "busy")
    assert shape(made, but=frozenset({"name", "id"})) == shape(real)
    assert made["memory_stats"]["stats"].keys() <= real["memory_stats"]["stats"].keys()


async def test_what_does_not_run_uses_nothing(
    simulated: SimulatedEngine, web: Container, client: Client
) -> None:
    """200, and no time at which it was looked at."""
    web.stop()
    answer = await client.json(ONE_SHOT)
    assert answer["read"] == "0001-01-01T00:00:00Z"
    assert answer["memory_stats"] == {}


async def test_a_paused_one_answers(web: Container, client: Client) -> None:
    """As moby's does."""
    web.pause()
    assert (await client.json(ONE_SHOT))["memory_stats"]["usage"] > 0


async def test_time_used_grows_with_time(web: Container, client: Client) -> None:
    """By a share that is always the same for one container."""
    before, after = await client.json(ONE_SHOT), await client.json(ONE_SHOT)
    used = [each["cpu_stats"]["cpu_usage"]["total_usage"] for each in (before, after)]
    assert 0 <= used[0] < used[1]


@pytest.mark.parametrize(
    "path",
    ["/v1.41/containers/web/stats?stream=false", "/v1.40/containers/web/stats?stream=false&one-shot=1"],
)
async def test_without_one_shot_two_looks_are_compared(web: Container, client: Client, path: str) -> None:
    """A second apart; API 1.40 does not know `one-shot`."""
    began = time.monotonic()
    answer = await client.json(path)
    assert time.monotonic() - began >= 1
    assert answer["precpu_stats"]["system_cpu_usage"] < answer["cpu_stats"]["system_cpu_usage"]


async def test_nobody_there_is_not_found(simulated: SimulatedEngine, client: Client) -> None:
    """With moby's words; and a stream is not to be had."""
    status, body = await client.request("GET", ONE_SHOT)
    assert (status, orjson.loads(body)) == (404, {"message": "No such container: web"})
    simulated.create("web")
    status, _ = await client.request("GET", "/v1.41/containers/web/stats")
    assert status == 501
