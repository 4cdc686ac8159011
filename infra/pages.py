"""The web app as files: its places, its headers and its kinds, for both worlds.

The gateway serves them locally, a bucket behind the load balancer in the cloud. Imports nothing of
Pulumi.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

# All of them are the app's one page, which looks at the path itself. The braces mean the same to
# aiohttp and to a URL map: one segment.
PLACES = (
    "/",
    "/tasks/{id}",
    "/join/{token}",
    "/media",
    "/media/{id}",
    "/trash",
    "/account",
    "/signed-in",
)
PAGE = "index.html"
# The build puts a hash of its content into an asset's name.
ASSETS = "assets/"
FOREVER = "public, max-age=31536000, immutable"
# Asked again every time, answered 304 as long as the file stands.
ASKED_AGAIN = "no-cache"
# Browsers are told not to guess (nosniff), so a wrong one is a broken app.
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True)
class PageFile:
    """`name` is the path below the app's root, without a slash in front."""

    name: str
    path: Path
    kind: str
    caching: str


def page_files(folder: Path) -> list[PageFile]:
    """What the build left in `folder`, in the order of names; nothing when there was no build.
    Raises ValueError for a file of a kind that nobody named."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    named = [(path.relative_to(folder).as_posix(), path) for path in paths]
    # What begins with a dot is the build's own.
    return [_file(name, path) for name, path in named if not name.startswith(".")]


def _file(name: str, path: Path) -> PageFile:
    if path.suffix not in _KINDS:
        raise ValueError(f"{name}: infra/pages.py knows no content type for it")
    caching = FOREVER if name.startswith(ASSETS) else ASKED_AGAIN
    return PageFile(name, path, _KINDS[path.suffix], caching)


def page_headers(buckets: Iterable[str]) -> Mapping[str, str]:
    """Of every file of the app. `buckets` are the URLs, with a slash at the end, below which its
    pictures lie: to the API and to them it talks, and nothing else may be loaded. Another bucket
    of the same host is a stranger's."""
    stored = " ".join(buckets)
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        f"img-src 'self' blob: {stored}",
        "worker-src 'self'",
        f"connect-src 'self' {stored}",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
