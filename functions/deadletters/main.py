"""Event function: a message failed too often, or grew too old."""

import gc

gc.disable()

import os

import functions_framework
from flask import Request, Response

from shared.documents.firestore import FirestoreDocuments
from shared.events.deadletters import DeadLetters
from shared.events.http import Receiver, platform_sender
from shared.settings import EventSettings

settings = EventSettings.read(os.environ)
letters = DeadLetters(FirestoreDocuments(settings.google_cloud_project))
receiver = Receiver("deadletters", platform_sender(settings), on_letter=letters.keep)


@functions_framework.http
def deadletters(request: Request) -> Response:
    return receiver(request)


gc.enable()
gc.freeze()
