"""HTTPS function: tasks and the pictures on them."""

import gc

gc.disable()

import os

import functions_framework
from flask import Request, Response

from shared.activity.history import TaskHistory
from shared.documents.firestore import FirestoreDocuments
from shared.http import App
from shared.identity.live import LiveSessions
from shared.identity.tokens import JwksKeys, TokenVerifier
from shared.media.gallery import Gallery
from shared.media.signing import IAMBlobSigner, ReadURLs, URLSigner
from shared.media.store import MediaStore
from shared.settings import TasksSettings
from shared.tasks.comments import Comments
from shared.tasks.http import routes
from shared.tasks.pictures import TaskPictures
from shared.tasks.remains import Remains
from shared.tasks.service import TaskService
from shared.tasks.sharing import Sharing
from shared.tasks.store import TaskStore

settings = TasksSettings.read(os.environ)
documents = FirestoreDocuments(settings.google_cloud_project)
signer = URLSigner(
    IAMBlobSigner(settings.signer_email, settings.iam_endpoint), settings.storage_endpoint
)
gallery = Gallery(
    MediaStore(documents), ReadURLs(signer), renditions_bucket=settings.renditions_bucket
)
store = TaskStore(documents)
app = App(
    "tasks",
    routes(
        TaskService(store, gallery, TaskHistory(documents), Remains(documents)),
        TaskPictures(store, gallery),
        Comments(documents, store),
        Sharing(documents, store),
    ),
    authenticator=TokenVerifier(JwksKeys(settings.jwks_url), settings.issuer),
    sessions=LiveSessions(documents),
    allowed_origins=settings.allowed_origins,
    project=settings.google_cloud_project,
)


@functions_framework.http
def tasks(request: Request) -> Response:
    return app(request)


gc.enable()
gc.freeze()
