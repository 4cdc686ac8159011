"""Functions are killed with -9 while 150 pictures come in: nothing is lost, nobody's, or counted
twice, and everybody who was told of a success has it."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import psutil
import pytest

from shared.documents import Document
from shared.documents.firestore import FirestoreDocuments
from tests.fixtures import http
from tests.fixtures.ledger import differences
from tests.fixtures.product import COLLECTIONS
from tests.fixtures.stack import Person, Stack, announced, eventually
from tests.fixtures.stores import patient as patient
from tests.load.pictures import jpeg

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]

COUNT, SIZE = 150, 50_000
VICTIMS = ("media", "thumbnails", "activity", "maintenance", "tasks")
# Seconds between two kills; a worker is there again after about one.
_EVERY = 0.4
_PATIENCE = 120


def killing(stack: Stack, stop: threading.Event, seed: int) -> list[str]:
    """Workers; gunicorn's master starts another one, as Cloud Run would an instance."""
    chance, killed = random.Random(seed), []
    while not stop.wait(_EVERY):
        name = chance.choice(VICTIMS)
        for process in stack.processes(name)[1:]:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
            killed.append(name)
    return killed


@contextmanager
def kills(stack: Stack, seed: int) -> Iterator[list[str]]:
    stop, killed = threading.Event(), []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(killing, stack, stop, seed)
        try:
            yield killed
        finally:
            stop.set()
            killed += running.result()


def sent(call: Callable[[], httpx.Response]) -> httpx.Response:
    """As often as it takes: a client whose request broke off, or was told to try again, does."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            answer = call()
            if answer.status_code < 500:
                return answer
        except httpx.TransportError:
            pass
        assert time.monotonic() < end
        time.sleep(0.05)


def upload(person: Person, task: str, number: int) -> str:
    content = jpeg(SIZE, number)
    body, headers = announced(content, "image/jpeg"), {"Idempotency-Key": f"upload {number}"}
    answer = sent(lambda: person.api.post("/media/uploads", json=body, headers=headers))
    assert answer.status_code == 201, answer.text
    ticket: dict[str, Any] = answer.json()
    signed = ticket["upload"]
    put = sent(lambda: http.put(signed["url"], content=content, headers=signed["headers"]))
    # 412: it stands there already, an earlier answer was lost.
    assert put.status_code in (200, 412), put.text
    medium = str(ticket["mediaId"])
    attach = f"/tasks/{task}/attach-media"
    assert sent(lambda: person.api.post(attach, json={"mediaId": medium})).status_code == 200
    return medium


def stored(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> dict[str, Document]:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", stack.plan.address("firestore"))
    documents = FirestoreDocuments(stack.plan.project)
    try:
        found = (documents.query(one, limit=20_000) for one in COLLECTIONS)
        return {document.path: document for many in found for document in many}
    finally:
        documents.close()


@pytest.mark.usefixtures("patient")
def test_functions_are_killed_and_nothing_is_lost_or_doubled(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as opened:
        people = [opened.enter_context(stack.person()) for _ in range(3)]
        tasks = [[person.task()["id"] for _ in range(2)] for person in people]
        owners = [person.api.get("/auth/me").json()["id"] for person in people]

        def one(number: int) -> str:
            which = number % len(people)
            return upload(people[which], tasks[which][number % 2], number)

        with kills(stack, 7) as killed, ThreadPoolExecutor(12) as threads:
            media = list(threads.map(one, range(COUNT)))
        assert set(killed) == set(VICTIMS)
        for person in people:
            eventually(lambda p=person: _states(p), lambda seen: set(seen) == {"ready"}, 120)
        eventually(lambda: stack.documents("outbox"), lambda waiting: not waiting)
        listed = [one for person in people for one in _listed(person)]
        assert Counter(one["id"] for one in listed) == Counter(media)

        def seen() -> tuple[list[str], Counter[str]]:
            found = stored(stack, monkeypatch)
            objects = {name: stack.objects(name) for name in ("inbox", "media", "renditions")}
            return differences(found, objects, owners), _told_ready(found, owners)

        # What a killed function left is delivered again some seconds later.
        wanted: tuple[list[str], Counter[str]] = [], Counter(dict.fromkeys(media, 1))
        assert eventually(seen, lambda now: now == wanted) == wanted


def _listed(person: Person) -> list[dict[str, Any]]:
    answer = sent(lambda: person.api.get("/media", params={"limit": 100}))
    return list(answer.json()["items"])


def _states(person: Person) -> list[str]:
    return [one["state"] for one in _listed(person)]


def _told_ready(found: dict[str, Document], owners: list[str]) -> Counter[str]:
    """How often the audit trail says of each medium that it became ready."""
    return Counter(
        document.data["event"]["mediaId"]
        for path, document in found.items()
        if path.startswith("audit/")
        and document.data["owner"] in owners
        and document.data["type"] == "snaptask.media.v1.ready"
    )
