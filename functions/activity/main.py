"""Event function: a domain event was published on our topic."""

import gc

gc.disable()

import os

import functions_framework
from flask import Request, Response

from shared.activity.audit import AuditTrail
from shared.documents.firestore import FirestoreDocuments
from shared.events.failures import Failures
from shared.events.http import Receiver, platform_sender, to_each
from shared.identity.departed import Departed
from shared.settings import EventSettings
from shared.tasks.withdrawal import Withdrawal

settings = EventSettings.read(os.environ)
documents = FirestoreDocuments(settings.google_cloud_project)
trail = AuditTrail(documents, Departed(documents))
receiver = Receiver(
    "activity",
    platform_sender(settings),
    on_message=to_each(trail.record, Withdrawal(documents).take),
    failures=Failures(documents),
)


@functions_framework.http
def activity(request: Request) -> Response:
    return receiver(request)


gc.enable()
gc.freeze()
