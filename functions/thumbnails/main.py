"""Event function: an object was finalized in the inbox bucket."""

import gc

gc.disable()

import os

import functions_framework
from flask import Request, Response

from shared.documents.firestore import FirestoreDocuments
from shared.events.failures import Failures
from shared.events.http import Receiver, platform_sender
from shared.events.outbox import Outbox
from shared.events.pubsub import PubSubPublisher
from shared.media.cloud_storage import CloudStorageObjects
from shared.media.model import Buckets
from shared.media.pipeline import Pipeline
from shared.media.scan import scanner
from shared.media.store import MediaStore
from shared.settings import ThumbnailsSettings

settings = ThumbnailsSettings.read(os.environ)
documents = FirestoreDocuments(settings.google_cloud_project)
pipeline = Pipeline(
    MediaStore(documents),
    CloudStorageObjects(settings.google_cloud_project, settings.storage_endpoint),
    Outbox(documents, PubSubPublisher(settings.events_topic)),
    Buckets(settings.inbox_bucket, settings.media_bucket, settings.renditions_bucket),
    scanner(settings.scanner),
)
failures = Failures(documents, PubSubPublisher(settings.dead_letter_topic))
receiver = Receiver(
    "thumbnails", platform_sender(settings), on_finalized=pipeline, failures=failures
)


@functions_framework.http
def thumbnails(request: Request) -> Response:
    return receiver(request)


gc.enable()
gc.freeze()
