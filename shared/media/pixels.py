"""From a decoded picture to a small one: averaging in bands, colour, and which way is up."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from io import BytesIO

from PIL import Image, ImageCms

# How much larger than its target an image is left by cheap box averaging before the exact
# filter; below 2 the loss becomes visible in SSIM.
_GAP = 2.0
# Rows are converted and averaged in bands of about this many pixels (8 MB of RGBA), so that
# no second full-size copy is ever made.
_BAND_PIXELS = 2_000_000

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

Box = tuple[float, float, float, float]
# The rows from one to another, of the full width.
Band = Callable[[int, int], Image.Image]


def orientation_of(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - browsers show a picture whose EXIF is broken, upright.
        return 1
    return value if value in _TURNS else 1


def fit(size: tuple[int, int], side: int) -> tuple[int, int]:
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def shrunk(image: Image.Image, target: tuple[int, int]) -> Image.Image:
    """Decode and resize to `target`; alpha comes premultiplied (RGBa), so that the colour
    under transparent pixels does not bleed."""
    drafted = image.draft(None, target) if image.format == "JPEG" else None
    image.load()
    width, height = image.size
    box = drafted[1] if drafted else (0.0, 0.0, float(width), float(height))

    def band(top: int, bottom: int) -> Image.Image:
        whole = top == 0 and bottom == image.height
        return image if whole else image.crop((0, top, image.width, bottom))

    return averaged(band, image.size, box, target)


def averaged(band: Band, size: tuple[int, int], box: Box, target: tuple[int, int]) -> Image.Image:
    across, down = (max(1, int(box[i + 2] / target[i] / _GAP)) for i in (0, 1))
    reduced = _reduced(band, size, across, down)
    box = (0, 0, min(box[2] / across, reduced.width), min(box[3] / down, reduced.height))
    return reduced.resize(target, Image.Resampling.LANCZOS, box=box)


def _reduced(band: Band, size: tuple[int, int], across: int, down: int) -> Image.Image:
    width, height = size
    rows = max(1, _BAND_PIXELS // (width * down)) * down
    if rows >= height:
        return _plain(band(0, height)).reduce((across, down))
    whole: Image.Image | None = None
    for top in range(0, height, rows):
        part = _plain(band(top, min(top + rows, height))).reduce((across, down))
        whole = whole or Image.new(part.mode, (part.width, -(-height // down)))
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


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
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


def turned(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)
