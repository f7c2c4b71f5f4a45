"""The container image, built as `make image` builds it, on a real Engine: small, closed, and it ships."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from docker.models.images import Image

from tests.engine.containers import RunContainer, numbered_lines
from tests.engine.image import BUILD_S, STATE, RunAgent, said, state_of
from tests.engine.shipping import Lines, messages, until
from tests.receivers.aws import ACCESS_KEY_ID
from tests.receivers.moto import REGION, client, moto

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.engine, pytest.mark.timeout(BUILD_S)]

MAX_BYTES = 80_000_000
LINES = 200_000
SECOND_NS = 1_000_000_000
KEYS = f"access_key_id={ACCESS_KEY_ID}&secret_access_key=x"

#: Every module of the agent, and each compiled one that there is, the standard library's included.
IMPORT_ALL = """
import importlib, os, pkgutil, sys, agent

names = [each.name for each in pkgutil.walk_packages(agent.__path__, "agent.") if "__main__" not in each.name]
for top in sys.path:
    for folder, _, files in os.walk(top):
        package = os.path.relpath(folder, top).replace("/", ".").lstrip(".")
        compiled = [name.partition(".")[0] for name in files if name.endswith(".so")]
        if "lib-dynload" not in package and "site-packages" not in package:
            names += [f"{package}.{name}".lstrip(".") for name in compiled]
for name in names:
    importlib.import_module(name)
print(len(names))
"""
#: What would let an intruder make himself at home, and what writes.
LIST_ALL = r"""
import os

for folder, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(folder, name) not in ("/proc", "/sys", "/dev")]
    for name in (*folders, *files):
        path = os.path.join(folder, name)
        if os.path.islink(path):
            continue
        if os.access(path, os.W_OK):
            print("writable", path)
        if os.path.isfile(path) and os.access(path, os.X_OK) and not name.endswith((".so", ".py")):
            print("program", path)
"""


def _python(run_agent: RunAgent, program: str, **options: Any) -> str:  # noqa: ANN401
    """What a program for the image's Python prints."""
    ran = run_agent("-c", program, entrypoint="python", network_mode="none", volumes=[], **options)
    status = ran.wait(timeout=120)["StatusCode"]
    assert status == 0, said(ran)
    return said(ran)


def test_it_says_how_it_is_to_be_run_and_what_it_is(image: Image) -> None:
    """No shell anywhere: the entry point, the command and the check are programs with their arguments."""
    config = image.attrs["Config"]
    assert (config["Entrypoint"], config["Cmd"]) == (["dockferry"], ["run"])
    assert (config["User"], config["StopSignal"]) == ("65532:65532", "SIGTERM")
    assert list(config["Volumes"]) == [STATE]
    assert config["Healthcheck"]["Test"] == ["CMD", "dockferry", "health"]
    prefix = "org.opencontainers.image."
    labels = {name.removeprefix(prefix): value for name, value in image.labels.items()}
    assert labels["title"] == "dockferry"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["base.name"] == "dockferry/python:latest"
    assert labels["base.digest"].startswith("sha256:")
    assert f'version = "{labels["version"]}"' in (ROOT / "pyproject.toml").read_text("utf-8")
    assert {"created", "revision", "description"} <= labels.keys()


def test_it_is_small(image: Image) -> None:
    assert image.attrs["Size"] < MAX_BYTES


def test_nothing_that_was_left_out_is_missed(run_agent: RunAgent) -> None:
    """Each module of the agent, and so each extra, can be imported; so can whatever is compiled."""
    assert int(_python(run_agent, IMPORT_ALL)) > 150


def test_there_is_no_shell_no_tool_and_nothing_to_write_to(run_agent: RunAgent) -> None:
    """Of programs there are Python and ours, and the loader; of places to write, the state and an empty /tmp."""
    found = [line.split(" ", 1) for line in _python(run_agent, LIST_ALL, read_only=False).splitlines()]
    engines = ("/etc/", "/.dockerenv")
    programs = {Path(path).name for kind, path in found if kind == "program" and not path.startswith(engines)}
    assert {name for name in programs if not name.startswith(("python3.", "ld-", "lib"))} == {"dockferry"}
    writable = {path for kind, path in found if kind == "writable"}
    assert writable == {STATE, "/tmp"}


def test_scanners_can_tell_what_is_in_it(run_agent: RunAgent) -> None:
    """Debian's packages with their versions where Distroless has them, and each wheel's metadata."""
    told = _python(
        run_agent,
        "import pathlib, importlib.metadata as m\n"
        "for path in pathlib.Path('/var/lib/dpkg/status.d').iterdir(): print(path.read_text())\n"
        "for each in m.distributions(): print('Wheel:', each.name, each.version)\n"
        "print(pathlib.Path('/etc/os-release').read_text())",
    )
    lines = told.splitlines()
    assert {"Package: libc6", "Package: libssl3", "Package: ca-certificates"} <= set(lines)
    assert sum(line.startswith("Package: ") for line in lines) == sum(
        line.startswith("Version: ") for line in lines
    )
    locked = {
        line.split("==")[0]
        for line in (ROOT / "conf/requirements.lock").read_text().splitlines()
        if "==" in line
    }
    wheels = {line.split()[1].lower().replace("_", "-") for line in lines if line.startswith("Wheel: ")}
    assert locked | {"dockferry"} == wheels
    assert any(line.startswith("VERSION_ID=") for line in lines)


def test_it_ships_two_hundred_thousand_lines_to_two_sinks_and_stops_in_between(
    run_agent: RunAgent, run_container: RunContainer, tmp_path: Path, unused_tcp_port: int
) -> None:
    """Read-only, without a capability, in 128 MiB: stopped in full flow it ends with 0, and later loses no line."""
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o777)
    path = out / "all.ndjson"
    with Lines() as lines:
        agent = run_agent(
            *("run", lines.url, "file:///out/all.ndjson?rotate_bytes=0"),
            environment={
                "DOCKFERRY_INCLUDE": f"label={run_container.label}",
                "DOCKFERRY_HTTP": f"127.0.0.1:{unused_tcp_port}",
            },
            healthcheck={"interval": SECOND_NS},
            out=out,
        )
        until(lambda: "connected to" in said(agent), "the agent is connected", told=lambda: said(agent))
        run_container(numbered_lines(LINES), log_opts={"max-size": "1g"})
        until(lambda: len(lines.messages) > LINES // 10, "some lines", told=lambda: said(agent))
        agent.stop(timeout=30)
        assert state_of(agent)["ExitCode"] == 0, said(agent)
        agent.start()
        until(
            lambda: state_of(agent)["Health"]["Status"] == "healthy",
            "it is healthy",
            told=lambda: said(agent),
        )
        wanted = {f"{number:06}" for number in range(1, LINES + 1)}
        until(
            lambda: len(set(lines.messages)) == LINES and path.stat().st_size >= LINES * 100,
            "every line",
            told=lambda: said(agent),
        )
        agent.stop(timeout=30)
        state = state_of(agent)
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False), said(agent)
        assert set(lines.messages) == set(messages(path)) == wanted
        assert " ERROR " not in said(agent)


async def test_it_ships_to_amazon_s_services(
    run_agent: RunAgent, run_container: RunContainer, tmp_path: Path
) -> None:
    """What was left out of botocore is not what the sinks read: moto has the object and the events."""
    with moto(tmp_path) as port:
        where = f"endpoint=http://127.0.0.1:{port}&{KEYS}"
        async with client("s3", port) as s3, client("logs", port) as logs:
            await s3.create_bucket(Bucket="logs", CreateBucketConfiguration={"LocationConstraint": REGION})
            agent = await asyncio.to_thread(
                run_agent,
                *("run", f"s3://logs/docker?{where}&region={REGION}&batch_age=200ms"),
                f"cloudwatch://{REGION}/docker?{where}&create_group=true&batch_age=200ms",
                environment={"DOCKFERRY_INCLUDE": f"label={run_container.label}", "DOCKFERRY_HTTP": "off"},
            )
            until(lambda: "connected to" in said(agent), "the agent is connected", told=lambda: said(agent))
            writer = await asyncio.to_thread(run_container, "echo one; echo two")
            async with asyncio.timeout(60):
                while not (objects := (await s3.list_objects_v2(Bucket="logs")).get("Contents")):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            await asyncio.to_thread(agent.stop, timeout=30)
            assert state_of(agent)["ExitCode"] == 0, said(agent)
            stored = [await s3.get_object(Bucket="logs", Key=each["Key"]) for each in objects]
            lines = [
                line for each in stored for line in gzip.decompress(await each["Body"].read()).splitlines()
            ]
            there = await logs.get_log_events(
                logGroupName="docker", logStreamName=writer.id, startFromHead=True
            )
    assert [json.loads(line)["message"] for line in lines] == ["one", "two"]
    assert [event["message"] for event in there["events"]] == ["one", "two"]
