"""What each preset finds, and what only looks like it. Shapes from the documents that `presets.py` names."""

from __future__ import annotations

import random
import re
import uuid

import pytest

from agent.pipeline.redact import Redaction
from tests.pipeline.steps import Tallied, batch

JWT = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0"
    ".SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
)
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PEM_LINE = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"


def redacted(rule: str, text: str) -> str:
    """The message as the rule leaves it."""
    out = Redaction.parse(rule).step(Tallied())(batch(text.encode()))
    return out.messages[0].decode()


FOUND = {
    "bearer": [
        ("Authorization: Bearer mF_9.B5f-4.1JqM", "Authorization: Bearer ***"),
        ("authorization: basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "authorization: basic ***"),
        ('"Authorization":"Bearer abc123","x":1', '"Authorization":"Bearer ***","x":1'),
        ("{'Proxy-Authorization': 'Basic dXNlcjpwYXNz'}", "{'Proxy-Authorization': 'Basic ***'}"),
        ("map[Authorization:[Bearer abc123] Accept:[*/*]]", "map[Authorization:[Bearer ***] Accept:[*/*]]"),
        ("curl -H 'Authorization: token ghp_16C7e42F292c6912'", "curl -H 'Authorization: token ***'"),
        ("Authorization: s3cret status=200", "Authorization: ***"),
        (
            'Authorization: Digest username="Mufasa", response="6629fae4"',
            "Authorization: Digest ***",
        ),
        (
            "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/x, Signature=fe5f80",
            "Authorization: AWS4-HMAC-SHA256 ***",
        ),
        ("sent Bearer 4f3c2b1a and went on", "sent Bearer *** and went on"),
        ("GET /x?access_token=abc.def&page=2", "GET /x?access_token=***&page=2"),
        ("token=abc", "token=***"),
        ('{"refreshToken":"abc","page":2}', '{"refreshToken":"***","page":2}'),
        ("X-Api-Key: 7d3e91", "X-Api-Key: ***"),
        ("x-auth-token: 7d3e91", "x-auth-token: ***"),
        ("client_secret=abc grant_type=x", "client_secret=*** grant_type=x"),
        ("Cookie: sid=31d4d96e; theme=dark", "Cookie: ***"),
        ("set-cookie: sid=31d4d96e; Path=/", "set-cookie: ***"),
        ("basic dXNlcjpwYXNz and more", "basic *** and more"),
    ],
    "aws": [
        ("key AKIAIOSFODNN7EXAMPLE used", "key *** used"),
        ("key ASIAIOSFODNN7EXAMPLE used", "key *** used"),
        (f"aws_secret_access_key = {AWS_SECRET}", "aws_secret_access_key = ***"),
        (f"AWS_SECRET_ACCESS_KEY={AWS_SECRET} x", "AWS_SECRET_ACCESS_KEY=*** x"),
        (f'"SecretAccessKey": "{AWS_SECRET}",', '"SecretAccessKey": "***",'),
        (f"aws_session_token={'IQoJb3JpZ2luX2VjE' * 6}==", "aws_session_token=***"),
    ],
    "jwt": [
        (f"got {JWT} from", "got *** from"),
        (f"?t={JWT}&x", "?t=***&x"),
        ("none eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0. x", "none *** x"),
        ("jwe eyJhbGciOiJSU0EifQ.OKOawDo13gRp.48V1_ALb6US0.5eym8TW_c8.XFBoMYUZ x", "jwe *** x"),
    ],
    "email": [
        ("from bob.smith+logs@mail.example.com:", "from ***:"),
        ("<bob@example.org>", "<***>"),
        ("?to=bob%40example.com&x", "?to=***&x"),
        ("jürgen@bücher.example", "***"),
        ("o'neil@example.ie", "***"),
        ("x@xn--bcher-kva.xn--p1ai", "***"),
    ],
    "card": [
        ("4111111111111111", "***"),  # Visa
        ("4111 1111 1111 1111 exp 12/29", "*** exp 12/29"),
        ("pan:5555-5555-5555-4444.", "pan:***."),  # Mastercard
        ("2223003122003222", "***"),  # Mastercard, second range
        ("378282246310005", "***"),  # American Express
        ("3782 822463 10005", "***"),
        ("6011111111111117", "***"),  # Discover
        ("30569309025904", "***"),  # Diners Club
        ("3056 930902 5904", "***"),
        ("3530111333300000", "***"),  # JCB
        ("6200000000000005", "***"),  # UnionPay
        ("4222222222222", "***"),  # Visa, 13 digits
        ("6304 0000 0000 0000", "***"),  # Maestro
        ("cards 4111111111111111,5555555555554444", "cards ***,***"),
        ("4111 1111 1111 1111 2026", "*** 2026"),
        ("2026-11-23 4111 1111 1111 1111", "2026-11-23 ***"),
        ("PAN4111111111111111", "PAN***"),
        ("\x1b[1m4111111111111111\x1b[0m", "\x1b[1m***\x1b[0m"),
        ('{"n":4111111111111111}', '{"n":"***"}'),
    ],
    "ip": [
        (
            '203.0.113.7 - - [23/Nov/2026:06:13:46 +0000] "GET /',
            '*** - - [23/Nov/2026:06:13:46 +0000] "GET /',
        ),
        ("to 10.0.0.1:8080, 10.0.0.0/8.", "to ***:8080, ***/8."),
        ("http://192.168.1.1/x", "http://***/x"),
        ("/hosts/192.168.1.1/x", "/hosts/***/x"),
        ("[2001:db8::8a2e:370:7334]:443", "[***]:443"),
        ("fe80::1%eth0", "***%eth0"),
        ("from ::1 on", "from *** on"),
        ("::ffff:192.0.2.128", "***"),
        ("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "***"),
        ("host=1.2.3.4,", "host=***,"),
        ("at 1.2.3.4.", "at ***."),
    ],
    "private_key": [
        (
            f"-----BEGIN PRIVATE KEY-----\n{PEM_LINE}\n-----END PRIVATE KEY-----\nnext",
            "-----BEGIN PRIVATE KEY-----***-----END PRIVATE KEY-----\nnext",
        ),
        (
            (
                f"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,AF\n\n{PEM_LINE}\n"
                "-----END RSA PRIVATE KEY-----"
            ),
            "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----",
        ),
        (
            rf"k: '-----BEGIN OPENSSH PRIVATE KEY-----\n{PEM_LINE}\n-----END OPENSSH PRIVATE KEY-----\n' x",
            r"k: '-----BEGIN OPENSSH PRIVATE KEY-----***-----END OPENSSH PRIVATE KEY-----\n' x",
        ),
        (
            f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{PEM_LINE}\n=njUN\n-----END PGP PRIVATE KEY BLOCK-----",
            "-----BEGIN PGP PRIVATE KEY BLOCK-----***-----END PGP PRIVATE KEY BLOCK-----",
        ),
        (f"-----BEGIN EC PRIVATE KEY-----\n{PEM_LINE}\n{PEM_LINE[:9]}", "-----BEGIN EC PRIVATE KEY-----***"),
        (
            rf'{{"key":"-----BEGIN PRIVATE KEY-----\n{PEM_LINE}","b":"c"}}',
            '{"key":"-----BEGIN PRIVATE KEY-----***","b":"c"}',
        ),
    ],
    "url_password": [
        ("postgres://app:s3cret@db:5432/shop", "postgres://app:***@db:5432/shop"),
        ("redis://:s3cret@cache", "redis://:***@cache"),
        ("amqp://u:p%40ss@mq/vhost?x=1", "amqp://u:***@mq/vhost?x=1"),
        ("mongodb+srv://u:a@b@host/x", "mongodb+srv://u:***@host/x"),
        (r'{"url":"https:\/\/u:p4ss@host\/x"}', r'{"url":"https:\/\/u:***@host\/x"}'),
        ("https://ghp_16C7e42F292c6912E7710c838347Ae178B4a@github.com/x", "https://***@github.com/x"),
    ],
}
NOT_FOUND = {
    "bearer": [
        "the bearer of bad news",
        "bearer authentication failed",
        "Unexpected token: <",
        "invalid token",
        "tokens=12 max_tokens=100",
        "basic authentication is off",
        "cookie: none was sent",
        "authorization failed for user bob",
    ],
    "aws": ["AKIASHORT", "secret key rotated", "the secret_access_key is missing", "NOTAKIAIOSFODNN7EXAMPLE"],
    "jwt": ["eyJ", "eyJhbGciOiJIUzI1NiJ9", "keyJoin.other.thing"],
    "email": [
        "photo@2x.png",
        "getty@tty1.service",
        "left-pad@1.3.0",
        "bob@localhost",
        "@media (x)",
        "a @ b.c",
    ],
    "card": [
        "4111111111111112",  # an order's number: the check digit is wrong
        "1795414426489",  # ms since the epoch
        "1795414426489633",
        "1795414426489633114",
        "550e8400-e29b-41d4-a716-446655440000",
        "12345678-1234-1234-1234-123456789012",
        "2026-11-23 06:13:46.489633114",
        "+49 170 1234567 890123",
        "0.4111111111111111",
        "4111111111111111.5",
        "41111111111111111111",
        "9111111111111111",
        "v4.11.11.11",
        "deadbeef4111111111111111cafe",
    ],
    "ip": [
        "version 1.2.3.4",
        "v1.2.3.4",
        "Mozilla/5.0 (X11) Chrome/119.0.0.0 Safari/537.36",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "06:13:46",
        "00:1b:44:11:3a:b7",
        "std::vector a::b core::fmt",
        "16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48",
        "50:01:43:80:02:a3:b4:c5",
    ],
    "private_key": [
        "-----BEGIN CERTIFICATE-----\nMIID\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\nMIID\n-----END PUBLIC KEY-----",
    ],
    "url_password": [
        "http://host:8080/a@b",
        "https://host/x?mail=a@b",
        "see https://example.com/~bob",
        "a:b@c",
    ],
}


@pytest.mark.parametrize(
    ("preset", "text", "wanted"),
    [(preset, *case) for preset, cases in FOUND.items() for case in cases],
)
def test_a_secret_is_masked_and_nothing_else(preset: str, text: str, wanted: str) -> None:
    """Alone, and among all presets what is left of it is none the more."""
    assert redacted(preset, text) == wanted


@pytest.mark.parametrize(
    ("preset", "text"), [(preset, text) for preset, texts in NOT_FOUND.items() for text in texts]
)
def test_what_only_looks_like_it_stays(preset: str, text: str) -> None:
    assert redacted(preset, text) == text


def test_ids_and_hashes_are_no_cards() -> None:
    """10,000 of each: UUIDs, SHA-256 in hexadecimal, nanoseconds of these years."""
    seeded = random.Random(7)
    step = Redaction.parse("card").step(Tallied())
    ids = [str(uuid.UUID(int=seeded.getrandbits(128), version=4)).encode() for _ in range(10_000)]
    hashes = [b"%064x" % seeded.getrandbits(256) for _ in range(10_000)]
    stamps = [
        b"%d" % seeded.randrange(1_700_000_000_000_000_000, 1_999_999_999_999_999_999) for _ in range(10_000)
    ]
    for texts in (ids, hashes, stamps):
        assert step(given := batch(*texts)) is given


@pytest.mark.parametrize("preset", FOUND)
def test_all_finds_what_each_finds(preset: str) -> None:
    """And maybe more around it: no secret is left."""
    for text, wanted in FOUND[preset]:
        secrets = re.fullmatch("(.+?)".join(map(re.escape, wanted.split("***"))), text, re.DOTALL)
        assert secrets or '"***"' in wanted
        left = redacted("all", text)
        assert not [
            secret for secret in (secrets.groups() if secrets else ["4111111111111111"]) if secret in left
        ]
