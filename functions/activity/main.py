"""Event function: a domain event was published on our topic."""

import gc

gc.disable()

import os

import functions_framework
from flask import Request, Response

from shared.activity.audit import AuditTrail
from shared.documents.firestore import FirestoreDocuments
from shared.events.failures import Failures
from shared.events.http import Receiver, platform_sender
from shared.settings import EventSettings

settings = EventSettings.read(os.environ)
documents = FirestoreDocuments(settings.google_cloud_project)
audit = AuditTrail(documents)
sender = platform_sender(settings)
receiver = Receiver("activity", sender, on_message=audit.record, failures=Failures(documents))


@functions_framework.http
def activity(request: Request) -> Response:
    return receiver(request)


gc.enable()
gc.freeze()
