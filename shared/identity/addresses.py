"""E-mail addresses: which are taken, and when two are the same.

The same means: equal without regard to case. Providers that tell `Ada@` from `ada@` are about
none, people who mix them up are many. Tags (`ada+x@`) and dots stay what they are: what they
mean is the provider's affair. A domain is ASCII; browsers send international ones as `xn--…`
already, and no two domains look alike then.
"""

from __future__ import annotations

import unicodedata

# RFC 5321, section 4.5.3.1, and its errata 1690: octets of the local part and of the whole.
LONGEST = 254
_LONGEST_LOCAL = 64
_LONGEST_LABEL = 63
# RFC 5322: these need quotes in a local part, and nobody's address has any.
_SPECIALS = frozenset('"(),:;<>@[\\]')
# RFC 2047, section 5: no encoded word stands in an address. Whoever reads a header decodes one all
# the same, into what the two above keep out: a line's end, another address.
_ENCODED = "=?"


def checked_address(value: str) -> str:
    """The address to write to: trimmed, NFC (RFC 6532), with the domain in lower case.
    Raises ValueError."""
    local, at, domain = unicodedata.normalize("NFC", value.strip()).rpartition("@")
    domain = domain.lower()
    address = f"{local}@{domain}"
    if not at or len(address.encode()) > LONGEST:
        raise ValueError("is not an e-mail address")
    if not _is_local(local) or not _is_domain(domain):
        raise ValueError("is not an e-mail address")
    return address


def address_key(address: str) -> str:
    """Equal for addresses that are the same."""
    return unicodedata.normalize("NFC", address.lower())


def _is_local(text: str) -> bool:
    if not text or len(text.encode()) > _LONGEST_LOCAL or "" in text.split("."):
        return False
    if _ENCODED in text:
        return False
    return text.isprintable() and not any(c.isspace() or c in _SPECIALS for c in text)


def _is_domain(text: str) -> bool:
    labels = text.split(".")
    return len(labels) > 1 and all(map(_is_label, labels)) and not labels[-1].isdigit()


def _is_label(text: str) -> bool:
    letters = text.replace("-", "")
    return (
        text.isascii()
        and letters.isalnum()
        and len(text) <= _LONGEST_LABEL
        and not text.startswith("-")
        and not text.endswith("-")
    )
