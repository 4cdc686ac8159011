"""The outline of HEIC and AVIF, which are boxes in boxes (ISO/IEC 14496-12, 23008-12).

The decoders' libraries read the same boxes, but after they have allocated for what these claim.
Counted is the largest image that any item declares, because a picture may be put together from
tiles or carry masks and thumbnails, each of which is decoded at its own declared size. That a
coded image is larger than its box says is left to the decoder, which works under a memory limit.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.media.outline import BE32, BE64, Outline, Rejected, number

# Phones write about 60 items (tiles of 512 pixels); the limit keeps a file made of empty boxes
# from costing seconds.
_MOST_BOXES = 4096
_AVIF = {b"avif", b"avis"}
_HEIC = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}


def sniff_boxes(head: bytes) -> str | None:
    """The pictures among the ISO base media files; `mif1` says picture but not which."""
    end = min(len(head), max(16, int.from_bytes(head[:4], "big")))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}
    if brands & _AVIF:
        return "image/avif"
    return "image/heic" if brands & _HEIC else None


def walk_boxes(data: bytes, kind: str) -> Outline:
    meta: tuple[int, int] | None = None
    frames = 1
    seen = set[bytes]()
    for name, start, end in _boxes(data, 0, len(data)):
        seen.add(name)
        if name == b"meta" and meta is None:
            meta = (start + 4, end)
        if name == b"moov":
            frames = _samples(data, start, end)
    if meta is None or (b"mdat" not in seen and _within(data, *meta, b"idat") is None):
        raise Rejected("truncated")
    sizes, depths = _properties(data, *meta)
    if not sizes:
        raise Rejected("corrupt")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return Outline(kind, width, height, frames, deep=any(depth > 8 for depth in depths))


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each box's content; a box that leaves its parent is a cut file."""
    for _ in range(_MOST_BOXES):
        if at + 8 > end:
            return
        size, name, start = number(BE32, data, at), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, start = number(BE64, data, at + 8), at + 16
        stop = end if size == 0 else at + size
        if stop > end:
            raise Rejected("truncated")
        if stop < start:
            raise Rejected("corrupt")
        yield name, start, stop
        at = stop
    raise Rejected("corrupt")


def _within(data: bytes, at: int, end: int, *path: bytes) -> tuple[int, int] | None:
    """The content of the first box down that path."""
    for wanted in path:
        found = next((box[1:] for box in _boxes(data, at, end) if box[0] == wanted), None)
        if found is None:
            return None
        at, end = found
    return at, end


def _properties(data: bytes, at: int, end: int) -> tuple[list[tuple[int, int]], list[int]]:
    """Of all items: the declared sizes, and bits a channel."""
    found = _within(data, at, end, b"iprp", b"ipco")
    sizes: list[tuple[int, int]] = []
    depths: list[int] = []
    for name, start, stop in _boxes(data, *found) if found else ():
        if name == b"ispe":
            sizes.append((number(BE32, data, start + 4), number(BE32, data, start + 8)))
        elif name == b"pixi":
            # One byte a channel, after their number; the box itself may claim megabytes.
            depths += data[start + 5 : min(stop, start + 5 + data[start + 4])]
    return sizes, depths


def _samples(data: bytes, at: int, end: int) -> int:
    """Frames of the longest track of an image sequence."""
    most = 1
    for name, start, stop in _boxes(data, at, end):
        if name == b"trak":
            table = _within(data, start, stop, b"mdia", b"minf", b"stbl", b"stsz")
            if table is not None:
                most = max(most, number(BE32, data, table[0] + 8))
    return most
