"""Event function: a mail is wanted."""

import gc

gc.disable()

import os

import functions_framework
from flask import Request, Response

from shared.documents.firestore import FirestoreDocuments
from shared.events.failures import Failures
from shared.events.http import Receiver, platform_sender
from shared.identity.keys import mac_keys
from shared.identity.mails import MailStore
from shared.identity.post import Post
from shared.identity.store import IdentityStore
from shared.mail import SMTPMailer, server_of
from shared.secrets import SecretManager
from shared.settings import MailSettings

settings = MailSettings.read(os.environ)
documents = FirestoreDocuments(settings.google_cloud_project)
secrets = SecretManager()
post = Post(
    MailStore(documents),
    IdentityStore(documents),
    mac_keys(secrets, settings.token_hmac_secret),
    SMTPMailer(server_of(settings, secrets), settings.mail_from),
    settings.app_url,
)
sender = platform_sender(settings)
receiver = Receiver("mail", sender, on_message=post.deliver, failures=Failures(documents))


@functions_framework.http
def mail(request: Request) -> Response:
    return receiver(request)


gc.enable()
gc.freeze()
