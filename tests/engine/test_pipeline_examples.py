"""The Compose examples in conf/pipeline, their services run on a real Engine: what becomes of their lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from docker.models.containers import Container

from tests.engine.containers import RunContainer
from tests.engine.dockerd import Engine
from tests.engine.shipping import Agent, records, until
from tests.test_conf import CONF, service_of

EXAMPLES = {path.name.partition(".")[0]: path for path in sorted(CONF.glob("pipeline/*.compose.yaml"))}
Records = list[dict[str, Any]]
Services = dict[str, Records]


class Example:
    """One example: its services as containers here, and its agent as a process, its files below `directory`."""

    def __init__(self, name: str, run_container: RunContainer, host: str, directory: Path) -> None:
        self._path = EXAMPLES[name]
        self._directory = directory
        services = yaml.safe_load(self._path.read_text("utf-8"))["services"]
        self._containers = [self._create(name, run_container) for name in services if name != "dockferry"]
        environ = service_of(self._path, DOCKER_GID="1")["environment"]
        sinks = {key: self._here(url) for key, url in environ.items() if key.startswith("DOCKFERRY_SINK_")}
        settings = {key: str(text) for key, text in environ.items() if key not in sinks}
        settings |= {"DOCKFERRY_SCOPE": "host", "DOCKFERRY_INCLUDE": f"label={run_container.label}"}
        self.agent = Agent(host, directory, {})
        self.agent.environ |= sinks | settings

    def _create(self, service: str, run_container: RunContainer) -> Container:
        wanted = service_of(self._path, service)
        labels = {key: str(text) for key, text in wanted["labels"].items()}
        labels |= {"com.docker.compose.project": "example", "com.docker.compose.service": service}
        script = wanted["command"][-1]
        return run_container.create(script, labels=labels, environment=wanted.get("environment", {}))

    def _here(self, url: str) -> str:
        """A sink's URL with its file in the test's directory; what would be printed goes into one."""
        if url.startswith("console:"):
            return f"file://{self._directory}/out.ndjson"
        return url.replace("/var/lib/dockferry", str(self._directory))

    def arrived(self, file: str = "out.ndjson") -> Services:
        """The records in one of the sinks' files (a glob), by service."""
        found: Services = defaultdict(list)
        for path in sorted(self._directory.glob(file)):
            for record in records(path):
                found[record["container"]["service"]].append(record)
        return found

    def start(self) -> None:
        """Start its services."""
        for container in self._containers:
            container.start()


@pytest.fixture
def example(
    request: pytest.FixtureRequest, run_container: RunContainer, engine: Engine, tmp_path: Path
) -> Example:
    return Example(request.param, run_container, engine.host, tmp_path)


def messages(found: Records) -> list[str]:
    return [record["message"] for record in found]


def shipped(example: Example, done: Callable[[], bool]) -> None:
    """Run the agent until `done`, and then to its end: nothing more may come."""
    with example.agent as agent:
        example.start()
        until(done, "the example's records", told=lambda: f"{example.arrived()}\n{agent.said()}")
        assert agent.stop() == 0
    assert " ignored" not in agent.said()


def counts(example: Example, **wanted: int) -> Callable[[], bool]:
    """Whether so many records of each service are there."""
    return lambda: {key: len(found) for key, found in example.arrived().items()} == wanted


def for_example(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("example", [name], indirect=True, ids=[name])


def test_every_example_is_run() -> None:
    """A new one is to be added below."""
    assert set(EXAMPLES) == {"multiline", "parse", "redact", "choose", "thin", "route", "metadata"}


@for_example("multiline")
def test_multiline(example: Example) -> None:
    """A trace by preset, records by their first line, blocks by indentation."""
    shipped(example, counts(example, java=3, batch=2, config=2))
    found = example.arrived()
    assert messages(found["java"]) == [
        "Started in 2.1 s",
        """java.lang.IllegalStateException: no stock
\tat com.example.Cart.check(Cart.java:42)
\tat com.example.Main.main(Main.java:7)
Caused by: java.io.IOException: timeout
\t... 2 more""",
        "Listening",
    ]
    assert messages(found["batch"]) == ["2026-11-23 begin\nrow 1\nrow 2", "2026-11-23 end"]
    assert messages(found["config"]) == ["loaded:\n  port: 80\n  host: web", "ready"]


@for_example("parse")
def test_parse(example: Example) -> None:
    """Fields, levels and a record's own time; what is not of the form goes on as it is."""
    shipped(example, counts(example, api=2, worker=1, proxy=1, legacy=1, any=2))
    found = example.arrived()
    slow, plain = found["api"]
    assert slow["level"] == "warning"
    assert slow["fields"]["ms"] == 1204
    assert slow["timestamp"] == "2026-11-23T06:13:46.500000000Z"
    assert plain["message"] == "this one is plain text, and goes on as such"
    assert "fields" not in plain
    [worker], [proxy], [legacy] = found["worker"], found["proxy"], found["legacy"]
    assert worker["level"] == "error"
    assert worker["fields"]["msg"] == "no route"
    assert (str(proxy["fields"]["status"]), proxy["fields"]["method"]) == ("502", "GET")
    assert legacy["level"] == "error"
    assert (str(legacy["fields"]["code"]), legacy["fields"]["text"]) == ("17", "disk full")
    assert [record.get("level") for record in found["any"]] == ["error", None]


@for_example("redact")
def test_redact(example: Example) -> None:
    """Masked, hashed alike, or withheld whole."""
    shipped(example, counts(example, shop=3, crm=1, users=2, vault=1))
    found = example.arrived()
    sent = "\n".join(messages([record for each in found.values() for record in each]))
    for secret in ("ada@", "bob@", "4111 1111", "abcdefghij", "170 1234567", "AKIAIOSFODNN7EXAMPLE"):
        assert secret not in sent
    assert "order 4111111111111112" in sent
    assert "from 203.0.113.9" in sent
    first, second = messages(found["users"])
    assert first + " again" == second
    assert messages(found["vault"]) == ["sealed"]


@for_example("choose")
def test_choose(example: Example) -> None:
    """By pattern, by level, by field."""
    shipped(example, counts(example, web=1, audit=1, chatty=2, bots=1))
    found = example.arrived()
    assert messages(found["web"]) == ["GET /cart 200"]
    assert messages(found["audit"]) == ["user ada logged in"]
    assert [record.get("level") for record in found["chatty"]] == ["error", None]
    assert found["bots"][0]["fields"]["agent"] == "curl"


@for_example("thin")
def test_thin(example: Example) -> None:
    """One in ten; both records of a trace or none; a flood's first lines, and how many more there were."""

    def done() -> bool:
        found = example.arrived()
        return len(found["debug"]) == 10 and len(found["flood"]) == 21

    shipped(example, done)
    found = example.arrived()
    traces = [record["fields"]["trace_id"] for record in found["traced"]]
    assert len(traces) == 2 * len(set(traces))
    assert messages(found["flood"])[:20] == [f"again {n}" for n in range(20)]
    assert "980 records withheld" in messages(found["flood"])[20]


@for_example("route")
def test_route(example: Example) -> None:
    """By the container's label, the default, and the sink's own conditions."""

    def done() -> bool:
        archived = example.arrived("archive/*.ndjson")
        return (
            len(archived["web"]) == 2
            and bool(archived["payments"])
            and bool(example.arrived("alerts.ndjson"))
        )

    shipped(example, done)
    assert messages(example.arrived("audit.ndjson")["payments"]) == ["booked"]
    assert example.arrived("audit.ndjson").keys() == {"payments"}
    assert {key: messages(found) for key, found in example.arrived("alerts.ndjson").items()} == {
        "web": ["[ERROR] not served"]
    }


@for_example("metadata")
def test_metadata(example: Example) -> None:
    """What was chosen, and nothing else."""
    shipped(example, counts(example, web=1))
    [record] = example.arrived()["web"]
    assert record["tag"] == f"checkout/{record['container']['name']}"
    assert record["container"]["labels"] == {"com.example.team": "checkout"}
    assert record["container"]["env"] == {"REGION": "eu-1"}
