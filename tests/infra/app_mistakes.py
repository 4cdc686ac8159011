"""Mistakes with the web app: its files, its headers, and the way to it (tests/infra/mistakes.py)."""

from __future__ import annotations

from tests.infra.mistakes import Mistake

MISTAKES = (
    Mistake(
        "everybody may list the app's bucket",
        "grants",
        '"roles/storage.legacyObjectReader"',
        '"roles/storage.objectViewer"',
    ),
    Mistake(
        "scripts are told to be plain text",
        "pages",
        '"text/javascript; charset=utf-8"',
        '"text/plain; charset=utf-8"',
    ),
    Mistake(
        "the page is cached for an hour",
        "pages",
        'ASKED_AGAIN = "no-cache"',
        'ASKED_AGAIN = "public, max-age=3600"',
    ),
    Mistake(
        "the app's pages may load anything",
        "web_app",
        '            custom_response_headers=[f"{name}: {text}" for name, text in _headers(settings)],\n',
        "",
    ),
    Mistake("a place of the app is forgotten", "pages", ' "/trash",', ""),
    Mistake(
        "a new app takes the old one's files away",
        "web_app",
        "retain_on_delete=True",
        "retain_on_delete=False",
    ),
    Mistake(
        "the app's page is replaced in place",
        "web_app",
        'f"index-{digest}.html"',
        '"index.html"',
    ),
    Mistake(
        "the app stands before the API",
        "edge",
        "rules += _to_web_app(self._web, default)",
        "rules[:0] = _to_web_app(self._web, default)",
    ),
    Mistake(
        "the map is switched before the files are there",
        "web_app",
        "after=list(stored.values())",
        "after=[]",
    ),
    Mistake(
        "the load balancer keeps the page whatever it says",
        "web_app",
        'cache_mode="USE_ORIGIN_HEADERS"',
        'cache_mode="FORCE_CACHE_ALL"',
    ),
    Mistake(
        "what nobody knows is found",
        "edge",
        "override_response_code=404",
        "override_response_code=200",
    ),
    Mistake(
        "what nobody knows is the bucket's own error",
        "edge",
        '_rule(web.backend.id, _Match(prefix_match="/"), missing=missing)',
        '_rule(web.backend.id, _Match(prefix_match="/"))',
    ),
    Mistake(
        "the next visit may begin over plain HTTP",
        "web_app",
        '[*headers.items(), ("Strict-Transport-Security", _HSTS)]',
        "[*headers.items()]",
    ),
    Mistake(
        "the app may be framed by anybody",
        "pages",
        "        \"frame-ancestors 'none'\",\n",
        "",
    ),
    Mistake(
        "pictures may not be shown",
        "pages",
        "f\"img-src 'self' blob: {stored}\"",
        "\"img-src 'self' blob:\"",
    ),
    Mistake(
        "the app may talk to a stranger's bucket",
        "web_app",
        'page_headers(f"{_STORAGE}/{name}/" for name in names)',
        'page_headers([_STORAGE, *(f"{_STORAGE}/{name}/" for name in names)])',
    ),
    Mistake(
        "an invitation's address is told to other sites",
        "pages",
        '        "Referrer-Policy": "no-referrer",\n',
        "",
    ),
    Mistake(
        "the API's description is nowhere",
        "web_app",
        '        PageFile("api/docs", _DOCUMENT, "application/json", ASKED_AGAIN),\n',
        "",
    ),
)
