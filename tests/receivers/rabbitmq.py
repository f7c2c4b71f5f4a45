"""RabbitMQ itself: a node of its own, with its own name, directories, ports and port mapper, all on loopback."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.receivers.program import free_port, listening, plain_environment, running

PROGRAMS = Path("/usr/lib/rabbitmq/bin")
USER, PASSWORD = "agent", "s3cr3t-enough"
#: One who may log in and see the exchanges, but not publish.
READER = "reader"
VHOST = "shop"
LARGEST_MESSAGE_BYTES = 16 << 20  # RabbitMQ 4's; older ones take more


@dataclass(frozen=True, slots=True)
class RabbitServer:
    """Where it listens, and its log; `control` is rabbitmqctl."""

    port: int
    tls_port: int
    log: Path
    env: Mapping[str, str]

    def control(self, *arguments: str) -> None:
        """Raises CalledProcessError with what it says."""
        subprocess.run(
            [PROGRAMS / "rabbitmqctl", "-q", *arguments], env=self.env, check=True, capture_output=True
        )

    @contextlib.contextmanager
    def taking(self, most_bytes: int) -> Iterator[None]:
        """On channels opened from now on it takes no longer message."""
        setting = "application:set_env(rabbit, max_message_size, {})."
        self.control("eval", setting.format(most_bytes))
        try:
            yield
        finally:
            self.control("eval", setting.format(LARGEST_MESSAGE_BYTES))

    @contextlib.contextmanager
    def short_of_memory(self) -> Iterator[None]:
        """It blocks connections that publish."""
        self.control("set_vm_memory_high_watermark", "0")
        try:
            yield
        finally:
            self.control("set_vm_memory_high_watermark", "0.4")

    def admin(self, vhost: str = VHOST) -> str:
        """The URL of one who may do everything."""
        return f"amqp://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{vhost}"


@contextlib.contextmanager
def rabbitmq_server(directory: Path, tls: Sequence[Path] = ()) -> Iterator[RabbitServer]:
    """RabbitMQ with a vhost, and users that know a password.

    tls  files: the authority, the server's certificate and its key; it listens for TLS on a port of its own
    """
    port, tls_port, mapper = free_port(), free_port(), free_port()
    env = plain_environment(
        HOME=str(directory),
        RABBITMQ_NODENAME=f"dockferry-{port}@localhost",
        RABBITMQ_DIST_PORT=str(free_port()),
        RABBITMQ_CONFIG_FILE=str(_config(directory, port, tls_port, tls)),
        RABBITMQ_CONF_ENV_FILE=str(directory / "none"),
        RABBITMQ_ENABLED_PLUGINS_FILE=str(directory / "plugins"),
        RABBITMQ_MNESIA_BASE=str(directory / "mnesia"),
        RABBITMQ_LOG_BASE=str(directory),
        RABBITMQ_LOGS="-",
        RABBITMQ_PID_FILE=str(directory / "pid"),
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} +sbwt none",
        ERL_EPMD_PORT=str(mapper),
        ERL_EPMD_ADDRESS="127.0.0.1",
    )
    (directory / "plugins").write_text("[].\n", "utf-8")
    log = directory / "log"
    with (
        # Its own would outlive it.
        running(
            ["epmd"],
            log=directory / "epmd.log",
            ready=lambda: listening(mapper),
            env=env,
        ),
        running(
            [PROGRAMS / "rabbitmq-server"],
            log=log,
            ready=lambda: "Server startup complete" in log.read_text("utf-8", errors="replace"),
            env=env,
        ),
    ):
        yield RabbitServer(port, tls_port, log, env)


def _config(directory: Path, port: int, tls_port: int, tls: Sequence[Path]) -> Path:
    definitions = directory / "definitions.json"
    definitions.write_text(json.dumps(_definitions()), "utf-8")
    lines = {
        "listeners.tcp.1": f"127.0.0.1:{port}",
        "load_definitions": definitions,
        "max_message_size": LARGEST_MESSAGE_BYTES,
        "log.console.level": "info",
    }
    if tls:
        lines |= {"listeners.ssl.1": f"127.0.0.1:{tls_port}", "ssl_options.verify": "verify_peer"}
        lines |= dict(
            zip((f"ssl_options.{name}" for name in ("cacertfile", "certfile", "keyfile")), tls, strict=True)
        )
        lines["ssl_options.fail_if_no_peer_cert"] = "true"
    config = directory / "rabbitmq.conf"
    config.write_text("".join(f"{name} = {value}\n" for name, value in lines.items()), "utf-8")
    return config


def _definitions() -> dict[str, object]:
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    return {
        "users": [{"name": name, "password": PASSWORD, "tags": ""} for name in (USER, READER)],
        "vhosts": [{"name": "/"}, {"name": VHOST}],
        "permissions": [
            {"user": USER, "vhost": "/", **everything},
            {"user": USER, "vhost": VHOST, **everything},
            {"user": READER, "vhost": VHOST, **everything, "write": "^$", "configure": "^$"},
        ],
    }
