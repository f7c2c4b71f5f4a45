"""A private certificate authority, and who it vouches for."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class PrivateCa:
    """Its files are in `directory`: `ca.pem`, and for each certificate a chain and a key."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ca = trustme.CA()
        self.ca_file = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)

    def server(self, name: str = "127.0.0.1", *, clients: bool = False) -> ssl.SSLContext:
        """For a server called `name`; with `clients` it demands a certificate of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(name).configure_cert(context)
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca_file)
        return context

    def client(self, name: str = "agent.example") -> tuple[Path, Path]:
        """Files of a client's certificate and its key."""
        return self.files(name)

    def files(self, name: str) -> tuple[Path, Path]:
        """Files of a certificate for `name` and its key."""
        issued = self._ca.issue_cert(name)
        chain, key = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        for number, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(chain, append=number > 0)
        issued.private_key_pem.write_to_path(key)
        return chain, key
