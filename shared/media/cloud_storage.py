"""The object store on Cloud Storage, by the official client with bounded time on every call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import requests
from google.api_core.exceptions import (
    GoogleAPIError,
    NotFound,
    PreconditionFailed,
    RequestRangeNotSatisfiable,
)
from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials

from shared.later import imported_later

# A twelfth of this function's cold start is cryptography for key files, which the client imports
# and which are not used here.
imported_later("google.oauth2.service_account")

from google.cloud.storage import Blob, Client
from google.cloud.storage.retry import DEFAULT_RETRY

from shared.access_token import AccessTokens, MetadataTokens
from shared.errors import Unavailable
from shared.media.objects import Gone, ListedObject, ObjectVersion

# Seconds: connect, and between two reads of a body. The retries of one call end after the
# budget, because the event comes again anyway.
_TRY = (2.0, 10.0)
_BUDGET = 20.0
_RETRY: Retry = DEFAULT_RETRY.with_timeout(_BUDGET).with_delay(initial=0.1, maximum=2.0)
# Bytes. Seven requests for the largest upload, and little memory for each of several at once.
_PIECE = 8 * 1024 * 1024
T = TypeVar("T")


class CloudStorageObjects:
    def __init__(self, project: str, endpoint: str, tokens: AccessTokens | None = None) -> None:
        self._project = project
        self._endpoint = endpoint
        self._tokens = tokens or MetadataTokens()
        self._lock = threading.Lock()
        self._client: Client | None = None

    def read(self, source: ObjectVersion) -> bytes | None:
        return _downloaded(self._blob(source.bucket, source.name, source.generation))

    def pieces(self, source: ObjectVersion) -> Iterator[bytes]:
        blob = self._blob(source.bucket, source.name, source.generation)
        at = 0
        while piece := _piece(blob, at):
            yield piece
            at += len(piece)
            if at % _PIECE:
                break

    def load(self, bucket: str, name: str) -> bytes | None:
        return _downloaded(self._blob(bucket, name))

    def copy(self, source: ObjectVersion, bucket: str, name: str, content_type: str) -> bool:
        origin = self._blob(source.bucket, source.name, source.generation)
        target = self._blob(bucket, name)
        # Given metadata replaces the client's own: nothing a client wrote travels along.
        target.content_type = content_type
        target.cache_control = "private, max-age=300"

        def rewrite() -> bool:
            token: str | None = None
            while True:
                token, _, _ = target.rewrite(
                    origin, token=token, if_generation_match=0, timeout=_TRY, retry=_RETRY
                )
                if token is None:
                    return True

        if _asked(rewrite, missing=False, present=True):
            return True
        # The same 404 stands for a missing target, and on "gone" the upload would be deleted.
        if _asked(lambda: bool(origin.exists(timeout=_TRY, retry=_RETRY))):
            raise Unavailable("The bucket to copy to is missing")
        return False

    def write(self, bucket: str, name: str, content: bytes, content_type: str) -> None:
        blob = self._blob(bucket, name)
        # The name holds the generation, so the bytes under it never change.
        blob.cache_control = "private, max-age=31536000, immutable"
        _asked(
            lambda: blob.upload_from_string(
                content,
                content_type=content_type,
                if_generation_match=0,
                timeout=_TRY,
                retry=_RETRY,
                checksum="crc32c",
            ),
            present=None,
        )

    def replace(self, bucket: str, name: str, content: bytes) -> None:
        blob = self._blob(bucket, name)
        _asked(
            lambda: blob.upload_from_string(
                content,
                content_type="application/octet-stream",
                timeout=_TRY,
                retry=_RETRY,
                checksum="crc32c",
            )
        )

    def delete(self, version: ObjectVersion) -> None:
        blob = self._blob(version.bucket, version.name, version.generation)
        _asked(lambda: blob.delete(timeout=_TRY, retry=_RETRY), missing=None)

    def discard(self, bucket: str, name: str) -> None:
        blob = self._blob(bucket, name)
        _asked(lambda: blob.delete(timeout=_TRY, retry=_RETRY), missing=None)

    def erase(self, bucket: str, name: str) -> None:
        # What the bucket's soft delete keeps for its days is out of everybody's reach but an
        # administrator's, and then gone by itself.
        for blob in self._generations(bucket, name):
            if blob.name == name or blob.name.startswith(f"{name}/"):
                version = ObjectVersion(bucket, blob.name, int(blob.generation))
                self.delete(version)

    def _generations(self, bucket: str, prefix: str) -> list[Blob]:
        def listed() -> list[Blob]:
            found = self._connected().list_blobs(
                bucket,
                prefix=prefix,
                versions=True,
                fields="items(name,generation),nextPageToken",
                timeout=_TRY,
                retry=_RETRY,
            )
            return list(found)

        return _asked(listed)

    def stands(self, bucket: str, name: str) -> bool:
        blob = self._blob(bucket, name)
        return _asked(lambda: bool(blob.exists(timeout=_TRY, retry=_RETRY)))

    def listed(self, bucket: str, after: str, limit: int) -> list[ListedObject]:
        # The offset itself is listed too, and one more makes up for it.
        client, offset = self._connected(), after or None
        found = _asked(
            lambda: list(
                client.list_blobs(
                    bucket,
                    start_offset=offset,
                    max_results=limit + 1,
                    timeout=_TRY,
                    retry=_RETRY,
                )
            )
        )
        return [_listed(blob) for blob in found if blob.name != after][:limit]

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _blob(self, bucket: str, name: str, generation: int | None = None) -> Blob:
        return self._connected().bucket(bucket).blob(name, generation=generation)

    def _connected(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = Client(
                    project=self._project,
                    credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
                    _http=_Session(self._tokens),
                    client_options={"api_endpoint": self._endpoint},
                )
            return self._client


def _listed(blob: Blob) -> ListedObject:
    version = ObjectVersion(blob.bucket.name, blob.name, int(blob.generation))
    kind, checksum = str(blob.content_type or ""), str(blob.crc32c or "")
    return ListedObject(version, int(blob.size), kind, checksum, blob.time_created)


class _Session(requests.Session):
    """In place of the client's own session: our tokens know themselves when to be renewed, after a
    401 another one than the kept would not mend anything, and nothing is asked of google.auth."""

    def __init__(self, tokens: AccessTokens) -> None:
        super().__init__()
        self._tokens = tokens
        self.auth = self._signed

    def _signed(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._tokens.token()}"
        return request


def _downloaded(blob: Blob) -> bytes | None:
    content: bytes | None = _asked(
        lambda: blob.download_as_bytes(
            timeout=_TRY, retry=_RETRY, checksum="crc32c", raw_download=True
        ),
        missing=None,
    )
    return content


def _piece(blob: Blob, at: int) -> bytes:
    """Empty behind the end. Raises Gone."""

    def download() -> bytes | None:
        try:
            content: bytes = blob.download_as_bytes(
                start=at,
                end=at + _PIECE - 1,
                timeout=_TRY,
                retry=_RETRY,
                checksum=None,
                raw_download=True,
            )
        except RequestRangeNotSatisfiable:
            return b""
        return content

    piece = _asked(download, missing=None)
    if piece is None:
        raise Gone
    return piece


_UNEXPECTED = object()


def _asked(
    call: Callable[[], T], *, missing: object = _UNEXPECTED, present: object = _UNEXPECTED
) -> T:
    """The call's answer, or what stands for 404 and for a target that is already there."""
    try:
        return call()
    except NotFound:
        if missing is not _UNEXPECTED:
            return missing  # type: ignore[return-value]
        raise Unavailable("A bucket is missing") from None
    except PreconditionFailed:
        if present is not _UNEXPECTED:
            return present  # type: ignore[return-value]
        raise Unavailable("Cloud Storage refused a precondition") from None
    except (GoogleAPIError, requests.RequestException, OSError) as error:
        raise Unavailable(f"Cloud Storage does not answer ({type(error).__name__})") from None
