"""ThumbHash: what a picture looks like, in some 25 bytes, for the page to show before it is there.

The format is Evan Wallace's (evanw.github.io/thumbhash): the lowest frequencies of a cosine
transform of brightness, two colour differences and opacity. The transform is done for rows and
then for columns, which gives the reference's numbers in a tenth of its multiplications.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from math import cos, floor, pi
from operator import mul

Pixel = tuple[int, int, int, int]


@dataclass(frozen=True)
class _Channel:
    """The mean, and the other coefficients as shares (0 to 1) of `scale` around the middle."""

    mean: float
    others: list[float]
    scale: float


def thumbhash(width: int, height: int, pixels: Sequence[Pixel]) -> bytes:
    """Of straight RGBA, row by row; at most 100 pixels a side, as the format has it."""
    if not (0 < width <= 100 and 0 < height <= 100 and len(pixels) == width * height):
        raise ValueError("not a picture of at most 100 x 100")
    light, yellow, red, opacity = _channels(pixels)
    is_clear = sum(opacity) < len(pixels)
    longest, most = max(width, height), 5 if is_clear else 7
    across, down = (max(1, _round(most * side / longest)) for side in (width, height))
    size = (width, height)
    first = _encoded(light, size, max(3, across), max(3, down))
    second, third = (_encoded(values, size, 3, 3) for values in (yellow, red))
    channels = [first, second, third]
    header = _round(63 * first.mean) | _round(31.5 + 31.5 * second.mean) << 6
    header |= _round(31.5 + 31.5 * third.mean) << 12 | _round(31 * first.scale) << 18
    is_landscape = width > height
    more = (down if is_landscape else across) | _round(63 * second.scale) << 3
    more |= _round(63 * third.scale) << 9 | is_landscape << 15
    made = (header | is_clear << 23).to_bytes(3, "little") + more.to_bytes(2, "little")
    if is_clear:
        fourth = _encoded(opacity, size, 5, 5)
        channels.append(fourth)
        made += bytes([_round(15 * fourth.mean) | _round(15 * fourth.scale) << 4])
    return made + _nibbles([_round(15 * one) for channel in channels for one in channel.others])


def _channels(pixels: Sequence[Pixel]) -> tuple[list[float], ...]:
    """Clear pixels take the mean colour, or what is hidden under them would show."""
    opacity = [pixel[3] / 255 for pixel in pixels]
    total = sum(opacity)
    mean = [
        sum(pixel[i] * a for pixel, a in zip(pixels, opacity, strict=True)) / 255 / (total or 1)
        for i in range(3)
    ]
    light, yellow, red = [], [], []
    for pixel, a in zip(pixels, opacity, strict=True):
        r, g, b = (mean[i] * (1 - a) + a / 255 * pixel[i] for i in range(3))
        light.append((r + g + b) / 3)
        yellow.append((r + g) / 2 - b)
        red.append(r - g)
    return light, yellow, red, opacity


def _encoded(values: Sequence[float], size: tuple[int, int], nx: int, ny: int) -> _Channel:
    width, height = size
    waves = [[cos(pi / width * cx * (x + 0.5)) for x in range(width)] for cx in range(nx)]
    rows = [values[y * width : (y + 1) * width] for y in range(height)]
    by_row = [[sum(map(mul, row, wave)) for row in rows] for wave in waves]
    found = []
    for cy in range(ny):
        wave = [cos(pi / height * cy * (y + 0.5)) for y in range(height)]
        for cx in range(nx):
            # The triangle of low frequencies.
            if cx * ny < nx * (ny - cy):
                found.append(sum(map(mul, by_row[cx], wave)) / (width * height))
    mean, *others = found
    scale = max(map(abs, others))
    return _Channel(mean, [0.5 + 0.5 / scale * f if scale else f for f in others], scale)


def _round(value: float) -> int:
    """Half upwards, as the reference's language does."""
    return floor(value + 0.5)


def _nibbles(values: Sequence[int]) -> bytes:
    pairs = zip(values[::2], chain(values[1::2], [0]), strict=False)
    return bytes(low | high << 4 for low, high in pairs)
