"""TLS for whoever connects: a context from files, and the protocol itself between bytes and bytes.

asyncio's own TLS transport hides how much ciphertext still waits in it; `Tls` hides nothing, so that the line
stream can tell when the peer's kernel has everything.
"""

from __future__ import annotations

import contextlib
import ssl

from agent.errors import SinkError
from agent.transport import TransportError, UntrustedError

_READ_BYTES = 64 * 1024
#: What the peer says about our certificate (RFC 8446, 6.2), as OpenSSL spells it.
_ABOUT_OURS = (
    "CERTIFICATE_REQUIRED",
    "BAD_CERTIFICATE",
    "UNKNOWN_CA",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REVOKED",
)


def client_context(
    ca: str | None = None, cert: str | None = None, key: str | None = None, *, verify: bool = True
) -> ssl.SSLContext:
    """What we trust (`ca`, else the system's) and who we are (`cert`, `key`), from PEM files.

    Raises SinkError naming the file that cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ValueError) as error:
        raise SinkError(f"ca={ca}: no CA certificates can be read from it: {_reason(error)}") from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if key and not cert:
        raise SinkError(f"key={key} is of no use without cert=")
    if cert:
        try:
            context.load_cert_chain(cert, key)
        except (OSError, ValueError) as error:
            files = f"cert={cert}" + (f" and key={key}" if key else "")
            raise SinkError(f"{files}: no certificate with its key can be read: {_reason(error)}") from error
    return context


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):  # an OSError, too, but its strerror is OpenSSL's internals
        return (error.reason or "no PEM").replace("_", " ").lower()
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def failure(error: ssl.SSLError) -> TransportError:
    """A failed handshake or record, as an error of ours."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return UntrustedError(f"its certificate is not trusted: {error.verify_message}")
    reason = error.reason or "unknown reason"
    if any(alert in reason for alert in _ABOUT_OURS):
        return UntrustedError(f"it does not accept our certificate: {reason.replace('_', ' ').lower()}")
    return TransportError(f"TLS failed: {reason.replace('_', ' ').lower()}")


class Tls:
    """The client's half of one TLS connection, sans I/O: after each call, send what `outgoing()` gives.

    First `receive(b"")`; then every byte from the peer goes through `receive`. `send` only once `ready`.
    """

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._in, self._out, server_hostname=host)
        self.ready = False

    @property
    def judged_late(self) -> bool:
        """Whether the peer looks at our certificate, or the lack of one, only when we are already `ready`."""
        return self._ssl.version() == "TLSv1.3"

    def receive(self, data: bytes) -> bool:
        """Take bytes from the peer; whatever they say is discarded. False: it ended the connection.

        Raises TransportError, UntrustedError.
        """
        self._in.write(data)
        try:
            if not self.ready:
                self._ssl.do_handshake()
                self.ready = True
            while self._ssl.read(_READ_BYTES):
                pass
        except ssl.SSLWantReadError:
            return True
        except ssl.SSLError as error:
            raise failure(error) from error
        return False

    def send(self, data: bytes) -> None:
        """Encrypt `data`."""
        try:
            self._ssl.write(data)
        except ssl.SSLError as error:
            raise failure(error) from error

    def end(self) -> None:
        """Say good-bye, so that the peer can tell the end from a cut."""
        with contextlib.suppress(ssl.SSLError):  # the peer's own good-bye is not waited for
            self._ssl.unwrap()

    def outgoing(self) -> bytes:
        """The ciphertext to be sent now; perhaps none."""
        return self._out.read()
