"""Compose as this machine has it: a plugin of the Docker CLI, or the command of its own that Compose 1 was."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

from tests.receivers.program import absent, plain_environment

COMMAND_S = 180.0


@functools.cache
def command() -> tuple[str, ...]:
    """`docker compose` where that is there, else `docker-compose`, else `absent`."""
    plugin = ("docker", "compose")
    if shutil.which(plugin[0]) and subprocess.run([*plugin, "version"], capture_output=True).returncode == 0:  # noqa: PLW1510
        return plugin
    if shutil.which("docker-compose") is None:
        absent("docker-compose")
    return ("docker-compose",)


@functools.cache
def version() -> tuple[int, ...]:
    """Such as (1, 29)."""
    said = compose(Path.cwd(), "version", "--short").strip().removeprefix("v")
    return tuple(int(part) for part in said.split(".")[:2])


def compose(directory: Path, *arguments: str, **environ: str) -> str:
    """What it prints when it is run there, with these variables and no others. Fails with what it says."""
    return run(directory, *command(), *arguments, **environ)


def run(directory: Path, *arguments: str, **environ: str) -> str:
    """The same for any other command."""
    done = subprocess.run(
        arguments,
        cwd=directory,
        env=plain_environment(HOME=str(Path.home()), **environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout[-1000:]}{done.stderr[-3000:]}"
    return done.stdout
