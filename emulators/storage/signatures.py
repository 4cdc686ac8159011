"""Verification of V4 signatures: signed URLs and the documents of POST policies.

After "V4 signing process with your own program" and "Canonical requests" of the Cloud Storage
documentation. Only GOOG4-RSA-SHA256; HMAC keys answer 501. What is verified is the request as it
arrived: raw path, every query parameter, every signed header, and no x-goog header beside them.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from emulators.storage.errors import (
    AccessDenied,
    BadAuthorization,
    ExpiredToken,
    MalformedSecurityHeader,
    NotImplementedHere,
    SignatureMismatch,
    Unavailable,
)
from emulators.storage.wire import Call

ALGORITHM = "GOOG4-RSA-SHA256"
# "The longest expiration value is 604800 seconds (7 days)."
_LONGEST = 7 * 86400
# A signer's clock may run this much ahead of ours, as on the real service.
_SKEW = 15 * 60
_PARAMETERS = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders")
# Certificates are asked for again after this long, or when a signature fails with a key that
# was not just fetched.
_CERTS_FOR = 300.0
_CERTS_AGAIN = 1.0
_HEX = re.compile(r"(?:[0-9a-f]{2})+")


class Keys:
    """Public keys by service account: from key files, else from the certificate endpoint."""

    def __init__(self, certs_url: str | None, key_files: Sequence[Path] = ()) -> None:
        self._certs_url = certs_url.rstrip("/") if certs_url else None
        self._fixed = dict(map(_from_file, key_files))
        self._fetched: dict[str, tuple[float, list[RSAPublicKey]]] = {}

    async def verify(self, email: str, signature: bytes, payload: bytes) -> bool:
        if email in self._fixed:
            return _matches([self._fixed[email]], signature, payload)
        found = await self._certificates(email, _CERTS_FOR)
        if _matches(found, signature, payload):
            return True
        return _matches(await self._certificates(email, _CERTS_AGAIN), signature, payload)

    async def _certificates(self, email: str, oldest: float) -> list[RSAPublicKey]:
        fetched_at, known = self._fetched.get(email, (-_CERTS_FOR, []))
        if time.monotonic() - fetched_at < oldest or not self._certs_url:
            return known
        found = await _fetch(f"{self._certs_url}/{quote(email)}")
        self._fetched[email] = (time.monotonic(), found)
        return found


@dataclass(frozen=True)
class Credential:
    email: str
    scope: str
    issued: float
    stamp: str


@dataclass(frozen=True)
class Signed:
    """What a verified signature says: who signed, and the SHA-256 it demands of the body."""

    email: str
    sha256: str | None


async def verify_url(call: Call, keys: Keys, now: float) -> Signed:
    """Raise the real service's refusal, or return who signed this very request."""
    parameters = _parameters(call)
    credential = parse_credential(parameters["Credential"], parameters["Date"])
    _check_lifetime(credential, parameters["Expires"], now)
    names = parameters["SignedHeaders"].split(";")
    _check_headers(call, names)
    payload_hash = call.headers.get("x-goog-content-sha256", "UNSIGNED-PAYLOAD")
    refusal: SignatureMismatch | None = None
    for host in _hosts(call.headers.get("host", "")):
        canonical = canonical_request(call, names, host, payload_hash)
        text = _string_to_sign(credential, canonical)
        signature = _hex(parameters["Signature"])
        if await keys.verify(credential.email, signature, text.encode()):
            demanded = None if payload_hash == "UNSIGNED-PAYLOAD" else payload_hash
            return Signed(credential.email, demanded)
        refusal = refusal or mismatch({"StringToSign": text, "CanonicalRequest": canonical})
    raise refusal or mismatch({})


def canonical_request(call: Call, names: Sequence[str], host: str, payload_hash: str) -> str:
    values = {**call.headers, "host": host}
    lines = "".join(f"{name}:{' '.join(values[name].split())}\n" for name in names)
    return "\n".join(
        (call.method, call.raw_path, _canonical_query(call), lines, ";".join(names), payload_hash)
    )


def parse_credential(text: str, stamp: str) -> Credential:
    """`email/date/region/storage/goog4_request` with the request's own date."""
    email, *scope = text.rsplit("/", 4)
    if len(scope) != 4 or not email or scope[2:] != ["storage", "goog4_request"]:
        raise BadAuthorization("The X-Goog-Credential parameter is malformed.")
    try:
        issued = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise BadAuthorization("The X-Goog-Date parameter is malformed.") from None
    if scope[0] != stamp[:8]:
        raise BadAuthorization("The dates of X-Goog-Credential and X-Goog-Date differ.")
    return Credential(email, "/".join(scope), issued.timestamp(), stamp)


async def verify_document(fields: Mapping[str, str], keys: Keys) -> None:
    """The signature of a POST policy covers the base64 policy text itself."""
    if fields.get("x-goog-algorithm") != ALGORITHM:
        raise NotImplementedHere(f"Only {ALGORITHM} is served.")
    credential = parse_credential(
        fields.get("x-goog-credential", ""), fields.get("x-goog-date", "")
    )
    policy = fields["policy"]
    signature = _hex(fields.get("x-goog-signature", ""))
    if not await keys.verify(credential.email, signature, policy.encode()):
        raise mismatch({"StringToSign": policy})


def is_signed(call: Call) -> bool:
    return any(name.lower() in ("x-goog-signature", "signature") for name, _ in call.pairs)


def mismatch(details: Mapping[str, str]) -> SignatureMismatch:
    return SignatureMismatch(
        "The request signature we calculated does not match the signature you provided. "
        "Check your Google secret key and signing method.",
        details,
    )


def _parameters(call: Call) -> dict[str, str]:
    if any(name == "Signature" for name, _ in call.pairs):
        raise NotImplementedHere("V2 signed URLs are not served.")
    found: dict[str, str] = {}
    for name in (*_PARAMETERS, "Signature"):
        values = [value for key, value in call.pairs if key == f"X-Goog-{name}"]
        if len(values) != 1:
            raise BadAuthorization(f"The query must hold X-Goog-{name} exactly once.")
        found[name] = values[0]
    if found["Algorithm"] == "GOOG4-HMAC-SHA256":
        raise NotImplementedHere("HMAC keys are not served.")
    if found["Algorithm"] != ALGORITHM:
        raise BadAuthorization("The X-Goog-Algorithm parameter names no known algorithm.")
    return found


def _check_lifetime(credential: Credential, expires: str, now: float) -> None:
    if not re.fullmatch(r"[0-9]{1,7}", expires) or not 1 <= int(expires) <= _LONGEST:
        raise BadAuthorization("X-Goog-Expires must be between 1 and 604800 seconds.")
    if now < credential.issued - _SKEW:
        raise AccessDenied("Request is not valid yet.")
    end = credential.issued + int(expires)
    if now >= end:
        moment = datetime.fromtimestamp(end, UTC).isoformat()
        raise ExpiredToken(
            "Invalid argument.", {"Details": f"The provided token has expired. Expired: {moment}"}
        )


def _check_headers(call: Call, names: Sequence[str]) -> None:
    if list(names) != sorted(set(names)) or "host" not in names:
        raise BadAuthorization("X-Goog-SignedHeaders must be sorted and hold host.")
    for name in names:
        if name not in call.headers:
            raise _malformed(name, "Header was included in signedheaders, but not in the request.")
    for name in call.headers:
        if name.startswith("x-goog-") and name not in names:
            raise _malformed(name, "Header was included in the request, but not in signedheaders.")


def _malformed(name: str, why: str) -> MalformedSecurityHeader:
    details = {"ParameterName": name, "Details": why}
    return MalformedSecurityHeader("Your request has a malformed header.", details)


def _canonical_query(call: Call) -> str:
    encoded = sorted(
        (quote(name, safe="~"), quote(value, safe="~"))
        for name, value in call.pairs
        if name != "X-Goog-Signature"
    )
    return "&".join(f"{name}={value}" for name, value in encoded)


def _string_to_sign(credential: Credential, canonical: str) -> str:
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return "\n".join((ALGORITHM, credential.stamp, credential.scope, digest))


def _hosts(host: str) -> Iterator[str]:
    """Signers put the host into the signature with or without its port."""
    yield host
    name, separator, port = host.rpartition(":")
    if separator and port.isdigit():
        yield name


def _hex(text: str) -> bytes:
    return bytes.fromhex(text) if _HEX.fullmatch(text) else b""


def _matches(keys: Sequence[RSAPublicKey], signature: bytes, payload: bytes) -> bool:
    for key in keys:
        try:
            key.verify(signature, payload, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            continue
        return True
    return False


def _from_file(path: Path) -> tuple[str, RSAPublicKey]:
    content: dict[str, Any] = json.loads(path.read_text())
    private = serialization.load_pem_private_key(content["private_key"].encode(), None)
    public = private.public_key()
    if not isinstance(public, RSAPublicKey):
        raise TypeError(f"{path} holds no RSA key")
    return content["client_email"], public


async def _fetch(url: str) -> list[RSAPublicKey]:
    """The keys of an account; none when the endpoint does not know it."""
    try:
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
            if answer.status != 200:
                return []
            certificates: dict[str, str] = await answer.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError):
        raise Unavailable("The certificate endpoint does not answer.") from None
    found = (x509.load_pem_x509_certificate(pem.encode()) for pem in certificates.values())
    keys = (certificate.public_key() for certificate in found)
    return [key for key in keys if isinstance(key, RSAPublicKey)]
