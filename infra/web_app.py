"""The web app's files, in the one bucket that everybody may read and nobody may list.

No object is ever replaced by another one of its name: assets carry a digest in theirs, and the page
gets one here. Old ones stay, for whoever has the old page open, and the URL map is the switch: an
`up` that fails half way leaves the old app whole, and going back is a change of the map.
"""

from __future__ import annotations

import hashlib

import pulumi
from pulumi_gcp import compute, storage

from infra.apis import APIs
from infra.declaration import DECLARATION, bucket_name
from infra.grants import grants_on
from infra.pages import ASKED_AGAIN, PAGE, PageFile, page_files, page_headers
from infra.settings import Settings, SettingsError
from tools import web

_DOCUMENT = web.ROOT / "docs" / "openapi.json"
_STORAGE = "https://storage.googleapis.com"
# Seconds: a year. Whoever came once never asks over plain HTTP again.
_HSTS = "max-age=31536000"


class WebApp(pulumi.ComponentResource):
    """Raises SettingsError when web/dist is missing, or was made of other sources."""

    def __init__(self, settings: Settings, apis: APIs) -> None:
        super().__init__("snaptask:infra:WebApp", "web-app")
        self._apis = apis
        if not web.is_built():
            raise SettingsError("web/dist was not built from the sources that stand here: make web")
        bucket = self._bucket(settings)
        stored = {one.name: self._object(bucket, one) for one in _files()}
        self.page = next(f"/{name}" for name in stored if name.startswith("index-"))
        self.backend = compute.BackendBucket(
            "web-app",
            bucket_name=bucket.name,
            enable_cdn=True,
            # As each object says: assets for a year, the page asked for again.
            cdn_policy=compute.BackendBucketCdnPolicyArgs(cache_mode="USE_ORIGIN_HEADERS"),
            compression_mode="AUTOMATIC",
            custom_response_headers=[f"{name}: {text}" for name, text in _headers(settings)],
            opts=apis.options(self, "compute", after=list(stored.values())),
        )
        self.register_outputs({})

    def _bucket(self, settings: Settings) -> storage.Bucket:
        bucket = storage.Bucket(
            "bucket-web",
            name=bucket_name(settings.project, "web"),
            location=settings.region,
            uniform_bucket_level_access=True,
            # The load balancer asks as anybody does: a backend bucket has no account of its own.
            public_access_prevention="inherited",
            soft_delete_policy={"retention_duration_seconds": 0},
            # Its files can be made again from the commit.
            force_destroy=True,
            opts=self._apis.options(self, "storage"),
        )
        for grant in grants_on("bucket", "web"):
            storage.BucketIAMMember(
                f"bucket-web-{grant.who}",
                bucket=bucket.name,
                role=grant.role,
                member=grant.who,
                opts=self._apis.options(self, "storage"),
            )
        return bucket

    def _object(self, bucket: storage.Bucket, file: PageFile) -> storage.BucketObject:
        opts = pulumi.ResourceOptions.merge(
            self._apis.options(self, "storage"), pulumi.ResourceOptions(retain_on_delete=True)
        )
        return storage.BucketObject(
            f"web-{file.name}",
            bucket=bucket.name,
            name=file.name,
            source=pulumi.FileAsset(str(file.path)),
            content_type=file.kind,
            cache_control=file.caching,
            opts=opts,
        )


def _files() -> list[PageFile]:
    """Those of the build, the page under its digest's name, and the API's own description."""
    found = page_files(web.BUILT)
    others = [one for one in found if one.name != PAGE]
    (page,) = [one for one in found if one.name == PAGE]
    digest = hashlib.sha256(page.path.read_bytes()).hexdigest()[:16]
    return [
        *others,
        PageFile(f"index-{digest}.html", page.path, page.kind, page.caching),
        PageFile("api/docs", _DOCUMENT, "application/json", ASKED_AGAIN),
    ]


def _headers(settings: Settings) -> list[tuple[str, str]]:
    names = [bucket_name(settings.project, one.name) for one in DECLARATION.buckets]
    headers = page_headers(f"{_STORAGE}/{name}/" for name in names)
    return [*headers.items(), ("Strict-Transport-Security", _HSTS)]
