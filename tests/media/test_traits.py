"""What is kept of a picture besides its renditions."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from io import BytesIO

import pytest
from PIL import Image, TiffImagePlugin

from shared.media.renditions import Rendered, render
from shared.media.thumbhash import Pixel, thumbhash
from shared.media.traits import plausible
from tests.fixtures import pictures

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def pattern(width: int, height: int, clear: bool) -> list[Pixel]:
    return [
        (
            (x * 37 + y * 11) % 256,
            (x * x + 3 * y) % 256,
            255 * y // max(1, height - 1),
            x * 255 // max(1, width - 1) if clear else 255,
        )
        for y in range(height)
        for x in range(width)
    ]


# By the reference implementation (npm thumbhash 0.1.1) of the same pixels.
VECTORS = [
    (32, 24, False, "3hcKbYhldphwd4iHh2eId3Z/9515"),
    (24, 32, False, "nicKZQhVh3CHeHdnd4d4eGZ/979r"),
    (100, 100, False, "3wcKbwJ3d3dwd3d3d3eIeIiHd/d3mZgP"),
    (1, 1, False, "AAgCBwAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    (1, 40, False, "mWYyURoIhXqIh4h3946FkEg="),
    (40, 1, True, "kwuq6YJ3h4eIiICHiNCGCISHiIiwd/g="),
    (7, 9, True, "2uaGRAZHdgq5doiWd/dzKA4GeIiIiIh4Bw=="),
]


@pytest.mark.parametrize(("width", "height", "clear", "expected"), VECTORS)
def test_the_thumbhash_is_the_references(
    width: int, height: int, clear: bool, expected: str
) -> None:
    made = thumbhash(width, height, pattern(width, height, clear))
    assert base64.b64encode(made).decode() == expected


def test_the_thumbhash_of_nothing_at_all_is_the_references() -> None:
    made = base64.b64encode(thumbhash(16, 16, [(0, 0, 0, 0)] * 256)).decode()
    assert made == "AAiCBQAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="


@pytest.mark.parametrize(("width", "height", "count"), [(0, 1, 0), (101, 1, 101), (2, 2, 3)])
def test_what_the_format_does_not_take_is_refused(width: int, height: int, count: int) -> None:
    with pytest.raises(ValueError):
        thumbhash(width, height, [(0, 0, 0, 255)] * count)


def made(content: bytes) -> Rendered:
    return render(BytesIO(content), (320,))


def test_the_traits_are_those_of_the_upright_picture() -> None:
    # Small enough that nothing is scaled before it is turned.
    photo = pictures.photo(300, 200)
    upright = made(pictures.saved(photo, "PNG"))
    turned = made(pictures.oriented(photo, 6, "PNG"))
    assert turned.thumbhash == upright.thumbhash
    assert turned.colour == upright.colour
    assert made(pictures.saved(photo.transpose(Image.Transpose.ROTATE_90), "PNG")).thumbhash != (
        upright.thumbhash
    )


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "1", "P"])
def test_every_mode_has_a_look(mode: str) -> None:
    rendered = made(pictures.saved(pictures.photo(90, 60).convert(mode), "PNG"))
    assert 16 <= len(base64.b64decode(rendered.thumbhash)) <= 30
    assert len(rendered.colour) == 7


def test_the_colour_is_that_of_the_largest_part_and_not_the_mean() -> None:
    image = Image.new("RGB", (90, 90), (200, 30, 30))
    image.paste((30, 30, 200), (60, 0, 90, 90))
    red, green, blue = bytes.fromhex(made(pictures.saved(image, "PNG")).colour[1:])
    assert (red > 190, green < 40, blue < 60) == (True, True, True)


def test_what_is_hidden_under_clear_pixels_has_no_colour() -> None:
    image = Image.new("RGBA", (90, 90), (0, 255, 0, 0))
    image.paste((200, 30, 30, 255), (0, 0, 20, 90))
    assert made(pictures.saved(image, "PNG")).colour == "#c81e1e"
    nothing = pictures.saved(Image.new("RGBA", (9, 9), (0, 255, 0, 0)), "PNG")
    assert made(nothing).colour == "#000000"


def taken(moment: object, offset: object = None, kind: str = "JPEG") -> str | None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    camera = exif.get_ifd(0x8769)
    camera[0x9003] = moment
    if offset is not None:
        camera[0x9011] = offset
    image = pictures.photo(40, 30).copy()
    if kind == "HEIC":
        image.info["exif"] = exif.tobytes()
        return made(pictures.heic(image)).captured_at
    if kind == "TIFF":
        info = TiffImagePlugin.ImageFileDirectory_v2()
        info[0x8769] = {0x9003: moment, 0x9011: offset}
        return made(pictures.saved(image, kind, tiffinfo=info)).captured_at
    return made(pictures.saved(image, kind, exif=exif)).captured_at


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIC"])
def test_the_moment_is_read_from_every_kind_of_file(kind: str) -> None:
    assert taken("2024:05:01 12:30:00", "+02:00", kind) == "2024-05-01T12:30:00+02:00"


def test_without_an_offset_it_is_what_the_clock_showed() -> None:
    assert taken("2024:05:01 12:30:00") == "2024-05-01T12:30:00"


@pytest.mark.parametrize("offset", ["", "+2:00", "+15:00", "02:00", "+02:60", "CET", "   :  "])
def test_an_offset_that_is_none_is_left_out(offset: str) -> None:
    assert taken("2024:05:01 12:30:00", offset) == "2024-05-01T12:30:00"


@pytest.mark.parametrize(
    "moment",
    [
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "2024:13:01 12:30:00",
        "2023:02:29 12:30:00",
        "2024:05:01 24:30:00",
        "2024-05-01 12:30:00",
        "2024:05:01",
        "",
        "x" * 9999,
    ],
)
def test_a_moment_that_is_none_is_none(moment: str) -> None:
    assert taken(moment) is None


def test_a_picture_without_exif_has_no_moment() -> None:
    assert made(pictures.saved(pictures.photo(40, 30), "JPEG")).captured_at is None


@pytest.mark.parametrize(
    ("captured", "believed"),
    [
        ("1989-12-31T23:59:59", False),
        ("1990-01-01T00:00:00", True),
        ("1904-01-01T00:00:00", False),
        ("2026-11-26T12:00:00", True),
        ("2026-11-26T12:00:01", False),
        ("2026-11-26T20:00:00+14:00", True),
        ("2026-11-26T01:00:00-14:00", False),
        ("9999-12-31T23:59:59", False),
        ("0001-01-01T00:00:00+14:00", False),
        ("9999-12-31T23:59:59-14:00", False),
    ],
)
def test_a_clock_that_is_wrong_is_not_believed(captured: str, believed: bool) -> None:
    assert plausible(captured, NOON) == (captured if believed else None)
    assert plausible(None, NOON) is None
