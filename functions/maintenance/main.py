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
from shared.events.stuck import StuckEvents
from shared.identity.claims import AddressClaims
from shared.identity.erasure import Erasure, OwnedDocuments
from shared.identity.keys import mac_keys
from shared.identity.rotation import KeyRotation, mac_policy, signing_policy
from shared.media.cloud_storage import CloudStorageObjects
from shared.media.expiry import UploadExpiry
from shared.media.model import Buckets
from shared.media.reconcile import Surroundings, steps
from shared.media.retention import Retention
from shared.media.store import MediaStore
from shared.reconcile import Reconciler
from shared.secrets import SecretManager
from shared.settings import MaintenanceSettings
from shared.tasks.carrying import Carrying
from shared.tasks.erasure import TaskErasure
from shared.tasks.reconcile import StrayAttachments, TaskCounts
from shared.tasks.remains import TaskCare

settings = MaintenanceSettings.read(os.environ)
documents = FirestoreDocuments(settings.google_cloud_project)
outbox = Outbox(documents, PubSubPublisher(settings.events_topic))
media = MediaStore(documents)
objects = CloudStorageObjects(settings.google_cloud_project, settings.storage_endpoint)
buckets = Buckets(settings.inbox_bucket, settings.media_bucket, settings.renditions_bucket)
around = Surroundings(
    documents,
    objects,
    buckets,
    PubSubPublisher(settings.redrive_topic),
)
reconciler = Reconciler(
    documents,
    [
        *steps(around),
        TaskCounts(documents),
        StrayAttachments(documents, media),
        StuckEvents(documents),
    ],
)
secrets = SecretManager()
claims = AddressClaims(documents, mac_keys(secrets, settings.token_hmac_secret))
rotation = KeyRotation(
    secrets,
    [
        signing_policy(settings.signing_key_secret),
        mac_policy(settings.token_hmac_secret, claims.renewed),
    ],
)
expiry = UploadExpiry(media, objects, settings.inbox_bucket)
retention = Retention(media, objects, Carrying(documents), buckets)
erasure = Erasure(
    documents,
    [
        retention,
        TaskErasure(documents),
        OwnedDocuments(documents, "sessions", "user"),
        OwnedDocuments(documents, "links", "user"),
        OwnedDocuments(documents, "identities", "user"),
        OwnedDocuments(documents, "audit"),
    ],
)
receiver = Receiver(
    "maintenance",
    platform_sender(settings),
    jobs={
        "/sweep-outbox": outbox.sweep,
        "/expire-uploads": expiry.run,
        "/rotate-keys": rotation.run,
        "/erase-accounts": erasure.run,
        "/tend-tasks": TaskCare(documents).run,
        "/reconcile": reconciler.run,
        "/empty-trash": retention.run,
    },
)


@functions_framework.http
def maintenance(request: Request) -> Response:
    return receiver(request)


gc.enable()
gc.freeze()
