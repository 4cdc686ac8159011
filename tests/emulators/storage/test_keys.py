"""Whose signature counts: keys from a certificate endpoint that come, go, and cannot be reached."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.x509.oid import NameOID

from emulators.storage.errors import Unavailable
from emulators.storage.signatures import Keys
from tests.fixtures.web import Answer, Asked, as_json, serving

pytestmark = pytest.mark.emulated

EMAIL = "signer@test.iam.gserviceaccount.com"


@pytest.fixture(scope="module")
def keys() -> list[RSAPrivateKey]:
    return [generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]


def certificate(key: RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "signer")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def verified(found: Keys, key: RSAPrivateKey, email: str = EMAIL, text: bytes = b"text") -> bool:
    signature = key.sign(b"text", PKCS1v15(), hashes.SHA256())
    return asyncio.run(found.verify(email, signature, text))


def test_a_new_key_counts_at_once_and_a_known_one_without_asking(keys: list[RSAPrivateKey]) -> None:
    with serving(lambda _: as_json({"1": certificate(keys[0])})) as web:
        found = Keys(f"{web.url}/x509")
        assert verified(found, keys[0])
        assert verified(found, keys[0])
        assert [asked.path for asked in web.asked] == [f"/x509/{EMAIL}"]
        assert not verified(found, keys[1])
        web.answer = lambda _: as_json({"1": certificate(keys[0]), "2": certificate(keys[1])})
        assert verified(found, keys[1])
        assert not verified(found, keys[1], text=b"other")


def test_a_withdrawn_key_ends_with_the_next_look(keys: list[RSAPrivateKey]) -> None:
    with serving(lambda _: as_json({"1": certificate(keys[0])})) as web:
        found = Keys(web.url)
        assert verified(found, keys[0])
        web.answer = lambda _: as_json({"2": certificate(keys[1])})
        assert verified(found, keys[1])
        assert not verified(found, keys[0])


def test_one_signers_key_does_not_sign_for_another(keys: list[RSAPrivateKey]) -> None:
    def by_email(asked: Asked) -> Answer:
        known = asked.path == f"/{EMAIL}"
        return as_json({"1": certificate(keys[0])}) if known else Answer(404)

    with serving(by_email) as web:
        found = Keys(web.url)
        assert verified(found, keys[0])
        assert not verified(found, keys[0], email="other@test")


@pytest.mark.parametrize("answer", [Answer(500), Answer(200, b"{"), Answer(cut=True)])
def test_an_unreachable_endpoint_is_no_verdict(keys: list[RSAPrivateKey], answer: Answer) -> None:
    with serving(lambda _: answer) as web, pytest.raises(Unavailable):
        verified(Keys(web.url), keys[0])


@pytest.mark.parametrize("body", ["[]", '{"1": "no certificate"}', '{"1": 5}'])
def test_certificates_that_are_none_are_no_verdict(keys: list[RSAPrivateKey], body: str) -> None:
    kind = {"content-type": "application/json"}
    with serving(lambda _: Answer(200, body.encode(), kind)) as web, pytest.raises(Unavailable):
        verified(Keys(web.url), keys[0])
