"""A running platform for a test, a project with its topics, and a function that it calls."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import httpx
import jwt
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from emulators.platform import topics
from infra.declaration import DECLARATION, bucket_name

ROOT = Path(__file__).parents[3]
# Seconds; conditions hold much sooner, but two cores may be shared by many processes.
PATIENCE = 40.0

TRIGGERED = next(function for function in DECLARATION.functions if function.trigger)
PUSHED = DECLARATION.subscriptions[0]
JOB = DECLARATION.schedules[0]


def until(condition: Callable[[], object], what: str, within: float = PATIENCE) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(0.02)


@dataclass(frozen=True)
class Call:
    """One request that reached the function."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def claims(self) -> dict[str, Any]:
        """Of its token, unverified."""
        token = self.headers["Authorization"].removeprefix("Bearer ")
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
        return claims


class Function:
    """Keeps what it is called with; `answer` decides the status, on the caller's thread."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answer: Callable[[Call], int] = lambda call: 204
        self.busiest = 0
        self._busy = 0
        self._lock = threading.Lock()

    def handle(self, call: Call) -> int:
        with self._lock:
            self.calls.append(call)
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
        try:
            return self.answer(call)
        finally:
            with self._lock:
                self._busy -= 1

    @contextmanager
    def serving(self, port: int = 0) -> Iterator[str]:
        """Yields its URL."""
        function = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.title(): value for name, value in self.headers.items()}
                status = function.handle(Call(self.path, headers, body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None:
                """A platform that ends while it waits for the answer is no error here."""

        server = Server(("127.0.0.1", port), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class Project:
    """A project of its own in a Pub/Sub emulator, with the declared topics in it."""

    def __init__(self, address: str, name: str | None = None) -> None:
        self.address = address
        self.name = name or f"p-{uuid4().hex[:8]}"
        self._channel = grpc.insecure_channel(address)
        self._publisher = PublisherClient(transport=PublisherGrpcTransport(channel=self._channel))
        self.subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=self._channel))

    def close(self) -> None:
        self._channel.close()

    def provision(self) -> None:
        topics.provision(self.address, self.name, backoff=(0.1, 1.0))

    @property
    def bucket(self) -> str:
        assert TRIGGERED.trigger
        return bucket_name(self.name, TRIGGERED.trigger.bucket)

    def publish(self, topic: str, data: bytes, **attributes: str) -> str:
        """The message's id."""
        message = {"data": data, "attributes": attributes}
        full = f"projects/{self.name}/topics/{topic}"
        answer = self._publisher.publish(topic=full, messages=[message], timeout=10)
        return str(answer.message_ids[0])

    def send(self, data: bytes = b"{}", **attributes: str) -> str:
        """On the topic of the declared push subscription."""
        return self.publish(PUSHED.topic, data, **attributes)

    def notify(self, name: str, body: bytes = b"{}", **changes: str) -> str:
        """As the storage emulator does when an object is finalized."""
        assert TRIGGERED.trigger
        attributes = {
            "notificationConfig": f"projects/_/buckets/{self.bucket}/notificationConfigs/1",
            "eventType": "OBJECT_FINALIZE",
            "payloadFormat": "JSON_API_V1",
            "bucketId": self.bucket,
            "objectId": name,
            "objectGeneration": "1",
            "eventTime": "2026-11-25T10:00:00.000Z",
            **changes,
        }
        return self.publish(topics.eventarc_topic(TRIGGERED.trigger.bucket), body, **attributes)

    def kept(self) -> list[Any]:
        """The next dead letters, as soon as there is one."""
        name = topics.kept_subscription(PUSHED.dead_letter_topic)
        full = f"projects/{self.name}/subscriptions/{name}"
        answer = self.subscriber.pull(subscription=full, max_messages=100, timeout=2 * PATIENCE)
        return [received.message for received in answer.received_messages]


class Platform:
    def __init__(self, process: subprocess.Popen[str], url: str, secrets: str, mail: str) -> None:
        self.process = process
        self.url = url
        self.secrets = secrets
        self.mail = mail
        self.http = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def metadata(self, function: str) -> dict[str, str]:
        """What the local cloud puts into a function's environment."""
        host = f"{self.url.removeprefix('http://')}/as/{function}"
        return {"GCE_METADATA_HOST": host, "GCE_METADATA_IP": host}

    def token(self, function: str) -> str:
        path = "computeMetadata/v1/instance/service-accounts/default/token"
        answer = self.http.get(f"/as/{function}/{path}", headers={"Metadata-Flavor": "Google"})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def counts(self, subscription: str = PUSHED.name) -> dict[str, int]:
        answer = self.http.get("/_emulator/deliveries")
        counts: dict[str, int] = answer.json()["subscriptions"][subscription]
        return counts

    def settled(self, count: int, subscription: str = PUSHED.name) -> None:
        """Until `count` messages were acknowledged and nothing more is to come."""

        def quiet() -> bool:
            counts = self.counts(subscription)
            return counts["acked"] >= count and not counts["inFlight"] + counts["unsettled"]

        until(quiet, f"{count} settled in {subscription}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


def command(folder: Path, pubsub: str, project: str, *arguments: str) -> list[str]:
    fixed = ["--data", str(folder), "--project", project, "--pubsub", pubsub]
    return [sys.executable, "-m", "emulators.platform", *fixed, *arguments]


@contextmanager
def running(
    folder: Path,
    pubsub: str,
    project: str,
    functions: Mapping[str, str] | None = None,
    *arguments: str,
    admin: bool = True,
) -> Iterator[Platform]:
    extra = [f"--function={name}={url}" for name, url in (functions or {}).items()]
    extra += ["--admin"] if admin else []
    process = subprocess.Popen(
        command(folder, pubsub, project, *extra, *arguments),
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("listening "), line
        # Its log must not fill the pipe.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        _, url, _, secrets, _, mail = line.split()
        platform = Platform(process, url, secrets, mail)
        try:
            yield platform
        finally:
            platform.http.close()
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            if process.stdout:
                process.stdout.close()
