"""Where the Engine is: as the Docker CLI would find it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import ssl
from pathlib import Path

import pytest

from agent.engine.endpoint import explain, resolve
from agent.errors import UsageError


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's configuration directory, with a context `remote` that is not the current one."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    meta = tmp_path / "contexts" / "meta" / hashlib.sha256(b"remote").hexdigest()
    meta.mkdir(parents=True)
    endpoint = {"Host": "tcp://remote:2375", "SkipTLSVerify": False}
    meta.joinpath("meta.json").write_text(
        json.dumps({"Name": "remote", "Metadata": {}, "Endpoints": {"docker": endpoint}})
    )
    return tmp_path


def test_nothing_said_means_the_default_socket(config: Path) -> None:
    endpoint = resolve({})
    assert endpoint.socket_path == "/var/run/docker.sock"
    assert endpoint.said == "unix:///var/run/docker.sock"
    assert endpoint.ssl is None


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("unix:///run/user/1000/docker.sock", "/run/user/1000/docker.sock"),
        ("unix://", "/var/run/docker.sock"),
        ("unix://var/run/docker.sock", "/var/run/docker.sock"),
    ],
)
def test_a_socket_is_its_path(host: str, path: str) -> None:
    assert resolve({"DOCKER_HOST": host}).socket_path == path


def test_a_socket_needs_no_certificates() -> None:
    """DOCKER_TLS_VERIFY left over from another host does not matter here."""
    endpoint = resolve({"DOCKER_HOST": "unix:///s", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/nowhere"})
    assert endpoint.ssl is None


def test_a_tcp_host_is_plain_without_tls_variables() -> None:
    endpoint = resolve({"DOCKER_HOST": "tcp://proxy:2375"})
    assert (endpoint.base_url, endpoint.ssl, endpoint.socket_path) == ("http://proxy:2375", None, None)


def test_the_environment_goes_before_a_context(config: Path) -> None:
    docker = {"DOCKER_HOST": "unix:///a.sock", "DOCKER_CONTEXT": "remote"}
    assert resolve(docker).socket_path == "/a.sock"


def test_a_context_is_found_by_name(config: Path) -> None:
    endpoint = resolve({"DOCKER_CONTEXT": "remote"})
    assert endpoint.base_url == "http://remote:2375"
    assert endpoint.said == "tcp://remote:2375 (context remote)"


def test_the_current_context_is_used(config: Path) -> None:
    (config / "config.json").write_text('{"currentContext": "remote"}')
    assert resolve({}).base_url == "http://remote:2375"


@pytest.mark.parametrize(
    ("docker", "said"),
    [
        ({"DOCKER_CONTEXT": "nosuch"}, "no context nosuch"),
        ({"DOCKER_HOST": "gopher://x"}, "gopher://x"),
        ({"DOCKER_HOST": "tcp://proxy"}, "port is required"),
        ({"DOCKER_HOST": "npipe:////./pipe/docker_engine"}, "npipe is not supported"),
        (
            {"DOCKER_HOST": "tcp://h:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/nowhere"},
            "certificate",
        ),
    ],
)
def test_what_cannot_be_used_is_a_usage_error(config: Path, docker: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        resolve(docker)


def test_a_missing_socket_is_named_with_what_to_do(tmp_path: Path) -> None:
    endpoint = resolve({"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"})
    text = explain(endpoint, FileNotFoundError(2, "No such file or directory"))
    assert f"{tmp_path}/docker.sock does not exist" in text
    assert f"-v {tmp_path}/docker.sock:" in text


@pytest.mark.parametrize(("mode", "said"), [(0o660, "--group-add {gid}"), (0o600, "run as")])
def test_a_forbidden_socket_says_who_may(tmp_path: Path, mode: int, said: str) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        path.chmod(mode)
        endpoint = resolve({"DOCKER_HOST": f"unix://{path}"})
        text = explain(endpoint, PermissionError(13, "Permission denied"))
    assert "permission denied" in text
    assert said.format(gid=os.getgid()) in text


def test_an_untrusted_certificate_is_told_apart() -> None:
    endpoint = resolve({"DOCKER_HOST": "https://h:2376"})
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = 18, "self-signed certificate"
    assert "self-signed certificate" in explain(endpoint, error)
    assert "DOCKER_CERT_PATH" in explain(endpoint, error)
