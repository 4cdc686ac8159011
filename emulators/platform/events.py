"""What a function is sent: Eventarc's CloudEvent and Pub/Sub's push request, byte for byte."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from urllib.parse import quote

FINALIZED = "google.cloud.storage.object.v1.finalized"
# RFC 3986's reserved and unreserved characters: CloudEvents' HTTP binding (3.1.3.2) encodes only
# the space, the quote, the percent sign and what is not printable ASCII.
_PLAIN = "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


@dataclass(frozen=True)
class Outgoing:
    """One request to a function, but for its token."""

    headers: dict[str, str]
    body: bytes


def finalized(message: Any, bucket: str) -> Outgoing | None:
    """The CloudEvent for a storage notification (a PubsubMessage); None when a trigger on
    `bucket` does not ask for it."""
    attributes = message.attributes
    if attributes["eventType"] != "OBJECT_FINALIZE" or attributes["bucketId"] != bucket:
        return None
    headers = {
        "content-type": "application/json",
        "ce-id": message.message_id,
        "ce-source": f"//storage.googleapis.com/projects/_/buckets/{bucket}",
        "ce-specversion": "1.0",
        "ce-type": FINALIZED,
        "ce-subject": quote(f"objects/{attributes['objectId']}", safe=_PLAIN),
        "ce-bucket": bucket,
        "ce-time": quote(attributes["eventTime"], safe=_PLAIN) or _time(message.publish_time),
        "user-agent": "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)",
    }
    return Outgoing(headers, message.data)


def push(message: Any, subscription: str, attempt: int) -> Outgoing:
    """The body of a push ("Receive push messages"); `attempt` 0 is a subscription without dead
    letters, whose messages do not count them."""
    published = _time(message.publish_time)
    shown: dict[str, Any] = {
        "messageId": message.message_id,
        "message_id": message.message_id,
        "publishTime": published,
        "publish_time": published,
    }
    if message.attributes:
        shown["attributes"] = dict(message.attributes)
    if message.data:
        shown["data"] = base64.b64encode(message.data).decode()
    if message.ordering_key:
        shown["orderingKey"] = message.ordering_key
    body: dict[str, Any] = {"message": shown, "subscription": subscription}
    if attempt:
        body["deliveryAttempt"] = attempt
    headers = {
        "content-type": "application/json",
        "from": "noreply@google.com",
        "user-agent": "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)",
    }
    return Outgoing(headers, json.dumps(body).encode())


def _time(stamp: Any) -> str:
    moment = stamp.ToDatetime(tzinfo=UTC)
    return str(moment.isoformat(timespec="milliseconds")).replace("+00:00", "Z")
