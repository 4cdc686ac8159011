"""Pub/Sub notifications: which object change becomes which message, and their publication.

Messages have the form of "Pub/Sub notifications for Cloud Storage". The store writes them beside
the change itself; the publisher sends them in order of arrival, topic by topic, until the topic
accepts, so an outage of Pub/Sub or a restart delays but never loses one.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiohttp

from emulators.storage.errors import Invalid
from emulators.storage.model import Resource, Version, timestamp

if TYPE_CHECKING:
    from emulators.storage.faults import Faults
    from emulators.storage.store import Store

_TOPIC = re.compile(r"//pubsub\.googleapis\.com/(projects/[^/]+/topics/[^/]+)")
# Links inside a message name the real service, as the real messages do.
_BASE = "https://www.googleapis.com"
# One publish call carries at most this many messages: a few hundred KB.
_BATCH = 100


def config(bucket: str, number: int, body: Mapping[str, Any]) -> Resource:
    """A notificationConfig as stored; raises Invalid for a topic or format it cannot serve."""
    topic = str(body.get("topic", ""))
    payload = body.get("payload_format", "JSON_API_V1")
    if not _TOPIC.fullmatch(topic):
        raise Invalid("topic must look like //pubsub.googleapis.com/projects/P/topics/T.")
    if payload not in ("JSON_API_V1", "NONE"):
        raise Invalid("payload_format must be JSON_API_V1 or NONE.")
    optional = ("event_types", "custom_attributes", "object_name_prefix")
    kept = {key: body[key] for key in optional if body.get(key)}
    return {
        "kind": "storage#notification",
        "id": str(number),
        "selfLink": f"{_BASE}/storage/v1/b/{bucket}/notificationConfigs/{number}",
        "etag": str(number),
        "topic": topic,
        "payload_format": payload,
        **kept,
    }


def topic_path(resource: Resource) -> str:
    found = _TOPIC.fullmatch(resource["topic"])
    return found[1] if found else ""


def wanted(resource: Resource, event: str, name: str) -> bool:
    events = resource.get("event_types") or [event]
    return event in events and name.startswith(resource.get("object_name_prefix", ""))


def message(
    resource: Resource, event: str, version: Version, now: float, extra: Mapping[str, str]
) -> Resource:
    bucket = version.bucket
    attributes = {
        **resource.get("custom_attributes", {}),
        "notificationConfig": f"projects/_/buckets/{bucket}/notificationConfigs/{resource['id']}",
        "eventType": event,
        "payloadFormat": resource["payload_format"],
        "bucketId": bucket,
        "objectId": version.name,
        "objectGeneration": str(version.generation),
        "eventTime": timestamp(now),
        **extra,
    }
    if resource["payload_format"] == "NONE":
        return {"attributes": attributes}
    data = json.dumps(version.resource(_BASE), indent=2).encode()
    return {"attributes": attributes, "data": base64.b64encode(data).decode()}


class Publisher:
    """Sends what waits in the store's outbox to a Pub/Sub emulator's REST API."""

    def __init__(self, store: Store, host: str, faults: Faults) -> None:
        self._store = store
        self._url = host if "://" in host else f"http://{host}"
        self._faults = faults
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. A failed topic is tried again after 0.1 s, then up to every 2 s."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._news.set)

        self._store.outbox_grew = wake
        pause = 0.1
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                self._news.clear()
                topics = await asyncio.to_thread(self._store.waiting_topics)
                results = [await self._send(session, topic) for topic in topics]
                pause = 0.1 if all(results) else min(pause * 2, 2)
                if not topics:
                    await self._news.wait()
                elif not all(results):
                    await asyncio.sleep(pause)

    async def _send(self, session: aiohttp.ClientSession, topic: str) -> bool:
        """One batch; True when the topic took it."""
        rows = await asyncio.to_thread(self._store.waiting, topic, _BATCH)
        body = {"messages": [copy for _, row in rows for copy in await self._copies(row)]}
        try:
            async with session.post(f"{self._url}/v1/{topic}:publish", json=body) as answer:
                accepted = answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False
        if accepted:
            await asyncio.to_thread(self._store.published, [number for number, _ in rows])
        return accepted

    async def _copies(self, row: Resource) -> list[Resource]:
        """The message as often, and as late, as a fault asks for; normally once and now."""
        fault = self._faults.for_notification(str(row["attributes"]["bucketId"]))
        if fault and fault.delay:
            await asyncio.sleep(fault.delay)
        return [row] * (fault.copies if fault else 1)
