"""An Engine over TLS that is not as it should be: each fault in one line that says what to do."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.engine.client import EngineClient, refusal
from agent.engine.endpoint import explain, resolve, turned_away
from agent.errors import EngineUnreachable, UsageError
from agent.simulator import SimulatedEngine
from tests.receivers.certificates import PrivateCa
from tests.receivers.proxy import Proxy


@pytest.fixture
def ca(tmp_path: Path) -> PrivateCa:
    return PrivateCa(tmp_path)


@pytest.fixture
def docker(ca: PrivateCa, tmp_path: Path) -> dict[str, str]:
    """Docker's variables of a client that the Engine lets in."""
    certificates = ca.docker_directory(tmp_path / "certificates")
    return {
        "DOCKER_HOST": "tcp://127.0.0.1:2376",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": str(certificates),
    }


@contextlib.asynccontextmanager
async def behind(context: ssl.SSLContext, socket_path: str) -> AsyncIterator[str]:
    """A simulated Engine behind TLS: what DOCKER_HOST would say."""
    async with (
        SimulatedEngine(socket_path, tcp_port=0) as engine,
        Proxy("127.0.0.1", int(engine.tcp_host.rpartition(":")[2]), context).listening() as proxy,
    ):
        yield f"tcp://127.0.0.1:{proxy.port}"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("127.0.0.1, expired", r"certificate has expired\. Renew it, or set this machine's clock$"),
        ("127.0.0.2", r"not valid for '127\.0\.0\.1': it is not for the name in DOCKER_HOST$"),
        ("other.example", r"it is not for the name in DOCKER_HOST$"),
    ],
)
async def test_a_certificate_that_does_not_hold_is_told_with_what_to_do(
    socket_path: str, ca: PrivateCa, docker: dict[str, str], names: str, said: str
) -> None:
    name, _, expired = names.partition(", ")
    async with (
        behind(ca.server(name, clients=True, expired=bool(expired)), socket_path) as host,
        EngineClient(resolve(docker | {"DOCKER_HOST": host}), docker={}) as client,
    ):
        with pytest.raises(EngineUnreachable, match=rf"^cannot trust the Docker Engine at {host}: .*{said}"):
            await client.connect()


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
async def test_without_verification_any_certificate_will_do(
    socket_path: str, ca: PrivateCa, docker: dict[str, str]
) -> None:
    """DOCKER_CERT_PATH alone: encrypted, and no more, as with Docker's own client."""
    del docker["DOCKER_TLS_VERIFY"]
    async with (
        behind(ca.server("other.example", clients=True, expired=True), socket_path) as host,
        EngineClient(resolve(docker | {"DOCKER_HOST": host}), docker={}) as client,
    ):
        assert (await client.connect()).name == "simulated"


async def test_an_engine_without_tls_is_told_apart(socket_path: str, docker: dict[str, str]) -> None:
    async with (
        SimulatedEngine(socket_path, tcp_port=0) as engine,
        EngineClient(resolve(docker | {"DOCKER_HOST": engine.tcp_host}), docker={}) as client,
    ):
        with pytest.raises(EngineUnreachable, match=r"speaks no TLS\. Is DOCKER_TLS_VERIFY meant"):
            await client.connect()


def test_an_engine_with_tls_that_is_asked_without_says_so() -> None:
    """Go's words, before a request is read."""
    body = b"Client sent an HTTP request to an HTTPS server.\n"
    assert "DOCKER_TLS_VERIFY=1" in refusal(body, "Bad Request (GET /_ping)")


@pytest.mark.parametrize("name", ["ca.pem", "cert.pem", "key.pem"])
@pytest.mark.parametrize("fault", ["missing", "rubbish"])
def test_a_file_that_is_missing_or_rubbish_is_a_usage_error(
    docker: dict[str, str], name: str, fault: str
) -> None:
    """Told at the start: waiting would not mend it."""
    file = Path(docker["DOCKER_CERT_PATH"]) / name
    file.unlink()
    if fault == "rubbish":
        file.write_text("no certificate\n")
    with pytest.raises(UsageError, match=r"^the Docker endpoint cannot be used: .*certificate") as caught:
        resolve(docker)
    assert str(file.parent) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("alert", "said"),
    [
        ("SSLV3_ALERT_BAD_CERTIFICATE", "(bad certificate)"),
        ("TLSV1_ALERT_UNKNOWN_CA", "(unknown ca)"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "(certificate required)"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "(certificate expired)"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", ""),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", ""),
    ],
)
def test_an_alert_about_our_certificate_is_told_apart(docker: dict[str, str], alert: str, said: str) -> None:
    """As OpenSSL words it; the others are told as they are."""
    error = OSError(1, f"[SSL: {alert}] (_ssl.c:2580)")
    assert (said in turned_away(error)) if said else turned_away(error) == ""
    assert (said or alert) in explain(resolve(docker), error)
