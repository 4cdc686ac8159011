"""Each kind of picture comes out upright, in sRGB and bare, or is refused for a reason."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.media import pixels
from shared.media.renditions import Rejected, Rendered, check, render
from shared.media.sniff import Outline, png_has_all_rows
from tests.fixtures import pictures

pytestmark = pytest.mark.proof

Colour = tuple[int, ...]


def corner() -> Image.Image:
    """Red at the top left, green at the top right, blue below: no turn looks like another."""
    image = Image.new("RGB", (400, 240), "blue")
    image.paste("red", (0, 0, 200, 120))
    image.paste("lime", (200, 0, 400, 120))
    return image


def made(content: bytes, sizes: tuple[int, ...] = (320,)) -> Rendered:
    return render(BytesIO(content), sizes)


def smallest(content: bytes, mode: str = "RGB") -> Image.Image:
    with Image.open(BytesIO(made(content).renditions[0].content)) as image:
        assert image.format == "WEBP"
        return image.convert(mode)


def assert_near(seen: object, wanted: Colour, by: int = 12) -> None:
    assert isinstance(seen, tuple)
    assert len(seen) == len(wanted)
    assert max(abs(a - b) for a, b in zip(seen, wanted, strict=True)) <= by, (seen, wanted)


def test_three_sizes_keep_the_proportions() -> None:
    rendered = made(pictures.saved(pictures.photo(1360, 1020), "JPEG"), (1280, 320, 640))
    assert (rendered.width, rendered.height) == (1360, 1020)
    assert [(r.size, r.width, r.height) for r in rendered.renditions] == [
        (320, 320, 240),
        (640, 640, 480),
        (1280, 1280, 960),
    ]
    for rendition in rendered.renditions:
        assert rendition.content_type == "image/webp"
        with Image.open(BytesIO(rendition.content)) as image:
            assert image.size == (rendition.width, rendition.height)


def test_a_rendition_looks_like_the_picture() -> None:
    picture = pictures.photo(1360, 1020)
    wanted = np.asarray(picture.resize((320, 240), Image.Resampling.LANCZOS), np.float64)
    seen = np.asarray(smallest(pictures.saved(picture, "PNG")), np.float64)
    assert np.abs(wanted - seen).mean() < 4


def test_a_path_does_as_well_as_a_stream(tmp_path: Path) -> None:
    content = pictures.saved(corner(), "PNG")
    (tmp_path / "corner.png").write_bytes(content)
    assert render(tmp_path / "corner.png") == render(BytesIO(content))


def test_a_small_picture_is_never_enlarged() -> None:
    rendered = made(pictures.saved(Image.new("RGB", (500, 100)), "PNG"), (320, 640, 1280))
    assert [(r.width, r.height) for r in rendered.renditions] == [(320, 64), (500, 100), (500, 100)]


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [((1, 1), (1, 1)), ((1, 10_000), (1, 320)), ((10_000, 1), (320, 1)), ((3, 2), (3, 2))],
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_the_thinnest_pictures_keep_a_pixel(
    stored: tuple[int, int], wanted: tuple[int, int], kind: str
) -> None:
    content = pictures.saved(Image.new("RGB", stored, "red"), kind)
    assert_near(smallest(content).getpixel((0, 0)), (255, 0, 0))
    assert smallest(content).size == wanted


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(orientation: int, kind: str) -> None:
    content = pictures.oriented(corner(), orientation, kind)
    rendered, seen = made(content), smallest(content)
    assert (rendered.width, rendered.height) == (400, 240)
    assert seen.size == (320, 192)
    assert_near(seen.getpixel((40, 40)), (255, 0, 0))
    assert_near(seen.getpixel((280, 40)), (0, 255, 0))
    assert_near(seen.getpixel((160, 150)), (0, 0, 255))


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_impossible_orientation_is_ignored(value: object) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    assert_near(smallest(pictures.saved(corner(), "JPEG", exif=exif)).getpixel((9, 9)), (255, 0, 0))


def test_broken_exif_does_not_cost_the_picture() -> None:
    content = pictures.saved(corner(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert_near(smallest(content).getpixel((9, 9)), (255, 0, 0))


def test_cmyk_becomes_rgb() -> None:
    image = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    assert_near(smallest(pictures.saved(image, "JPEG")).getpixel((9, 9)), (255, 0, 0))


def test_a_wide_gamut_colour_is_converted_not_relabelled() -> None:
    content = pictures.saved(
        Image.new("RGB", (64, 64), (100, 200, 100)), "PNG", icc_profile=pictures.display_p3()
    )
    red, green, _ = smallest(content).getpixel((9, 9))  # type: ignore[misc]
    # The same numbers mean a stronger green in Display P3; in sRGB that is less red.
    assert red < 70
    assert green >= 198


def test_a_gray_picture_with_a_colour_profile_or_a_broken_one_is_shown_as_it_is() -> None:
    for profile in (pictures.display_p3(), b"not a profile", b"\0" * 200):
        content = pictures.saved(Image.new("L", (64, 64), 90), "PNG", icc_profile=profile)
        assert_near(smallest(content).getpixel((9, 9)), (90, 90, 90))


@pytest.mark.parametrize("width", [320, 4000])
def test_sixteen_bit_gray_keeps_its_range(width: int) -> None:
    seen = smallest(pictures.deep_gray(width, 200))
    height = seen.height // 2
    for x, wanted in [(2, 1), (160, 128), (317, 253)]:
        assert_near(seen.getpixel((x, height)), (wanted,) * 3, by=4)


def test_sixteen_bit_colour_keeps_its_range() -> None:
    seen = smallest(pictures.deep_colour(320, 64))
    assert_near(seen.getpixel((8, 30)), (6, 248, 128))
    assert_near(seen.getpixel((311, 30)), (248, 6, 128))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_modes_without_alpha_come_out_opaque(mode: str) -> None:
    content = pictures.saved(Image.new("RGB", (64, 64), "white").convert(mode), "PNG")
    rendered = made(content)
    assert b"ALPH" not in rendered.renditions[0].content
    assert_near(smallest(content).getpixel((9, 9)), (255, 255, 255))


@pytest.mark.parametrize("side", [64, 3000])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_kept_and_hidden_colour_does_not_bleed(mode: str, side: int) -> None:
    image = Image.new("RGBA", (side, side), (255, 255, 255, 0))
    image.paste((60, 60, 60, 255), (0, 0, side // 2, side))
    seen = smallest(pictures.saved(image.convert(mode), "PNG"), "RGBA")
    half = seen.width // 2
    assert_near(seen.getpixel((half // 2, 9)), (60, 60, 60, 255))
    assert seen.getpixel((half + half // 2, 9))[3] == 0  # type: ignore[index]
    edge = [seen.getpixel((x, 9)) for x in range(half - 3, half + 3)]
    assert all(pixel[0] < 100 for pixel in edge if pixel[3] > 40)  # type: ignore[index]


def test_a_palette_with_a_transparent_colour_keeps_it() -> None:
    image = Image.new("P", (64, 64), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (0, 0, 32, 64))
    for kind in ("PNG", "GIF"):
        seen = smallest(pictures.saved(image, kind, transparency=0), "RGBA")
        assert_near(seen.getpixel((9, 9)), (0, 0, 255, 255))
        assert seen.getpixel((55, 9))[3] == 0  # type: ignore[index]


def test_of_an_animated_png_the_first_frame_is_shown() -> None:
    content = pictures.animation("PNG")
    assert not made(content).renditions[0].animated
    assert_near(smallest(content).getpixel((9, 9)), (255, 0, 0))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_place_owner_and_profile_are_not_in_a_rendition(kind: str) -> None:
    content = pictures.with_place(pictures.photo(1360, 1020), kind)
    assert b"Secret Owner" in content
    for rendition in made(content, (320, 1280)).renditions:
        for trace in (b"Secret", b"SpyCamera", b"EXIF", b"Exif", b"ICCP", b"XMP", b"GPS", b"acsp"):
            assert trace not in rendition.content


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_the_same_bytes_in_give_the_same_bytes_out(kind: str) -> None:
    content = pictures.saved(pictures.photo(800, 600), kind)
    first, second = (render(BytesIO(content)) for _ in range(2))
    assert first == second
    assert render(BytesIO(content), (320,)).renditions != ()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"restart_marker_rows": 1}),
        ("PNG", {}),
        ("GIF", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True, "exif": b"Exif\0\0"}),
    ],
)
def test_a_file_cut_anywhere_is_truncated(kind: str, options: dict[str, object]) -> None:
    content = pictures.saved(pictures.photo(800, 600), kind, **options)
    points = [len(content) * part // 20 for part in range(1, 20)] + [len(content) - 1]
    for point in points:
        with pytest.raises(Rejected) as caught:
            made(content[:point])
        assert caught.value.reason == "truncated", point


@pytest.mark.parametrize("rows", [0, 1, 40, 63])
def test_a_png_whose_pixels_end_early_is_truncated(rows: int) -> None:
    """The chunks are whole and every checksum is right; only the rows are too few."""
    with pytest.raises(Rejected, match="truncated"):
        made(pictures.png(64, 64, 8, 2, (b"\0" + b"\x80" * 192) * rows))


@pytest.mark.parametrize("size", [(64, 64), (1, 1), (5, 3), (1, 7), (9, 2)])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_a_black_or_empty_png_has_all_its_rows(mode: str, size: tuple[int, int]) -> None:
    assert made(pictures.saved(Image.new(mode, size), "PNG")).width == size[0]


@pytest.mark.parametrize("size", [(64, 64), (1, 1), (5, 3), (1, 7), (9, 2), (3, 1)])
def test_an_interlaced_png_is_whole_with_its_last_pass_and_not_without(
    size: tuple[int, int],
) -> None:
    whole = pictures.interlaced_gray(*size)
    assert made(whole).width == size[0]
    assert png_has_all_rows(whole)
    assert not png_has_all_rows(pictures.interlaced_gray(*size, drop=1))


@pytest.mark.parametrize("declared", ["image/png", "image/svg+xml", "IMAGE/JPEG", ""])
def test_a_lying_type_is_refused(declared: str) -> None:
    content = pictures.saved(corner(), "JPEG")
    with pytest.raises(Rejected, match="type-mismatch"):
        check(content, declared=declared)
    assert check(content, "image/jpeg") == Outline("image/jpeg", 400, 240)


@pytest.mark.parametrize(
    "content", [b"", b"<svg/>", b"GIF89a", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]
)
def test_what_has_only_a_beginning_is_refused(content: bytes) -> None:
    with pytest.raises(Rejected):
        made(content)


def test_a_bomb_is_refused_by_its_header() -> None:
    content = pictures.bomb_png()
    assert len(content) < 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(Rejected, match="too-many-pixels"):
            made(content)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def relabelled(content: bytes, width: int, height: int) -> bytes:
    """The PNG with another size in its header and the checksum that goes with it."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + content[24:29]
    return content[:8] + pictures.png_chunk(b"IHDR", header) + content[33:]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (relabelled(pictures.deep_gray(9, 9), 6000, 6000), "too-many-pixels"),
        (relabelled(pictures.animation("PNG", 60), 5000, 5000), "too-many-pixels"),
        (relabelled(pictures.deep_gray(9, 9), 0, 9), "bad-dimensions"),
        (relabelled(pictures.deep_gray(9, 9), 2**31 - 1, 1), "bad-dimensions"),
        (relabelled(pictures.deep_gray(9, 9), 40_000, 1), "bad-dimensions"),
    ],
)
def test_depth_frames_and_sides_count_towards_the_limit(content: bytes, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        check(content)


def test_a_webp_canvas_is_refused_before_the_decoder_allocates_it() -> None:
    content = bytearray(pictures.animation("WEBP"))
    content[24:30] = (16382).to_bytes(3, "little") * 2
    with pytest.raises(Rejected, match="too-many-pixels"):
        check(bytes(content))


def test_a_jpeg_of_a_thousand_scans_is_refused() -> None:
    whole = pictures.saved(pictures.photo(1360, 1020), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    scans = (whole[last : last + 10] + b"\0") * 1000
    with pytest.raises(Rejected, match="too-many-pixels"):
        check(whole[:-2] + scans + b"\xff\xd9")


def test_an_undecodable_answer_of_the_disk_is_not_blamed_on_the_picture(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        render(tmp_path / "missing.png")


def test_bands_give_what_one_piece_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    content = pictures.saved(pictures.photo(1360, 1020).convert("RGBA"), "PNG")
    whole = made(content)
    monkeypatch.setattr(pixels, "_BAND_PIXELS", 20_000)
    assert made(content) == whole


def seeds() -> list[bytes]:
    image = pictures.photo(96, 64)
    return [
        pictures.with_place(image, "JPEG"),
        pictures.saved(image, "JPEG", progressive=True),
        pictures.with_place(image, "PNG"),
        pictures.saved(image.convert("P"), "PNG", transparency=3),
        pictures.with_place(image, "WEBP"),
        pictures.saved(image.convert("RGBA"), "WEBP", lossless=True),
        pictures.animation("GIF"),
        pictures.animation("WEBP"),
        pictures.animation("PNG"),
    ]


SEEDS = seeds()


def rechecked(content: bytes) -> bytes:
    """With the PNG's checksums made right again, so that damage gets as far as the decoder."""
    if content[:8] != SEEDS[2][:8]:
        return content
    at, whole = 8, content[:8]
    while at + 8 <= len(content):
        length = min(int.from_bytes(content[at : at + 4], "big"), len(content))
        whole += pictures.png_chunk(content[at + 4 : at + 8], content[at + 8 : at + 8 + length])
        at += 12 + length
    return whole


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
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
    for candidate in (bytes(damaged), rechecked(bytes(damaged))):
        with suppress(Rejected):
            render(BytesIO(candidate), (32, 16))
