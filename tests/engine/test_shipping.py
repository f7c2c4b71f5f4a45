"""The main promise, on a real Engine: what containers print arrives, every line once in each sink."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from pathlib import Path

import pytest
from docker.errors import APIError
from docker.models.containers import Container

from tests.engine.containers import RunContainer, fleeting, numbered_lines
from tests.engine.dockerd import Engine, PrivateEngine
from tests.engine.shipping import Agent, Lines, messages, records, twice, unread, until

pytestmark = pytest.mark.engine
#: Not rotated away: what rotation loses is another test's business.
WHOLE = {"max-size": "1g"}


@pytest.fixture(params=["logs", "attach"], autouse=True)
def both_sources(request: pytest.FixtureRequest, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every promise here is kept in both ways of reading; Podman's containers are never attached to."""
    if request.param == "attach" and engine.podman:
        pytest.skip("Podman is read by its logs whatever the source: see test_podman.py")
    monkeypatch.setattr(Agent, "source", request.param)


def _numbers(count: int, width: int = 6) -> list[str]:
    return [f"{number:0{width}}" for number in range(1, count + 1)]


def _file(directory: Path) -> tuple[Path, str]:
    path = directory / "out" / "all.ndjson"
    return path, f"file://{path}?batch_age=100ms&rotate_bytes=0"


def _only(run: RunContainer) -> str:
    return f"label={run.label}"


def test_every_line_arrives_once_in_each_of_three_sinks(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """stdout and stderr of one container, into a file, over TCP and onto the console."""
    path, url = _file(tmp_path)
    with Lines() as lines:
        sinks = {"file": url, "tcp": lines.url, "console": "console:?format=json"}
        with Agent(engine.host, tmp_path, sinks, include=_only(run_container)) as agent:
            run_container("for i in 1 2 3; do echo out $i; echo err $i >&2; done", name="dockferry-three")
            until(lambda: len(messages(path)) == len(lines.messages) == 6, "six lines", told=agent.said)
            assert agent.stop() == 0
        wanted = sorted(f"{stream} {number}" for stream in ("out", "err") for number in (1, 2, 3))
        assert sorted(messages(path)) == sorted(lines.messages) == wanted
        assert sum('"message":"out 2"' in line for line in agent.said().splitlines()) == 1
    streams = {record["message"][:3]: record["stream"] for record in records(path)}
    assert streams == {"out": "stdout", "err": "stderr"}
    assert {record["container"]["name"] for record in records(path)} == {"dockferry-three"}
    assert len({record["id"] for record in records(path)}) == 6


@pytest.mark.parametrize(
    ("driver", "options"),
    [
        ("json-file", WHOLE),
        ("local", {}),
        ("local", {"max-size": "1g", "compress": "false"}),
        ("syslog", {"syslog-address": "udp://127.0.0.1:5999"}),
    ],
    ids=["json-file", "local", "local-plain", "syslog"],
)
def test_each_driver_is_read_whole(
    engine: Engine, run_container: RunContainer, tmp_path: Path, driver: str, options: dict[str, str]
) -> None:
    """Also those that have only the Engine's cache; with long lines, bad bytes and no last newline."""
    if engine.podman and driver != "json-file":
        pytest.skip(f"Podman has no log driver {driver}")
    path, url = _file(tmp_path)
    script = (
        "echo begin; head -c 40000 /dev/zero | tr '\\0' a; echo; printf 'b\\377\\n'; echo;"
        "head -c 16384 /dev/zero | tr '\\0' c; echo; printf end"
    )
    wanted = ["begin", "a" * 40000, "b\ufffd", "", "c" * 16384, "end"]
    with Agent(engine.host, tmp_path, {"file": url}, include=_only(run_container)) as agent:
        run_container(script, log_driver=driver, log_opts=options)
        until(lambda: len(messages(path)) >= len(wanted), "all lines", told=agent.said)
        assert messages(path) == wanted


def test_a_line_of_a_megabyte_is_one_record_and_a_longer_one_is_cut_and_marked(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """Pieces of 16 KiB are joined up to DOCKFERRY_MAX_LINE_BYTES."""
    path, url = _file(tmp_path)
    script = "for n in 1048576 1048577; do head -c $n /dev/zero | tr '\\0' x; echo; done; echo short"
    with Agent(engine.host, tmp_path, {"file": url}, include=_only(run_container)) as agent:
        run_container(script, log_opts=WHOLE)
        until(lambda: path.exists() and len(records(path)) == 3, "three records", told=agent.said)
    whole, cut, short = records(path)
    assert len(whole["message"]) == len(cut["message"]) == 1 << 20
    assert ("truncated" not in whole, cut["truncated"], short["message"]) == (True, True, "short")


def test_a_terminal_is_read_as_lines(engine: Engine, run_container: RunContainer, tmp_path: Path) -> None:
    """No frames, CR LF, and the Engine's times in the middle of a line of more than 16 KiB.

    Podman puts one in the middle of any line. Before 5.8 it has no fraction, so that it may as well be the
    application's: it stays.
    """
    path, url = _file(tmp_path)
    script = "echo hello; head -c 40000 /dev/zero | tr '\\0' a; echo; printf 'prompt> '"
    with Agent(engine.host, tmp_path, {"file": url}, include=_only(run_container)) as agent:
        run_container(script, tty=True)
        until(lambda: len(messages(path)) == 3, "three lines", told=agent.said)
    found = messages(path)
    if engine.podman and engine.version < (5, 8):
        found = [re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", "", message) for message in found]
    assert found == ["hello", "a" * 40000, "prompt> "]


@pytest.mark.alone
def test_two_hundred_containers_that_live_50_ms_and_remove_themselves_are_read_whole(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """`--rm`: the log is gone with the container, and a busy Engine may remove one before it has told of it.

    Of such a one the loss is told, and they are few.
    """
    if engine.podman:
        pytest.skip(
            "Podman tells of a container up to 250 ms after its start, when these are gone: see test_podman.py"
        )
    path, url = _file(tmp_path)
    with Agent(engine.host, tmp_path, {"file": url}, include=_only(run_container)) as agent:
        made = [run_container(fleeting(number), auto_remove=True) for number in range(200)]
        until(
            lambda: unread(made, path) <= agent.lost("container_removed"),
            "of each all lines, or that they are lost",
            told=agent.said,
        )
    assert not twice(messages(path))
    assert len(unread(made, path)) <= 4, agent.said()


def test_a_hundred_containers_started_at_once_are_all_read(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """Discovery keeps up."""
    path, url = _file(tmp_path)
    made = [run_container.create(f"echo hello {number}; sleep 600") for number in range(100)]
    with Agent(engine.host, tmp_path, {"file": url}, include=_only(run_container)) as agent:
        for container in made:
            container.start()
        until(lambda: len(messages(path)) >= 100, "100 lines", told=agent.said)
    assert sorted(messages(path)) == sorted(f"hello {number}" for number in range(100))


def test_a_restart_loop_is_read_run_by_run(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """Each run's lines once, and the wait between runs costs the Engine nothing."""
    path, url = _file(tmp_path)
    with Agent(engine.host, tmp_path, {"file": url}, include=_only(run_container)) as agent:
        container = run_container("date +%s%N; exit 1", restart_policy={"Name": "always"})
        until(lambda: len(messages(path)) >= 6, "six runs", told=agent.said)
        _stop_for_good(container)
        wanted = container.logs().decode().split()
        until(lambda: len(messages(path)) >= len(wanted), "the last run", told=agent.said)
    assert messages(path) == wanted


def _stop_for_good(container: Container) -> None:
    # Podman cannot change what does not run, and needs not: to it, stopped is stopped.
    with contextlib.suppress(APIError):
        container.update(restart_policy={"Name": "no", "MaximumRetryCount": 0})  # type: ignore[arg-type]
    container.stop(timeout=0)


def test_a_rename_shows_from_the_next_line_on(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """The container's name, and a tag made of it."""
    path, url = _file(tmp_path)
    with Agent(engine.host, tmp_path, {"file": url}, include=_only(run_container)) as agent:
        container = run_container(
            "echo one; while [ ! -e /go ]; do usleep 20000; done; echo two", name="dockferry-old"
        )
        until(lambda: messages(path) == ["one"], "the first line", told=agent.said)
        container.rename("dockferry-new")
        until(lambda: _known_as(container, "dockferry-new"), "the new name")
        _let_the_agent_hear(run_container, path, agent)
        container.exec_run(["/bin/sh", "-c", "true > /go"])
        until(lambda: "two" in messages(path), "the second line", told=agent.said)
    names = {record["message"]: record["container"]["name"] for record in records(path)}
    assert (names["one"], names["two"]) == ("dockferry-old", "dockferry-new")


def _known_as(container: Container, name: str) -> bool:
    container.reload()
    return container.name == name


def _let_the_agent_hear(run: RunContainer, path: Path, agent: Agent) -> None:
    """Events come in order: when a later container is read, the earlier event was heard."""
    run("echo heard")
    until(lambda: "heard" in messages(path), "a later event", told=agent.said)


def test_nothing_is_lost_or_doubled_by_nine_kills(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """200,000 lines; `kill -9` nine times on the way: the file has each once, TCP none less and few twice."""
    count = 200_000
    path, url = _file(tmp_path)
    with (
        Lines() as lines,
        Agent(
            engine.host,
            tmp_path,
            {"file": url, "tcp": f"{lines.url}?batch_age=100ms"},
            include=_only(run_container),
        ) as agent,
    ):
        run_container(
            f"for part in 0 1 2 3 4 5 6 7 8 9; do {_part(count // 10)}; usleep 300000; done", log_opts=WHOLE
        )
        for kill in range(1, 10):
            _await_share(lines, kill * count // 12, agent)
            agent.kill()
            agent.start()
        until(lambda: len(set(lines.messages)) == count, "all lines over TCP", told=agent.said)
        assert agent.stop() == 0
        assert not twice(messages(path))
        assert messages(path) == _numbers(count)
        assert len(lines.messages) - count <= 9 * 20_000, "more was repeated than can have been under way"
    assert "lost" not in agent.said()


def _await_share(lines: Lines, count: int, agent: Agent) -> None:
    until(lambda: len(lines.messages) > count, f"{count} lines", told=agent.said)


def _part(count: int) -> str:
    return f"awk -v p=$part 'BEGIN {{ for (i = 1; i <= {count}; i++) printf \"%06d\\n\", p * {count} + i }}'"


def test_a_stuck_and_a_dead_sink_hold_up_nobody_and_catch_up_after_a_restart(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """Three sinks, one deaf, one down, 300,000 lines, 16 MiB for batches: the third has all, below 160 MiB."""
    count = 300_000
    path, url = _file(tmp_path)
    with Lines(deaf=True) as deaf, Lines() as dead:
        dead_url = dead.url
        dead.__exit__()
        sinks = {"file": url, "deaf": deaf.url + "?batch_records=20", "dead": dead_url}
        settings = {"include": _only(run_container), "memory_max_bytes": "16MiB", "shutdown_grace": "1s"}
        with Agent(engine.host, tmp_path, sinks, **settings) as agent:
            run_container(numbered_lines(count), log_opts=WHOLE)
            until(lambda: len(messages(path)) >= count, "all lines in the file", told=agent.said)
            assert messages(path) == _numbers(count)
            assert agent.peak_mib() < 160
            assert agent.stop() == 0
        left = agent.waiting("deaf")
        with Lines() as one, Lines() as other:
            sinks = {"file": url, "deaf": one.url, "dead": other.url}
            with Agent(engine.host, tmp_path, sinks, **settings) as agent:
                until(lambda: len(one.messages) >= left, "the deaf one caught up", told=agent.said)
                until(lambda: len(other.messages) >= count, "the dead one caught up", told=agent.said)
                assert agent.peak_mib() < 160
            assert sorted(other.messages) == _numbers(count)
            deaf.hear()
            until(lambda: len({*deaf.messages, *one.messages}) >= count, "what only its kernel had taken")
        assert messages(path) == _numbers(count)


@pytest.mark.parametrize(
    "private_engine", [[], ["--live-restore"]], indirect=True, ids=["plain", "live-restore"]
)
def test_a_daemon_restart_under_flow_loses_nothing(private_engine: PrivateEngine, tmp_path: Path) -> None:
    """Streams, events and connections all end; the agent comes back by itself and goes on where it was."""
    path, url = _file(tmp_path)
    with Agent(private_engine.host, tmp_path, {"file": url}) as agent:
        container = private_engine.run_container(
            "i=0; while true; do i=$((i+1)); echo $i; usleep 2000; done",
            log_opts=WHOLE,
            restart_policy={"Name": "always"},
        )
        until(lambda: len(messages(path)) > 200, "some lines", told=agent.said)
        private_engine.restart()
        seen = len(messages(path))
        until(lambda: len(messages(path)) > seen + 200, "lines after the restart", told=agent.said)
        _stop_for_good(container)
        wanted = container.logs().decode().split()
        until(lambda: len(messages(path)) >= len(wanted), "the last lines", told=agent.said)
    assert messages(path) == wanted


def test_the_agent_may_be_started_before_the_engine(private_engine: PrivateEngine, tmp_path: Path) -> None:
    """It waits, says so, and reads what starts with the Engine from its first line.

    With Podman nothing starts: the container ran on.
    """
    path, url = _file(tmp_path)
    container = private_engine.run_container("echo hello; sleep 600", restart_policy={"Name": "always"})
    private_engine.kill()

    def told() -> str:
        container.reload()
        return f"{agent.said()}\n{container.status}: {container.logs(timestamps=True)!r}"

    agent = Agent(private_engine.host, tmp_path, {"file": url}, backlog="none")
    agent.launch()
    try:
        until(lambda: "cannot reach" in agent.said(), "it says that it waits", told=agent.said)
        began = time.time_ns() // 10**9 * 10**9  # Podman before 5.8 tells no fraction
        private_engine.start()
        if private_engine.podman:
            until(lambda: "connected to" in agent.said(), "it is connected", told=agent.said)
            private_engine.run_container("echo hello; sleep 600")
        until(lambda: messages(path) == ["hello"], "the line of this start", told=told)
    finally:
        agent.kill()
    assert _ns(records(path)[0]["timestamp"]) >= began


def _ns(stamp: str) -> int:
    whole, fraction = stamp.removesuffix("Z").split(".")
    return int(time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) - time.timezone) * 10**9 + int(fraction)


def test_sigterm_drains_what_was_read(engine: Engine, run_container: RunContainer, tmp_path: Path) -> None:
    """A sink that gathers for an hour has the lines when the agent has ended."""
    path = tmp_path / "out" / "all.ndjson"
    with Agent(
        engine.host, tmp_path, {"file": f"file://{path}?batch_age=1h"}, include=_only(run_container)
    ) as agent:
        run_container("echo last words")
        until(lambda: agent.waiting() == 1, "the line is in the spool", told=agent.said)
        assert agent.stop(signal.SIGTERM) == 0
    assert messages(path) == ["last words"]
