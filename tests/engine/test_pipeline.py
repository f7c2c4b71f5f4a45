"""Stack traces of many languages, and hostile containers, from a real Engine through all steps to a sink."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

from agent.pipeline.multiline.presets import PRESETS
from tests.engine.containers import RunContainer
from tests.engine.dockerd import Engine
from tests.engine.shipping import Agent, records, until

TRACES = Path(__file__).parent.parent / "pipeline/multiline/traces"
BETWEEN = "2026-11-23T06:13:46Z between"
#: In the container: every trace, each between ordinary lines, on one stream.
PRINT = f"for f in /traces/*; do echo '{BETWEEN}'; cat $f; done; echo '{BETWEEN}'"


def traces(language: str) -> dict[str, str]:
    """By file, without the newline at its end, which is the record's."""
    paths = [
        path for path in TRACES.glob("*.txt") if language in path.name.removeprefix("shape-").split("-")[0]
    ]
    return {
        path.name: path.read_bytes().decode(errors="replace").removesuffix("\n") for path in sorted(paths)
    }


def give(container: Container, files: Mapping[str, str]) -> None:
    """Put files into a container, running or not."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, text in files.items():
            data = text.encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    assert container.put_archive("/", archive.getvalue())


def only(run_container: RunContainer) -> str:
    return f"label={run_container.label}"


def by_stream(found: list[dict[str, Any]]) -> dict[str, list[str]]:
    streams: dict[str, list[str]] = {"stdout": [], "stderr": []}
    for record in found:
        streams[record["stream"]].append(record["message"])
    return streams


@pytest.mark.parametrize("language", sorted(PRESETS))
def test_traces_come_out_whole_and_nothing_else_is_joined(
    language: str, engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """The same on stdout and stderr at once, and on both again after `kill -9` in the middle of a trace."""
    known = traces(language)
    assert known
    whole = [line for text in known.values() for line in (BETWEEN, text)] + [BETWEEN]
    halves = {name: text.split("\n") for name, text in known.items() if "\n" in text}
    name, lines = max(halves.items(), key=lambda each: len(each[1]))
    middle = len(lines) // 2
    script = f"""
        ({PRINT}) & ({PRINT}) >&2; wait
        cat /first; while [ ! -e /go ]; do sleep 0.05; done; cat /second; echo '{BETWEEN}'
    """
    container = run_container.create(script, labels={"dockferry.multiline": language})
    files = {f"traces/{each}": text + "\n" for each, text in known.items()}
    give(
        container,
        files | {"first": "\n".join([*lines[:middle], ""]), "second": "\n".join([*lines[middle:], ""])},
    )
    out = tmp_path / "out.ndjson"
    with Agent(engine.host, tmp_path, {"out": f"file://{out}"}, include=only(run_container)) as agent:
        agent.environ["DOCKFERRY_MULTILINE"] = "off"
        container.start()
        until(lambda: len(records(out)) >= 2 * len(whole) - 2, "both streams' traces", told=agent.said)
        agent.kill()
        give(container, {"go": ""})
        container.wait()
        agent.start()
        until(lambda: len(records(out)) >= 2 * len(whole) + 2, "the last trace", told=agent.said)
        assert agent.stop() == 0
    found = by_stream(records(out))
    assert found["stderr"] == whole
    # Where the last line of what is between may begin a trace, it is the kill's that it belongs to.
    assert found["stdout"][:-2] == whole
    assert found["stdout"][-2:] == [known[name], BETWEEN]


def test_a_trace_in_pieces_of_16_kib_is_one_record(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """A line that the Engine sends in pieces, in the middle of a trace."""
    long = "ValueError: " + "x" * 100_000
    trace = f'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n{long}'
    container = run_container.create("cat /trace; echo end", labels={"dockferry.multiline": "python"})
    give(container, {"trace": trace + "\n"})
    out = tmp_path / "out.ndjson"
    with Agent(engine.host, tmp_path, {"out": f"file://{out}"}, include=only(run_container)) as agent:
        container.start()
        until(lambda: len(records(out)) == 2, "both records", told=agent.said)
    assert [record["message"] for record in records(out)] == [trace, "end"]


def test_what_becomes_of_a_container_s_lines_can_be_tried(
    engine: Engine, run_container: RunContainer
) -> None:
    """Its newest lines, by its own labels and those given; nothing of it is sent or kept."""
    script = """echo '{"level":"warn","n":1}'; echo GET /healthz; echo no >&2; sleep 0.1; echo last"""
    container = run_container(script, labels={"dockferry.parse": "json"})
    container.wait()
    command = [
        sys.executable,
        "-m",
        "agent",
        "try",
        "--container",
        str(container.name),
        "--label",
        "drop=/healthz",
    ]
    environ = {name: text for name, text in os.environ.items() if not name.startswith("DOCKFERRY_")}
    ran = subprocess.run(
        command, env=environ | {"DOCKER_HOST": engine.host}, capture_output=True, text=True, check=True
    )
    lines = ran.stdout.splitlines()
    [place] = [place for place, line in enumerate(lines) if "send       WARNING" in line]
    assert 'fields {"level":"warn","n":1}' in lines[place + 1]
    assert sum("because of drop=/healthz" in line for line in lines) == 1
    assert lines[-1].startswith("4 lines, 3 records to send")
    unknown = subprocess.run(
        [*command[:5], "no-such", *command[6:]], env=environ, capture_output=True, text=True, check=False
    )
    assert unknown.returncode == 2
    assert "no-such" in unknown.stderr


def test_a_hostile_container_harms_itself_only(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """Labels of a megabyte, evil patterns, endless names of fields, JSON without bottom, control characters."""
    deep = "[" * 10_000 + "]" * 10_000
    wide = json.dumps({f"name-{n}": n for n in range(30_000)})
    lines = [
        "a" * 5000 + "!",
        f'{{"deep":{deep}}}',
        wide,
        "\x1b]0;owned\x07\x1b[2J",
        '{"__proto__":1,"\\u0000":2}',
    ]
    evil = {
        "dockferry.multiline": "start=(a+)+$;timeout=10ms",
        "dockferry.parse": "json;time=time",
        "dockferry.drop": "((a*)*)*b",
        "dockferry.redact": "email;pattern=(x+x+)+y",
        "dockferry.tag": "{{.Nope}}",
        "dockferry.rate": "1/never",
        "dockferry.sample": "'; DROP TABLE batches",
        "dockferry.keep": "x" * 1_000_000,
        "dockferry.sinks": "../../etc/passwd,out,\x1b[2J",
        "dockferry.\x1b[2J\n": "y",
    }
    hostile = run_container.create("cat /lines; sleep 1000", labels=evil)
    give(hostile, {"lines": "\n".join([*lines, ""]) * 20 + "fin\n"})
    honest = run_container.create("i=0; while [ $i -lt 5000 ]; do echo $i; i=$((i+1)); done")
    out = tmp_path / "out.ndjson"
    with Agent(engine.host, tmp_path, {"out": f"file://{out}"}, include=only(run_container)) as agent:
        hostile.start()
        honest.start()

        def arrived(container: Container) -> list[str]:
            return [each["message"] for each in records(out) if each["container"]["id"] == container.id]

        until(lambda: len(arrived(honest)) == 5000, "the honest container's lines", told=agent.said)
        until(
            lambda: any("fin" in text for text in arrived(hostile)), "the hostile one's last", told=agent.said
        )
        assert agent.peak_mib() < 300
        said = agent.said()
        assert agent.stop() == 0
    assert arrived(honest) == [str(n) for n in range(5000)]
    fields = [record["fields"] for record in records(out) if "fields" in record]
    assert max(map(len, fields)) <= 300
    assert max(len(json.dumps(each)) for each in fields) < 100_000
    assert "\x1b" not in said
    assert "Traceback" not in said
    assert len(said) < 20_000
    for label in ("tag", "rate", "sample", "keep"):
        assert said.count(f"label dockferry.{label}") == 1
