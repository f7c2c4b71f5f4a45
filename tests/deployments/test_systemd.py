"""conf/systemd: systemd understands the unit, finds it closed, and its parts fit together and to the agent."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.options import duration
from agent.settings import Settings
from agent.sinks import parse_sink
from tests.deployments.unit import CONF, UNIT, Unit, allowed, analyze, confined
from tests.test_conf import assignments

ENV_FILE, DROP_IN = CONF / "dockferry.env", CONF / "credentials.conf"
DOCUMENT = CONF.parents[1] / "docs/deployments.md"
#: Ten times what `systemd-analyze security` calls the exposure, of 100: below 20 is "OK", the least is 0.
EXPOSURE = 13


@pytest.fixture
def unit() -> Unit:
    return Unit(UNIT)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit with its drop-in, as a person has installed them; of the agent, the one that is here."""
    path = tmp_path / UNIT.name
    text = UNIT.read_text("utf-8")
    program = shutil.which("dockferry", path=Path(sys.executable).parent)
    assert program is not None
    assert text.count("/opt/dockferry/bin/dockferry run") == 1
    path.write_text(text.replace("/opt/dockferry/bin/dockferry run", f"{program} run"), "utf-8")
    folder = tmp_path / f"{UNIT.name}.d"
    folder.mkdir()
    shutil.copy(DROP_IN, folder)
    return path


def settings(*, commented: bool) -> Settings:
    """What the environment file asks for, its examples too if they are taken in."""
    text = ENV_FILE.read_text("utf-8")
    given = assignments(text, commented=False) | (assignments(text, commented=True) if commented else {})
    given = {name: value for name, value in given.items() if not name.endswith("_FILE")}
    return Settings.load(given, accept=lambda name, url: parse_sink(name, url, read_file=lambda _: "x"))


def test_systemd_finds_no_fault_in_it(installed: Path) -> None:
    """A name that it does not know is only a warning to systemd."""
    done = analyze("verify", installed)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_would_tell_a_fault(installed: Path) -> None:
    """The test before this one can fail, for the unit and for its drop-in."""
    for path in (installed, *installed.with_name(f"{UNIT.name}.d").iterdir()):
        kept = path.read_text("utf-8")
        path.write_text(kept.replace("[Service]", "[Service]\nProtectSytem=strict"), "utf-8")
        assert "ProtectSytem" in analyze("verify", installed).stderr
        path.write_text(kept, "utf-8")


def test_it_is_no_more_exposed_than_the_docs_say(installed: Path) -> None:
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", installed)
    assert done.returncode == 0, done.stdout
    [figure] = re.findall(r"exposure of (\d\.\d)", DOCUMENT.read_text("utf-8"))
    assert float(figure) * 10 == EXPOSURE


def test_each_line_of_the_environment_file_is_a_setting_or_a_comment() -> None:
    """As conf/dockferry.env."""
    for line in ENV_FILE.read_text("utf-8").splitlines():
        assert not line or line.startswith("# ") or assignments(line, commented=line.startswith("#"))


@pytest.mark.parametrize("commented", [False, True], ids=["as-it-stands", "with-its-examples"])
def test_the_environment_file_is_understood(*, commented: bool) -> None:
    assert settings(commented=commented).urls


def test_the_agent_may_write_where_the_environment_file_sends_it(unit: Unit) -> None:
    """State and file sinks are below directories that systemd makes for it."""
    ours = settings(commented=True)
    assert ours.state == f"/var/lib/{unit.one('StateDirectory')}"
    files = [url.removeprefix("file://") for url in ours.urls.values() if url.startswith("file:")]
    assert files
    assert all(path.startswith(f"/var/log/{unit.one('LogsDirectory')}/") for path in files)


def test_systemd_waits_for_longer_than_the_agent_drains(unit: Unit) -> None:
    assert duration(unit.one("TimeoutStopSec")) > settings(commented=False).shutdown_grace


def test_every_secret_that_is_read_is_one_that_is_handed_over() -> None:
    """By its name, in the directory that systemd makes for this unit."""
    given = {value.split(":")[0] for value in Unit(DROP_IN).all("LoadCredential")}
    read = re.findall(r"/run/credentials/([^/\s]+)/([\w-]+)", ENV_FILE.read_text("utf-8"))
    assert {name for name, _ in read} == {UNIT.name}
    assert {name for _, name in read} == given


def test_it_asks_systemd_for_nothing_that_the_agent_does_not_do(unit: Unit) -> None:
    """It sends no readiness and no sign of life: with Type=notify it would be ended for that."""
    code = "".join(path.read_text("utf-8") for path in (CONF.parents[1] / "agent").rglob("*.py"))
    assert "NOTIFY_SOCKET" not in code
    assert unit.one("Type") == "exec"
    assert unit.all("WatchdogSec") == []


def test_the_system_calls_are_those_of_a_service_and_no_more(unit: Unit) -> None:
    """And a set within a set is looked into."""
    calls = allowed(unit.all("SystemCallFilter"))
    assert {"read", "epoll_wait", "execve", "prlimit64"} <= calls
    assert not calls & {"fchown", "mount", "ptrace", "bpf", "setuid", "nice"}


@pytest.mark.parametrize(
    ("program", "fate"),
    [
        ("print(2)", 0),
        ("import agent.cli, ctypes, re2", 0),
        ("open('{there}', 'w')", 0),
        ("open('/etc/dockferry-was-here', 'w')", 1),
        ("open('/proc/sys/kernel/hostname')", 1),
        ("import os; os.fchown(1, 0, 0)", 1),
        ("import os; os.nice(1)", -31),
        ("import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", -31),
        ("import mmap; mmap.mmap(-1, 4096, prot=7)", -31),
    ],
)
def test_the_sandbox_that_the_agent_is_tested_in_bites(
    unit: Unit, tmp_path: Path, program: str, fate: int
) -> None:
    """1: refused, -31: killed (SIGSYS). tests/engine/test_systemd.py runs the agent in it."""
    done = subprocess.run(
        [*confined(unit, tmp_path), sys.executable, "-c", program.format(there=tmp_path / "file")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == fate, done.stderr
