"""Reading an object's bytes: ranges, conditions and headers, the same for both transports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import BinaryIO

from emulators.storage import content
from emulators.storage.errors import NotModified, PreconditionFailed, RangeNotSatisfiable
from emulators.storage.model import Version, parse_time
from emulators.storage.transport import Answer, Request

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
# RFC 9110, section 5.6.2.
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# Headers of an object that a signed or authorized GET may replace.
OVERRIDES = ("content-type", "content-disposition")


def media(
    request: Request, version: Version, file: BinaryIO, overrides: Mapping[str, str] | None = None
) -> Answer:
    """200, 206 or, raised, 304, 412 and 416. `overrides` replace the object's own headers."""
    _check_conditions(request.headers, version)
    headers = {**_headers(version), **(overrides or {})}
    span = _span(request.headers, version)
    start, length = span or (0, version.size)
    headers["content-length"] = str(length)
    if span:
        headers["content-range"] = f"bytes {start}-{start + length - 1}/{version.size}"
    body = b"" if request.method == "HEAD" else content.read(file, start, length)
    return Answer(206 if span else 200, body, headers)


def incomplete(received: int) -> Answer:
    """308: the session waits for more; without a Range header nothing has arrived yet."""
    headers = {"range": f"bytes=0-{received - 1}"} if received else {}
    return Answer(308, b"", headers)


def written(version: Version) -> dict[str, str]:
    """Headers that name what a write made."""
    hashes = [f"crc32c={version.crc32c}"] + ([f"md5={version.md5}"] if version.md5 else [])
    return {
        "etag": version.xml_etag,
        "x-goog-generation": str(version.generation),
        "x-goog-metageneration": str(version.metageneration),
        "x-goog-hash": ",".join(hashes),
        "x-goog-stored-content-length": str(version.size),
        "x-goog-stored-content-encoding": str(version.fields.get("contentEncoding") or "identity"),
    }


def _headers(version: Version) -> dict[str, str]:
    fields = version.fields
    modified = datetime.fromtimestamp(parse_time(fields["updated"]), UTC)
    headers = {
        **written(version),
        "content-type": version.content_type,
        "last-modified": format_datetime(modified, usegmt=True),
        "accept-ranges": "bytes",
        "x-goog-storage-class": str(fields.get("storageClass") or "STANDARD"),
        "cache-control": str(fields.get("cacheControl") or "private, max-age=0"),
    }
    for field in ("contentDisposition", "contentEncoding", "contentLanguage"):
        if fields.get(field):
            headers["content-" + field.removeprefix("content").lower()] = str(fields[field])
    for name, value in (fields.get("metadata") or {}).items():
        # A name that no header can carry is readable in the JSON resource only.
        if _TOKEN.fullmatch(name):
            headers[f"x-goog-meta-{name.lower()}"] = value
    return headers


def _check_conditions(headers: Mapping[str, str], version: Version) -> None:
    """RFC 9110, section 13.2.2: the order in which the conditions count."""
    tags = {version.xml_etag, version.etag, f'"{version.etag}"'}
    modified = int(parse_time(version.fields["updated"]))
    if "if-match" in headers:
        if not _matches(headers["if-match"], tags):
            raise _failed("If-Match")
    elif (since := _seconds(headers.get("if-unmodified-since"))) is not None and modified > since:
        raise _failed("If-Unmodified-Since")
    if "if-none-match" in headers:
        if _matches(headers["if-none-match"], tags):
            raise NotModified(headers=written(version))
    elif (since := _seconds(headers.get("if-modified-since"))) is not None and modified <= since:
        raise NotModified(headers=written(version))


def _span(headers: Mapping[str, str], version: Version) -> tuple[int, int] | None:
    """Start and length of a single range; anything else in Range reads the whole."""
    found = _RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    guard = headers.get("if-range")
    if not found or found[0] == "bytes=-" or (guard and guard != version.xml_etag):
        return None
    if not found[1]:
        length = min(int(found[2]), version.size)
        start = version.size - length
    else:
        start = int(found[1])
        last = min(int(found[2] or version.size), version.size - 1)
        length = last - start + 1
        if found[2] and int(found[2]) < start:
            return None
    if length <= 0:
        raise RangeNotSatisfiable(
            "The requested range cannot be satisfied.",
            headers={"content-range": f"bytes */{version.size}"},
        )
    return start, length


def _matches(header: str, tags: set[str]) -> bool:
    given = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in given or bool(given & tags)


def _seconds(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None


def _failed(name: str) -> PreconditionFailed:
    return PreconditionFailed(
        "At least one of the pre-conditions you specified did not hold.", {"Details": name}
    )
