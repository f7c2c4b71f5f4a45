"""ClickHouse itself, Debian's 18.16: started with two users and asked over HTTP."""

from __future__ import annotations

import contextlib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.receivers.program import free_port, listening, plain_environment, running

UNPACKED = Path("/var/cache/dockferry-receivers/clickhouse")
USER, PASSWORD = "agent", "s3cr3t-enough"

CONFIG = """<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <listen_host>127.0.0.1</listen_host> <http_port>{port}</http_port>
  <path>{directory}/data/</path> <tmp_path>{directory}/tmp/</tmp_path>
  <users_config>users.xml</users_config>
  <default_profile>default</default_profile> <default_database>default</default_database>
  <mark_cache_size>67108864</mark_cache_size> <timezone>UTC</timezone>
</yandex>
"""
USERS = """<yandex>
  <profiles><default><max_threads>1</max_threads></default></profiles> <quotas><default/></quotas>
  <users>
    <default>{rest}<password/></default>
    <{user}>{rest}<password>{password}</password></{user}>
  </users>
</yandex>
"""
_REST = "<networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>"


class ClickHouse:
    """A server on loopback, on the same port whenever it is `up`."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._directory = directory
        self._running = contextlib.ExitStack()
        (directory / "config.xml").write_text(CONFIG.format(port=self.port, directory=directory), "utf-8")
        self._write_users(PASSWORD)

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        """It runs until the block ends, but for what `down` does."""
        self._start()
        with self._running:
            yield

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """It is ended, and started again with what it has stored."""
        self._running.close()
        yield
        self._start()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """The password of `USER` is another."""
        self._write_users("another")
        self.ask("SYSTEM RELOAD CONFIG")
        yield
        self._write_users(PASSWORD)
        self.ask("SYSTEM RELOAD CONFIG")

    def ask(self, query: str) -> bytes:
        """The answer to one who may do everything. Raises HTTPError."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", query.encode(), timeout=30) as reply:
            answer: bytes = reply.read()
        return answer

    def _start(self) -> None:
        libraries = (UNPACKED / "usr/lib").glob("*-linux-gnu"), (UNPACKED / "lib").glob("*-linux-gnu")
        self._running.enter_context(
            running(
                [UNPACKED / "usr/sbin/clickhouse-server", f"--config-file={self._directory}/config.xml"],
                log=self._directory / "said",
                ready=lambda: listening(self.port),
                env=plain_environment(
                    LD_LIBRARY_PATH=":".join(str(path) for found in libraries for path in found)
                ),
            )
        )

    def _write_users(self, password: str) -> None:
        text = USERS.format(user=USER, password=password, rest=_REST)
        (self._directory / "users.xml").write_text(text, "utf-8")


@contextlib.contextmanager
def clickhouse(directory: Path) -> Iterator[ClickHouse]:
    """ClickHouse, from where `.ci/receivers` unpacked it."""
    server = ClickHouse(directory)
    with server.up():
        yield server
