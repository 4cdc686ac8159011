"""HTTPS function: signed uploads, and what became of them."""

import gc

gc.disable()

import os

import functions_framework
from flask import Request, Response

from shared.documents.firestore import FirestoreDocuments
from shared.http import App
from shared.identity.live import LiveSessions
from shared.identity.tokens import JwksKeys, TokenVerifier
from shared.media.gallery import Gallery
from shared.media.http import routes
from shared.media.quota import Quota
from shared.media.signing import IAMBlobSigner, ReadURLs, URLSigner
from shared.media.store import MediaStore
from shared.media.trash import Trash
from shared.media.uploads import HTTPDelivery, Uploads
from shared.media.waiting import Waiting
from shared.settings import MediaSettings
from shared.tasks.carried import Carried
from shared.tasks.carrying import Carrying
from shared.tasks.store import TaskStore

settings = MediaSettings.read(os.environ)
documents = FirestoreDocuments(settings.google_cloud_project)
store = MediaStore(documents)
signer = URLSigner(
    IAMBlobSigner(settings.signer_email, settings.iam_endpoint), settings.storage_endpoint
)
gallery = Gallery(
    store,
    ReadURLs(signer),
    renditions_bucket=settings.renditions_bucket,
    media_bucket=settings.media_bucket,
    shares=Carried(TaskStore(documents)),
    uses=Carrying(documents),
)
uploads = Uploads(
    gallery,
    Quota(store, settings.media_quota),
    signer,
    inbox_bucket=settings.inbox_bucket,
    deliver=HTTPDelivery(),
)
app = App(
    "media",
    routes(gallery, uploads, Trash(store, gallery), Waiting()),
    authenticator=TokenVerifier(JwksKeys(settings.jwks_url), settings.issuer),
    sessions=LiveSessions(documents),
    allowed_origins=settings.allowed_origins,
    project=settings.google_cloud_project,
)


@functions_framework.http
def media(request: Request) -> Response:
    return app(request)


gc.enable()
gc.freeze()
