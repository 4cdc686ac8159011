"""What is kept of a picture besides its renditions: a blurred look, a colour, a moment.

From EXIF only the moment is read. Where it was taken, by whom and with what stays in the original.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from PIL import Image

from shared.media.thumbhash import thumbhash

# Pixels a side: the hash keeps seven waves of it, and a colour needs no more.
_LOOK = 32
_COLOURS = 8
_EXIF, _TAKEN, _OFFSET = 0x8769, 0x9003, 0x9011
_MOMENT = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)")
_ZONE = re.compile(r"[+-](?:0\d|1[0-4]):[0-5]\d|Z")
# The first digital cameras. Of a clock that is ahead a day is believed: zones reach that far.
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)


def thumbhash_of(image: Image.Image) -> str:
    """Base64, as CSS and the format's own page take it."""
    small = _look(image)
    return base64.b64encode(thumbhash(*small.size, list(_pixels(small)))).decode()


def colour_of(image: Image.Image) -> str:
    """The colour of the largest of eight groups, as #rrggbb; of what can be seen at all."""
    seen = [pixel[:3] for pixel in _pixels(_look(image)) if pixel[3] > 127]
    if not seen:
        return "#000000"
    strip = Image.new("RGB", (len(seen), 1))
    strip.putdata(seen)
    grouped = strip.quantize(_COLOURS, Image.Quantize.MEDIANCUT)
    _, index = max(grouped.getcolors() or [(0, 0)])
    palette = grouped.getpalette() or [0, 0, 0]
    at = 3 * (index if isinstance(index, int) else 0)
    return "#" + bytes(palette[at : at + 3]).hex()


def captured_at(exif: Callable[[], Image.Exif]) -> str | None:
    """DateTimeOriginal as ISO 8601, with an offset only where the camera wrote one: without, it
    is the time that its owner saw on the clock."""
    try:
        tags = exif().get_ifd(_EXIF)
        match = _MOMENT.match(str(tags.get(_TAKEN, "")))
        if match is None:
            return None
        moment = datetime(*(int(part) for part in match.groups()))  # type: ignore[arg-type]
        zone = str(tags.get(_OFFSET, "")).strip("\0 ")
    except Exception:  # noqa: BLE001 - EXIF that cannot be read costs nobody the picture.
        return None
    return moment.isoformat() + (zone if _ZONE.fullmatch(zone) else "")


def plausible(captured: str | None, now: datetime) -> str | None:
    """A camera whose battery was empty begins at its maker's year; one that is set wrong may be
    ahead."""
    if captured is None:
        return None
    moment = datetime.fromisoformat(captured)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return captured if _EARLIEST <= moment <= now + _AHEAD else None


def _look(image: Image.Image) -> Image.Image:
    small = image.copy()
    small.thumbnail((_LOOK, _LOOK), Image.Resampling.BOX)
    return small.convert("RGBA")


def _pixels(image: Image.Image) -> list[tuple[int, int, int, int]]:
    data = image.tobytes()
    return list(zip(data[::4], data[1::4], data[2::4], data[3::4], strict=True))
