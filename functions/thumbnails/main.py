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
from shared.media.rerender import Arrivals, Rerender
from shared.media.scan import scanner
from shared.media.store import MediaStore
from shared.settings import ThumbnailsSettings

settings = ThumbnailsSettings.read(os.environ)
documents = FirestoreDocuments(settings.google_cloud_project)
store = MediaStore(documents)
objects = CloudStorageObjects(settings.google_cloud_project, settings.storage_endpoint)
outbox = Outbox(documents, PubSubPublisher(settings.events_topic))
buckets = Buckets(settings.inbox_bucket, settings.media_bucket, settings.renditions_bucket)
pipeline = Pipeline(store, objects, outbox, buckets, scanner(settings.scanner))
arrivals = Arrivals(pipeline, Rerender(store, objects, outbox, buckets), buckets)
failures = Failures(documents, PubSubPublisher(settings.dead_letter_topic))
receiver = Receiver(
    "thumbnails", platform_sender(settings), on_finalized=arrivals, failures=failures
)


@functions_framework.http
def thumbnails(request: Request) -> Response:
    return receiver(request)


gc.enable()
gc.freeze()
