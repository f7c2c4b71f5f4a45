"""Other programs that do the same work, where they are on the PATH: configured here, run and watched as the agent is.

Sources: docs.fluentbit.io (inputs/tail, outputs/tcp-and-tls, loki, file), vector.dev (docker_logs, socket, loki,
file), logspout's README and adapters/raw/raw.go. They do not say when they follow a container: each is given time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from tests.bench.measured import Work
from tests.bench.processes import Child, program
from tests.receivers.program import free_port

#: Until a program that has been started follows the container: Fluent Bit looks for new files once a second.
_READY_S = 3.0


@dataclass(frozen=True, slots=True)
class Started:
    """What is run: arguments behind the program's name, its environment, and the files it reads, by name."""

    arguments: Sequence[str]
    environ: Mapping[str, str]
    files: Mapping[str, bytes]


def fluent_bit(work: Work) -> Started:
    """Tails the json files, which only root can read. Raises ValueError on an Engine without."""
    if work.stage.root is None:
        raise ValueError("no files to tail")
    logs = [work.stage.root / f"containers/{each}/{each}-json.log" for each in work.crew.ids]
    outputs: dict[str, dict[str, object]] = {
        "tcp": {"name": "tcp", "format": "json_lines", **_address(work.urls["tcp"])},
        "loki": {"name": "loki", "labels": "job=bench", **_address(work.urls["loki"])},
        "file": {"name": "file", "format": "plain", **_file(work.urls["file"])},
    }
    tail: dict[str, object] = {
        "name": "tail",
        "path": ",".join(map(str, logs)),
        "parser": "docker",
        "read_from_head": False,
        "refresh_interval": 1,
        "mem_buf_limit": "64M",
    }
    if work.case.size > 1000:
        tail |= {"buffer_chunk_size": "1M", "buffer_max_size": "8M"}
    config = {
        "service": {"flush": 0.1, "log_level": "error", "parsers_file": str(work.directory / "parsers.conf")},
        "pipeline": {
            "inputs": [tail],
            "outputs": [{"match": "*", **outputs[sink]} for sink in work.case.sinks],
        },
    }
    parser = b"[PARSER]\n    Name docker\n    Format json\n    Time_Key time\n    Time_Format %Y-%m-%dT%H:%M:%S.%L\n"
    # JSON is YAML, and its name says which of its two formats Fluent Bit is to expect.
    return Started(
        ["-c", str(work.directory / "fluent-bit.yaml")],
        {},
        {"fluent-bit.yaml": orjson.dumps(config), "parsers.conf": parser},
    )


def vector(work: Work) -> Started:
    """Follows the API."""
    json = {"codec": "json"}
    batch = {"timeout_secs": 0.1}
    parts = urlsplit(work.urls["loki"])
    outputs = {
        "tcp": {
            "type": "socket",
            "mode": "tcp",
            "address": urlsplit(work.urls["tcp"]).netloc,
            "encoding": json,
            "framing": {"method": "newline_delimited"},
        },
        "loki": {
            "type": "loki",
            "endpoint": f"http://{parts.netloc}",
            "labels": {"job": "bench"},
            "encoding": json,
            "batch": batch,
            "healthcheck": {"enabled": False},
        },
        "file": {"type": "file", "path": urlsplit(work.urls["file"]).path, "encoding": json},
    }
    config = {
        "data_dir": str(work.directory),
        "sources": {
            "bench": {
                "type": "docker_logs",
                "docker_host": work.stage.docker_host,
                "include_containers": [work.crew.name],
            }
        },
        "sinks": {sink: {"inputs": ["bench"], **outputs[sink]} for sink in work.case.sinks},
    }
    return Started(
        ["--quiet", "--config", str(work.directory / "vector.json")],
        {},
        {"vector.json": orjson.dumps(config)},
    )


def logspout(work: Work) -> Started:
    """Follows the API, to TCP: of the three kinds of sinks it knows no other."""
    address = urlsplit(work.urls["tcp"]).netloc
    environ = {
        "DOCKER_HOST": work.stage.docker_host,
        "BACKLOG": "false",
        "PORT": str(free_port()),
        "RAW_FORMAT": "{{ toJSON .Data }}\n",
    }
    return Started([f"raw+tcp://{address}?filter.name={work.crew.name}-*"], environ, {})


@dataclass(frozen=True, slots=True)
class Peer:
    """A program, and how to run it; `sinks`: with how many of ours at once."""

    program: str
    start: Callable[[Work], Started]
    needs_root: bool = False
    sinks: Sequence[int] = (1, 3)

    @contextlib.asynccontextmanager
    async def run(self, work: Work) -> AsyncIterator[Child]:
        """A reader, for `tests.bench.measured.shipped`. Raises EOFError when it ends at once."""
        started = self.start(work)
        for name, text in started.files.items():
            (work.directory / name).write_bytes(text)
        environ = {"PATH": os.defpath, **started.environ}
        path = shutil.which(self.program) or self.program
        async with program([path, *started.arguments], environ) as process:
            await asyncio.sleep(_READY_S)  # see above
            if process.ended:
                raise EOFError(f"{self.program} has ended early; see above")
            yield process


PEERS = (
    Peer("fluent-bit", fluent_bit, needs_root=True),
    Peer("vector", vector),
    Peer("logspout", logspout, sinks=(1,)),
)
#: Of the same work, so that whoever has none of them sees some figures: 157 bytes a line, Engine 28.5, 2 cores.
ELSEWHERE = (
    ("MEASURED ELSEWHERE", "CPU, 1 OUTPUT", "3 OUTPUTS", "LINES/S, 1 OUTPUT", "MEMORY"),
    ("Logspout 3.2.14 (follows the API, to TCP)", "9-14 µs", "22.8 µs", "32-40 k", "16 MiB"),
    ("Fluent Bit 5.1.1 (tails json files, to TCP)", "7.5 µs", "14.1 µs", "54-83 k", "45-62 MiB"),
)


def found() -> dict[str, Peer]:
    """Those on the PATH that can be run here, by name and version."""
    root = os.geteuid() == 0
    usable = [peer for peer in PEERS if shutil.which(peer.program) and (root or not peer.needs_root)]
    return {f"{peer.program}{_version(peer.program)}": peer for peer in usable}


def _version(program: str) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
    number = re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr)
    return f" {number.group()}" if number else ""


def _address(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    return {"host": parts.hostname, "port": parts.port}


def _file(url: str) -> dict[str, str]:
    path = Path(urlsplit(url).path)
    return {"path": str(path.parent), "file": path.name}
