"""Buckets, object versions and preconditions as values; no bytes, no index, no transport.

Times are RFC 3339 in UTC with milliseconds, as the API shows them. Generations are microseconds
since 1970, strictly increasing over the whole emulator.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from emulators.storage.errors import Invalid, NoSuchKey, NotModified, PreconditionFailed

Resource = dict[str, Any]

# What a caller may set on an object (Cloud Storage JSON API, "Objects" resource).
WRITABLE = (
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "customTime",
    "eventBasedHold",
    "metadata",
    "storageClass",
    "temporaryHold",
)
# Those that are no strings.
_KINDS: dict[str, type] = {"eventBasedHold": bool, "temporaryHold": bool, "metadata": dict}
# What belongs to the service on a bucket: a caller's value for it is ignored.
BUCKET_OUTPUT_ONLY = frozenset(
    (
        "kind",
        "id",
        "selfLink",
        "name",
        "projectNumber",
        "metageneration",
        "timeCreated",
        "updated",
        "etag",
        "locationType",
    )
)
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
# First path segments that are the emulator's own; a bucket of that name could not be reached.
RESERVED = frozenset(("storage", "upload", "download", "batch", "resumable", "_emulator"))


def timestamp(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def parse_time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def check_bucket_name(name: str) -> None:
    if not _BUCKET_NAME.fullmatch(name) or ".." in name or name in RESERVED:
        raise Invalid(f"Invalid bucket name: '{name}'")


def check_object_name(name: str) -> None:
    """The rules of "Object name requirements": 1 to 1024 bytes of UTF-8, no line breaks."""
    forbidden = name in (".", "..") or name.startswith(".well-known/acme-challenge/")
    if not name or forbidden or "\r" in name or "\n" in name:
        raise Invalid(f"Invalid object name: {name!r}")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise Invalid("The object name is not UTF-8.") from None
    if length > 1024:
        raise Invalid("The object name is longer than 1024 bytes.")


@dataclass(frozen=True)
class Version:
    """One generation of an object. `state` is live, noncurrent or deleted (soft)."""

    bucket: str
    name: str
    generation: int
    metageneration: int
    state: str
    size: int
    crc32c: str
    md5: str
    """Empty for a composed object, which has none."""
    blob: str
    fields: Resource = field(default_factory=dict)

    @property
    def etag(self) -> str:
        raw = f"{self.generation}/{self.metageneration}".encode()
        return base64.b64encode(raw).decode()

    @property
    def xml_etag(self) -> str:
        """The XML API's ETag: the MD5 in hex, quoted, where there is one."""
        return f'"{base64.b64decode(self.md5).hex()}"' if self.md5 else f'"{self.etag}"'

    @property
    def content_type(self) -> str:
        return str(self.fields.get("contentType") or "application/octet-stream")

    def resource(self, base: str) -> Resource:
        path = f"/b/{self.bucket}/o/{quote(self.name, safe='')}"
        generation = str(self.generation)
        found: Resource = {
            "kind": "storage#object",
            "id": f"{self.bucket}/{self.name}/{generation}",
            "selfLink": f"{base}/storage/v1{path}",
            "mediaLink": f"{base}/download/storage/v1{path}?generation={generation}&alt=media",
            "name": self.name,
            "bucket": self.bucket,
            "generation": generation,
            "metageneration": str(self.metageneration),
            "storageClass": "STANDARD",
            "size": str(self.size),
            "crc32c": self.crc32c,
            "etag": self.etag,
            **{key: value for key, value in self.fields.items() if value is not None},
        }
        return {**found, "md5Hash": self.md5} if self.md5 else found


@dataclass(frozen=True)
class Preconditions:
    """The four conditions of a request; None means not asked for. Generation 0 = no object."""

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None

    def check(self, current: Version | None, *, reading: bool = False) -> None:
        """Raise PreconditionFailed, or NotModified where a read finds a "not match" broken."""
        generation = current.generation if current else 0
        if self.generation_match is not None and generation != self.generation_match:
            raise _failed("ifGenerationMatch" if self.generation_match else "ifGenerationMatch=0")
        metageneration = current.metageneration if current else None
        wanted = self.metageneration_match
        if wanted is not None and metageneration != wanted:
            raise _failed("ifMetagenerationMatch")
        unwanted = (self.generation_not_match, self.metageneration_not_match)
        if generation == unwanted[0] or (current and metageneration == unwanted[1]):
            raise NotModified() if reading else _failed("ifGenerationNotMatch")

    @classmethod
    def from_query(cls, query: Mapping[str, str], prefix: str = "if") -> Preconditions:
        """Out of `ifGenerationMatch` and so on; `prefix` "ifSource" for a copy's source."""
        return cls(
            _number(query, f"{prefix}GenerationMatch"),
            _number(query, f"{prefix}GenerationNotMatch"),
            _number(query, f"{prefix}MetagenerationMatch"),
            _number(query, f"{prefix}MetagenerationNotMatch"),
        )

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Preconditions:
        """Out of the XML API's `x-goog-if-…-match` headers."""
        return cls(
            _number(headers, "x-goog-if-generation-match"),
            None,
            _number(headers, "x-goog-if-metageneration-match"),
            None,
        )


ANY = Preconditions()


def number(text: str, name: str) -> int:
    # 18 digits: generations have 16, and every such number fits the index's 64 bits.
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise Invalid(f"Invalid value for {name}: {text!r}")
    return int(text)


def _number(values: Mapping[str, str], name: str) -> int | None:
    text = values.get(name)
    return None if text is None else number(text, name)


def _failed(name: str) -> PreconditionFailed:
    return PreconditionFailed(
        "At least one of the pre-conditions you specified did not hold.", {"Details": name}
    )


def missing(bucket: str, name: str) -> NoSuchKey:
    return NoSuchKey(f"No such object: {bucket}/{name}")


def writable(body: Mapping[str, Any]) -> Resource:
    """The caller's part of an object resource, with its types checked."""
    found = {key: body[key] for key in WRITABLE if body.get(key) is not None}
    for key, value in found.items():
        if not isinstance(value, _KINDS.get(key, str)):
            raise Invalid(f"Invalid value for {key}.")
    metadata = found.get("metadata", {})
    if not all(isinstance(value, str) for value in metadata.values()):
        raise Invalid("metadata must map names to strings.")
    texts = [value for value in found.values() if isinstance(value, str)]
    _check_utf8("".join([*texts, *metadata, *metadata.values()]))
    if "customTime" in found:
        _check_time(found["customTime"])
    return found


def check_bucket(resource: Mapping[str, Any]) -> None:
    """Refuse what the emulator would act upon and could not understand."""
    rules = resource.get("cors") or []
    if not isinstance(rules, list) or not all(_is_rule(rule) for rule in rules):
        raise Invalid("cors must be a list of rules.")
    for key in ("versioning", "softDeletePolicy", "labels", "iamConfiguration", "lifecycle"):
        if not isinstance(resource.get(key) or {}, dict):
            raise Invalid(f"{key} must be an object.")
    kept = (resource.get("softDeletePolicy") or {}).get("retentionDurationSeconds") or "0"
    seconds = number(str(kept), "retentionDurationSeconds")
    # "Soft delete": off, or between 7 and 90 days; shorter ones are let through for tests.
    if seconds > 90 * 86400:
        raise Invalid("retentionDurationSeconds is at most 7776000.")


def _is_rule(rule: Any) -> bool:
    if not isinstance(rule, dict):
        return False
    lists = [rule.get(key) or [] for key in ("origin", "method", "responseHeader")]
    texts = all(isinstance(found, list) and all(map(_is_text, found)) for found in lists)
    age = rule.get("maxAgeSeconds", 0)
    return texts and (isinstance(age, int) or (_is_text(age) and age.isdigit()))


def _is_text(value: Any) -> bool:
    """Text that a header can carry."""
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _check_utf8(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid("A text is not UTF-8.") from None


def _check_time(text: str) -> None:
    try:
        parse_time(text)
    except (ValueError, OverflowError):
        raise Invalid("customTime must be an RFC 3339 time.") from None


def merge(old: Mapping[str, Any], patch: Mapping[str, Any]) -> Resource:
    """A JSON merge patch (RFC 7396): null removes, objects merge, all else replaces."""
    merged = dict(old)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            inner = merged.get(key)
            merged[key] = merge(inner if isinstance(inner, dict) else {}, value)
        else:
            merged[key] = value
    return merged
