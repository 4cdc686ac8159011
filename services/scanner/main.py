"""HTTP service in front of a clamd: says whether an upload is known to be harmful."""

import os

import functions_framework
from flask import Request, Response

from shared.http import App
from shared.media.cloud_storage import CloudStorageObjects
from shared.media.scan import clamd_at
from shared.media.scan_http import routes
from shared.settings import ScannerSettings

settings = ScannerSettings.read(os.environ)
objects = CloudStorageObjects(settings.google_cloud_project, settings.storage_endpoint)
app = App(
    "scanner",
    routes(objects, clamd_at(settings.clamd), {settings.inbox_bucket}),
    project=settings.google_cloud_project,
)


@functions_framework.http
def scanner(request: Request) -> Response:
    return app(request)
