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
    """As web/src/app.tsx has them; an optional segment is two places."""
    found = re.findall(r'<Route path="([^"]+)"', (ROOT / "web/src/app.tsx").read_text())
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
    for one in recording.of("compute", "BackendBucket"):
        headers = dict(text.split(": ", 1) for text in one.inputs.get("customResponseHeaders", ()))
        policy = headers.get("Content-Security-Policy", "")
        if "default-src 'none'" not in policy or "unsafe" in policy:
            yield f"{one.name}: its pages may load anything"
        if not re.search(rf"connect-src [^;]*/{recording.config['gcp:project']}-inbox/", policy):
            yield f"{one.name}: its pages may upload nowhere"
        if headers.get("X-Content-Type-Options") != "nosniff":
            yield f"{one.name}: browsers guess what a file is"
        if {one.urn for one in objects.values()} - recording.before(one):
            yield f"{one.name} is there before its files"


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
