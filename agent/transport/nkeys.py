"""NKeys: who we are to a NATS server, by a signature (Ed25519) rather than a password.

Source: nats-io/nkeys, README and strkey.go. A seed is base32 of two bytes that say what it is of, 32 bytes of key
and a CRC-16; what is signed is the nonce of the server's INFO. A credentials file holds a JWT and the seed to it.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SEED = 18 << 3  # what makes "S" the first letter
_USER = 20 << 3  # "U"
_KEY_BYTES = 32
_BLOCK = r"-{3,}BEGIN %s-{3,}\s+([A-Za-z0-9_.=-]+)\s+-{3,}END %s-{3,}"


@dataclass(frozen=True, slots=True)
class UserKey:
    """A user's key, and the JWT by which an account vouches for it, if it takes one."""

    _key: Ed25519PrivateKey = field(repr=False)
    jwt: str = field(default="", repr=False)

    @classmethod
    def of_seed(cls, seed: str, jwt: str = "") -> UserKey:
        """From the seed of a user, `SU…`. Raises ValueError, which does not quote it."""
        try:
            raw = base64.b32decode(seed.strip() + "=" * (-len(seed.strip()) % 8))
        except ValueError:
            raw = b""
        if len(raw) != 2 + _KEY_BYTES + 2 or raw[-2:] != _checksum(raw[:-2]):
            raise ValueError("the seed of an nkey, as `nk -gen user` prints it")
        if raw[0] & 0xF8 != _SEED or (raw[0] & 7) << 5 | raw[1] >> 3 != _USER:
            raise ValueError("the seed of a user's nkey, which begins with SU")
        return cls(Ed25519PrivateKey.from_private_bytes(raw[2:-2]), jwt)

    @classmethod
    def of_credentials(cls, text: str) -> UserKey:
        """From the text of a `.creds` file. Raises ValueError, which does not quote it."""
        jwt = re.search(_BLOCK % (2 * ("NATS USER JWT",)), text)
        seed = re.search(_BLOCK % (2 * ("USER NKEY SEED",)), text)
        if jwt is None or seed is None:
            raise ValueError("the text of a credentials file, with a user's JWT and the seed of its nkey")
        return cls.of_seed(seed[1], jwt[1])

    def login(self, nonce: str) -> dict[str, str]:
        """What CONNECT has to say."""
        signature = base64.urlsafe_b64encode(self._key.sign(nonce.encode())).rstrip(b"=").decode()
        who = {"jwt": self.jwt} if self.jwt else {"nkey": self._public()}
        return {**who, "sig": signature}

    def _public(self) -> str:
        raw = bytes((_USER,)) + self._key.public_key().public_bytes_raw()
        return base64.b32encode(raw + _checksum(raw)).rstrip(b"=").decode()


def _checksum(data: bytes) -> bytes:
    """CRC-16/XMODEM, the lower byte first."""
    return binascii.crc_hqx(data, 0).to_bytes(2, "little")
