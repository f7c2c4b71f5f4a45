"""TLS contexts from files, and what is said when a file will not do."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from agent.errors import SinkError
from agent.transport.tls import client_context
from tests.receivers.certificates import PrivateCa


def test_certificates_and_names_are_checked_unless_asked_not_to() -> None:
    context = client_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert client_context(verify=False).verify_mode is ssl.CERT_NONE


def test_a_private_authority_takes_the_place_of_the_system_s(tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    assert len(client_context(str(ca.ca_file)).get_ca_certs()) == 1


def test_each_file_that_will_not_do_is_named(tmp_path: Path) -> None:
    cert, key = PrivateCa(tmp_path).client()
    no_pem = tmp_path / "no.pem"
    no_pem.write_text("nothing of the kind")
    faults: list[tuple[dict[str, Any], str]] = [
        (
            {"ca": "/no/such"},
            "ca=/no/such: no CA certificates can be read from it: No such file or directory",
        ),
        ({"ca": str(no_pem)}, f"ca={no_pem}: no CA certificates"),
        ({"cert": "/no/such"}, "cert=/no/such: no certificate with its key can be read: No such file"),
        ({"cert": str(cert), "key": str(no_pem)}, f"cert={cert} and key={no_pem}: "),
        ({"cert": str(no_pem), "key": str(key)}, f"cert={no_pem} and key={key}: "),
        ({"key": str(key)}, f"key={key} is of no use without cert="),
    ]
    for arguments, said in faults:
        with pytest.raises(SinkError) as caught:
            client_context(**arguments)
        assert said in str(caught.value)
        assert "_ssl.c" not in str(caught.value)


def test_a_key_of_another_certificate_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    cert, _ = PrivateCa(tmp_path).client()
    _, key = PrivateCa(tmp_path / "other").client()
    with pytest.raises(SinkError, match="key values mismatch"):
        client_context(cert=str(cert), key=str(key))
