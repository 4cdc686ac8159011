"""Animated previews of GIF, WebP and AVIF, within a budget; beyond it the first frame is shown.

The budget is counted and not timed, so that the same file always gives the same bytes. A size whose
animation would be too dear is left out, so that a large GIF may move in the list and stand still
when it is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from PIL import Image

from shared.media.outline import Outline
from shared.media.pixels import fit, in_srgb, orientation_of, shrunk, turned

_KINDS = {"image/gif", "image/webp", "image/avif"}
# Half a minute at 10 frames a second.
MOST_FRAMES = 300
# Decoding and scaling, for all sizes together: about 5 ns a pixel and size, two seconds at most.
MOST_PIXELS = 150_000_000
# Encoding, for each size: 25 to 60 ns a pixel, about a second; 98 frames of 640 x 480.
MOST_ENCODED_PIXELS = 30_000_000
# What a list of twenty should not cost more of; an animation that moves everywhere is larger.
MOST_BYTES = 2_000_000
# One step below the still ones: a frame is seen for a tenth of a second.
_QUALITY, _EFFORT = 70, 0
# Milliseconds: what browsers make of a frame that has less than 20.
_DEFAULT_DURATION, _SHORTEST = 100, 20


def may_move(found: Outline) -> bool:
    """Told from the header, before anything is decoded."""
    pixels = found.width * found.height * found.frames
    return found.type in _KINDS and 1 < found.frames <= MOST_FRAMES and pixels <= MOST_PIXELS


def animated(data: bytes, kind: str, sizes: Sequence[int]) -> dict[int, bytes]:
    """An animated WebP for each of `sizes` that is within the budget, the smallest first."""
    found: dict[int, bytes] = {}
    made: dict[tuple[int, int], bytes] = {}
    for size in sorted(sizes):
        with Image.open(BytesIO(data), formats=[kind]) as image:
            target, frames = fit(image.size, size), getattr(image, "n_frames", 1)
            if frames < 2 or target[0] * target[1] * frames > MOST_ENCODED_PIXELS:
                break
            if target not in made:
                made[target] = _encoded(image, frames, target)
        if len(made[target]) > MOST_BYTES:
            break
        found[size] = made[target]
    return found


def _encoded(image: Image.Image, frames: int, target: tuple[int, int]) -> bytes:
    # A GIF that does not say is played once; zero is for ever in both formats.
    loop = image.info.get("loop", 1 if image.format == "GIF" else 0)
    profile, orientation = image.info.get("icc_profile"), orientation_of(image)
    pictures, durations = [], []
    for number in range(frames):
        image.seek(number)
        frame = turned(in_srgb(shrunk(image, target), profile), orientation)
        pictures.append(frame.convert("RGBA") if frame.mode == "RGBa" else frame.convert("RGB"))
        pictures[-1].info = {}
        duration = int(image.info.get("duration", 0))
        durations.append(duration if duration >= _SHORTEST else _DEFAULT_DURATION)
    content = BytesIO()
    pictures[0].save(
        content,
        "WEBP",
        save_all=True,
        append_images=pictures[1:],
        duration=durations,
        loop=loop,
        quality=_QUALITY,
        method=_EFFORT,
    )
    made = bytearray(content.getvalue())
    if any(picture.mode == "RGBA" for picture in pictures) and made[12:16] == b"VP8X":
        # libwebp looks only at the parts that it encoded, and an opaque part on a clear canvas
        # would come out on black (RFC 9649, 2.7: the alpha flag of the extended header).
        made[20] |= 0x10
    return bytes(made)
