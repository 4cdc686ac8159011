"""HEIC, AVIF and TIFF come out upright, in sRGB and bare, within a bound of memory."""

from __future__ import annotations

import struct
import subprocess
import sys
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.media import pixels
from shared.media.renditions import Rejected, Rendered, render
from tests.fixtures import pictures
from tests.fixtures.sources import ROOT

pytestmark = pytest.mark.proof

TRACES = (b"Secret", b"SpyCamera", b"EXIF", b"Exif", b"ICCP", b"XMP", b"GPS", b"acsp", b"8BIM")


def corner() -> Image.Image:
    """Red at the top left, green at the top right, blue below."""
    image = Image.new("RGB", (400, 240), "blue")
    image.paste("red", (0, 0, 200, 120))
    image.paste("lime", (200, 0, 400, 120))
    return image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    if kind == "HEIC":
        return pictures.heic(image, quality=90, **options)
    return pictures.saved(image, kind, **options)


def made(content: bytes, sizes: tuple[int, ...] = (320,)) -> Rendered:
    return render(BytesIO(content), sizes)


def smallest(content: bytes, mode: str = "RGB") -> Image.Image:
    with Image.open(BytesIO(made(content).renditions[0].content)) as image:
        return image.convert(mode)


def near(seen: object, wanted: tuple[int, ...], by: int = 12) -> bool:
    assert isinstance(seen, tuple)
    return max(abs(a - b) for a, b in zip(seen, wanted, strict=True)) <= by


@pytest.mark.parametrize("kind", ["HEIC", "AVIF", "TIFF"])
@pytest.mark.parametrize("size", [(640, 480), (97, 61), (3, 2), (1, 1), (1, 70)])
def test_a_rendition_looks_like_the_picture(kind: str, size: tuple[int, int]) -> None:
    picture = pictures.photo(1360, 1020).resize(size)
    content = encoded(picture, kind)
    rendered, seen = made(content), smallest(content)
    assert (rendered.width, rendered.height) == size
    wanted = np.asarray(picture.resize(seen.size, Image.Resampling.LANCZOS), np.float64)
    assert np.abs(wanted - np.asarray(seen, np.float64)).mean() < 6


@pytest.mark.parametrize("kind", ["HEIC", "AVIF", "TIFF"])
def test_bands_give_what_one_piece_gives(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(pictures.photo(640, 480), kind)
    whole = made(content, (64,))
    monkeypatch.setattr(pixels, "_BAND_PIXELS", 20_000)
    assert made(content, (64,)) == whole


@pytest.mark.parametrize(
    ("kind", "orientation"),
    [
        *((kind, orientation) for kind in ("AVIF", "TIFF") for orientation in range(1, 9)),
        # x265's library writes quarter turns the wrong way round; they have a test of their own.
        *(("HEIC", orientation) for orientation in (1, 2, 3, 4, 5, 7)),
    ],
)
def test_every_orientation_comes_out_upright(kind: str, orientation: int) -> None:
    if kind == "HEIC":
        content = pictures.oriented_heic(corner(), orientation)
    else:
        content = pictures.oriented(corner(), orientation, kind)
    rendered, seen = made(content), smallest(content)
    assert (rendered.width, rendered.height, seen.size) == (400, 240, (320, 192))
    assert near(seen.getpixel((40, 40)), (255, 0, 0), 30)
    assert near(seen.getpixel((280, 40)), (0, 255, 0), 30)
    assert near(seen.getpixel((160, 150)), (0, 0, 255), 30)


@pytest.mark.parametrize("turns", range(4))
def test_the_rotation_of_heic_is_anticlockwise_and_exif_does_not_count(turns: int) -> None:
    """ISO/IEC 23008-12, 6.5.10: angle times 90 degrees, anticlockwise."""
    content = pictures.oriented_heic(corner(), 6)
    at = content.index(b"irot") + 4
    coded, turned = (
        smallest(content[:at] + bytes([angle]) + content[at + 1 :]) for angle in (0, turns)
    )
    wanted = coded.rotate(90 * turns, expand=True)
    assert turned.size == wanted.size
    for x, y in ((0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9)):
        at_both = (int(x * wanted.width), int(y * wanted.height))
        assert near(turned.getpixel(at_both), wanted.getpixel(at_both), 30)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["HEIC", "AVIF", "TIFF"])
def test_alpha_is_kept(kind: str) -> None:
    image = Image.new("RGBA", (256, 256), (255, 255, 255, 0))
    image.paste((200, 60, 60, 255), (0, 0, 128, 256))
    seen = smallest(encoded(image, kind), "RGBA")
    assert near(seen.getpixel((60, 100)), (200, 60, 60, 255))
    assert seen.getpixel((190, 100))[3] == 0  # type: ignore[index]


@pytest.mark.parametrize("kind", ["HEIC", "AVIF", "TIFF"])
def test_a_wide_gamut_colour_is_converted_not_relabelled(kind: str) -> None:
    image = Image.new("RGB", (64, 64), (100, 200, 100))
    image.info["icc_profile"] = pictures.display_p3()
    red, green, _ = smallest(  # type: ignore[misc]
        encoded(image, kind, icc_profile=pictures.display_p3())
    ).getpixel((9, 9))
    assert red < 74
    assert green >= 196


@pytest.mark.parametrize("kind", ["HEIC", "AVIF", "TIFF"])
def test_place_owner_and_profile_are_not_in_a_rendition(kind: str) -> None:
    content = pictures.with_place(pictures.photo(400, 300), kind)
    assert b"Secret Owner" in content
    rendered = made(content, (320, 1280))
    for rendition in rendered.renditions:
        assert not [trace for trace in TRACES if trace in rendition.content]


def test_iptc_comments_and_the_thumbnail_in_exif_are_not_in_a_rendition() -> None:
    content = pictures.with_everything(pictures.photo(400, 300))
    assert content.count(b"Secret") >= 4
    for rendition in made(content, (320, 640, 1280)).renditions:
        assert not [trace for trace in TRACES if trace in rendition.content]
        # Nothing but picture data: a header, the canvas, alpha, the frame.
        assert chunks(rendition.content) <= {b"VP8 ", b"VP8X", b"ALPH", b"VP8L"}


def chunks(content: bytes) -> set[bytes]:
    found, at = set(), 12
    while at < len(content):
        found.add(content[at : at + 4])
        length = struct.unpack_from("<I", content, at + 4)[0]
        at += 8 + length + (length & 1)
    return found


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "tiff_lzw"},
        {"compression": "tiff_adobe_deflate"},
        {"compression": "packbits"},
        {"compression": "jpeg"},
        {"big_tiff": True},
        {"save_all": True, "append_images": [Image.new("RGB", (10, 10))]},
    ],
    ids=lambda options: next(iter(options.items()))[1],
)
def test_every_usual_tiff_is_read(options: dict[str, object]) -> None:
    content = pictures.saved(corner(), "TIFF", **options)
    assert near(smallest(content).getpixel((40, 40)), (255, 0, 0))
    assert made(content).renditions[0].animated is False


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "I;16", "LAB", "RGBA", "LA", "F", "YCbCr"])
def test_every_mode_of_tiff_is_made_or_rejected(mode: str) -> None:
    image = pictures.photo(64, 48)
    if mode == "LAB":
        image = Image.merge("LAB", image.split())
    elif mode in ("I;16", "F"):
        image = image.convert("L").convert("I" if mode == "I;16" else mode)
        image = image.convert(mode)
    else:
        image = image.convert(mode)
    assert made(pictures.saved(image, "TIFF")).width == 64


def test_sixteen_bits_keep_their_range() -> None:
    ramp = np.tile(np.linspace(0, 65535, 320).astype(np.uint16), (64, 1))
    seen = smallest(pictures.saved(Image.fromarray(ramp), "TIFF"))
    assert near(seen.getpixel((160, 30)), (128, 128, 128))
    assert near(seen.getpixel((317, 30)), (253, 253, 253))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "AVIF", "HEIC"])
def test_the_dimensions_are_the_originals_and_not_those_it_was_decoded_at(kind: str) -> None:
    rendered = made(encoded(pictures.photo(640, 480), kind), (32,))
    assert (rendered.width, rendered.height) == (640, 480)


def test_ten_bits_of_heic_become_eight() -> None:
    import pillow_heif

    ramp = np.zeros((64, 320, 3), np.uint16)
    ramp[..., :] = np.linspace(0, 65535, 320).astype(np.uint16)[None, :, None]
    content = BytesIO()
    pillow_heif.encode("RGB;16", (320, 64), ramp.tobytes(), content, quality=90)
    seen = smallest(content.getvalue())
    assert near(seen.getpixel((160, 30)), (128, 128, 128))
    assert near(seen.getpixel((10, 30)), (8, 8, 8))


def test_libheif_is_loaded_for_heic_alone() -> None:
    """In a process of its own, because it stays."""
    for kind, wanted in (("JPEG", "False"), ("AVIF", "False"), ("HEIC", "True")):
        code = (
            "import sys; from io import BytesIO; from shared.media.renditions import render;"
            "render(BytesIO(sys.stdin.buffer.read())); print('pi_heif' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=encoded(pictures.photo(40, 30), kind),
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        assert done.stdout.decode().strip() == wanted, kind


# Lies


def relabelled(content: bytes, width: int, height: int) -> bytes:
    """The boxes say another size than the coded picture has."""
    changed, at = bytearray(content), -1
    while (at := content.find(b"ispe", at + 1)) >= 0:
        struct.pack_into(">II", changed, at + 8, width, height)
    return bytes(changed)


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
@pytest.mark.parametrize("size", [(10, 10), (399, 240), (1, 1)])
def test_a_picture_larger_than_its_boxes_say_is_never_shown_larger(
    kind: str, size: tuple[int, int]
) -> None:
    content = relabelled(encoded(corner(), kind), *size)
    try:
        rendered = made(content)
    except Rejected:
        return
    assert rendered.width * rendered.height <= size[0] * size[1]


_BOUNDED = """
from shared.media.budget import bounded_memory
with bounded_memory(64 << 20):
    with bounded_memory(1024 << 20):
        pass
    try:
        bytearray(512 << 20)
    except MemoryError:
        print("bounded")
print(len(bytearray(512 << 20)) >> 20)
"""


def test_an_allocation_over_the_bound_fails_and_the_next_one_after_it_does_not() -> None:
    """In a process of its own: the bound counts from what the process has, and a thread that
    an earlier test left behind may give memory back, or hold a bound of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _BOUNDED], cwd=ROOT, capture_output=True, check=True
    )
    assert done.stdout.decode().split() == ["bounded", "512"]


_LITTLE_MEMORY = """
import sys
from functools import partial
from io import BytesIO
from shared.media import renditions
content, bounded = sys.stdin.buffer.read(), renditions.bounded_memory
renditions.bounded_memory = partial(bounded, 30 << 20)
try:
    renditions.render(BytesIO(content))
except renditions.Rejected as rejection:
    print(rejection.reason)
renditions.bounded_memory = bounded
print(renditions.render(BytesIO(content)).width)
"""


@pytest.mark.parametrize("kind", ["TIFF", "AVIF", "PNG"])
def test_a_decoder_that_runs_out_of_memory_rejects_the_picture(kind: str) -> None:
    """In a process of its own, where no memory of earlier tests lies about."""
    options = {"speed": 10} if kind == "AVIF" else {}
    content = encoded(Image.new("RGB", (4000, 3000), "teal"), kind, **options)
    done = subprocess.run(
        [sys.executable, "-c", _LITTLE_MEMORY],
        input=content,
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().split() == ["corrupt", "4000"]


SEEDS = [
    pictures.with_place(pictures.photo(96, 64), "HEIC"),
    pictures.with_place(pictures.photo(96, 64), "AVIF"),
    pictures.saved(pictures.photo(96, 64), "TIFF", compression="tiff_lzw"),
    pictures.saved(pictures.photo(96, 64), "TIFF", compression="jpeg"),
    pictures.animation("AVIF"),
    pictures.animation("GIF"),
    pictures.animation("WEBP"),
]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=8),
)
def test_a_damaged_file_is_made_or_rejected_and_nothing_else(
    content: bytes, flips: list[tuple[float, int]]
) -> None:
    damaged = bytearray(content)
    for where, mask in flips:
        damaged[int(where * len(damaged))] ^= mask
    with suppress(Rejected):
        render(BytesIO(bytes(damaged)), (32, 16))
