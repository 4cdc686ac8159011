"""The smaller copies of a picture that the browser shows, made from one decode.

The order is the point. The file's own header is checked before a decoder sees it; JPEG is
decoded at the smallest scale that still holds the largest rendition; everything dear (colour,
orientation) is done on that small image; each rendition is made from the one above it.
The same bytes in give the same bytes out, so a second delivery rewrites nothing.
Nothing of the original's metadata gets into a rendition: not its place, not its profile.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageCms

from shared.media.sniff import Outline, Reason, Rejected, outline, png_has_all_rows, sniff

__all__ = ["Picture", "Reason", "Rejected", "Rendered", "Rendition", "inspect", "render", "sniff"]

SIZES = (320, 640, 1280)

# 50 megapixels is what phones take at most by default, and 200 MB decoded: a fifth of the
# function's memory. Frames count, because the viewer decodes them; 16 bits count twice.
MAX_PIXELS = 50_000_000
# libwebp has no scaled decode and Pillow holds four copies of the canvas, 16 bytes a pixel:
# 32 megapixels are 512 MB, half of the function's memory.
MAX_WEBP_PIXELS = 32_000_000
# Beyond this side a picture is a strip that no rendition can show.
MAX_SIDE = 30_000
# A progressive JPEG is passed over once a scan, and a scan may be a few bytes: 50 megapixels
# may have twenty, where encoders make about ten.
MAX_SCANNED_PIXELS = 20 * MAX_PIXELS

QUALITY = 80
# Chosen by measuring, see docs/decisions/2026-11-webp-effort.md.
EFFORT = 2
# How much larger than its target an image is left by cheap box averaging before the exact
# filter; below 2 the loss becomes visible in SSIM.
_GAP = 2.0
# Rows are converted and averaged in bands of about this many pixels (8 MB of RGBA), so that
# no second full-size copy is ever made.
_BAND_PIXELS = 2_000_000

_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/webp": "WEBP"}
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Source = BinaryIO | Path | str


@dataclass(frozen=True)
class Picture:
    """What the header says; width and height are as stored, before `orientation` (1-8)."""

    type: str
    width: int
    height: int
    frames: int
    orientation: int


@dataclass(frozen=True)
class Rendition:
    """`size` is the side of the square it fits into; a small original is never enlarged."""

    size: int
    width: int
    height: int
    content: bytes
    content_type: str = "image/webp"


@dataclass(frozen=True)
class Rendered:
    """Width and height are the original's as seen, after orientation."""

    width: int
    height: int
    picture: Picture
    renditions: tuple[Rendition, ...]


def inspect(source: Source, declared: str | None = None) -> Picture:
    """Read type, size and orientation without decoding; raises Rejected.

    The container is walked to its end, so a file whose tail is missing is refused here.
    """
    data = _read(source)
    with _rejections(), _opened(data, _checked(data, declared)) as (image, header):
        return _picture(image, header)


def render(source: Source, sizes: Sequence[int] = SIZES, declared: str | None = None) -> Rendered:
    """Decode the picture once, wholly, and make each size; raises Rejected, nothing else."""
    data = _read(source)
    with _rejections(), _opened(data, _checked(data, declared)) as (image, header):
        picture = _picture(image, header)
        profile = image.info.get("icc_profile")
        small = _shrunk(image, _fit(image.size, max(sizes)))
        if header.type == "image/png" and _ends_blank(image) and not png_has_all_rows(data):
            raise Rejected("truncated")
    small = _turned(_in_srgb(small, profile), picture.orientation)
    width, height = picture.width, picture.height
    if picture.orientation >= 5:
        width, height = height, width
    return Rendered(width, height, picture, _ladder(small, (width, height), sizes))


def _read(source: Source) -> bytes:
    return Path(source).read_bytes() if isinstance(source, str | Path) else source.read()


# Before the decoder


def _checked(data: bytes, declared: str | None) -> Outline:
    header = outline(data)
    if declared is not None and declared != header.type:
        raise Rejected("type-mismatch")
    if not (0 < header.width <= MAX_SIDE and 0 < header.height <= MAX_SIDE):
        raise Rejected("bad-dimensions")
    pixels = header.width * header.height
    allowed = MAX_WEBP_PIXELS if header.type == "image/webp" else MAX_PIXELS
    if (
        pixels > allowed
        or pixels * header.frames * (1 + header.deep) > MAX_PIXELS
        or pixels * header.scans > MAX_SCANNED_PIXELS
    ):
        raise Rejected("too-many-pixels")
    return header


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


@contextmanager
def _opened(data: bytes, header: Outline) -> Iterator[tuple[Image.Image, Outline]]:
    with Image.open(BytesIO(data), formats=[_FORMATS[header.type]]) as image:
        if image.size != (header.width, header.height):
            raise Rejected("corrupt")
        yield image, header


def _picture(image: Image.Image, header: Outline) -> Picture:
    return Picture(header.type, *image.size, header.frames, _orientation(image))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - browsers show a picture whose EXIF is broken, upright.
        return 1
    return value if value in _TURNS else 1


# From the file to one small image


def _fit(size: tuple[int, int], side: int) -> tuple[int, int]:
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _shrunk(image: Image.Image, target: tuple[int, int]) -> Image.Image:
    """Decode and resize to `target`; alpha comes premultiplied (RGBa), so that the colour
    under transparent pixels does not bleed."""
    drafted = image.draft(None, target) if image.format == "JPEG" else None
    image.load()
    box = drafted[1] if drafted else (0.0, 0.0, *map(float, image.size))
    across, down = (max(1, int(box[i + 2] / target[i] / _GAP)) for i in (0, 1))
    reduced = _reduced(image, across, down)
    box = (0, 0, min(box[2] / across, reduced.width), min(box[3] / down, reduced.height))
    return reduced.resize(target, Image.Resampling.LANCZOS, box=box)


def _ends_blank(image: Image.Image) -> bool:
    """Rows that were never decoded are zeros; interlaced, the last to come is one of two."""
    rows = range(max(0, image.height - 2), image.height)
    return any(image.crop((0, y, image.width, y + 1)).getbbox() is None for y in rows)


def _reduced(image: Image.Image, across: int, down: int) -> Image.Image:
    rows = max(1, _BAND_PIXELS // (image.width * down)) * down
    if rows >= image.height:
        return _plain(image).reduce((across, down))
    whole: Image.Image | None = None
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        part = _plain(band).reduce((across, down))
        whole = whole or Image.new(part.mode, (part.width, -(-image.height // down)))
        whole.paste(part, (0, top // down))
    assert whole is not None  # noqa: S101 - a picture has at least one row.
    return whole


def _plain(image: Image.Image) -> Image.Image:
    """In L, RGB, CMYK or premultiplied RGBa: the modes that average correctly."""
    if image.has_transparency_data:
        return image.convert("RGBA").convert("RGBa")
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    if image.mode.startswith("I"):
        # Pillow clips 16-bit gray to 255 where it should scale it.
        return image.convert("F").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    return image.convert("L" if image.mode == "1" else "RGB")


# Colour and orientation, on the small image


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """A broken profile, or one for another kind of colour, is ignored, as browsers do."""
    alpha = None
    if image.mode == "RGBa":
        straight = image.convert("RGBA")
        alpha, image = straight.getchannel("A"), straight.convert("RGB")
    image = _converted(image, profile) if profile else image
    image = image if image.mode in ("L", "RGB") else image.convert("RGB")
    if alpha is None or alpha.getextrema() == (255, 255):
        return image
    image.putalpha(alpha)
    return image.convert("RGBa")


def _converted(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if "sRGB" in (source.profile.profile_description or ""):
            return image
        if space != {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}[image.mode]:
            return image
        changed = ImageCms.profileToProfile(image, source, _srgb(), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return image
    return changed or image


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


# From the small image to the renditions


def _ladder(
    image: Image.Image, original: tuple[int, int], sizes: Sequence[int]
) -> tuple[Rendition, ...]:
    """Encoding is the larger half of the work and leaves the interpreter's lock, so a size is
    encoded while the next is made. Sizes that an original is too small for share one."""
    image.info = {}
    with ThreadPoolExecutor(max_workers=2) as encoders:
        encoded = {}
        for size in sorted(sizes, reverse=True):
            wanted = _fit(original, size)
            if image.size != wanted:
                image = image.resize(wanted, Image.Resampling.LANCZOS)
            if wanted not in encoded:
                encoded[wanted] = encoders.submit(_encoded, image)
    return tuple(
        Rendition(size, *wanted, encoded[wanted].result())
        for size in sorted(sizes)
        for wanted in [_fit(original, size)]
    )


def _encoded(image: Image.Image) -> bytes:
    content = BytesIO()
    straight = image.convert("RGBA") if image.mode == "RGBa" else image
    straight.save(content, "WEBP", quality=QUALITY, method=EFFORT)
    return content.getvalue()
