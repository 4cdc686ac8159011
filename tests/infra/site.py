"""Layer (c) for the web app: where the load balancer leads a path, and what lies there.

`led` reads a recorded URL map as Google documents it: rules by priority, the first match wins, a
full path or a prefix is swapped for the rewrite, a template is replaced by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.pages import ASKED_AGAIN, FOREVER, PLACES
from tests.fixtures.sources import ROOT
from tests.infra.recordings import Recording, Resource

_KINDS = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}
_STORAGE = "https://storage.googleapis.com"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
}
_POLICY = {
    "default-src": {"'none'"},
    "script-src": {"'self'"},
    "style-src": {"'self'"},
    "worker-src": {"'self'"},
    "base-uri": {"'none'"},
    "form-action": {"'self'"},
    "frame-ancestors": {"'none'"},
}
_PAGE = re.compile(r"index-[0-9a-f]{16}\.html")


@dataclass(frozen=True)
class Led:
    """The backend's name, the path that it is asked for, and what a 403 or 404 of it becomes."""

    backend: str
    path: str
    missing: tuple[str, int] | None = None


def led(recording: Recording, path: str) -> Led | None:
    matchers = [
        matcher
        for one in recording.of("compute", "URLMap")
        for matcher in one.inputs.get("pathMatchers", ())
    ]
    rules = [rule for matcher in matchers for rule in matcher["routeRules"]]
    for rule in sorted(rules, key=lambda one: one["priority"]):
        rewrite = rule.get("routeAction", {}).get("urlRewrite", {})
        for match in rule["matchRules"]:
            asked = _asked(match, rewrite, path)
            if asked is not None:
                name = str(rule["service"]).rpartition("/")[2]
                return Led(name, asked, _missing(rule))
    return None


def _asked(match: Mapping[str, Any], rewrite: Mapping[str, str], path: str) -> str | None:
    if (template := match.get("pathTemplateMatch")) is not None:
        pattern = "[^/]+".join(re.escape(part) for part in re.split(r"\{\w+\}", template))
        return rewrite["pathTemplateRewrite"] if re.fullmatch(pattern, path) else None
    whole, prefix = match.get("fullPathMatch"), match.get("prefixMatch")
    if whole == path or (prefix is not None and path.startswith(prefix)):
        kept = path[len(whole or prefix or "") :]
        return rewrite.get("pathPrefixRewrite", whole or prefix) + kept
    return None


def _missing(rule: Mapping[str, Any]) -> tuple[str, int] | None:
    for one in rule.get("customErrorResponsePolicy", {}).get("errorResponseRules", ()):
        if "4xx" in one["matchResponseCodes"]:
            return one["path"], int(one["overrideResponseCode"])
    return None


def routes_of_the_app() -> set[str]:
    """As web/src/app.tsx has them; an optional segment is two places. One more is left before the
    router looks: where another issuer sends people back to."""
    found = re.findall(r'<Route path="([^"]+)"', (ROOT / "web/src/app.tsx").read_text())
    provider = (ROOT / "web/src/session/provider.ts").read_text()
    found += re.findall(r'^const PLACE = "([^"]+)"', provider, re.MULTILINE)
    plain = {re.sub(r"/:\w+\?$", "", one) for one in found if one.endswith("?")}
    return plain | {re.sub(r":(\w+)\??", r"{\1}", one) for one in found}


def serves_the_app(recording: Recording) -> Iterator[str]:
    """Each place of the app leads to its page, which is never cached; what it loads is, for good,
    under a name of its own and as the kind that browsers insist on."""
    if not recording.config.get("snaptask:domain"):
        return
    if recording.config["snaptask:publicInvocation"] != "true":
        return
    objects = {str(one.inputs["name"]): one for one in _objects(recording)}
    for place in routes_of_the_app():
        asked = led(recording, re.sub(r"\{\w+\}", "x", place))
        name = asked.path.removeprefix("/") if asked else ""
        if not _PAGE.fullmatch(name) or name not in objects:
            yield f"{place} leads to {name or 'nothing'}"
    for one in recording.of("compute", "BackendService"):
        name = one.name.removeprefix("edge-")
        asked = led(recording, f"/api/{name}/x")
        if asked != Led(one.name, "/x"):
            yield f"/api/{name} leads to {asked}"
    if set(PLACES) != routes_of_the_app():
        yield "the app has other places"
    for name, one in objects.items():
        yield from _stored(name, one)
    if led(recording, "/nothing") != Led("web-app", "/nothing", (f"/{_page(objects)}", 404)):
        yield "what nobody knows is not a 404"
    if (docs := led(recording, "/api/docs")) and docs.path.removeprefix("/") not in objects:
        yield "the API's description is nowhere"
    for one in recording.of("compute", "BackendBucket"):
        yield from (f"{one.name}: {wrong}" for wrong in _answers(recording, one))
        if {one.urn for one in objects.values()} - recording.before(one):
            yield f"{one.name} is there before its files"


def _page(objects: Mapping[str, Resource]) -> str:
    return next((name for name in objects if _PAGE.fullmatch(name)), "")


def _answers(recording: Recording, backend: Resource) -> Iterator[str]:
    """Written down here once more: what the program and the gateway share may be wrong in both."""
    if backend.inputs.get("cdnPolicy", {}).get("cacheMode") != "USE_ORIGIN_HEADERS":
        yield "files are kept for other times than they say"
    headers = dict(text.split(": ", 1) for text in backend.inputs.get("customResponseHeaders", ()))
    for name, text in _HEADERS.items():
        if headers.get(name) != text:
            yield f"{name} is {headers.get(name)}"
    policy = dict(
        part.split(" ", 1)
        for part in headers.get("Content-Security-Policy", "").split("; ")
        if part
    )
    project = recording.config["gcp:project"]
    stored = {f"{_STORAGE}/{project}-{name}/" for name in ("inbox", "media", "renditions")}
    wanted = {
        **_POLICY,
        "img-src": {"'self'", "blob:", *stored},
        "connect-src": {"'self'", *stored},
    }
    for name in policy.keys() | wanted.keys():
        if set(policy.get(name, "").split()) != wanted.get(name):
            yield f"pages may do other things than meant: {name} {policy.get(name)}"


def _objects(recording: Recording) -> list[Resource]:
    found = recording.of("storage", "BucketObject")
    return [one for one in found if str(one.inputs["bucket"]).endswith("-web")]


def _stored(name: str, one: Resource) -> Iterator[str]:
    wanted = FOREVER if name.startswith("assets/") else ASKED_AGAIN
    if one.inputs.get("cacheControl") != wanted:
        yield f"{name}: kept as {one.inputs.get('cacheControl')}"
    kind = _KINDS.get(name.rpartition(".")[2])
    if kind and not str(one.inputs.get("contentType")).startswith(kind):
        yield f"{name} is {one.inputs.get('contentType')}"
    if not one.retained:
        yield f"{name} is taken from whoever has the old page open"
    if name.endswith(".html") and not _PAGE.fullmatch(name):
        yield f"{name} is replaced in place, before or after its assets"
