"""How a task is found: its words and its tags, as the index keeps them.

A word is a run of letters and digits of any script, without case and diacritics ("Äpfel" is
"apfel", "Straße" is "strasse"); a Han character or Hiragana stands alone, as nothing parts words
there. The index holds each word whole and its first three characters, by which a word that is
still being typed is found. Tags are what one picks from a list: status, priority, labels.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

# Title and labels come first, so what is cut is the end of a long description. With prefixes
# and two orders this makes 400 index entries, a hundredth of what a document may have.
MOST_WORDS = 100
_LONGEST_WORD = 30
_LONGEST_SORTING = 40
PREFIX = 3
# Letters that pieces of other texts than ASCII may become. MOST_WORDS distinct words come long
# before; one sign may become eighteen, and a list looks at hundreds of descriptions.
_MOST_FOLDED = 5000
# Words are parted by white space before they are folded as well as after. Nothing longer is a word.
_PIECE = re.compile(r"\S{1,200}")
_ALONE = "\u3041-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(f"[{_ALONE}]|[^\\W_{_ALONE}]+")
_OTHER = re.compile(r"[\W_]+")
# Letters with a stroke and ligatures, which no normal form takes apart.
_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe"})


def fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(c for c in apart if unicodedata.category(c) != "Mn").translate(_PLAIN)


def sorting(text: str) -> str:
    """By which titles are in order: without case, accents, and what is neither letter nor digit.
    As short as a cursor can carry it in any script; titles with one beginning stand together."""
    return _OTHER.sub(" ", fold(text)).strip()[:_LONGEST_SORTING]


def words(text: str) -> Iterator[str]:
    for piece in _folded(text):
        for found in _WORD.finditer(piece):
            yield found[0][:_LONGEST_WORD]


def _folded(text: str) -> Iterator[str]:
    """Piece by piece, so that who has enough words stops the work."""
    if text.isascii():
        yield fold(text)
        return
    left = _MOST_FOLDED
    for found in _PIECE.finditer(text):
        piece = fold(found[0])
        yield piece
        left -= 0 if found[0].isascii() else len(piece)
        if left <= 0:
            return


def words_of(fields: Mapping[str, Any]) -> list[str]:
    """The distinct words a task is found by, at most MOST_WORDS."""
    seen: dict[str, None] = {}
    for text in (fields["title"], *fields["labels"], fields["description"]):
        for word in words(text):
            seen[word] = None
            if len(seen) >= MOST_WORDS:
                return list(seen)
    return list(seen)


def word_terms(fields: Mapping[str, Any]) -> list[str]:
    found = words_of(fields)
    prefixes = dict.fromkeys(f"p:{word[:PREFIX]}" for word in found if len(word) >= PREFIX)
    return [*(f"w:{word}" for word in found), *prefixes]


def tags(fields: Mapping[str, Any]) -> list[str]:
    """`n:` says which status it is not: two statuses of three are one tag that way."""
    status = fields["status"]
    return [
        f"s:{status}",
        *(f"n:{other}" for other in ("open", "doing", "done") if other != status),
        f"p:{fields['priority']}",
        *(f"l:{label}" for label in fields["labels"]),
    ]


class Sought:
    """What a person typed: every word must be there, the last one may be only begun."""

    def __init__(self, text: str) -> None:
        *self.whole, self.begun = list(words(text)) or [""]

    @property
    def term(self) -> str | None:
        """What the index is asked for; None when too little was typed for it."""
        if self.whole:
            return f"w:{max(self.whole, key=len)}"
        return f"p:{self.begun[:PREFIX]}" if len(self.begun) >= PREFIX else None

    def matches(self, fields: Mapping[str, Any]) -> bool:
        have = words_of(fields)
        return set(self.whole) <= set(have) and any(w.startswith(self.begun) for w in have)
