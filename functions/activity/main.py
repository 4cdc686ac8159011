"""Event function: a domain event was published on our topic."""

import gc

gc.disable()

import os

import functions_framework
from flask import Request, Response

from shared.activity.audit import AuditTrail
from shared.documents.firestore import FirestoreDocuments
from shared.events.http import Receiver, platform_sender
from shared.settings import EventSettings

settings = EventSettings.read(os.environ)
audit = AuditTrail(FirestoreDocuments(settings.google_cloud_project))
receiver = Receiver("activity", platform_sender(settings), on_message=audit.record)


@functions_framework.http
def activity(request: Request) -> Response:
    return receiver(request)


gc.enable()
gc.freeze()
