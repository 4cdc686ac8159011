"""The two kinds of document that are kept as they are: PDF and plain text.

They are handed out as attachments and never shown, so what counts is that nothing else passes for
one of them: a PDF has its header at the first byte and its trailer at the last, a text is UTF-8
without control characters and does not begin as markup that a browser would run. Nothing that can
be opened as an archive is taken at all, because no scanner looks into every one of them.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder

from shared.media.outline import LE16, Outline, Rejected, number

# What `kind_of` has to see of a text before it calls it one.
HEAD = 4096
_PDF = re.compile(rb"%PDF-[12]\.\d[\r\n ]")
# ISO 32000-1, 7.5.5: the last line, after it nothing but the ends of lines.
_PDF_END = re.compile(rb"startxref\s+\d{1,15}\s+%%EOF[\r\n \0]*\Z")
_PDF_TAIL = 1024
# C0 without tab, line feed, form feed and carriage return; delete; C1 as UTF-8 writes it.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]|\xc2[\x80-\x9f]")
# WHATWG MIME Sniffing, 7.1: a browser takes what begins with a tag or a comment for a page, and
# readers of PDF are content with a broken one.
_NO_TEXT = re.compile(rb"(?:\xef\xbb\xbf)?[\t\n\x0c\r ]*(?:<[!?/A-Za-z]|%PDF-|%!PS)")
_ARCHIVE_ENDS = b"PK\x05\x06"
_LONGEST_COMMENT = 65535


def sniff_document(head: bytes) -> str | None:
    if _PDF.match(head):
        return "application/pdf"
    # A character may be cut where the head ends.
    return "text/plain" if _is_text(head, whole=len(head) < HEAD) else None


def walk_document(data: bytes) -> Outline:
    """Raises Rejected for what is neither."""
    if _PDF.match(data):
        if not _PDF_END.search(data, max(0, len(data) - _PDF_TAIL)):
            raise Rejected("truncated")
        return Outline("application/pdf")
    if not _is_text(data, whole=True):
        raise Rejected("unknown-type")
    return Outline("text/plain")


def ends_as_archive(data: bytes) -> bool:
    """Whether a ZIP reader, which begins at a file's end, would open it (APPNOTE.TXT 4.3.16)."""
    at = data.rfind(_ARCHIVE_ENDS, max(0, len(data) - 22 - _LONGEST_COMMENT))
    return at >= 0 and at + 22 <= len(data) and at + 22 + number(LE16, data, at + 20) == len(data)


def _is_text(data: bytes, whole: bool) -> bool:
    if not data or _NO_TEXT.match(data) or _CONTROL.search(data):
        return False
    try:
        getincrementaldecoder("utf-8")().decode(data, final=whole)
    except UnicodeDecodeError:
        return False
    return True
