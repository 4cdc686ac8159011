"""A part of the cloud stands still, and the rest does what docs/decisions/2026-11-outages.md says.

A stopped process (SIGSTOP) is the worst kind of outage: it takes connections and never answers.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import httpx
import psutil
import pytest

from tests.fixtures import http, pictures
from tests.fixtures.stack import PASSWORD, Person, Stack, eventually

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]
PHOTO = pictures.saved(pictures.photo(320, 240), "JPEG")


def part(stack: Stack, *words: str) -> list[psutil.Process]:
    """The processes of the local cloud whose command has all of these words."""
    children = psutil.Process(stack.process.pid).children(recursive=True)
    found = [one for one in children if all(word in " ".join(one.cmdline()) for word in words)]
    assert found, words
    return found


@contextmanager
def stopped(processes: list[psutil.Process]) -> Iterator[None]:
    try:
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


def timed(call: Callable[[], httpx.Response]) -> tuple[httpx.Response, float]:
    started = time.monotonic()
    answer = call()
    return answer, time.monotonic() - started


def test_without_the_database_people_are_told_soon_then_at_once_and_served_when_it_is_back(
    stack: Stack, person: Person
) -> None:
    task = person.task()
    # Not as that person, who comes again when told to and would hear nothing of it.
    url, told = f"{stack.url}/api/tasks", {"Authorization": person.api.headers["Authorization"]}

    def read() -> httpx.Response:
        return http.get(f"{url}/{task['id']}", headers=told)

    with stopped(part(stack, "CloudFirestore")):
        first, seconds = timed(read)
        assert (first.status_code, first.headers["Retry-After"]) == (503, "1")
        # 2.5 s, and room for two busy cores; without a budget it is a minute.
        assert seconds < 10
        refused = [timed(read) for _ in range(20)]
        assert {answer.status_code for answer, _ in refused} == {503}
        # They wait for no answer of the database, as the one did that had to find out.
        assert median(taken for _, taken in refused) < seconds / 4
        written = http.post(url, json={"title": "x"}, headers=told)
        assert written.status_code == 503
        assert http.get(f"{stack.plan.url('tasks')}/health").status_code == 200
    back = eventually(read, lambda answer: answer.status_code == 200, within=10)
    assert back.json()["id"] == task["id"]
    # A refused write is none.
    assert [one["id"] for one in person.api.get("/tasks").json()["items"]] == [task["id"]]


def test_without_the_topic_writes_succeed_and_their_events_come_later(
    stack: Stack, person: Person
) -> None:
    me = person.api.get("/auth/me").json()["id"]

    def waiting() -> int:
        return len(stack.documents("outbox"))

    def audited() -> int:
        kinds = [one["type"] for one in stack.documents("audit") if one["owner"] == me]
        return sum(kind.startswith("snaptask.tasks.") for kind in kinds)

    eventually(waiting, lambda count: count == 0)
    with stopped(part(stack, "pubsub", "java")):
        for number in range(5):
            person.task(f"Number {number}")
        assert waiting() >= 5
    assert eventually(audited, lambda count: count >= 5) == 5
    assert eventually(waiting, lambda count: count == 0) == 0


def test_without_secret_manager_people_sign_in_by_the_keys_that_are_known(
    stack: Stack, person: Person
) -> None:
    credentials = {"email": person.email, "password": PASSWORD}
    with stopped(part(stack, "emulators.platform")):
        answer = person.api.post("/auth/login", json=credentials)
        assert answer.status_code == 200, answer.text
        token = {"Authorization": f"Bearer {answer.json()['accessToken']}"}
        assert person.api.get("/tasks", headers=token).status_code == 200


def test_without_the_thumbnailer_uploads_wait_and_what_was_ready_is_readable(
    stack: Stack, person: Person
) -> None:
    ready = person.settled(person.upload(PHOTO))["id"]
    with stopped(stack.processes("thumbnails")):
        waiting = person.upload(pictures.saved(pictures.photo(120, 90), "JPEG"))
        for path in (f"/media/{ready}/download", f"/media/{ready}/thumbnail"):
            answer = person.api.get(path)
            assert answer.status_code == 302
            assert http.get(answer.headers["Location"]).status_code == 200
        assert person.medium(waiting)["state"] == "pending"
        # Nobody gets to see bytes that were not looked at.
        assert person.api.get(f"/media/{waiting}/download").status_code == 409
    assert eventually(lambda: person.medium(waiting)["state"], lambda state: state == "ready")
