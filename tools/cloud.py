"""A person's way into a deployment, for the commands: the local cloud, or a real project.

The product's own stores and publisher, by the person's credentials (`gcloud auth
application-default login`) instead of a function's.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import google.auth
import google.auth.transport.requests

from emulators.plan import ROOT, Plan
from infra.declaration import bucket_name
from shared.access_token import AccessTokens
from shared.documents.firestore import FirestoreDocuments
from shared.events.pubsub import PubSubPublisher
from shared.media.cloud_storage import CloudStorageObjects
from shared.media.model import Buckets

_STORAGE = "https://storage.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class NotRunning(Exception):
    """The command needs a local cloud, and there is none."""


class Cloud:
    """Firestore, buckets and topics of `project`, closed with `close`."""

    def __init__(self, project: str, tokens: AccessTokens, storage: str = _STORAGE) -> None:
        self.project = project
        self._tokens = tokens
        self._closing = ExitStack()
        self.documents = FirestoreDocuments(project, tokens=tokens)
        self._closing.callback(self.documents.close)
        self.objects = CloudStorageObjects(project, storage, tokens)
        self._closing.callback(self.objects.close)
        names = (bucket_name(project, name) for name in ("inbox", "media", "renditions"))
        self.buckets = Buckets(*names)

    def publisher(self, topic: str) -> PubSubPublisher:
        publisher = PubSubPublisher(f"projects/{self.project}/topics/{topic}", self._tokens)
        self._closing.callback(publisher.close)
        return publisher

    def close(self) -> None:
        self._closing.close()


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", help="a real project; else the running local cloud")
    parser.add_argument("--data", type=Path, default=ROOT / ".local", help="the local cloud's")


@contextmanager
def connected(options: argparse.Namespace) -> Iterator[Cloud]:
    """Raises NotRunning, and google-auth's errors for a person who is not signed in."""
    if options.project:
        cloud = Cloud(options.project, _PersonsTokens())
    else:
        running = Plan.running(options.data)
        if running is None:
            raise NotRunning("No local cloud is running here; `make dev` starts it")
        plan, _ = running
        os.environ["FIRESTORE_EMULATOR_HOST"] = plan.address("firestore")
        os.environ["PUBSUB_EMULATOR_HOST"] = plan.address("pubsub")
        cloud = Cloud(plan.project, _AnyToken(), plan.url("storage"))
    try:
        yield cloud
    finally:
        cloud.close()


class _AnyToken:
    """The local cloud's emulators take any."""

    def token(self) -> str:
        return "local"


class _PersonsTokens:
    def __init__(self) -> None:
        self._credentials, _ = google.auth.default(scopes=[_SCOPE])

    def token(self) -> str:
        if not self._credentials.valid:
            self._credentials.refresh(google.auth.transport.requests.Request())  # type: ignore[no-untyped-call]
        return str(self._credentials.token)
