"""The commands, as a person runs them: another process, its output and its exit status."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import __version__
from agent.cli import main, parser

ROOT = Path(__file__).parent.parent
COMMANDS = ("run", "demo", "check", "config", "options", "spool", "health")
SECRET = "hunter2"


def dockferry(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The program with this environment and nothing else of it."""
    return subprocess.run(
        [sys.executable, "-m", "agent", *arguments],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **environ},
        text=True,
        timeout=60,
    )


def test_help_tells_what_it_is_how_to_begin_and_where_is_more(capsys: pytest.CaptureFixture[str]) -> None:
    """Within one screen."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: dockferry ")
    for command in COMMANDS:
        assert re.search(rf"^    {command} +\w", text, re.MULTILINE)
    assert "dockferry demo " in text
    assert "`dockferry options` lists them all" in text
    assert len(text.splitlines()) < 40
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize("command", [[name] for name in COMMANDS] + [["spool", "replay"]], ids=" ".join)
def test_every_command_has_help_with_an_example(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Which can be typed as it stands."""
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    example = text.rpartition("example:\n")[2].strip()
    assert example.startswith(f"dockferry {command[0]}")
    assert parser().parse_args(example.split()[1:]).act
    assert max(map(len, text.splitlines())) <= 110


def test_the_version_is_told() -> None:
    """`python -m agent` calls itself by the program's name."""
    assert dockferry("--version").stdout == f"dockferry {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rnu"], r"dockferry: .*'rnu'.*; see `dockferry --help`"),
        (["run", "--fast"], r"dockferry: .*--fast; see `dockferry --help`"),
        (["options", "lokki"], r"dockferry: sink 'lokki' is not known; did you mean sink 'loki'\?"),
    ],
)
def test_what_is_typed_wrong_is_one_line_and_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr; stdout is for results."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.match(said, err)
    assert err.count("\n") == 1


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """And is no success."""
    assert main([]) == 2
    assert "usage: dockferry" in capsys.readouterr().err


def test_all_faults_are_told_at_once() -> None:
    """Of variables and of sinks; one line each, status 2, no traceback."""
    ended = dockferry(
        "run", "loki+http://", DOCKFERRY_STAT="/x", DOCKFERRY_SINK_A="tcpp://h:1", DOCKFERRY_HTTP="x"
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert all(line.startswith("dockferry: ") for line in lines)
    for part in (
        "DOCKFERRY_STAT is not known",
        "DOCKFERRY_HTTP: 'x'",
        "sink a: scheme 'tcpp'",
        "sink loki: ",
    ):
        assert any(part in line for line in lines), part


RIGHT = [f"http://user:{SECRET}@127.0.0.1:1/", f"loki+http://127.0.0.1:1/?token={SECRET}"]
WRONG = [
    f"http://user:{SECRET}@127.0.0.1:1/?timeout=never",
    f"loki+http://user:{SECRET}/x@127.0.0.1:1",
    f"nosuch://user:{SECRET}@h",
    f"tcp://user:{SECRET}@127.0.0.1:1",
    f"user:{SECRET}@127.0.0.1",
]


@pytest.mark.parametrize("urls", [RIGHT, RIGHT + WRONG], ids=["right", "wrong"])
@pytest.mark.parametrize(
    "command",
    ["run", "check", "config", "options", "spool", "spool replay", "spool replay no", "health"],
)
def test_no_command_prints_a_secret(command: str, urls: list[str], tmp_path: Path) -> None:
    """Whether a URL is right, wrong in another place, or no URL at all."""
    ended = dockferry(
        *command.split(),
        DOCKER_HOST=f"unix://{tmp_path}/docker.sock" if command != "run" else "nonsense://",
        DOCKFERRY_STATE=str(tmp_path / "state"),
        DOCKFERRY_HTTP="127.0.0.1:1",
        **{f"DOCKFERRY_SINK_{number}": url for number, url in enumerate(urls)},
    )
    assert SECRET not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    if command == "config" and urls == RIGHT:
        assert "http://user:***@127.0.0.1:1/" in ended.stdout


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """`dockferry options | head -1`."""
    shell = f"{sys.executable} -m agent options | head -1; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(
        ["bash", "-c", shell], capture_output=True, check=False, cwd=ROOT, text=True, timeout=60
    )
    assert ended.stdout == "ENVIRONMENT VARIABLES\n"
    assert ended.stderr == ""
    assert ended.returncode in {0, 141}


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Programs begun here can be interrupted, even where the tests run in a shell's background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_is_quiet_and_status_130() -> None:
    """^C while a receiver is waited for."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with subprocess.Popen(
            [sys.executable, "-m", "agent", "check", url],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "DOCKER_HOST": "unix:///no/such.sock", "DOCKFERRY_STATE": "memory"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as checking:
            connection, _ = silent.accept()
            with connection:
                checking.send_signal(signal.SIGINT)
                assert checking.communicate(timeout=30) == (b"", b"")
    assert checking.returncode == 130


def test_output_that_cannot_show_a_character_shows_an_escape() -> None:
    """Rather than a UnicodeEncodeError."""
    ended = dockferry("options", "file", PYTHONIOENCODING="ascii")
    assert ended.returncode == 0
    assert "\\u2026" in ended.stdout


def test_health_of_no_agent_is_status_1(unused_tcp_port: int) -> None:
    """As Docker's HEALTHCHECK wants it."""
    ended = dockferry("health", DOCKFERRY_HTTP=f"127.0.0.1:{unused_tcp_port}")
    assert ended.returncode == 1
    assert ended.stderr.startswith(
        f"dockferry: no agent answers at http://127.0.0.1:{unused_tcp_port}/healthz: "
    )


def test_health_loads_nothing_that_it_does_not_need() -> None:
    """It runs every few seconds, in every container."""
    code = (
        "import sys, agent.cli, agent.http.ask;print(*{'aiohttp', 'docker', 'tenacity'} & sys.modules.keys())"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT, text=True)
    assert ended.stdout.strip() == ""


def test_an_empty_state_is_told(tmp_path: Path) -> None:
    """Before the first start."""
    ended = dockferry("spool", DOCKFERRY_STATE=str(tmp_path))
    assert (ended.returncode, ended.stdout) == (0, f"no agent has kept anything in {tmp_path} yet\n")
