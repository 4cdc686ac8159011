"""`make seed`: a demo account with tasks and pictures in the running local cloud.

Through the API, as a person would, so what it makes is what the product makes. Running it again
changes nothing: every request has an Idempotency-Key, and attaching twice is attaching once.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageOps

from emulators.plan import ROOT, Plan

EMAIL, PASSWORD = "demo@example.com", "correct horse battery"
PHOTOGRAPH = ROOT / "docs" / "images" / "coffee.jpg"
# Seconds. A picture takes half of one; the first after a start wakes the function up.
_PATIENCE = 60.0


@dataclass(frozen=True)
class Seed:
    title: str
    fields: dict[str, Any]
    pictures: tuple[str, ...] = ()
    """Names of variants of the photograph."""
    due_in: int | None = None
    """Days."""


SEEDS = (
    Seed(
        "Photograph the new menu",
        {"priority": "high", "labels": ["menu", "photos"], "description": "Daylight, no flash."},
        ("whole", "close"),
        due_in=2,
    ),
    Seed("Order beans", {"priority": "high", "labels": ["stock"]}, due_in=1),
    Seed(
        "Design the winter poster",
        {"labels": ["photos"], "description": "Black and white, with room for text."},
        ("grey", "upright"),
        due_in=9,
    ),
    Seed("Clean the grinder", {"priority": "low", "labels": ["upkeep"]}),
    Seed("Answer the health inspector", {"status": "done"}),
    Seed("Repair the door", {"status": "done", "labels": ["upkeep"], "priority": "low"}),
)


class Refused(Exception):
    """The API answered something else than asked for; `status` is 0 for what it says in a body."""

    def __init__(self, detail: str, status: int = 0) -> None:
        super().__init__(detail)
        self.status = status


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / ".local", help="the cloud's folder")
    running = Plan.running(parser.parse_args(arguments).data)
    if running is None:
        print("No local cloud runs; start it with `make dev`.", file=sys.stderr)
        return 1
    plan = running[0]
    try:
        with signed_in(plan.url("gateway")) as api:
            for line in fill(api):
                print(line)
    except (Refused, httpx.TransportError) as error:
        print(f"The local cloud was not filled: {error}", file=sys.stderr)
        return 1
    print(f"Sign in at {plan.origins[0]} as {EMAIL} with the password '{PASSWORD}'")
    return 0


@contextmanager
def signed_in(gateway: str) -> Iterator[httpx.Client]:
    credentials = {"email": EMAIL, "password": PASSWORD}
    with httpx.Client(base_url=f"{gateway}/api", timeout=60) as api:
        ask(api, "POST", "/auth/register", json=credentials)
        tokens = ask(api, "POST", "/auth/login", json=credentials)
        api.headers["Authorization"] = f"Bearer {tokens['accessToken']}"
        yield api


def fill(api: httpx.Client) -> Iterator[str]:
    """One line for each task that is there afterwards."""
    since = datetime.fromisoformat(ask(api, "GET", "/auth/me")["createdAt"])
    for seed in SEEDS:
        task = ask(api, "POST", "/tasks", key=f"seed {seed.title}", json=_draft(seed, since))
        for variant in seed.pictures:
            try:
                medium = upload(api, variant)
            except Refused as refusal:
                # Somebody has thrown it away since the first run, and meant it.
                if refusal.status not in (404, 409):
                    raise
                continue
            ask(api, "POST", f"/tasks/{task['id']}/attach-media", json={"mediaId": medium})
        yield seed.title


def upload(api: httpx.Client, variant: str) -> str:
    """The id of the picture, which is ready."""
    file = {"file": (f"coffee-{variant}.jpg", picture(variant), "image/jpeg")}
    medium = ask(api, "POST", "/media/upload", key=f"seed {variant}", files=file)
    end = time.monotonic() + _PATIENCE
    while medium["state"] in ("pending", "scanning"):
        if time.monotonic() > end:
            raise Refused(f"the picture {medium['id']} is still {medium['state']}")
        time.sleep(0.1)
        medium = ask(api, "GET", f"/media/{medium['id']}")
    if medium["state"] != "ready":
        raise Refused(f"the picture {medium['id']} was rejected: {medium['reason']}")
    return str(medium["id"])


def picture(variant: str) -> bytes:
    """The photograph, or something made of it; always the same bytes."""
    if variant == "whole":
        return PHOTOGRAPH.read_bytes()
    with Image.open(PHOTOGRAPH) as photograph:
        width, height = photograph.size
        made = {
            "close": lambda: photograph.crop((width // 4, height // 4, width * 3 // 4, height)),
            "grey": lambda: ImageOps.grayscale(photograph),
            "upright": lambda: photograph.transpose(Image.Transpose.ROTATE_90),
        }[variant]()
    content = io.BytesIO()
    made.save(content, "JPEG", quality=88)
    return content.getvalue()


def ask(api: httpx.Client, method: str, path: str, key: str = "", **options: Any) -> Any:
    """The answer's body. Raises Refused."""
    headers = {"Idempotency-Key": key} if key else {}
    answer = api.request(method, path, headers=headers, **options)
    if not answer.is_success:
        told = f"{method} {path} was answered with {answer.status_code}: {answer.text}"
        raise Refused(told, answer.status_code)
    return answer.json() if answer.content else None


def _draft(seed: Seed, since: datetime) -> dict[str, Any]:
    """Due dates count from the account's first day: a second run is the same request."""
    draft = {"title": seed.title, **seed.fields}
    if seed.due_in is not None:
        draft["dueAt"] = (since + timedelta(days=seed.due_in)).isoformat()
    return draft


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
