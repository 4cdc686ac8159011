"""The smaller copies of a picture that the browser shows, made from one decode.

The order is the point. The file's own header is checked before a decoder sees it; JPEG is
decoded at the smallest scale that still holds the largest rendition; everything dear (colour,
orientation) is done on that small image; each rendition is made from the one above it.
The same bytes in give the same bytes out, so a second delivery rewrites nothing.
Nothing of the original's metadata gets into a rendition: not its place, not its profile.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from shared.media.animation import animated, may_move
from shared.media.budget import bounded_memory
from shared.media.outline import Outline, Rejected
from shared.media.pixels import averaged, fit, in_srgb, orientation_of, shrunk, turned
from shared.media.sniff import outline, png_has_all_rows
from shared.media.traits import captured_at, colour_of, thumbhash_of

__all__ = ["Rejected", "Rendered", "Rendition", "check", "make", "render"]

SIZES = (320, 640, 1280)
# Counted up when the same original would give other renditions or other traits: what was made
# by an older recipe can then be told, and made again.
RECIPE = 1

# 50 megapixels is what phones take at most by default, and 200 MB decoded: a fifth of the
# function's memory. 16 bits count twice.
MAX_PIXELS = 50_000_000
# libwebp has no scaled decode and Pillow holds four copies of the canvas, 16 bytes a pixel:
# 32 megapixels are 512 MB, half of the function's memory. Of an AVIF there are three copies.
_MAX_PIXELS_OF = {"image/webp": 32_000_000, "image/avif": 32_000_000}
# Beyond this side a picture is a strip that no rendition can show.
MAX_SIDE = 30_000
# A progressive JPEG is passed over once a scan, and a scan may be a few bytes: 50 megapixels
# may have twenty, where encoders make about ten. Viewers make the frames of an animation one by
# one, too.
MAX_PASSED_PIXELS = 20 * MAX_PIXELS

QUALITY = 80
# Chosen by measuring, see docs/decisions/2026-11-webp-effort.md.
EFFORT = 2
_FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/avif": "AVIF",
    "image/tiff": "TIFF",
}
# Those that Pillow does not load with the first picture.
_PLUGINS = {"image/avif": "Avif", "image/tiff": "Tiff"}
# What a client may call it as well.
_ALIASES = {"image/heif": "image/heic"}
Source = BinaryIO | Path | str


@dataclass(frozen=True)
class Rendition:
    """`size` is the side of the square it fits into; a small original is never enlarged."""

    size: int
    width: int
    height: int
    content: bytes
    animated: bool = False
    content_type: str = "image/webp"


@dataclass(frozen=True)
class Rendered:
    """Width and height are the original's as seen, after orientation. `captured_at` is what the
    camera wrote, in ISO 8601, and may be nonsense."""

    width: int
    height: int
    renditions: tuple[Rendition, ...]
    thumbhash: str
    colour: str
    captured_at: str | None


@dataclass(frozen=True)
class _Decoded:
    """One small upright image in sRGB, and what only the file knows."""

    image: Image.Image
    size: tuple[int, int]
    captured_at: str | None


# Before the decoder


def check(data: bytes, declared: str | None = None) -> Outline:
    """What the file is, told without decoding. Raises Rejected when it is not whole, not what
    was declared, or too large to be decoded."""
    found = outline(data)
    if declared is not None and _ALIASES.get(declared, declared) != found.type:
        raise Rejected("type-mismatch")
    if found.is_document:
        return found
    if not (0 < found.width <= MAX_SIDE and 0 < found.height <= MAX_SIDE):
        raise Rejected("bad-dimensions")
    pixels = found.width * found.height
    if (
        pixels * (1 + found.deep) > _MAX_PIXELS_OF.get(found.type, MAX_PIXELS)
        or pixels * found.scans * found.frames > MAX_PASSED_PIXELS
    ):
        raise Rejected("too-many-pixels")
    return found


# Making them


def render(source: Source, sizes: Sequence[int] = SIZES, declared: str | None = None) -> Rendered:
    """Check the picture and make each size; raises Rejected, nothing else."""
    data = Path(source).read_bytes() if isinstance(source, str | Path) else source.read()
    return make(data, check(data, declared), sizes)


def make(data: bytes, found: Outline, sizes: Sequence[int] = SIZES) -> Rendered:
    """Decode a checked picture once, wholly, and make each size; raises Rejected."""
    _load_plugins(found.type)
    with _rejections(), bounded_memory():
        decoded = _decoded(data, found, max(sizes))
        moving = animated(data, _FORMATS[found.type], sizes) if may_move(found) else {}
    with ThreadPoolExecutor(max_workers=2) as encoders:
        encoded = _ladder(decoded.image, decoded.size, sizes, moving, encoders)
        # While the last of them are encoded.
        thumbhash, colour = thumbhash_of(decoded.image), colour_of(decoded.image)
    renditions = tuple(
        Rendition(size, *wanted, moving.get(size) or encoded[wanted].result(), size in moving)
        for size in sorted(sizes)
        for wanted in [fit(decoded.size, size)]
    )
    return Rendered(*decoded.size, renditions, thumbhash, colour, decoded.captured_at)


def _load_plugins(kind: str) -> None:
    """Or Pillow loads all of its fifty to find WebP: half of the first picture's start."""
    for name in ("WebP", _PLUGINS.get(kind)):
        if name:
            import_module(f"PIL.{name}ImagePlugin")


@contextmanager
def _rejections() -> Iterator[None]:
    """Whatever a decoder says about a strange file is a rejection, and it says it silently.

    The size was checked before, so even a MemoryError means a lying file. The filter of
    warnings is the process's: the function that renders takes one event at a time.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except Rejected:
            raise
        except Exception as error:
            raise Rejected("truncated" if "truncated" in str(error) else "corrupt") from error


def _decoded(data: bytes, found: Outline, side: int) -> _Decoded:
    if found.type == "image/heic":
        return _decoded_heic(data, found, side)
    with Image.open(BytesIO(data), formats=[_FORMATS[found.type]]) as image:
        _check_size(image.size, found)
        # Before the decode, which may leave a JPEG at a fraction of it.
        width, height = image.size
        profile = image.info.get("icc_profile")
        # Pillow turns a TIFF by itself while loading it.
        orientation = 1 if found.type == "image/tiff" else orientation_of(image)
        taken = captured_at(image.getexif)
        small = shrunk(image, fit(image.size, side))
        if found.type == "image/png" and _ends_blank(image) and not png_has_all_rows(data):
            raise Rejected("truncated")
    small = turned(in_srgb(small, profile), orientation)
    return _Decoded(small, (height, width) if orientation >= 5 else (width, height), taken)


def _decoded_heic(data: bytes, found: Outline, side: int) -> _Decoded:
    # Imported when such a file comes: libheif takes 8 MB and 20 ms.
    from shared.media.heic import Heic

    picture = Heic(data)
    _check_size(picture.size, found)
    picture.load()
    target = fit(picture.size, side)
    small = averaged(
        picture.band,
        picture.size,
        (0.0, 0.0, float(picture.size[0]), float(picture.size[1])),
        target,
    )
    return _Decoded(
        in_srgb(small, picture.info.get("icc_profile")), picture.size, captured_at(picture.exif)
    )


def _check_size(size: tuple[int, int], found: Outline) -> None:
    """What is about to be decoded is what was found. Of HEIC and AVIF the largest item was, which
    may be a coded block or a hidden picture, and they and TIFF may tell the turned size."""
    known = (found.width, found.height)
    if found.type in ("image/heic", "image/avif"):
        fits = size[0] * size[1] <= known[0] * known[1]
    else:
        fits = size == known or (found.type == "image/tiff" and size == known[::-1])
    if not fits:
        raise Rejected("corrupt")


def _ends_blank(image: Image.Image) -> bool:
    """Rows that were never decoded are zeros; interlaced, the last to come is one of two."""
    rows = range(max(0, image.height - 2), image.height)
    return any(image.crop((0, y, image.width, y + 1)).getbbox() is None for y in rows)


# From the small image to the renditions


def _ladder(
    image: Image.Image,
    original: tuple[int, int],
    sizes: Sequence[int],
    moving: Mapping[int, bytes],
    encoders: ThreadPoolExecutor,
) -> dict[tuple[int, int], Future[bytes]]:
    """Encoding is the larger half of the work and leaves the interpreter's lock, so a size is
    encoded while the next is made. Sizes that an original is too small for share one."""
    image.info = {}
    encoded: dict[tuple[int, int], Future[bytes]] = {}
    for size in sorted(sizes, reverse=True):
        wanted = fit(original, size)
        if size in moving:
            continue
        if image.size != wanted:
            image = image.resize(wanted, Image.Resampling.LANCZOS)
        if wanted not in encoded:
            encoded[wanted] = encoders.submit(_encoded, image)
    return encoded


def _encoded(image: Image.Image) -> bytes:
    content = BytesIO()
    straight = image.convert("RGBA") if image.mode == "RGBa" else image
    straight.save(content, "WEBP", quality=QUALITY, method=EFFORT)
    return content.getvalue()
