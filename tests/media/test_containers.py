"""HEIC, AVIF and TIFF by their containers, and the two kinds of document by their whole content."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.media.documents import HEAD
from shared.media.outline import Outline, Rejected
from shared.media.renditions import check
from shared.media.sniff import kind_of, outline
from tests.fixtures import pictures
from tests.fixtures.media import is_judged

SMALL = Image.new("RGB", (40, 30), "teal")
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<</Root 1 0 R>>\nstartxref\n9\n%%EOF\n"
PAGES = {"save_all": True, "append_images": [SMALL, Image.new("RGB", (80, 60))]}


def reason_of(content: bytes) -> str | None:
    try:
        check(content)
    except Rejected as rejection:
        return rejection.reason
    return None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (pictures.saved(SMALL, "AVIF"), Outline("image/avif", 40, 30)),
        (pictures.animation("AVIF"), Outline("image/avif", 64, 48, 3)),
        # Coded in blocks, of which the decoder shows a part.
        (pictures.heic(SMALL), Outline("image/heic", 64, 64)),
        (pictures.saved(SMALL, "TIFF"), Outline("image/tiff", 40, 30)),
        (pictures.saved(SMALL, "TIFF", compression="tiff_lzw"), Outline("image/tiff", 40, 30)),
        (pictures.saved(SMALL, "TIFF", big_tiff=True), Outline("image/tiff", 40, 30)),
        # Two pages of its size and one four times as large.
        (pictures.saved(SMALL, "TIFF", **PAGES), Outline("image/tiff", 40, 30, 6)),
        (PDF, Outline("application/pdf")),
        ("Grüße\r\n\tan alle\f".encode(), Outline("text/plain")),
        (b"\xef\xbb\xbfwith a mark", Outline("text/plain")),
    ],
)
def test_the_outline_is_read_without_a_decoder(content: bytes, expected: Outline) -> None:
    assert outline(content) == expected
    assert kind_of(content[:HEAD]) == expected.type


@pytest.mark.proof
@pytest.mark.parametrize("kind", ["AVIF", "HEIC", "TIFF", "BIG TIFF"])
def test_a_file_cut_anywhere_is_truncated(kind: str) -> None:
    image = pictures.photo(320, 240)
    content = {
        "AVIF": lambda: pictures.saved(image, "AVIF"),
        "HEIC": lambda: pictures.heic(image),
        "TIFF": lambda: pictures.saved(image, "TIFF", compression="tiff_lzw"),
        "BIG TIFF": lambda: pictures.saved(image, "TIFF", big_tiff=True),
    }[kind]()
    outline(content)
    for point in [64, *(len(content) * part // 20 for part in range(1, 20)), len(content) - 1]:
        assert reason_of(content[:point]) == "truncated", point


def patched(content: bytes, kind: bytes, *numbers: int) -> bytes:
    """With other numbers in every box of that kind."""
    changed, at = bytearray(content), -1
    while (at := content.find(kind, at + 1)) >= 0:
        struct.pack_into(f">{len(numbers)}I", changed, at + 8, *numbers)
    return bytes(changed)


@pytest.mark.parametrize("content", [pictures.heic(SMALL), pictures.saved(SMALL, "AVIF")])
def test_a_picture_is_refused_for_what_its_boxes_claim(content: bytes) -> None:
    assert reason_of(patched(content, b"ispe", 9000, 9000)) == "too-many-pixels"
    assert reason_of(patched(content, b"ispe", 40_000, 1)) == "bad-dimensions"
    assert reason_of(patched(content, b"ispe", 0, 30)) == "bad-dimensions"
    assert reason_of(content.replace(b"ispe", b"none")) == "corrupt"
    assert reason_of(content.replace(b"mdat", b"free")) == "truncated"


def test_boxes_of_nothing_are_refused_before_they_cost_time() -> None:
    head = pictures.saved(SMALL, "AVIF")[:32]
    assert reason_of(head + struct.pack(">I4s", 8, b"free") * 1_000_000) == "corrupt"
    assert reason_of(head + struct.pack(">I4s", 7, b"free") + b"\0" * 99) == "corrupt"


def directory(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + packed + struct.pack("<I", following)


def tiff(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    return b"II*\0\x08\0\0\0" + directory(list(entries), following) + b"\0" * 64


SIZE = [(256, 3, 1, 8), (257, 3, 1, 8)]
PIECES = [(273, 4, 1, 8), (279, 4, 1, 8)]


def test_a_tiff_is_refused_for_what_its_directory_claims() -> None:
    assert outline(tiff(*SIZE, *PIECES)) == Outline("image/tiff", 8, 8)
    cases: list[tuple[bytes, str]] = [
        (tiff(*SIZE, *PIECES, following=8), "corrupt"),  # A circle.
        (tiff(*SIZE), "corrupt"),
        (tiff(*SIZE, (273, 4, 1, 8), (279, 4, 1, 10_000)), "truncated"),
        (tiff(*SIZE, (273, 4, 2**31, 8), (279, 4, 2**31, 8)), "corrupt"),
        (tiff(*SIZE, (273, 4, 90_000, 8), (279, 4, 90_000, 8)), "truncated"),
        (tiff((256, 4, 1, 60_000), (257, 4, 1, 60_000), *PIECES), "bad-dimensions"),
        (tiff((256, 4, 1, 9_000), (257, 4, 1, 9_000), *PIECES), "too-many-pixels"),
        (tiff(*PIECES), "bad-dimensions"),
        (tiff(*SIZE, *PIECES, (273, 4, 1, 8)), "corrupt"),
        (b"II*\0\xff\xff\xff\x7f", "truncated"),
        (b"II*\0\0\0\0\0", "corrupt"),
        (b"II*\0\x08\0\0\0\xff\xff", "corrupt"),
    ]
    assert [reason_of(content) for content, _ in cases] == [reason for _, reason in cases]


@pytest.mark.parametrize(("pages", "reason"), [(4, None), (6, "corrupt")])
def test_pages_that_share_one_list_count_it_each(pages: int, reason: str | None) -> None:
    """A page takes 54 bytes of the file, and its two lists two megabytes of memory."""
    content = b"II*\0" + struct.pack("<I", 8 + 100_000) + b"\1" * 100_000
    for page in range(pages):
        entries = [*SIZE, (273, 1, 100_000, 8), (279, 1, 100_000, 8)]
        following = len(content) + len(directory(entries)) if page < pages - 1 else 0
        content += directory(entries, following)
    assert reason_of(content) == reason


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def test_only_as_many_depths_are_read_as_there_are_channels() -> None:
    size = box(b"ispe", struct.pack(">III", 0, 8, 8))
    depths = box(b"pixi", b"\0\0\0\0" + b"\x03\x08\x08\x08" + b"\x10" * 1000)
    properties = box(b"iprp", box(b"ipco", size + depths))
    head = box(b"ftyp", b"avif\0\0\0\0avif")
    content = head + box(b"meta", b"\0\0\0\0" + properties) + box(b"mdat", b"\0" * 8)
    assert outline(content) == Outline("image/avif", 8, 8)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (PDF[:-20], "truncated"),
        (PDF + b"<script>", "truncated"),
        (PDF + b"x" * 2000, "truncated"),
        (b"%PDF-1.7\n%%EOF", "truncated"),
        (b" " + PDF, "unknown-type"),
        (b"%PDF-9.7\n" + PDF[9:], "unknown-type"),
        (b"%!PS-Adobe-3.0\n", "unknown-type"),
        (b"", "unknown-type"),
        (b"a\0b", "unknown-type"),
        (b"a\x1b[31mb", "unknown-type"),
        (b"a\x7fb", "unknown-type"),
        ("a\u0085b".encode(), "unknown-type"),
        (b"caf\xe9", "unknown-type"),
        (b"caf\xc3", "unknown-type"),
        (b"\xff\xfea\0", "unknown-type"),
        (b"\xed\xa0\x80", "unknown-type"),
        (b"<!doctype html>", "unknown-type"),
        (b"\xef\xbb\xbf \r\n<svg onload=alert(1)>", "unknown-type"),
        (b"<?xml version='1.0'?>", "unknown-type"),
        (b"</p>", "unknown-type"),
        (b"PK\x03\x04", "unknown-type"),
        (b"\x7fELF\x02\x01\x01", "unknown-type"),
        (b"MZ\x90\0", "unknown-type"),
        (b"Rar!\x1a\x07\x01\0", "unknown-type"),
        (b"7z\xbc\xaf\x27\x1c", "unknown-type"),
        (b"\x1f\x8b\x08\0", "unknown-type"),
    ],
)
def test_what_only_looks_like_a_document_is_refused(content: bytes, reason: str) -> None:
    assert reason_of(content) == reason


@pytest.mark.parametrize("content", [b"a < b", b"<3", b"<", b"1 <2>", b"%PDF", b"(<p>)"])
def test_a_text_may_hold_angles(content: bytes) -> None:
    assert outline(content) == Outline("text/plain")


def test_a_character_cut_by_the_end_of_the_head_is_no_reason_to_doubt() -> None:
    text = ("ä" * HEAD).encode()
    assert kind_of(b"x" + text[: HEAD - 1]) == "text/plain"
    assert kind_of(b"x" + text[: HEAD - 3]) is None


def zipped(comment: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("evil.txt", b"evil")
        archive.comment = comment
    return file.getvalue()


@pytest.mark.parametrize(
    "front", [pictures.saved(SMALL, "JPEG"), pictures.saved(SMALL, "PNG"), PDF, b"text\n", b""]
)
@pytest.mark.parametrize("comment", [b"", b"\nstartxref\n9\n%%EOF\n", b"c" * 65_000])
def test_what_a_zip_reader_would_open_is_an_archive(front: bytes, comment: bytes) -> None:
    content = front + zipped(comment)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["evil.txt"]
    assert reason_of(content) == "archive"


def test_the_mark_of_an_archive_alone_makes_none() -> None:
    assert outline(b"They begin with PK\x05\x06 and more".replace(b"\x05\x06", b"56"))
    photo = pictures.saved(SMALL, "JPEG")
    assert outline(photo + b"PK\x05\x06" + b"\0" * 17).type == "image/jpeg"
    assert outline(photo + b"PK\x05\x06" + b"\0" * 18 + b"x").type == "image/jpeg"


def seeds() -> list[bytes]:
    image = pictures.photo(64, 48)
    return [
        *(pictures.saved(image, kind) for kind in ("JPEG", "PNG", "GIF", "WEBP")),
        pictures.heic(image),
        pictures.saved(image, "AVIF"),
        pictures.animation("AVIF"),
        pictures.saved(image, "TIFF", compression="tiff_lzw"),
        pictures.saved(image, "TIFF", big_tiff=True),
        pictures.saved(image.convert("RGBA"), "TIFF", compression="tiff_adobe_deflate"),
        pictures.saved(image, "TIFF", **PAGES),
    ]


SEEDS = seeds()
Flips = list[tuple[float, int]]


def damaged(content: bytes, flips: Flips) -> bytes:
    changed = bytearray(content)
    for where, value in flips:
        changed[int(where * len(changed))] = value
    return bytes(changed)


FLIPS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8)
HEADS = st.lists(st.tuples(st.floats(0, 0.2), st.integers(0, 255)), max_size=4)


@pytest.mark.proof
@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SEEDS), FLIPS, HEADS, st.floats(0.05, 1))
def test_a_damaged_container_has_an_outline_or_is_rejected_and_nothing_else(
    content: bytes, flips: Flips, heads: Flips, part: float
) -> None:
    changed = damaged(content, [*flips, *heads])
    for candidate in (changed, changed[: int(len(changed) * part)]):
        assert is_judged(candidate)


def test_a_lie_about_the_type_is_told_but_heif_is_heic() -> None:
    content = pictures.heic(SMALL)
    assert check(content, "image/heif") == check(content, "image/heic")
    for declared in ("image/avif", "image/jpeg", "text/plain"):
        with pytest.raises(Rejected, match="type-mismatch"):
            check(content, declared)
    with pytest.raises(Rejected, match="type-mismatch"):
        check(PDF, "text/plain")
