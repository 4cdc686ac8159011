"""What differs between stacks: read once from the stack's configuration into a frozen model.

A missing, unknown or malformed key stops the program before its first resource, with all that is
wrong told at once: a misspelt key that is silently ignored is a setting nobody has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

NAMESPACE = "snaptask"
_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_REGION = re.compile(r"[a-z]+-[a-z]+[0-9]+")
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")
_ORIGIN = re.compile(r"https://[a-z0-9.-]+(?::[0-9]{2,5})?")
_REPOSITORY = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_BILLING = re.compile(r"[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}")
_CURRENCY = re.compile(r"[A-Z]{3}")
# With a tag or digest of its own: under a name that stays the same no new image is deployed.
_IMAGE = re.compile(
    r"[a-z0-9.-]+(?:/[a-z0-9._-]+)+(?::(?!latest$)[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
    r"|@sha256:[0-9a-f]{64})"
)


class SettingsError(Exception):
    """The stack's configuration cannot be used; the message lists everything that is wrong."""


@dataclass(frozen=True)
class Settings:
    """`project` and `region` come from the provider's keys gcp:project and gcp:region, all others
    from snaptask:<name in camel case>."""

    project: str
    region: str
    production: bool
    """Delete protection, backups that are kept, and resources that `destroy` refuses to take."""
    public_invocation: bool
    """Lets everybody call the HTTP functions; docs/deploy.md says what to do where the
    organisation forbids it."""
    alert_email: str = ""
    origins: tuple[str, ...] = ()
    """Where the app's pages come from, beside the domain."""
    domain: str = ""
    """With it, a load balancer is made and functions are reached only through it."""
    billing_account: str = ""
    """With it, a budget is made."""
    monthly_budget: int = 50
    currency: str = "USD"
    repository: str = ""
    """`owner/name` on GitHub: with it, its deploy workflow may act in this project."""
    scanner_image: str = ""
    """With it, a scan service is made of this image, and thumbnails asks it."""
    min_instances: Mapping[str, int] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    """Values that only the operator knows, such as a mail server's name."""
    backup_days: int = 7

    @property
    def base_url(self) -> str:
        """What stands before /<function> in a URL that others may call. Without a domain it is
        the functions' own stable address, which Google forms of region and project."""
        if self.domain:
            return f"https://{self.domain}/api"
        return f"https://{self.region}-{self.project}.cloudfunctions.net"

    @property
    def all_origins(self) -> tuple[str, ...]:
        return (*((f"https://{self.domain}",) if self.domain else ()), *self.origins)


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("is true or false")
    return text == "true"


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdigit() or not least <= int(text) <= most:
            raise ValueError(f"is a whole number from {least} to {most}")
        return int(text)

    return read


def _like(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"is {what}")
        return text

    return read


def _origins(text: str) -> tuple[str, ...]:
    listed = _json(text, list)
    for one in listed:
        if not isinstance(one, str) or not _ORIGIN.fullmatch(one):
            raise ValueError('lists origins, such as ["https://app.example.com"]')
    return tuple(listed)


def _instances(text: str) -> Mapping[str, int]:
    found: dict[str, int] = _json(text, dict)
    if not all(type(count) is int and 0 <= count <= 100 for count in found.values()):
        raise ValueError("maps functions to 0 to 100 instances")
    return found


def _texts(text: str) -> Mapping[str, str]:
    found: dict[str, str] = _json(text, dict)
    if not all(isinstance(value, str) for value in found.values()):
        raise ValueError("maps names to texts")
    return found


def _json(text: str, kind: type) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, kind):
        raise ValueError(f"is a JSON {'array' if kind is list else 'object'}")
    return value


_READERS: Mapping[str, Callable[[str], Any]] = {
    "project": _like(_PROJECT, "a project id of 6 to 30 lower-case letters, digits and hyphens"),
    "region": _like(_REGION, "a region, such as europe-west1"),
    "production": _boolean,
    "public_invocation": _boolean,
    "alert_email": _like(_EMAIL, "an e-mail address"),
    "origins": _origins,
    "domain": _like(_DOMAIN, "a domain name in lower case"),
    "billing_account": _like(_BILLING, "a billing account, such as 012345-6789AB-CDEF01"),
    "monthly_budget": _whole(1, 10_000_000),
    "currency": _like(_CURRENCY, "three capital letters"),
    "repository": _like(_REPOSITORY, "owner/name"),
    "scanner_image": _like(_IMAGE, "an image with a tag (not latest) or digest"),
    "min_instances": _instances,
    "environment": _texts,
    "backup_days": _whole(1, 98),
}


def read(config: Mapping[str, str]) -> Settings:
    """`config` holds full keys, `snaptask:alertEmail`. Raises SettingsError."""
    keys = {_key(one.name): one.name for one in fields(Settings)}
    wrong = [
        f"{key}: there is no such setting"
        for key in config
        if key.startswith(f"{NAMESPACE}:") and key not in keys
    ]
    values: dict[str, Any] = {}
    for key, name in keys.items():
        text = config.get(key, "")
        if not text:
            continue
        try:
            values[name] = _READERS[name](text)
        except ValueError as error:
            wrong.append(f"{key}: {error}")
    needed = ("project", "region", "production", "public_invocation")
    wrong += [f"{_key(name)}: is missing" for name in needed if not config.get(_key(name))]
    if wrong:
        raise SettingsError("The stack's configuration: " + "; ".join(sorted(wrong)))
    return Settings(**values)


def _key(name: str) -> str:
    if name in ("project", "region"):
        return f"gcp:{name}"
    head, *rest = name.split("_")
    return f"{NAMESPACE}:{head}{''.join(part.title() for part in rest)}"
