"""Makes in the local cloud what the declaration says: buckets, topics, triggers, secrets.

The local `pulumi up`. Everything is made when it is missing and left alone, or set right, when
it is there, so it runs at every start: Pub/Sub's emulator forgets all at its end, the storage
emulator and the secrets do not.
"""

from __future__ import annotations

import os

import grpc
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.api_core.exceptions import AlreadyExists, NotFound
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service import transports
from google.cloud.storage import Bucket as StorageBucket
from google.cloud.storage import Client
from google.oauth2.credentials import Credentials

from emulators.plan import OIDC_SECRET, Plan
from emulators.platform import topics
from emulators.redrive import redrive
from infra.declaration import DECLARATION, Bucket, Secret


def provision(plan: Plan) -> None:
    """Needs storage, Pub/Sub and the platform running; everything may be there already."""
    topics.provision(plan.address("pubsub"), plan.project)
    client = Client(
        project=plan.project,
        credentials=Credentials("provision"),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": plan.url("storage")},
    )
    for bucket in DECLARATION.buckets:
        _make_bucket(client, plan, bucket)
    _make_secrets(plan)
    redrive(plan, client)


def _make_bucket(client: Client, plan: Plan, declared: Bucket) -> None:
    bucket = client.bucket(plan.bucket(declared.name))
    bucket.versioning_enabled = declared.versioning
    bucket.soft_delete_policy.retention_duration_seconds = declared.soft_delete
    bucket.cors = [
        {
            "origin": list(plan.origins),
            "method": list(declared.browser_methods),
            "responseHeader": list(DECLARATION.cors_headers),
            "maxAgeSeconds": DECLARATION.cors_max_age,
        }
    ]
    if declared.delete_after_days is not None:
        bucket.lifecycle_rules = [
            {"action": {"type": "Delete"}, "condition": {"age": declared.delete_after_days}}
        ]
    try:
        client.get_bucket(bucket.name)
    except NotFound:
        client.create_bucket(bucket)
    else:
        bucket.patch()
    _make_notifications(bucket, plan, declared)


def _make_notifications(bucket: StorageBucket, plan: Plan, declared: Bucket) -> None:
    """A finalize trigger stands on a notification of the bucket, as Eventarc's does."""
    wanted = {
        topics.eventarc_topic(function.trigger.bucket)
        for function in DECLARATION.functions
        if function.trigger and function.trigger.bucket == declared.name
    }
    present = {notification.topic_name for notification in bucket.list_notifications()}
    for topic in wanted - present:
        bucket.notification(
            topic_name=topic,
            topic_project=plan.project,
            event_types=["OBJECT_FINALIZE"],
            payload_format="JSON_API_V1",
        ).create()


def _make_secrets(plan: Plan) -> None:
    channel = grpc.insecure_channel(plan.address("secrets"))
    transport = transports.SecretManagerServiceGrpcTransport(channel=channel)
    client = SecretManagerServiceClient(transport=transport)
    try:
        for secret in DECLARATION.secrets:
            _make_secret(client, plan, secret)
    finally:
        channel.close()


def _make_secret(client: SecretManagerServiceClient, plan: Plan, declared: Secret) -> None:
    parent = f"projects/{plan.project}"
    try:
        client.create_secret(
            request={
                "parent": parent,
                "secret_id": declared.name,
                "secret": {"replication": {"automatic": {}}},
            }
        )
    except AlreadyExists:
        pass
    name = plan.secret(declared.name)
    if not any(client.list_secret_versions(request={"parent": name})):
        client.add_secret_version(request={"parent": name, "payload": {"data": _payload(declared)}})


def _payload(declared: Secret) -> bytes:
    if declared.name == "oidc-client":
        return OIDC_SECRET.encode()
    if declared.kind == "given":
        return b"the mail sink asks for none"
    if declared.kind == "random32":
        return os.urandom(32)
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
