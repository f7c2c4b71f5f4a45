"""What users copy from conf/ is understood by the agent and keeps its promises."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from agent.options import declared, duration
from agent.settings import Settings
from agent.sinks import parse_sink, schemes
from agent.tag import Tag

CONF = Path(__file__).parent.parent / "conf"
ENV_FILE = CONF / "dockferry.env"
COMPOSE_FILES = sorted(CONF.glob("*/compose.yaml"))
SINK_FILES = sorted(CONF.glob("sinks/*.compose.yaml"))
PROXY_FILES = sorted(CONF.glob("socket-proxy/*.compose.yaml"))
each_sink_file = pytest.mark.parametrize("path", SINK_FILES, ids=lambda path: path.name.partition(".")[0])
each_compose_file = pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.parent.name)

SOCKET = "/var/run/docker.sock"
ASSIGNMENT = re.compile(r"(#?)(DOCKFERRY_[A-Z_]+)=(.*)")
# ${NAME:-default}, ${NAME:?complaint}, and $$ for a plain $: as much of Compose's markup as conf/ uses.
INTERPOLATION = re.compile(r"\$(?:\{([A-Z_]+):([-?])([^}]*)\}|(\$)|(.?))")


def assignments(text: str, *, commented: bool) -> dict[str, str]:
    """NAME=value lines of an env file: those in force, or those commented out."""
    found = [match.groups() for line in text.splitlines() if (match := ASSIGNMENT.fullmatch(line))]
    return {name: value for mark, name, value in found if bool(mark) == commented}


def interpolated(text: str, environ: dict[str, str]) -> str:
    """A value as Compose would read it. Raises ValueError for what is not set, or is not markup."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest, dollar, stray = match.groups()
        if dollar:
            return "$"
        if stray is not None or (kind == "?" and name not in environ):
            raise ValueError(match[0])
        return environ.get(name, rest)

    return INTERPOLATION.sub(value, text)


def service_of(path: Path, name: str = "dockferry", **environ: str) -> dict[str, Any]:
    """A service of a Compose file, for somebody whose environment is `environ`."""

    def filled(value: Any) -> Any:  # noqa: ANN401 - whatever YAML holds
        match value:
            case str():
                return interpolated(value, environ)
            case list():
                return [filled(item) for item in value]
            case dict():
                return {key: filled(item) for key, item in value.items()}
            case _:
                return value

    service: dict[str, Any] = filled(yaml.safe_load(path.read_text("utf-8"))["services"][name])
    return service


def agent_of(path: Path) -> dict[str, Any]:
    """The agent's service, for somebody who set only what must be set."""
    return service_of(path, DOCKER_GID="999")


def test_the_env_file_holds_nothing_but_comments_and_settings() -> None:
    """`docker run --env-file` knows no quotes and no comment behind a value."""
    for line in ENV_FILE.read_text("utf-8").splitlines():
        match = ASSIGNMENT.fullmatch(line)
        assert match or not line or line.startswith("# ")
        assert match is None or not set(match[3]) & set("\"' ")


def test_the_env_file_as_it_stands_is_understood() -> None:
    """Copied and started: no fault, and both sinks are there."""
    settings = Settings.load(assignments(ENV_FILE.read_text("utf-8"), commented=False))
    assert list(settings.urls) == ["archive", "loki"]


def test_the_env_file_shows_every_setting_at_its_default() -> None:
    """It says "shows the default" of what is commented out; a new setting belongs there too."""
    shown = assignments(ENV_FILE.read_text("utf-8"), commented=True)
    defaults = {f"DOCKFERRY_{entry.name.upper()}": entry.show_default() for entry in declared(Settings)}
    assert shown == defaults


def test_there_are_compose_files() -> None:
    """An empty list would keep every promise below."""
    assert {path.parent.name for path in COMPOSE_FILES} >= {"host", "sidecar"}
    assert {path.name.partition(".")[0] for path in PROXY_FILES} == {"nginx", "haproxy"}


@each_compose_file
def test_a_compose_file_configures_the_agent_without_fault(path: Path) -> None:
    """With the one thing set that nobody can know beforehand."""
    assert Settings.load(agent_of(path)["environment"]).urls


@each_compose_file
def test_a_compose_file_asks_for_the_socket_s_group(path: Path) -> None:
    """Unset, it would end in "permission denied" from the Engine, which explains nothing."""
    with pytest.raises(ValueError, match="DOCKER_GID"):
        service_of(path)


@each_compose_file
def test_a_compose_file_keeps_the_agent_s_state(path: Path) -> None:
    """Cursors and spool outlive the container, on a volume that the file declares."""
    service = agent_of(path)
    mounts = dict(volume.split(":", 1) for volume in service["volumes"])
    state = {target: source for source, target in mounts.items()}[Settings.load(service["environment"]).state]
    assert state in yaml.safe_load(path.read_text("utf-8"))["volumes"]
    assert mounts[SOCKET] == SOCKET


@each_compose_file
def test_a_compose_file_leaves_the_agent_time_to_drain(path: Path) -> None:
    """Docker kills after the stop grace period: the agent's own is to end before."""
    service = agent_of(path)
    assert duration(service["stop_grace_period"]) > Settings.load(service["environment"]).shutdown_grace


@each_compose_file
def test_an_agent_needs_no_more_rights_than_the_socket_gives(path: Path) -> None:
    """No capability, no way to new ones, nothing to write but its volume."""
    service = agent_of(path)
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert "privileged" not in service
    assert "user" not in service


def test_every_sink_that_travels_has_its_compose_file() -> None:
    """But those whose receiver is whatever a person has: lines over HTTP, TCP and UDP, files, standard output."""
    modules = {scheme.sink.__module__.rpartition(".")[2] for scheme in schemes()}
    plain = {"console", "file", "http", "tcp", "udp"}
    assert {path.name.partition(".")[0] for path in SINK_FILES} == modules - plain


@each_sink_file
def test_a_sink_s_file_configures_the_agent_without_fault(path: Path) -> None:
    """The settings parse, and so does the sink's URL; it delivers to a service of the file, or to a cloud."""
    service = agent_of(path)
    settings = Settings.load(service["environment"])
    [url] = settings.urls.values()
    sink = parse_sink("it", url, read_file=lambda _: "x")
    assert sink.__class__.__module__ == f"agent.sinks.{path.name.partition('.')[0]}"
    services = yaml.safe_load(path.read_text("utf-8"))["services"]
    named = {word for word in re.split(r"[^\w.-]+", url) if word in services}
    assert named or len(services) == 1


@each_sink_file
def test_a_sink_s_file_names_an_image_for_each_service(path: Path) -> None:
    """Ours as `make image` calls it, the others with the version that is meant."""
    services = yaml.safe_load(path.read_text("utf-8"))["services"]
    images = {name: service["image"] for name, service in services.items()}
    assert images.pop("dockferry") == "dockferry:latest"
    assert [image for image in images.values() if ":" not in image or image.endswith(":latest")] == []


@each_sink_file
def test_a_sink_s_file_keeps_the_agent_s_state(path: Path) -> None:
    """On a volume that the file declares, as all that it names."""
    mounts = dict(volume.split(":", 1) for volume in agent_of(path)["volumes"])
    assert mounts.pop(SOCKET) == SOCKET
    assert "/var/lib/dockferry" in mounts.values()
    document = yaml.safe_load(path.read_text("utf-8"))
    used = [each.split(":")[0] for of in document["services"].values() for each in of.get("volumes", [])]
    assert {name for name in used if not name.startswith((".", "/"))} <= document["volumes"].keys()


def test_a_published_page_is_the_host_s_own() -> None:
    """Metrics and status are nobody's business outside, unless somebody says so."""
    assert all(port.startswith("127.0.0.1:") for port in agent_of(CONF / "host/compose.yaml")["ports"])


def test_the_sidecar_reads_its_own_project_only() -> None:
    """And from the application's first line on."""
    settings = Settings.load(agent_of(CONF / "sidecar/compose.yaml")["environment"])
    assert settings.scope == "project"
    assert settings.backlog is None


def test_the_sidecar_s_application_tags_its_records() -> None:
    """The label it shows is one that parses."""
    labels = service_of(CONF / "sidecar/compose.yaml", "app")["labels"]
    assert str(Tag.parse(labels["dockferry.tag"])) == "shop/{{.Name}}"


@pytest.mark.parametrize("path", PROXY_FILES, ids=lambda path: path.name.partition(".")[0])
def test_behind_a_socket_proxy_only_the_proxy_has_the_socket(path: Path) -> None:
    """The agent reaches it by a network of these two, without a way out; nobody outside does."""
    document = yaml.safe_load(path.read_text("utf-8"))
    agent, proxy = service_of(path), service_of(path, "engine", DOCKER_GID="999")
    assert [volume for volume in agent["volumes"] if SOCKET in volume] == []
    assert agent["environment"]["DOCKER_HOST"] == "tcp://engine:2375"
    assert Settings.load(agent["environment"]).urls
    assert proxy["networks"] == ["engine"]
    assert "ports" not in proxy
    assert document["networks"]["engine"]["internal"] is True
    for service in (agent, proxy):
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["read_only"] is True
    assert proxy["user"].endswith(":999")
    [ours] = [volume.split(":")[0] for volume in proxy["volumes"] if volume.startswith("./")]
    assert (path.parent / ours).is_file()


@pytest.mark.parametrize("name", ["nginx.conf", "haproxy.cfg"])
def test_a_socket_proxy_cuts_no_quiet_stream(name: str) -> None:
    """A container may say nothing for days: 24 are the most that HAProxy knows."""
    text = (CONF / "socket-proxy" / name).read_text("utf-8")
    wanted = {
        "nginx.conf": {"proxy_read_timeout", "send_timeout"},
        "haproxy.cfg": {"client", "server", "tunnel"},
    }
    found = dict(re.findall(r"^ *(?:timeout )?(\w+) (\d+)d;?$", text, re.MULTILINE))
    assert found.keys() == wanted[name]
    assert all(int(days) >= 24 for days in found.values())


def pins_of(name: str) -> dict[str, str]:
    """Name and version of each package in a lock file."""
    text = (CONF / name).read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) ", text, re.MULTILINE))


@pytest.mark.parametrize("name", ["requirements.lock", "build.lock"])
def test_a_lock_has_hashes_for_each_package(name: str) -> None:
    text = (CONF / name).read_text("utf-8")
    pinned = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(pinned) == len(pins_of(name)) > 0
    assert [each for each in pinned if not re.search(r"--hash=sha256:[0-9a-f]{64}", each)] == []


def test_the_locks_are_in_step_with_what_is_asked_for() -> None:
    """With `make lock` forgotten, the image would have something else than pyproject.toml says."""
    asked = tomllib.loads((CONF.parent / "pyproject.toml").read_text("utf-8"))
    runtime, extras = asked["project"]["dependencies"], asked["project"]["optional-dependencies"]
    wanted = [*runtime, *(each for name, extra in extras.items() if name != "all" for each in extra)]
    for name, texts in (("requirements.lock", wanted), ("build.lock", asked["build-system"]["requires"])):
        pins = pins_of(name)
        for requirement in map(Requirement, texts):
            assert requirement.specifier.contains(pins[requirement.name]), requirement


def test_the_image_is_for_any_machine() -> None:
    text = "".join((CONF.parent / name).read_text("utf-8") for name in ("Dockerfile", "conf/rootfs.py"))
    assert not re.search(r"amd64|x86|arm64|aarch64", text)
