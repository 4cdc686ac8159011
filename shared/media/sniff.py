"""What a file is, told by its own bytes: no decoder is involved and no pixel is made.

`sniff` names the type from the first bytes. `outline` walks the whole container (markers,
chunks, blocks), which costs milliseconds, and finds what decoders do not say: how large the
picture will get before anything is allocated for it, and whether its end is missing.
What stands behind the container's end (phones append clips there) is left alone, unless it makes
the file an archive as well.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from functools import partial

from shared.media.boxes import sniff_boxes, walk_boxes
from shared.media.documents import ends_as_archive, sniff_document, walk_document
from shared.media.outline import BE16, BE32, LE16, LE32, Outline, Rejected, number
from shared.media.tiff import walk_tiff

# The most that honest files hold is far below: a 50 MB PNG in 8 KiB chunks has 6400. The
# limits keep a file made of empty pieces from costing seconds of walking.
_MAX_JPEG_SEGMENTS = 4096
_MAX_CHUNKS = 65536


def sniff(head: bytes) -> str | None:
    """The media type by the magic at offset 0, or None for what is no raster picture.

    64 bytes are enough. SVG, HTML, archives and documents are None, wherever else a picture may
    begin.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "image/tiff"
    return sniff_boxes(head) if head[4:8] == b"ftyp" else None


def kind_of(head: bytes) -> str | None:
    """What a file seems to be by its first kilobytes; `outline` tells whether it is."""
    return sniff(head) or sniff_document(head)


def outline(data: bytes) -> Outline:
    """Walk the container to its end; raises Rejected when it is no whole file of a taken type."""
    kind = sniff(data[:64])
    if ends_as_archive(data):
        raise Rejected("archive")
    if kind is None:
        return walk_document(data)
    try:
        return _WALKS[kind](data)
    # All that reading behind an end raises: it would raise it at each delivery, for ever.
    except (IndexError, ValueError, struct.error) as error:
        raise Rejected("truncated") from error


# JPEG (ITU T.81, annex B)

# Inside entropy-coded data FF is followed by 00 or a restart; everything else is a marker.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = {0xC0, 0xC1}
_START, _END, _SCAN, _RESTART_INTERVAL, _TEMPORARY = 0xD8, 0xD9, 0xDA, 0xDD, 0x01


class _JPEG:
    """What the markers seen so far say.

    libjpeg fills what is missing with grey and reports it only as a warning that Pillow
    drops, and in draft mode a lost tail is easier still to overlook; so the end is proven
    here: the end marker itself, a scan of each component, and as many restart markers as the
    picture's size asks for. Entropy data cut in the middle and closed with a forged end
    marker passes when the file has no restart markers: a picture with a grey foot.
    """

    def __init__(self) -> None:
        self.width = self.height = self.interval = self.scans = self.frame = 0
        self.factors: dict[int, tuple[int, int]] = {}
        self.missing: set[int] = set()

    def start_frame(self, marker: int, segment: bytes) -> None:
        if self.frame:
            raise Rejected("corrupt")
        self.frame = marker
        self.height, self.width = number(BE16, segment, 1), number(BE16, segment, 3)
        for at in range(6, 6 + 3 * segment[5], 3):
            self.factors[segment[at]] = (segment[at + 1] >> 4 or 1, segment[at + 1] & 15 or 1)
        self.missing = set(self.factors)

    def start_scan(self, segment: bytes, data: bytes, at: int) -> None:
        components = set(segment[1 : 1 + 2 * segment[0] : 2])
        self.missing -= components
        self.scans += 1
        if self.interval and self.frame in _SEQUENTIAL and components == set(self.factors):
            self._count_restarts(data, at)

    def _count_restarts(self, data: bytes, at: int) -> None:
        across, down = (max(factor) for factor in zip(*self.factors.values(), strict=True))
        if len(self.factors) == 1:
            across = down = 1
        units = -(-self.width // (8 * across)) * -(-self.height // (8 * down))
        end = _MARKER.search(data, at)
        found = sum(1 for _ in _RESTART.finditer(data, at, end.start() if end else len(data)))
        if found < -(-units // self.interval) - 1:
            raise Rejected("truncated")

    def finish(self) -> Outline:
        if not self.scans or self.missing:
            raise Rejected("truncated")
        return Outline("image/jpeg", self.width, self.height, scans=self.scans)


def _walk_jpeg(data: bytes) -> Outline:
    jpeg, at = _JPEG(), 2
    for _ in range(_MAX_JPEG_SEGMENTS):
        found = _MARKER.search(data, at)
        if found is None:
            raise Rejected("truncated")
        marker, at = data[found.end() - 1], found.end()
        if marker == _END:
            return jpeg.finish()
        if marker in (_START, _TEMPORARY):
            continue
        length = number(BE16, data, at)
        segment, at = data[at + 2 : at + length], at + length
        if length < 2 or at > len(data):
            raise Rejected("truncated" if at > len(data) else "corrupt")
        if marker in _FRAMES:
            jpeg.start_frame(marker, segment)
        elif marker == _SCAN:
            jpeg.start_scan(segment, data, at)
        elif marker == _RESTART_INTERVAL:
            jpeg.interval = number(BE16, segment, 0)
    raise Rejected("corrupt")


# PNG (W3C PNG, third edition)


def _walk_png(data: bytes) -> Outline:
    """Checks every checksum: Pillow skips those of the pixel data."""
    at, frames, kinds = 8, 1, set[bytes]()
    for _ in range(_MAX_CHUNKS):
        length, kind = number(BE32, data, at), data[at + 4 : at + 8]
        end = at + 8 + length
        if number(BE32, data, end) != zlib.crc32(memoryview(data)[at + 4 : end]):
            raise Rejected("corrupt")
        if kind == b"acTL":
            frames = max(1, number(BE32, data, at + 8))
        kinds.add(kind)
        if kind == b"IEND":
            break
        at = end + 4
    if data[12:16] != b"IHDR" or not {b"IDAT", b"IEND"} <= kinds:
        raise Rejected("corrupt")
    width, height = number(BE32, data, 16), number(BE32, data, 20)
    return Outline("image/png", width, height, frames, deep=data[24] == 16)


def png_has_all_rows(data: bytes) -> bool:
    """Whether the pixel data of a walked PNG, once inflated, is as long as its header says.

    Pillow takes the end of the compressed stream for the end of the picture. Inflates all of
    it (about 3 ms a megabyte of pixels), so it is for the suspicious.
    """
    missing, inflate, at = _png_bytes(data), zlib.decompressobj(), 8
    while missing > 0 and data[at + 4 : at + 8] != b"IEND":
        length = number(BE32, data, at)
        if data[at + 4 : at + 8] == b"IDAT":
            left = data[at + 8 : at + 8 + length]
            while left and missing > 0:
                missing -= len(inflate.decompress(left, 1 << 20))
                left = inflate.unconsumed_tail
        at += 12 + length
    # What is still inside the inflater when its input is used up is a few matches long.
    return missing <= 0 or missing <= len(inflate.flush())


# Of an interlaced PNG: each pass' first column, first row, and steps.
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def _png_bytes(data: bytes) -> int:
    """Inflated size: each row has one byte for its filter, and an empty pass has no rows."""
    width, height = number(BE32, data, 16), number(BE32, data, 20)
    bits = data[24] * _PNG_CHANNELS[data[25]]
    total = 0
    for left, top, across, down in _ADAM7 if data[28] else ((0, 0, 1, 1),):
        columns, rows = -((left - width) // across), -((top - height) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits // 8))
    return total


# GIF (GIF89a specification)


def _walk_gif(data: bytes) -> Outline:
    width, height = number(LE16, data, 6), number(LE16, data, 8)
    at, frames = 13 + _colours(data[10]), 0
    while data[at] != 0x3B:
        if data[at] == 0x21:
            at = _after_blocks(data, at + 2)
        elif data[at] == 0x2C:
            if not frames:
                # Decoders grow the canvas to hold the first frame.
                left, top, across, down = (number(LE16, data, at + i) for i in (1, 3, 5, 7))
                width, height = max(width, left + across), max(height, top + down)
            frames += 1
            at = _after_blocks(data, at + 11 + _colours(data[at + 9]))
        else:
            raise Rejected("corrupt")
    if not frames:
        raise Rejected("corrupt")
    return Outline("image/gif", width, height, frames)


def _colours(flags: int) -> int:
    """Bytes of the colour table that the flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    while size := data[at]:
        at += 1 + size
    return at + 1


# WebP (RFC 9649)


def _walk_webp(data: bytes) -> Outline:
    """Reads the canvas by hand: libwebp's decoder allocates it twice on opening a file."""
    end = 8 + number(LE32, data, 4)
    if end > len(data):
        raise Rejected("truncated")
    at, frames, pixels = 12, 0, False
    size: tuple[int, int] | None = None
    for _ in range(_MAX_CHUNKS):
        if at + 8 > end:
            break
        kind, length = data[at : at + 4], number(LE32, data, at + 4)
        if at + 8 + length > end:
            raise Rejected("truncated")
        size = size or _canvas(kind, data[at + 8 : at + 18])
        frames += kind == b"ANMF"
        pixels |= kind in (b"ANMF", b"VP8 ", b"VP8L")
        at += 8 + length + (length & 1)
    if size is None or not pixels:
        raise Rejected("corrupt")
    return Outline("image/webp", *size, max(1, frames))


def _canvas(kind: bytes, head: bytes) -> tuple[int, int] | None:
    if kind == b"VP8X":
        across, down = head[4:7] + b"\0", head[7:10] + b"\0"
        return number(LE32, across, 0) + 1, number(LE32, down, 0) + 1
    if kind == b"VP8 ":
        return number(LE16, head, 6) & 0x3FFF, number(LE16, head, 8) & 0x3FFF
    if kind == b"VP8L":
        bits = number(LE32, head, 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


_WALKS: dict[str, Callable[[bytes], Outline]] = {
    "image/jpeg": _walk_jpeg,
    "image/png": _walk_png,
    "image/gif": _walk_gif,
    "image/webp": _walk_webp,
    "image/tiff": walk_tiff,
    "image/heic": partial(walk_boxes, kind="image/heic"),
    "image/avif": partial(walk_boxes, kind="image/avif"),
}
