"""Reads a multipart body from the wire into text fields and spooled files, with a cap on all.

werkzeug's sans-io decoder does the framing. The whole body is already bounded by the
route's cap (`Incoming.chunks`), so what is left to bound here is memory and work: parts,
part headers, and text fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import IO, BinaryIO, cast

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import (
    Data,
    Epilogue,
    Event,
    Field,
    File,
    MultipartDecoder,
    NeedData,
)

from shared.errors import Invalid, MalformedRequest, TooLarge, UnsupportedMediaType
from shared.http.model import UploadedFile

# The widest form of ours has one file and a handful of fields.
_MAX_PARTS = 16
# Names, ids and short texts; a description as long as a task's fits as well.
_MAX_FIELD = 16 * 1024
# What the decoder may hold back while it looks for a boundary or the end of part headers:
# one chunk from the wire (64 KiB) and far more headers than a browser sends.
_MAX_BUFFER = 128 * 1024
# Small files never touch the disk, which in the cloud is memory anyway.
_SPOOL = 1024 * 1024


@dataclass
class Form:
    """Fields in order of arrival; files are open until `close`."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    files: dict[str, UploadedFile] = field(default_factory=dict)
    opened: list[IO[bytes]] = field(default_factory=list)

    def open(self) -> IO[bytes]:
        stream = SpooledTemporaryFile(_SPOOL)  # noqa: SIM115 -- The Form closes it.
        self.opened.append(cast(IO[bytes], stream))
        return self.opened[-1]

    def close(self) -> None:
        for stream in self.opened:
            stream.close()


def read_boundary(content_type: str | None) -> bytes:
    """Raises UnsupportedMediaType for another type, MalformedRequest for no boundary."""
    media_type, options = parse_options_header(content_type)
    if media_type != "multipart/form-data":
        raise UnsupportedMediaType("Send multipart/form-data.")
    boundary = options.get("boundary", "")
    # RFC 2046: 1 to 70 characters of a small set.
    if not 0 < len(boundary) <= 70 or not (boundary.isascii() and boundary.isprintable()):
        raise MalformedRequest("The multipart boundary is missing or malformed.")
    return boundary.encode("ascii")


def read_form(boundary: bytes, chunks: Iterable[bytes], form: Form) -> None:
    """Fills `form`, which the caller closes whatever happens.

    Raises MalformedRequest for framing that cannot be read, TooLarge for a text field over
    its cap, Invalid for a file that comes twice.
    """
    decoder = MultipartDecoder(boundary, _MAX_BUFFER)
    reader = _Reader(form)
    try:
        for chunk in chunks:
            decoder.receive_data(chunk)
            _drain(decoder, reader)
        decoder.receive_data(None)
        _drain(decoder, reader)
    except (ValueError, RequestEntityTooLarge):
        raise MalformedRequest("The multipart body could not be read.") from None


def _drain(decoder: MultipartDecoder, reader: _Reader) -> None:
    while True:
        event = decoder.next_event()
        if isinstance(event, NeedData):
            return
        reader.take(event)
        if isinstance(event, Epilogue):
            return


class _Reader:
    def __init__(self, form: Form) -> None:
        self._form = form
        self._parts = 0
        self._head: Field | File | None = None
        self._stream: IO[bytes] | None = None
        self._text = bytearray()
        self._size = 0

    def take(self, event: Event) -> None:
        if isinstance(event, Field | File):
            self._start(event)
        elif isinstance(event, Data) and self._head is not None:
            self._grow(event.data)
            if not event.more_data:
                self._end(self._head)

    def _start(self, head: Field | File) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS or not head.name:
            raise ValueError("too many parts, or one without a name")
        self._head, self._size, self._stream = head, 0, None
        self._text.clear()
        if isinstance(head, File):
            if head.name in self._form.files:
                raise Invalid(errors=[{"pointer": f"/{head.name[:64]}", "message": "Given twice"}])
            self._stream = self._form.open()

    def _grow(self, data: bytes) -> None:
        self._size += len(data)
        if self._stream is not None:
            self._stream.write(data)
        elif self._size > _MAX_FIELD:
            raise TooLarge(f"A text field may have up to {_MAX_FIELD} bytes.")
        else:
            self._text += data

    def _end(self, head: Field | File) -> None:
        if self._stream is None:
            self._form.fields.append((head.name, self._text.decode("utf-8")))
            return
        self._stream.seek(0)
        self._form.files[head.name] = UploadedFile(
            filename=cast(File, head).filename,
            content_type=head.headers.get("Content-Type") or "application/octet-stream",
            stream=cast(BinaryIO, self._stream),
            size=self._size,
        )
