"""The type comes from the bytes at offset 0 and nothing else; a container must have its end."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from PIL import Image

from shared.media.sniff import Outline, Rejected, outline, sniff
from tests.fixtures import pictures
from tests.fixtures.media import is_judged

SMALL = Image.new("RGB", (40, 30), "teal")


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    content = b"ftyp" + major + b"\0\0\0\0" + b"".join(compatible)
    return struct.pack(">I", 4 + len(content)) + content + b"\0" * 32


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (pictures.saved(SMALL, "JPEG"), "image/jpeg"),
        (pictures.saved(SMALL, "PNG"), "image/png"),
        (pictures.saved(SMALL, "WEBP"), "image/webp"),
        (pictures.saved(SMALL, "GIF"), "image/gif"),
        (pictures.saved(SMALL, "TIFF"), "image/tiff"),
        (pictures.saved(SMALL, "AVIF"), "image/avif"),
        (ftyp(b"heic", b"mif1"), "image/heic"),
        (ftyp(b"mif1", b"miaf", b"avif"), "image/avif"),
    ],
)
def test_a_picture_is_named_by_its_first_bytes(head: bytes, expected: str) -> None:
    assert sniff(head[:32]) == expected


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff\xd8",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<?xml version='1.0'?><svg/>",
        b"<!DOCTYPE html><script>alert(1)</script>",
        b"PK\x03\x04\x14\0\0\0",
        b"%PDF-1.7\n",
        b"\x7fELF\x02\x01\x01",
        b"MZ\x90\0",
        b"RIFF\x24\0\0\0WAVEfmt ",
        ftyp(b"isom", b"mp42"),
        b"GIF88a\x01\0\x01\0",
        b"BM\x36\0\0\0",
    ],
)
def test_what_is_no_raster_picture_has_no_type(head: bytes) -> None:
    assert sniff(head) is None


@pytest.mark.parametrize("front", [b"PK\x03\x04", b"<html>", b"\0", b"\n"])
def test_a_picture_behind_other_magic_is_not_a_picture(front: bytes) -> None:
    polyglot = front + pictures.saved(SMALL, "JPEG")
    assert sniff(polyglot) is None
    with pytest.raises(Rejected, match="unknown-type"):
        outline(polyglot)


def test_a_picture_with_a_zip_or_a_page_behind_it_is_that_picture() -> None:
    tail = b"PK\x03\x04<script>alert(1)</script>"
    assert outline(pictures.saved(SMALL, "JPEG") + tail) == Outline("image/jpeg", 40, 30)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (pictures.saved(SMALL, "JPEG"), Outline("image/jpeg", 40, 30)),
        (pictures.saved(SMALL, "JPEG", restart_marker_blocks=1), Outline("image/jpeg", 40, 30)),
        (pictures.saved(SMALL, "PNG"), Outline("image/png", 40, 30)),
        (pictures.deep_colour(40, 30), Outline("image/png", 40, 30, deep=True)),
        (pictures.saved(SMALL, "WEBP"), Outline("image/webp", 40, 30)),
        (pictures.saved(SMALL, "WEBP", lossless=True), Outline("image/webp", 40, 30)),
        (pictures.saved(SMALL, "WEBP", exif=b"Exif\0\0"), Outline("image/webp", 40, 30)),
        (pictures.animation("GIF"), Outline("image/gif", 64, 48, 3)),
        (pictures.animation("WEBP"), Outline("image/webp", 64, 48, 3)),
        (pictures.animation("PNG"), Outline("image/png", 64, 48, 3)),
    ],
)
def test_the_outline_is_read_without_a_decoder(content: bytes, expected: Outline) -> None:
    assert outline(content) == expected


def test_a_progressive_picture_counts_its_scans() -> None:
    assert outline(pictures.saved(SMALL, "JPEG", progressive=True)).scans == 10


def drop_end_marker(content: bytes) -> bytes:
    assert content.endswith(b"\xff\xd9")
    return content[:-2]


def forge_end_marker(content: bytes) -> bytes:
    return content[: -len(content) // 4] + b"\xff\xd9"


@pytest.mark.parametrize("damage", [drop_end_marker, forge_end_marker])
def test_a_jpeg_that_decoders_fill_up_with_grey_is_refused(
    damage: Callable[[bytes], bytes],
) -> None:
    whole = pictures.saved(pictures.photo(640, 480), "JPEG", restart_marker_blocks=4)
    outline(whole)
    with pytest.raises(Rejected, match="truncated"):
        outline(damage(whole))


def test_a_progressive_jpeg_without_the_scan_of_a_colour_is_refused() -> None:
    whole = pictures.saved(SMALL, "JPEG", progressive=True)
    header = whole.index(b"\xff\xda")
    with pytest.raises(Rejected, match="truncated"):
        outline(whole[:header] + b"\xff\xd9")


def test_a_png_whose_pixel_data_was_changed_is_refused() -> None:
    content = bytearray(pictures.saved(SMALL, "PNG"))
    content[content.index(b"IDAT") + 8] ^= 1
    with pytest.raises(Rejected, match="corrupt"):
        outline(bytes(content))


def test_a_jpeg_of_empty_segments_is_refused_before_it_costs_time() -> None:
    with pytest.raises(Rejected, match="corrupt"):
        outline(b"\xff\xd8" + b"\xff\xfe\0\2" * 1_000_000)


@pytest.mark.parametrize("length", range(2, 10))
def test_a_jpeg_whose_frame_ends_before_its_size_is_truncated(length: int) -> None:
    frame = b"\xff\xc0" + struct.pack(">H", length) + b"\x08\0\x1e\0\x28\x03"[: length - 2]
    for content in (b"\xff\xd8" + frame, b"\xff\xd8" + frame + b"\xff\xd9"):
        with pytest.raises(Rejected, match="truncated"):
            outline(content)


# What counts, lengths and flags are wrong by: nothing, too little, one bit, all bits.
TELLING = (0, 1, 2, 3, 4, 5, 7, 8, 0x7F, 0x80, 0xFF)


WHOLE = {
    "JPEG": pictures.saved(SMALL, "JPEG", restart_marker_blocks=1),
    "progressive JPEG": pictures.saved(SMALL, "JPEG", progressive=True),
    "PNG": pictures.saved(SMALL, "PNG"),
    "WebP": pictures.saved(SMALL, "WEBP"),
    "lossless WebP": pictures.saved(SMALL, "WEBP", lossless=True),
    "TIFF": pictures.saved(SMALL, "TIFF", compression="tiff_lzw"),
    "BigTIFF": pictures.saved(SMALL, "TIFF", big_tiff=True, compression="tiff_lzw"),
    "AVIF": pictures.saved(SMALL, "AVIF"),
    "moving GIF": pictures.animation("GIF"),
    "moving PNG": pictures.animation("PNG"),
    "moving WebP": pictures.animation("WEBP"),
}


@pytest.mark.proof
@pytest.mark.parametrize("kind", WHOLE)
def test_whatever_one_byte_says_a_file_has_an_outline_or_is_rejected(kind: str) -> None:
    """What else escapes is no verdict: the event would come again until it is a dead letter."""
    content = WHOLE[kind]
    for at in range(min(len(content), 1024)):
        for value in TELLING:
            changed = content[:at] + bytes([value]) + content[at + 1 :]
            for candidate in (changed, changed[: at + 1 + value]):
                assert is_judged(candidate)
