"""Verification of V4 signatures: signed URLs and the policy documents of form uploads.

"V4 signing process with Cloud Storage authentication" in the Cloud Storage documentation. What is
checked is what stood on the wire: the undecoded path, every query parameter but the signature, the
signed headers, and that no x-goog header came along unsigned. Errors name the string that was
expected to be signed, as the real service does.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from emulators.storage.errors import (
    AccessDenied,
    BadAuthorization,
    ExpiredToken,
    InvalidPolicy,
    MalformedSecurityHeader,
    NotImplementedHere,
    SignatureMismatch,
    TimeSkewed,
    Unavailable,
)
from emulators.storage.transport import Request

ALGORITHM = "GOOG4-RSA-SHA256"
_SEVEN_DAYS = 7 * 86400
# How far ahead the signer's clock may be, as with the real service.
_SKEW = 15 * 60
_CREDENTIAL = re.compile(r"([^/]+@[^/]+)/([0-9]{8})/([a-z0-9-]+)/storage/goog4_request")
_REQUIRED = (
    "X-Goog-Algorithm",
    "X-Goog-Credential",
    "X-Goog-Date",
    "X-Goog-Expires",
    "X-Goog-SignedHeaders",
    "X-Goog-Signature",
)


class Keys:
    """Public keys of service accounts: from key files, and from a certificate endpoint."""

    def __init__(self, certs: str | None, key_files: Sequence[Path] = ()) -> None:
        self._certs = certs
        self._fixed: dict[str, list[RSAPublicKey]] = {}
        self._fetched: dict[str, list[RSAPublicKey]] = {}
        for path in key_files:
            self._add_file(path)

    async def verify(self, email: str, signature: bytes, text: bytes) -> bool:
        known = self._fixed.get(email, []) + self._fetched.get(email, [])
        if any(_valid(key, signature, text) for key in known):
            return True
        # A key may have been made since the last look, so an unknown one costs one more look.
        if not self._certs:
            return False
        fresh = self._fetched[email] = await self._fetch(email)
        return any(_valid(key, signature, text) for key in fresh)

    def _add_file(self, path: Path) -> None:
        content = json.loads(path.read_text())
        pem = content["private_key"].encode()
        private = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(private, RSAPrivateKey):
            raise ValueError(f"{path} does not hold an RSA key")
        self._fixed.setdefault(content["client_email"], []).append(private.public_key())

    async def _fetch(self, email: str) -> list[RSAPublicKey]:
        timeout = aiohttp.ClientTimeout(total=5)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"{self._certs}/{quote(email, safe='@')}") as answer,
            ):
                if answer.status == 404:
                    return []
                answer.raise_for_status()
                return _certified_keys(await answer.json())
        except (aiohttp.ClientError, TimeoutError, ValueError):
            raise Unavailable("The keys of the signer could not be fetched.") from None


def _certified_keys(certificates: Any) -> list[RSAPublicKey]:
    """The RSA keys of {kid: x509 PEM}; raises ValueError for anything else."""
    if not isinstance(certificates, dict):
        raise ValueError
    pems = (str(pem).encode() for pem in certificates.values())
    keys = [x509.load_pem_x509_certificate(pem).public_key() for pem in pems]
    return [key for key in keys if isinstance(key, RSAPublicKey)]


def _valid(key: RSAPublicKey, signature: bytes, text: bytes) -> bool:
    try:
        key.verify(signature, text, PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


@dataclass(frozen=True)
class Signed:
    """What a valid signature vouches for; `payload` is a SHA-256 in hex, or empty."""

    email: str
    payload: str = ""


def is_signed(request: Request) -> bool:
    return any(name.lower().startswith("x-goog-") for name, _ in request.query_list)


async def verify_url(request: Request, keys: Keys, now: Callable[[], float]) -> Signed:
    """Raise what the real service answers for a signed URL that does not hold."""
    query = _authorization(request)
    scope = _scope(query["X-Goog-Credential"], query["X-Goog-Date"])
    _check_time(query["X-Goog-Date"], query["X-Goog-Expires"], now())
    signed = query["X-Goog-SignedHeaders"].split(";")
    _check_headers(request.headers, signed)
    payload = request.headers.get("x-goog-content-sha256", "UNSIGNED-PAYLOAD")
    signature = _unhex(query["X-Goog-Signature"])
    email = query["X-Goog-Credential"].split("/")[0]
    canonical = text = ""
    for host in _hosts(request.headers.get("host", "")):
        canonical = canonical_request(request, signed, host, payload)
        text = string_to_sign(canonical, query["X-Goog-Date"], scope)
        if await keys.verify(email, signature, text.encode("utf-8", "surrogateescape")):
            return Signed(email, "" if payload == "UNSIGNED-PAYLOAD" else payload)
    raise SignatureMismatch(
        "Access denied.", {"StringToSign": text, "CanonicalRequest": _printable(canonical)}
    )


def canonical_request(request: Request, signed: Sequence[str], host: str, payload: str) -> str:
    pairs = sorted(
        (_encoded(name), _encoded(value))
        for name, value in request.query_list
        if name != "X-Goog-Signature"
    )
    headers = {**request.headers, "host": host}
    lines = [f"{name}:{_folded(headers[name])}" for name in signed]
    return "\n".join(
        (
            request.method,
            request.raw_path,
            "&".join(f"{name}={value}" for name, value in pairs),
            *lines,
            "",
            ";".join(signed),
            payload,
        )
    )


def string_to_sign(canonical: str, date: str, scope: str) -> str:
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return "\n".join((ALGORITHM, date, scope, digest))


def _authorization(request: Request) -> dict[str, str]:
    names = [name.lower() for name, _ in request.query_list]
    query = request.query
    if "X-Goog-Algorithm" not in query and {"GoogleAccessId", "Signature"} & set(query):
        raise NotImplementedHere("V2 signatures are not served; sign with V4.")
    for name in _REQUIRED:
        if names.count(name.lower()) != 1 or name not in query:
            raise BadAuthorization(f"Query parameter {name} is missing or repeated.")
    if query["X-Goog-Algorithm"] == "GOOG4-HMAC-SHA256":
        raise NotImplementedHere("HMAC keys are not served; sign with a service account.")
    if query["X-Goog-Algorithm"] != ALGORITHM:
        raise BadAuthorization("X-Goog-Algorithm only supports GOOG4-RSA-SHA256.")
    if "x-goog-content-sha256" in names:
        raise NotImplementedHere("X-Goog-Content-SHA256 is served as a signed header only.")
    return query


def _scope(credential: str, date: str) -> str:
    found = _CREDENTIAL.fullmatch(credential)
    if not found:
        raise BadAuthorization("The credential is malformed.")
    if found[2] != date[:8]:
        raise BadAuthorization("The credential's date is not that of the request.")
    return credential.partition("/")[2]


def _check_time(date: str, expires: str, now: float) -> None:
    start = _moment(date)
    if not re.fullmatch(r"[0-9]{1,7}", expires) or not 1 <= int(expires) <= _SEVEN_DAYS:
        raise BadAuthorization("X-Goog-Expires must be between 1 and 604800 seconds.")
    end = start + int(expires)
    if now >= end:
        moment = datetime.fromtimestamp(end, UTC).isoformat()
        raise ExpiredToken(
            "The provided token has expired.",
            {"Details": f"Request signature expired at: {moment}"},
        )
    if now < start - _SKEW:
        raise TimeSkewed("The request's date lies in the future.")


def _moment(date: str) -> float:
    try:
        if len(date) != 16:
            raise ValueError
        return datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise BadAuthorization("X-Goog-Date must look like 20260102T030405Z.") from None


def _check_headers(headers: Mapping[str, str], signed: Sequence[str]) -> None:
    if "host" not in signed or sorted(set(signed)) != list(signed):
        raise BadAuthorization("SignedHeaders must be sorted, lower case, and name host.")
    for name in signed:
        if name not in headers:
            raise MalformedSecurityHeader(
                "Your request has a malformed header.",
                {
                    "ParameterName": name,
                    "Details": "Header was included in signedheaders, but not in the request.",
                },
            )
    for name in headers:
        if name.startswith("x-goog-") and name not in signed:
            raise MalformedSecurityHeader(
                "Your request has a malformed header.",
                {
                    "ParameterName": name,
                    "Details": "Header was in the request, but not in signedheaders.",
                },
            )


def _hosts(host: str) -> list[str]:
    """Signers differ in whether they sign the port; only what was sent counts, with or without."""
    name, separator, port = host.rpartition(":")
    return [host, name] if separator and port.isdigit() else [host]


def _unhex(text: str) -> bytes:
    if not re.fullmatch(r"(?:[0-9a-f]{2})+", text):
        raise SignatureMismatch("Access denied.", {"Details": "The signature is not hexadecimal."})
    return bytes.fromhex(text)


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~", errors="surrogateescape")


def _folded(value: str) -> str:
    return re.sub(r"[ \t]+", " ", value.strip())


def _printable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


# Policy documents


@dataclass(frozen=True)
class Limits:
    """What a policy says about the bytes; `high` None is no limit."""

    low: int = 0
    high: int | None = None

    def within(self, other: Limits) -> Limits:
        """Every condition of a policy must hold, so of several ranges their overlap counts."""
        highs = [high for high in (self.high, other.high) if high is not None]
        return Limits(max(self.low, other.low), min(highs, default=None))


# Form fields that need no condition ("POST Object", Cloud Storage XML API).
_FREE_FIELDS = frozenset(("policy", "x-goog-signature", "file", "submit"))


async def verify_policy(
    bucket: str, fields: Mapping[str, str], keys: Keys, now: Callable[[], float]
) -> Limits:
    """Raise what the real service answers for a form upload that its policy does not cover."""
    for name in ("policy", "x-goog-algorithm", "x-goog-credential", "x-goog-date"):
        if name not in fields:
            raise AccessDenied("Access denied.", {"Details": f"The form has no field {name}."})
    if fields["x-goog-algorithm"] == "GOOG4-HMAC-SHA256":
        raise NotImplementedHere("HMAC keys are not served; sign with a service account.")
    if fields["x-goog-algorithm"] != ALGORITHM:
        raise BadAuthorization("x-goog-algorithm only supports GOOG4-RSA-SHA256.")
    _scope(fields["x-goog-credential"], fields["x-goog-date"])
    policy = fields["policy"]
    email = fields["x-goog-credential"].split("/")[0]
    signature = _unhex(fields.get("x-goog-signature", ""))
    if not await keys.verify(email, signature, policy.encode()):
        raise SignatureMismatch("Access denied.", {"StringToSign": policy})
    document = _policy_document(policy)
    _check_policy_time(str(document.get("expiration", "")), now())
    return _check_conditions(document["conditions"], {**fields, "bucket": bucket})


def _policy_document(policy: str) -> dict[str, Any]:
    try:
        document = json.loads(base64.b64decode(policy, validate=True))
    except (ValueError, RecursionError):
        raise InvalidPolicy("The policy is not base64 of JSON.") from None
    if not isinstance(document, dict) or not isinstance(document.get("conditions"), list):
        raise InvalidPolicy("The policy has no list of conditions.")
    return document


def _check_policy_time(text: str, now: float) -> None:
    try:
        expiration = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidPolicy("The policy's expiration is not an ISO 8601 time.") from None
    if expiration.tzinfo is None:
        raise InvalidPolicy("The policy's expiration has no time zone.")
    if now >= expiration.timestamp():
        raise InvalidPolicy("Invalid according to Policy: Policy expired.")


def _check_conditions(conditions: Sequence[Any], fields: Mapping[str, str]) -> Limits:
    limits = Limits()
    covered = set(_FREE_FIELDS)
    for condition in conditions:
        if isinstance(condition, list) and condition[:1] == ["content-length-range"]:
            limits = limits.within(_limits(condition))
            continue
        for operator, name, value in _tests(condition):
            covered.add(name)
            _check_condition(operator, name, value, fields)
    for name in fields:
        if name not in covered | {"bucket"} and not name.startswith("x-ignore-"):
            raise AccessDenied(
                f"Invalid according to Policy: Extra input fields: {name}", {"ParameterName": name}
            )
    return limits


def _tests(condition: Any) -> list[tuple[str, str, str]]:
    if isinstance(condition, dict):
        return [("eq", str(name).lower(), str(value)) for name, value in condition.items()]
    if isinstance(condition, list) and len(condition) == 3 and str(condition[1])[:1] == "$":
        return [(str(condition[0]), str(condition[1])[1:].lower(), str(condition[2]))]
    raise InvalidPolicy("A condition of the policy is malformed.")


def _check_condition(operator: str, name: str, value: str, fields: Mapping[str, str]) -> None:
    actual = fields.get(name)
    if operator not in ("eq", "starts-with"):
        raise InvalidPolicy(f"Unknown condition {operator}.")
    held = actual is not None and (
        actual == value if operator == "eq" else actual.startswith(value)
    )
    if not held:
        raise AccessDenied(
            "Invalid according to Policy: Policy Condition failed: "
            f'["{operator}", "${name}", "{value}"]'
        )


def _limits(condition: Sequence[Any]) -> Limits:
    try:
        low, high = (int(value) for value in condition[1:])
    except (ValueError, TypeError):
        raise InvalidPolicy("content-length-range takes two numbers.") from None
    return Limits(low, high)
