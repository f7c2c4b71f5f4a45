"""A real server for the tests: a program on loopback, which ends with the block that needed it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

START_S = 60.0
END_S = 20.0
PAUSE_S = 0.02
#: Tests that are killed leave nothing behind.
DIE_WITH_US = ("setpriv", "--pdeathsig", "TERM")


def free_port() -> int:
    """A port on loopback that nobody listens on at present."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def listening(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def absent(program: str) -> NoReturn:
    """A program is not there: the test is skipped, and fails in CI, where `.ci/receivers` has installed them all."""
    why = f"{program} is not installed: .ci/receivers does that"
    if os.environ.get("CI") == "true":  # noqa: TID251 - the tests, of CI
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


@contextlib.contextmanager
def running(
    arguments: Sequence[str | Path],
    *,
    log: Path,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """The process id of this program, once it is `ready`. What it prints goes to `log`; it ends by SIGTERM.

    One that is not there is `absent`.
    """
    if shutil.which(arguments[0], path=env.get("PATH") if env else None) is None:
        absent(str(arguments[0]))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*DIE_WITH_US, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
        )
    try:
        until(lambda: _ready(process, ready, log), START_S)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for what a program does. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(PAUSE_S)


def _ready(process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path) -> bool:
    if process.poll() is not None:
        said = log.read_text("utf-8", errors="replace")[-2000:]
        raise RuntimeError(f"it ended with {process.returncode}, {log}: {said}")
    return ready()


def plain_environment(**more: str) -> dict[str, str]:
    """What a program needs to find others, and no more of ours."""
    return {"PATH": os.defpath + ":/usr/sbin:/sbin", "LANG": "C.UTF-8", **more}
