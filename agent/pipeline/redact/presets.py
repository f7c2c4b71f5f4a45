"""The presets of redact: the secrets whose shape is known, by the names that users write.

Sources: RFC 9110 section 11.6.2 and RFC 6750 (Authorization), RFC 7617 (Basic), RFC 7515 (JWT), the AWS IAM user
guide (access key ids and secret access keys), RFC 3986 section 3.2.1 (user information), RFC 5321 (mailboxes).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from typing import Final

from agent.pipeline.redact.address import Addresses
from agent.pipeline.redact.card import Cards
from agent.pipeline.redact.finders import Finder, Shape
from agent.pipeline.redact.key import Keys

ALL: Final = "all"
KEYS: Final = Keys()

#: What a credential is written with, and what stands between its name and it.
_VALUE: Final = r"""[^\s"'\\,;&\])}<>]+"""
_OPEN: Final = r"""[\s\["']*"""
#: Also those of other scripts, and their digits.
_LETTERS: Final = r"A-Za-z0-9\x{80}-\x{10FFFF}"
_IS: Final = rf"""["']?\s*(?:=>?|:){_OPEN}"""
#: A word behind `bearer` that is no credential has no digit, and is not so long.
_LONG_WORD: Final = 24
_DIGIT: Final = re.compile(rb"[0-9]")
#: `photo@2x.png`, `getty@tty1.service`, `left-pad@1.3.0.tgz`.
_NO_DOMAIN: Final = frozenset(
    b"png jpg jpeg gif svg webp ico css js ts json html tgz gz xz bz2 whl jar"
    b" service socket timer target mount slice scope device path".split()
)


def _is_token(text: bytes, start: int, end: int) -> bool:
    return end - start >= _LONG_WORD or _DIGIT.search(text, start, end) is not None


def _is_login(text: bytes, start: int, end: int) -> bool:
    """Whether it is `user:password` in base64."""
    token = text[start:end].rstrip(b"=")
    try:
        return b":" in binascii.a2b_base64(token + b"=" * (-len(token) % 4))
    except binascii.Error:
        return False


def _is_mailbox(text: bytes, start: int, end: int) -> bool:
    return text[start:end].rpartition(b".")[2].lower() not in _NO_DOMAIN


_BEARER: Final = (
    Shape.of(
        r"(?i)authorization",
        rf"(?i)\b(?:proxy-)?authorization{_IS}"
        rf"(?:(?:bearer|basic|token|negotiate|ntlm|api-?key|splunk|sso-key)\s+({_VALUE})"
        r"|(?:digest|hawk|oauth|aws4-hmac-sha256)\s+([^\r\n]+)"
        r"""|([^"'\\\r\n,;\])}]+))""",
    ),
    Shape.of(r"(?i)bearer", r"(?i)\bbearer(?:\s+|=|:\s*|\+|%20)([A-Za-z0-9._~+/=-]{4,})", _is_token),
    Shape.of(r"(?i)basic\s", r"(?i)\bbasic\s+([A-Za-z0-9+/_-]{4,}={0,2})", _is_login),
    Shape.of(
        r"(?i)token|api[_-]?key|client[_-]?secret",
        r"(?i)(?:token|api[_-]?key|client[_-]?secret)"
        rf"""(?:["']?\s*=>?{_OPEN}|["']\s*:{_OPEN})({_VALUE})""",
    ),
    Shape.of(
        r"(?i)token:|api[_-]?key:|client[_-]?secret:",
        rf"(?i)(?:[a-z0-9][_-]?token|api[_-]?key|client[_-]?secret):{_OPEN}({_VALUE})",
        _is_token,
    ),
    Shape.of(
        r"(?i)cookie",
        r"""(?i)\b(?:set-)?cookie["']?:[\s\["']*([^\s"'\\\]=]+=[^"'\\\r\n\]]*)""",
    ),
)
_AWS: Final = (
    Shape.of("A(?:KI|SI|BI|CC)A", r"\b((?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16})\b"),
    Shape.of(
        "(?i)secret_?-?(?:access_?-?)?key",
        rf"(?i)secret_?-?(?:access_?-?)?key(?:_?id)?{_IS}([A-Za-z0-9/+]{{40}}=?)",
    ),
    Shape.of(
        "(?i)session_?-?token|security_?-?token",
        rf"(?i)(?:session|security)_?-?token{_IS}([A-Za-z0-9/+=%]{{80,}})",
    ),
)
_EMAIL: Final = Shape.of(
    rf"[{_LETTERS}._%+'-](?:@|%40)[{_LETTERS}]",
    rf"[{_LETTERS}._%+'-]+(?:@|%40)[{_LETTERS}](?:[{_LETTERS}-]*\.)+(?:xn--[a-z0-9-]+|[A-Za-z\x{{80}}-\x{{10FFFF}}]{{2,}})",
    _is_mailbox,
)
_JWT: Final = Shape.of(
    r"(?:eyJ|eyA|ewo|ewg)[A-Za-z0-9_-]+\.",
    r"((?:eyJ|eyA|ewo|ewg)[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){2,4})",
)
_URL_PASSWORD: Final = (
    Shape.of(
        r"://[^\s/@]*@",
        r"""[A-Za-z][A-Za-z0-9+.-]*://[^\s:@/"'?#<>]*:([^\s/"'<>]+)@""",
    ),
    Shape.of(r"://[^\s/@]{20}", r"""[A-Za-z][A-Za-z0-9+.-]*://([^\s:@/"'?#<>]{20,})@"""),
)

PRESETS: Final[Mapping[str, tuple[Finder, ...]]] = {
    "bearer": _BEARER,
    "aws": _AWS,
    "jwt": (_JWT,),
    "email": (_EMAIL,),
    "card": (Cards(),),
    "ip": (Addresses(),),
    "private_key": (KEYS,),
    "url_password": _URL_PASSWORD,
}
