"""Where the Engine is and how it is reached, resolved as the Docker CLI does, through the Docker SDK.

DOCKER_HOST comes first, then DOCKER_CONTEXT, then the current context of Docker's `config.json`, then the
default socket (docker/cli, `cli/command/cli.go`, `resolveContextName`). With DOCKER_HOST, TLS is as
DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say; a context brings its own.
"""

from __future__ import annotations

import grp
import os
import posixpath
import pwd
import re
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from docker.context import ContextAPI
from docker.errors import DockerException, TLSParameterError
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env, parse_host

from agent.errors import UsageError

_UNIX = "http+unix://"
#: OpenSSL's name for an alert about a client's certificate (RFC 8446, 6.2), in the text of its errors.
_ALERT = re.compile(
    r"\[SSL: \w+?_ALERT_((?:BAD_|NO_|UNSUPPORTED_)?CERTIFICATE\w*|UNKNOWN_CA|ACCESS_DENIED)\]"
)


class _Doubt(IntEnum):
    """What may be wrong with a certificate, as OpenSSL numbers it (x509_vfy.h)."""

    NOT_YET_VALID = 9
    EXPIRED = 10
    HOST = 62
    ADDRESS = 64


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One Engine's address.

    base_url     for aiohttp: `http://docker` for a socket, else `http(s)://host:port`
    socket_path  the Unix socket, when it is one
    ssl          how to encrypt; None: not at all
    said         how a person named it, for messages
    host, tls    the same for the Docker SDK
    """

    base_url: str
    socket_path: str | None
    ssl: ssl.SSLContext | None
    said: str
    host: str = ""
    tls: TLSConfig | None = field(default=None, repr=False)

    @property
    def ssh(self) -> str | None:
        """What `ssh` is to be told as its destination; None when the way is another."""
        return self.host if self.host.startswith("ssh://") else None


def resolve(docker: Mapping[str, str]) -> Endpoint:
    """The Engine that Docker's own variables (`Settings.docker`) mean.

    The SDK finds Docker's `config.json` by itself (DOCKER_CONFIG, HOME). Nothing is connected to. Raises
    UsageError when a variable, a context or a certificate is not usable.
    """
    try:
        host, tls, said = _from_host(docker) if docker.get("DOCKER_HOST") else _from_context(docker)
        return _endpoint(host, tls, said)
    except (DockerException, ValueError, OSError) as error:
        raise UsageError(f"the Docker endpoint cannot be used: {error}; {_origin(docker)}") from error


def _from_host(docker: Mapping[str, str]) -> tuple[str, TLSConfig | None, str]:
    said = docker["DOCKER_HOST"].strip()
    if said.startswith("unix:"):
        return said, None, said
    try:
        given = kwargs_from_env(dict(docker))
    except TLSParameterError as error:
        place = docker.get("DOCKER_CERT_PATH") or "~/.docker"
        raise ValueError(
            f"its certificates are to be ca.pem, cert.pem and key.pem in {place} (DOCKER_CERT_PATH)"
        ) from error
    return said, given.get("tls"), said


def _from_context(docker: Mapping[str, str]) -> tuple[str, TLSConfig | None, str]:
    name = docker.get("DOCKER_CONTEXT") or None
    context = ContextAPI.get_context(name)
    if context is None:
        raise ValueError(f"there is no context {name or 'as config.json names it'}")
    host = context.Host
    if not host:
        raise ValueError(f"the context {context.name} has no docker endpoint")
    return host, context.TLSConfig, host if context.name == "default" else f"{host} (context {context.name})"


def _origin(docker: Mapping[str, str]) -> str:
    if docker.get("DOCKER_HOST"):
        return f"DOCKER_HOST is {docker['DOCKER_HOST']!r}, such as unix:///var/run/docker.sock or tcp://host:2376"
    return "`docker context ls` lists the contexts; DOCKER_HOST or DOCKER_CONTEXT names another"


def _endpoint(host: str, tls: TLSConfig | None, said: str) -> Endpoint:
    url = str(parse_host(host, tls=tls is not None))
    if url.startswith(_UNIX):
        path = posixpath.normpath("/" + url.removeprefix(_UNIX).lstrip("/"))
        return Endpoint("http://docker", path, None, said, host=f"unix://{path}")
    if url.startswith("ssh://"):
        # Not `url`: the SDK adds port 22, and ~/.ssh/config may know better.
        return Endpoint("http://docker", None, None, said, host=host)
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url.partition(':')[0]} is not supported here")
    context = _ssl_context(tls) if url.startswith("https://") else None
    return Endpoint(url, None, context, said, host=url, tls=tls)


def _ssl_context(tls: TLSConfig | None) -> ssl.SSLContext:
    ca = tls.ca_cert if tls and tls.verify else None
    try:
        context = ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise ValueError(f"there is no certificate in {ca}") from error
    if tls is None:
        return context
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert:
        try:
            context.load_cert_chain(*tls.cert)
        except ssl.SSLError as error:
            files = " and ".join(map(str, tls.cert))
            raise ValueError(f"{files} are no certificate and its key") from error
    return context


def explain(endpoint: Endpoint, error: OSError) -> str:
    """Why there is no connection, and what to do."""
    where = f"the Docker Engine at {endpoint.said}"
    path = endpoint.socket_path
    match error:
        case FileNotFoundError() if path:
            return (
                f"cannot reach {where}: {path} does not exist. Is Docker running? "
                f"In a container, mount the socket: -v {path}:{path}"
            )
        case PermissionError() if path:
            return f"cannot reach {where}: permission denied. {_who_may(path)}"
        case ConnectionRefusedError():
            return f"cannot reach {where}: nothing listens there. Is Docker running?"
        case ssl.SSLCertVerificationError():
            return f"cannot trust {where}: {_mistrust(error)}"
        case ssl.SSLError() if error.reason == "WRONG_VERSION_NUMBER":
            return f"cannot reach {where}: what answers there speaks no TLS. Is DOCKER_TLS_VERIFY meant?"
        case _:
            why = turned_away(error) or error.strerror or str(error) or type(error).__name__
            return f"cannot reach {where}: {why}"


def _mistrust(error: ssl.SSLCertVerificationError) -> str:
    said = error.verify_message.rstrip(".")
    match error.verify_code:
        case _Doubt.EXPIRED | _Doubt.NOT_YET_VALID:
            return f"{said}. Renew it, or set this machine's clock"
        case _Doubt.HOST | _Doubt.ADDRESS:
            return f"{said}: it is not for the name in DOCKER_HOST"
        case _:
            return f"{said}: it is not of a CA that is trusted here. Is that ca.pem in DOCKER_CERT_PATH?"


def turned_away(error: Exception) -> str:
    """What to do when the other side ended TLS because of our certificate; empty when it was not for that.

    TLS 1.3 tells so only after the handshake, in place of an answer.
    """
    alert = _ALERT.search(str(error))
    if alert is None:
        return ""
    return (
        f"it does not accept the certificate of this client ({alert[1].replace('_', ' ').lower()}). "
        "Are cert.pem and key.pem in DOCKER_CERT_PATH of the CA that it trusts, and not expired?"
    )


def _who_may(path: str) -> str:
    try:
        found = os.stat(path)  # noqa: PTH116 - a message is made of it, no path
    except OSError:
        return f"A directory above {path} is closed to this user"
    owner, group = _user_name(found.st_uid), _group_name(found.st_gid)
    if found.st_mode & stat.S_IWGRP:
        return (
            f"{path} is open to the group {group} (gid {found.st_gid}): "
            f"join it (in a container: --group-add {found.st_gid}), or run as {owner}"
        )
    return f"{path} is open to {owner} only: run as {owner}"


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
