"""The attach source on a real Engine: nothing rotates away from it, and no container waits for it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from docker.models.containers import Container

from tests.engine.containers import RunContainer, numbered_lines
from tests.engine.dockerd import Engine
from tests.engine.shipping import Agent, Lines, messages, until

pytestmark = pytest.mark.engine
STALL_LIMIT_S = 1.0


@pytest.fixture(autouse=True)
def attached(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    if engine.podman:
        pytest.skip("Podman's containers are never attached to: see test_podman.py")
    monkeypatch.setattr(Agent, "source", "attach")


def _numbers(count: int, width: int = 6) -> list[str]:
    return [f"{number:0{width}}" for number in range(1, count + 1)]


def _file(directory: Path) -> tuple[Path, str]:
    path = directory / "out" / "all.ndjson"
    return path, f"file://{path}?batch_age=100ms&rotate_bytes=0"


def _only(run: RunContainer) -> str:
    return f"label={run.label}"


@pytest.mark.parametrize(
    "options",
    [{"max-size": "10m", "max-file": "3"}, {"max-size": "1m", "max-file": "2"}],
    ids=["10m-3", "1m-2"],
)
def test_a_burst_that_rotates_away_is_delivered_whole(
    engine: Engine, run_container: RunContainer, tmp_path: Path, options: dict[str, str]
) -> None:
    """500,000 lines at full speed, most of which the log no longer holds at the end: each once, in order."""
    count = 500_000
    path, url = _file(tmp_path)
    with Agent(
        engine.host, tmp_path, {"file": url}, include=_only(run_container), log_level="debug"
    ) as agent:
        container = run_container.create(numbered_lines(count, width=156), log_opts=options)
        until(lambda: "attached" in agent.said(), "it is attached", told=agent.said)
        container.start()
        last = _numbers(count, 156)[-1:]
        until(lambda: messages(path)[-1:] == last, "the last line", told=agent.said)
        assert messages(path) == _numbers(count, 156)
        assert "lost" not in agent.said()


def test_a_driver_without_a_log_is_read_over_restarts(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """Source `auto`, too: there is no other way."""
    path, url = _file(tmp_path)
    settings = {"include": _only(run_container), "source": "auto", "log_level": "debug"}
    with Agent(engine.host, tmp_path, {"file": url}, **settings) as agent:

        def attached(times: int) -> bool:
            return agent.said().count(": attached") >= times

        container = run_container.create(
            f"{numbered_lines(50_000)}; printf end; exec sleep 600", log_driver="none"
        )
        until(lambda: attached(1), "attached before its start", told=agent.said)
        container.start()
        until(lambda: len(messages(path)) >= 50_000, "its lines", told=agent.said)
        container.stop(timeout=0)
        until(lambda: len(messages(path)) >= 50_001, "the line without newline", told=agent.said)
        until(lambda: attached(2), "attached again", told=agent.said)
        container.start()
        until(lambda: len(messages(path)) >= 100_001, "its lines once more", told=agent.said)
        assert messages(path) == [*_numbers(50_000), "end", *_numbers(50_000)]
        assert agent.stop() == 0
        assert "lost" not in agent.said()


def test_every_sink_stuck_the_container_is_not_held(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """The spool is full and blocks: the container goes on, and what its log holds comes when the sink is back."""
    count = 150_000
    with Lines(deaf=True) as deaf, Lines() as well:
        settings = {
            "include": _only(run_container),
            "on_full": "block",
            "memory_max_bytes": "8MiB",
            "spool_max_bytes": "1MiB",
            "shutdown_grace": "1s",
        }
        with Agent(engine.host, tmp_path, {"only": deaf.url}, **settings) as agent:
            run_container(_hard_to_compress(count), log_opts={"max-size": "1g"}).wait(timeout=60)
            agent.kill()
            assert agent.waiting() < count / 2, "the spool was not full"
        deaf.hear()
        with Agent(engine.host, tmp_path, {"only": well.url}, **settings) as agent:
            until(
                lambda: len({*deaf.messages, *well.messages}) == count,
                "all lines",
                told=lambda: f"{len({*deaf.messages, *well.messages})} of {count}\n{agent.said()}",
            )
        assert sorted({message[:6] for message in (*deaf.messages, *well.messages)}) == _numbers(count)


def _hard_to_compress(lines: int) -> str:
    """Numbered lines of random digits."""
    digits = "int(rand() * 1e9) " * 12
    return f"awk 'BEGIN {{ for (n = 1; n <= {lines}; n++) printf \"%06d %s\\n\", n, {digits.strip()} }}'"


def _time_of(container: Container) -> float:
    container.wait(timeout=100)
    container.reload()
    state = container.attrs["State"]
    return _seconds(state["FinishedAt"]) - _seconds(state["StartedAt"])


def _seconds(stamp: str) -> float:
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction or 0}")


def test_a_stopped_agent_lets_its_container_go(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """SIGSTOP: the watchdog is a process of its own. What was printed meanwhile comes from the log."""
    count = 200_000
    path, url = _file(tmp_path)
    script = f"echo begin; while [ ! -e /go ]; do usleep 10000; done; {numbered_lines(count, width=156)}"
    alone_s = _time_of(run_container(numbered_lines(count, width=156), log_opts={"max-size": "1g"}))
    with Agent(engine.host, tmp_path, {"file": url}, include=_only(run_container)) as agent:
        container = run_container(script, log_opts={"max-size": "1g"})
        until(lambda: "begin" in messages(path), "it is attached", told=agent.said)
        os.kill(agent.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        container.exec_run(["/bin/sh", "-c", "true > /go"])
        container.wait(timeout=60)
        time_s = time.monotonic() - began
        os.kill(agent.process.pid, signal.SIGCONT)
        assert time_s < alone_s + STALL_LIMIT_S + 2
        until(lambda: len(messages(path)) > count, "all lines", told=agent.said)
        assert sorted(messages(path)) == [*_numbers(count, 156), "begin"]


def test_nine_kills_in_bursts_that_rotate_repeat_nothing(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """What rotated away while the agent was down is reported; what arrives does so once.

    Not all in order: what rotates away while the log is joined comes live, behind what the log gave.
    """
    path, url = _file(tmp_path)
    burst = "awk -v from=$i 'BEGIN { for (i = 0; i < 1000; i++) print from + i }'"
    script = f"i=0; while [ ! -e /stop ]; do {burst}; i=$((i+1000)); usleep 200000; done; echo end"
    with Agent(engine.host, tmp_path, {"file": url}, include=_only(run_container)) as agent:
        container = run_container(script, log_opts={"max-size": "40k", "max-file": "2"})
        for _ in range(9):
            _await_more(path, agent)
            agent.kill()
            agent.start()
        container.exec_run(["/bin/sh", "-c", "true > /stop"])
        until(lambda: messages(path)[-1:] == ["end"], "the last line", told=agent.said)
        numbers = list(map(int, messages(path)[:-1]))
        assert len(numbers) == len(set(numbers))
        assert "lost" in agent.said() or sorted(numbers) == list(range(len(numbers)))


def _await_more(path: Path, agent: Agent) -> None:
    seen = len(messages(path))
    until(lambda: len(messages(path)) > seen, "more lines", told=agent.said)
