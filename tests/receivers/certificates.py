"""A private certificate authority, and who it vouches for."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


class PrivateCa:
    """Its files are in `directory`: `ca.pem`, and for each certificate a chain and a key."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ca = trustme.CA()
        self.ca_file = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)

    def server(
        self, name: str = "127.0.0.1", *, clients: bool = False, expired: bool = False
    ) -> ssl.SSLContext:
        """For a server called `name`; with `clients` it demands a certificate of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._issue(name, expired=expired).configure_cert(context)
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca_file)
        return context

    def client(self, name: str = "agent.example", *, expired: bool = False) -> tuple[Path, Path]:
        """Files of a client's certificate and its key."""
        return self.files(name, expired=expired)

    def files(self, name: str, *, expired: bool = False) -> tuple[Path, Path]:
        """Files of a certificate for `name` and its key."""
        issued = self._issue(name, expired=expired)
        chain, key = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        for number, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(chain, append=number > 0)
        issued.private_key_pem.write_to_path(key)
        return chain, key

    def docker_directory(
        self, directory: Path, *, trusted: Path | None = None, expired: bool = False
    ) -> Path:
        """What DOCKER_CERT_PATH may name: a client's certificate and key, and the CA it trusts (this one)."""
        directory.mkdir()
        certificate, key = self.client(expired=expired)
        certificate.rename(directory / "cert.pem")
        key.rename(directory / "key.pem")
        (directory / "ca.pem").write_bytes((trusted or self.ca_file).read_bytes())
        return directory

    def _issue(self, name: str, *, expired: bool) -> trustme.LeafCert:
        until = datetime.now(UTC) - timedelta(days=1) if expired else None
        return self._ca.issue_cert(name, not_after=until)
