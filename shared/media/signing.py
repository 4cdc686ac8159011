"""V4 signed URLs, made without a key: the signature comes from IAM's signBlob.

Our own signer, because google-cloud-storage costs a tenth of a second of cold start and opens a
new TLS connection per URL; here one pool of connections is kept. A test compares every URL with
the official client's. Source: Google's "V4 signing process with your own program".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote, urlsplit

from shared.access_token import AccessTokens, MetadataTokens
from shared.deadline import left
from shared.errors import Unavailable
from shared.kept_http import KeptHTTP, NoAnswer

_ALGORITHM = "GOOG4-RSA-SHA256"
# Seconds. signBlob answers in 30-60 ms; one lost answer fits into what a person waits for.
_CONNECT, _READ = 1.0, 2.0
_JSON = {"Content-Type": "application/json"}
# Calls to signBlob at a time, for pages of pictures; also the connections kept.
PARALLEL = 8
READ_EXPIRY = timedelta(minutes=5)
# A URL handed out again still lives this long, enough for a page to load its pictures.
_READ_LEFT = timedelta(seconds=150)
# About 1 KB each.
_KEPT = 4096


class BlobSigner(Protocol):
    email: str

    def sign(self, content: bytes) -> bytes:
        """RSA-SHA256 in the name of `email`; raises Unavailable."""
        ...


class IAMBlobSigner:
    """Signs as this function's own service account, `email`."""

    def __init__(self, email: str, endpoint: str, tokens: AccessTokens | None = None) -> None:
        self.email = email
        self._path = f"/v1/projects/-/serviceAccounts/{quote(email)}:signBlob"
        self._http = KeptHTTP(endpoint, PARALLEL)
        self._tokens = tokens or MetadataTokens()

    def sign(self, content: bytes) -> bytes:
        body = json.dumps({"payload": base64.b64encode(content).decode()}).encode()
        # A signature asked for twice is the same signature, so a lost answer is asked for again.
        for last in (False, True):
            seconds = left(_READ)
            if not seconds:
                break
            try:
                headers = {**_JSON, "Authorization": f"Bearer {self._tokens.token()}"}
                status, answer = self._http.post(
                    self._path, body, headers, connect=_CONNECT, whole=seconds
                )
                if status == 200:
                    return base64.b64decode(json.loads(answer)["signedBlob"], validate=True)
                if status < 500 and status != 429:
                    break
            except NoAnswer:
                if last:
                    break
            except (ValueError, KeyError, TypeError, binascii.Error):
                break
        raise Unavailable("The signing service does not answer")


class URLSigner:
    """`endpoint` is `https://storage.googleapis.com` or the emulator's; paths, not subdomains."""

    def __init__(self, blobs: BlobSigner, endpoint: str) -> None:
        self._blobs = blobs
        self._endpoint = endpoint.rstrip("/")
        self._host = urlsplit(self._endpoint).netloc

    def url(
        self,
        method: str,
        bucket: str,
        name: str,
        *,
        now: datetime,
        expires_in: timedelta,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> str:
        """The URL is good from `now` (to the second) for `expires_in`, at most seven days; it
        binds every one of `headers`. Raises Unavailable."""
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/auto/storage/goog4_request"
        bound = {"host": self._host, **{k.lower(): v.strip() for k, v in (headers or {}).items()}}
        names = ";".join(sorted(bound))
        parameters = {
            **(query or {}),
            "X-Goog-Algorithm": _ALGORITHM,
            "X-Goog-Credential": f"{self._blobs.email}/{scope}",
            "X-Goog-Date": stamp,
            "X-Goog-Expires": str(int(expires_in.total_seconds())),
            "X-Goog-SignedHeaders": names,
        }
        path = f"/{bucket}/{quote(name, safe='/~')}"
        pairs = sorted((_quoted(k), _quoted(v)) for k, v in parameters.items())
        text = "&".join(f"{k}={v}" for k, v in pairs)
        lines = "".join(f"{k}:{bound[k]}\n" for k in sorted(bound))
        canonical = f"{method}\n{path}\n{text}\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}"
        signature = self._blobs.sign(to_sign.encode()).hex()
        return f"{self._endpoint}{path}?{text}&X-Goog-Signature={signature}"


class ReadURLs:
    """Signed GETs of single objects, kept while they have enough life left: a page that is
    loaded again asks for the same URLs, which also lets the browser's cache do its work."""

    def __init__(
        self, signer: URLSigner, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._signer = signer
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], tuple[datetime, str]] = OrderedDict()
        self._threads = ThreadPoolExecutor(max_workers=PARALLEL)

    def of(self, bucket: str, names: Sequence[str]) -> list[str]:
        """One URL per name, in their order; raises Unavailable."""
        if len(names) <= 1:
            return [self._one(bucket, name) for name in names]
        return list(self._threads.map(lambda name: self._one(bucket, name), names))

    def attachment(self, bucket: str, name: str, file_name: str, content_type: str) -> str:
        """A GET that the browser saves as `file_name`, whatever the object says of itself."""
        query = {
            "response-content-disposition": _disposition(file_name),
            "response-content-type": content_type,
        }
        return self._signer.url(
            "GET", bucket, name, now=self._clock(), expires_in=READ_EXPIRY, query=query
        )

    def _one(self, bucket: str, name: str) -> str:
        now = self._clock()
        with self._lock:
            expires, url = self._kept.get((bucket, name), (now, ""))
        if expires - now >= _READ_LEFT:
            return url
        url = self._signer.url("GET", bucket, name, now=now, expires_in=READ_EXPIRY)
        with self._lock:
            self._kept[bucket, name] = (now + READ_EXPIRY, url)
            self._kept.move_to_end((bucket, name))
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return url


# Most of a URL's parameters are the same in the next one.
@lru_cache(maxsize=256)
def _quoted(value: str) -> str:
    return quote(value, safe="-_.~")


def _disposition(file_name: str) -> str:
    """RFC 6266: a plain form for old readers and the exact one for all others."""
    plain = re.sub(r'[^ -~]|["\\%]', "_", file_name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"
