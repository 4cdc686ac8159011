"""The outline of a TIFF (TIFF 6.0, BigTIFF): its directories, and whether their data are there.

Only the first page is shown, but every page is counted, because the viewer decodes them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from shared.media.outline import BE16, BE32, BE64, LE16, LE32, LE64, Outline, Rejected, number

# A scanned book of 50 MB has a few hundred pages, an entry list some thirty entries.
_MOST_PAGES = 1000
_MOST_ENTRIES = 512
# A 50-megapixel picture in strips of one row has some ten thousand.
_MOST_PIECES = 100_000
# Of all pages together: a hundred of them in strips of one row. They take 36 MB and 50 ms; without
# it a thousand pages that point at one and the same list would take gigabytes and half an hour.
_MOST_VALUES = 1_000_000
_WIDTH, _HEIGHT, _BITS = 256, 257, 258
_PIECES = ((273, 279), (324, 325))  # Offsets and byte counts, of strips and of tiles.
_SIZES = {1: 1, 3: 2, 4: 4, 16: 8}


@dataclass(frozen=True)
class _Form:
    """How numbers are written; `word` counts entries and `offset` points at things."""

    numbers: dict[int, Struct]
    word: Struct
    offset: Struct

    @property
    def entry(self) -> int:
        return 4 + 2 * self.offset.size


Directory = dict[int, list[int]]


def walk_tiff(data: bytes) -> Outline:
    form, at = _form(data)
    pages: list[Directory] = []
    seen, values = set[int](), 0
    while at and len(pages) < _MOST_PAGES:
        if at in seen:
            raise Rejected("corrupt")
        seen.add(at)
        directory, at = _directory(data, form, at)
        values += sum(map(len, directory.values()))
        if values > _MOST_VALUES:
            raise Rejected("corrupt")
        pages.append(directory)
    if at or not pages:
        raise Rejected("corrupt")
    for page in pages:
        _check_pieces(data, page)
    first = pages[0]
    width, height = (first.get(tag, [0])[0] for tag in (_WIDTH, _HEIGHT))
    deep = max(first.get(_BITS, [1])) > 8
    if len(pages) > 1:
        # Frames of one size are what the limits count in: as many as hold all pages' pixels.
        total = sum(page.get(_WIDTH, [0])[0] * page.get(_HEIGHT, [0])[0] for page in pages)
        frames = max(len(pages), -(-total // max(1, width * height)))
    else:
        frames = 1
    return Outline("image/tiff", width, height, frames, deep)


def _form(data: bytes) -> tuple[_Form, int]:
    """And where the first directory is."""
    little = data[:2] == b"II"
    two, four, eight = (LE16, LE32, LE64) if little else (BE16, BE32, BE64)
    numbers = {1: Struct("B"), 3: two, 4: four, 16: eight}
    if number(two, data, 2) == 43:
        return _Form(numbers, eight, eight), number(eight, data, 8)
    return _Form(numbers, two, four), number(four, data, 4)


def _directory(data: bytes, form: _Form, at: int) -> tuple[Directory, int]:
    """The numbers of the tags that count here, and where the next directory is."""
    count = number(form.word, data, at)
    if count > _MOST_ENTRIES:
        raise Rejected("corrupt")
    at += form.word.size
    wanted = {_WIDTH, _HEIGHT, _BITS, *(tag for pair in _PIECES for tag in pair)}
    found: Directory = {}
    for entry in range(at, at + count * form.entry, form.entry):
        tag, kind = number(form.numbers[3], data, entry), number(form.numbers[3], data, entry + 2)
        if tag in wanted and kind in _SIZES:
            if tag in found:
                raise Rejected("corrupt")
            found[tag] = _values(data, form, entry, kind)
    return found, number(form.offset, data, at + count * form.entry)


def _values(data: bytes, form: _Form, entry: int, kind: int) -> list[int]:
    count = number(form.offset, data, entry + 4)
    if not 0 < count <= _MOST_PIECES:
        raise Rejected("corrupt")
    at, size = entry + 4 + form.offset.size, _SIZES[kind]
    if count * size > form.offset.size:
        at = number(form.offset, data, at)
    return [number(form.numbers[kind], data, at + i * size) for i in range(count)]


def _check_pieces(data: bytes, page: Directory) -> None:
    """A decoder fills up with black what is missing."""
    pieces = [(page[o], page[c]) for o, c in _PIECES if o in page and c in page]
    if not pieces:
        raise Rejected("corrupt")
    for offsets, counts in pieces:
        if len(offsets) != len(counts):
            raise Rejected("corrupt")
        if any(at + size > len(data) for at, size in zip(offsets, counts, strict=True)):
            raise Rejected("truncated")
