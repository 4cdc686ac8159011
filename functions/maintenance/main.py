"""Event function: Cloud Scheduler says that it is time."""

import gc

gc.disable()

import os

import functions_framework
from flask import Request, Response

from shared.documents.firestore import FirestoreDocuments
from shared.events.http import Receiver, platform_sender
from shared.events.outbox import Outbox
from shared.events.pubsub import PubSubPublisher
from shared.media.expiry import UploadExpiry
from shared.media.store import MediaStore
from shared.settings import MaintenanceSettings

settings = MaintenanceSettings.read(os.environ)
documents = FirestoreDocuments(settings.google_cloud_project)
outbox = Outbox(documents, PubSubPublisher(settings.events_topic))
expiry = UploadExpiry(MediaStore(documents))
receiver = Receiver(
    "maintenance",
    platform_sender(settings),
    jobs={"/sweep-outbox": outbox.sweep, "/expire-uploads": expiry.run},
)


@functions_framework.http
def maintenance(request: Request) -> Response:
    return receiver(request)


gc.enable()
gc.freeze()
