"""Domain events, and what arrives from the platform. Technical: knows no domain."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from shared.errors import MalformedRequest

_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Event(BaseModel):
    """A fact of a domain, in the past tense. `id` is the same whenever the fact is told again,
    `owner` is the user whose data it is about; ids, not bodies: a consumer reads the present
    state itself."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        # A function knows more events than it tells.
        defer_build=True,
    )
    type: ClassVar[str]

    id: str
    occurred_at: datetime
    owner: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """One delivery of a message on our own topic; the same `id` may come any number of times."""

    id: str
    type: str
    data: bytes
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class FinalizedObject:
    """One object that a bucket completed. `generation` pins the bytes the event is about."""

    bucket: str
    name: str
    generation: int
    size: int
    content_type: str
    crc32c: str
    traceparent: str | None
    created: datetime | None = None
    """When the bucket had it; told only to measure."""

    @classmethod
    def from_resource(cls, resource: Mapping[str, Any]) -> Self:
        """From the object resource in the event's body, never from `ce-subject`, which mangles
        names. Raises MalformedRequest."""
        try:
            metadata = resource.get("metadata") or {}
            return cls(
                bucket=_text(resource["bucket"]),
                name=_text(resource["name"]),
                generation=int(resource["generation"]),
                size=int(resource["size"]),
                content_type=str(resource.get("contentType", "")),
                crc32c=str(resource.get("crc32c", "")),
                traceparent=checked_traceparent(metadata.get("traceparent")),
                created=_moment(resource.get("timeCreated")),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise MalformedRequest("The event names no object") from None


def _moment(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found and found.tzinfo else None


def checked_traceparent(value: object) -> str | None:
    return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else None


def delivered(message: Mapping[str, Any]) -> Delivered:
    """A Pub/Sub message of ours. Raises MalformedRequest."""
    try:
        attributes = message.get("attributes") or {}
        return Delivered(
            id=_text(attributes["id"]),
            type=_text(attributes["type"]),
            data=base64.b64decode(message.get("data") or "", validate=True),
            traceparent=checked_traceparent(attributes.get("traceparent")),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MalformedRequest("The message is not one of ours") from None


def notification(message: Mapping[str, Any]) -> FinalizedObject:
    """A storage notification (JSON_API_V1) that came over a topic. Raises MalformedRequest."""
    try:
        resource = json.loads(base64.b64decode(message["data"], validate=True))
        return FinalizedObject.from_resource(resource)
    except (KeyError, TypeError, ValueError, RecursionError, AttributeError):
        raise MalformedRequest("The message is no storage notification") from None


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("not a text")
    return value
