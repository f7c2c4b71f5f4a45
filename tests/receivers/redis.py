"""Redis itself: started with passwords, an access list and perhaps TLS, and read by redis-py."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.receivers.program import free_port, listening, plain_environment, running

USER, PASSWORD = "agent", "s3cr3t-enough"


@dataclass(frozen=True, slots=True)
class RedisServer:
    """Where it listens, and a client that may do everything."""

    port: int
    admin: redis.Redis
    tls_port: int = 0


@contextlib.contextmanager
def redis_server(directory: Path, tls: Mapping[str, str | Path] | None = None) -> Iterator[RedisServer]:
    """Redis; the default user may do everything, `USER` too, by `PASSWORD`.

    tls  its options about TLS, without `tls-` before them; it listens for that on a port of its own
    """
    port, tls_port = free_port(), free_port() if tls else 0
    options: dict[str, object] = {"port": port, "bind": "127.0.0.1", "dir": directory, "save": ""}
    if tls:
        options |= {"tls-port": tls_port} | {f"tls-{name}": value for name, value in tls.items()}
    config = directory / "redis.conf"
    lines = [f'{name} "{value}"' for name, value in options.items()]
    config.write_text("\n".join([*lines, f"user {USER} on >{PASSWORD} ~* &* +@all", ""]), "utf-8")
    with (
        running(
            ["redis-server", config],
            log=directory / "log",
            ready=lambda: listening(port),
            env=plain_environment(),
        ),
        redis.Redis(port=port) as admin,
    ):
        yield RedisServer(port, admin, tls_port)
