"""HEIC through libheif (PyPI's pi-heif, which decodes only), imported when such a file comes.

Its Pillow plugin would hold the decoded picture three times over; here the pixels stay in
libheif's buffer and become Pillow images a band at a time. Rotation and mirroring are part of the
format and done by the decoder, so the EXIF orientation does not count (ISO/IEC 23008-12, annex A).
"""

from __future__ import annotations

from functools import cached_property
from io import BytesIO
from typing import Any

from PIL import Image

from shared.media.outline import Rejected


class Heic:
    """What `renditions` asks of a picture; `load` decodes."""

    def __init__(self, data: bytes) -> None:
        import pi_heif

        pi_heif.options.DECODE_THREADS = 1
        for extra in ("THUMBNAILS", "DEPTH_IMAGES", "AUX_IMAGES"):
            setattr(pi_heif.options, extra, False)
        file = pi_heif.open_heif(BytesIO(data), convert_hdr_to_8bit=True)
        self._picture = file[file.primary_index]
        self.size: tuple[int, int] = self._picture.size
        self.info: dict[str, Any] = {
            name: value
            for name, value in self._picture.info.items()
            if name in ("icc_profile", "exif") and value
        }

    def load(self) -> None:
        """The size of a picture may turn out another when it is decoded."""
        self._picture.load()
        if self._picture.size != self.size:
            raise Rejected("corrupt")

    def exif(self) -> Image.Exif:
        exif = Image.Exif()
        exif.load(self.info.get("exif", b""))
        return exif

    @cached_property
    def _pixels(self) -> memoryview:
        return memoryview(self._picture.data)

    def band(self, top: int, bottom: int) -> Image.Image:
        stride, mode = self._picture.stride, self._picture.mode
        part = self._pixels[top * stride : bottom * stride].tobytes()
        size = (self.size[0], bottom - top)
        return Image.frombuffer(mode, size, part, "raw", mode, stride, 1)
