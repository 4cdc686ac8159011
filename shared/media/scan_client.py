"""Asks the scan service (services/scanner) for its verdict on one generation of an object.

The bytes do not travel: Cloud Run takes requests of 32 MiB over HTTP/1, and an upload may have 50
("Cloud Run: Quotas and limits"). The service reads the object itself, so its answer repeats which
generation it read and what the checksum of those bytes was; a verdict on anything else than what
the caller holds is none. Only a 200 of the exact form is a verdict: Cloud Run itself answers 401,
403, 404, 429 and 503 in the service's place, and none of them says anything of a file.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from shared.access_token import AccessTokens, MetadataIDTokens
from shared.errors import Unavailable
from shared.http.model import Model
from shared.kept_http import KeptHTTP, NoAnswer
from shared.media.checksums import crc32c_of
from shared.media.objects import ObjectVersion
from shared.media.scan import Seen

# Seconds for everything: longer than the service gives clamd, with time to read the object, and
# short enough that the function has two minutes left to decode.
_WHOLE = 180.0
_CONNECT = 2.0
# A function takes one file at a time.
_KEPT = 1
_CALLER = "the scan service refuses this function's account (%d): may it invoke the service?"
_log = logging.getLogger(__name__)


class Look(Model):
    """What is to be scanned: nothing else is taken, and no bytes."""

    bucket: Annotated[str, Field(min_length=1, max_length=222)]
    object: Annotated[str, Field(min_length=1, max_length=1024)]
    generation: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,18}$")]


class Verdict(Model):
    """`gone` says that there is no such generation, and has no engine. Over a limit the object
    need not have been read to its end, so there is no checksum."""

    verdict: Literal["clean", "infected", "scan-limit", "gone"]
    engine: Annotated[str, Field(max_length=4096, pattern=r"^[ -~]*$")]
    generation: str
    crc32c: str | None


class ScanService:
    """`url` is the service's origin, and the audience of the tokens for it."""

    def __init__(self, url: str, tokens: AccessTokens | None = None, whole: float = _WHOLE) -> None:
        self._http = KeptHTTP(url, _KEPT)
        self._tokens = tokens or MetadataIDTokens(url)
        self._whole = whole

    def scan(self, upload: ObjectVersion, content: bytes) -> str:
        verdict = self._asked(upload)
        if verdict.generation != str(upload.generation):
            raise Unavailable("The scan service looked at another generation")
        if verdict.verdict == "gone":
            # Its word alone ends nothing. The event comes again, and its first step is to look.
            raise Unavailable("The scan service does not find the upload")
        if verdict.verdict != "scan-limit" and verdict.crc32c != crc32c_of([content]):
            raise Unavailable("The scan service looked at other bytes")
        if not verdict.engine:
            raise Unavailable("The scan service does not say who looked")
        return Seen(verdict.engine, verdict.verdict).passed()

    def _asked(self, upload: ObjectVersion) -> Verdict:
        generation = str(upload.generation)
        look = {"bucket": upload.bucket, "object": upload.name, "generation": generation}
        status, answer = self._sent(json.dumps(look))
        if status in (401, 403):
            _log.error(_CALLER, status)
        if status != 200:
            raise Unavailable(f"The scan service answers {status}")
        try:
            return Verdict.model_validate_json(answer, strict=True, by_alias=True, by_name=False)
        except ValidationError:
            raise Unavailable("The scan service gave no verdict") from None

    def _sent(self, body: str) -> tuple[int, bytes]:
        """Twice at most: a kept connection may end while the request is on its way, and scanning
        twice does no harm."""
        end = time.monotonic() + self._whole
        for last in (False, True):
            headers = {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {self._tokens.token()}",
            }
            left = max(0.001, end - time.monotonic())
            try:
                return self._http.post("/", body.encode(), headers, connect=_CONNECT, whole=left)
            except NoAnswer as error:
                if last:
                    raise Unavailable(f"The scan service does not answer ({error})") from None
        raise AssertionError  # The loop ends before.
