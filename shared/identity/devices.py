"""What a person calls the device: "Firefox on Linux", out of what its client calls itself.

Only that is kept. The whole text would tell devices apart far beyond what its owner needs, and is
whatever a client likes to write; the source address is not kept at all
(docs/decisions/2026-11-browser-sessions.md).
"""

from __future__ import annotations

import re

# In this order: every browser claims to be its ancestors as well.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
# RFC 9110: a product is a token, its version follows a slash. 30 characters name any program.
_PRODUCT = re.compile(r"([A-Za-z][A-Za-z0-9._-]{0,29})(?:[/ ].*)?", re.S)


def device_of(user_agent: str | None) -> str | None:
    """Letters, digits and spaces of ours, or the name of a program; None for anything else."""
    text = user_agent or ""
    browser = next((name for mark, name in _BROWSERS if mark in text), None)
    system = next((name for mark, name in _SYSTEMS if mark in text), None)
    if browser and system:
        return f"{browser} on {system}"
    program = _PRODUCT.fullmatch(text)
    return browser or system or (program[1] if program else None)
