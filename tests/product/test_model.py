"""People do anything in any order, events come late, twice or interrupted: the API always says
what a model of a few lines says, and the books balance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from shared.errors import Unavailable
from tests.fixtures import pictures
from tests.fixtures.product import Person, Product
from tests.fixtures.stores import firestore_documents

pytestmark = pytest.mark.proof

# Equal ones too: the same bytes twice are kept once, and must not show it.
CONTENTS = tuple(pictures.saved(pictures.photo(40 + n, 30), "JPEG") for n in range(3))
BROKEN = CONTENTS[0][:-30]


@dataclass
class Task:
    title: str
    status: str = "open"
    pictures: list[str] = field(default_factory=list)


@dataclass
class Medium:
    content: bytes
    ticket: Any
    state: str = "pending"
    sent: bool = False

    @property
    def is_visible(self) -> bool:
        return self.state in ("pending", "ready", "rejected")


class Machine(RuleBasedStateMachine):
    """Ada's doings. Every answer is checked where it is given, everything after each step."""

    tasks = Bundle("tasks")
    media = Bundle("media")

    def make(self) -> Product:
        return Product()

    def __init__(self) -> None:
        super().__init__()
        self.product = self.make()
        self.ada: Person = self.product.person("ada")
        self.bob: Person = self.product.person("bob")
        self.todo: dict[str, Task] = {}
        self.held: dict[str, Medium] = {}

    @initialize(target=tasks)
    def a_task(self) -> str:
        return self.create("c", 0)

    @initialize(target=media, content=st.sampled_from(CONTENTS))
    def a_picture(self, content: bytes) -> str:
        return self.announce(content, at_once=True)

    # Tasks.

    @rule(
        target=tasks,
        title=st.text("abc ", min_size=1, max_size=5).filter(str.strip),
        key=st.integers(0, 3),
    )
    def create(self, title: str, key: int) -> str:
        """The same key with the same title gives the same task, as long as there is one."""
        headers = {"Idempotency-Key": f"{key} {title}"}
        answer = self.ada.call("POST", "/api/tasks", {"title": title}, headers=headers)
        assert answer.status_code == 201
        task = answer.get_json()
        self.todo.setdefault(task["id"], Task(task["title"]))
        return str(task["id"])

    @rule(task=tasks, status=st.sampled_from(["open", "done"]))
    def change(self, task: str, status: str) -> None:
        answer = self.ada.call("PATCH", f"/api/tasks/{task}", {"status": status})
        assert answer.status_code == (200 if task in self.todo else 404)
        if task in self.todo:
            self.todo[task].status = status

    @rule(task=tasks)
    def remove(self, task: str) -> None:
        answer = self.ada.call("DELETE", f"/api/tasks/{task}")
        assert answer.status_code == (204 if self.todo.pop(task, None) else 404)

    @rule(task=tasks, medium=media)
    def attach(self, task: str, medium: str) -> None:
        answer = self.ada.call("POST", f"/api/tasks/{task}/attach-media", {"mediaId": medium})
        fits = task in self.todo and self.held[medium].state in ("pending", "ready")
        assert answer.status_code == (200 if fits else 404), answer.get_data()
        if fits and medium not in self.todo[task].pictures:
            self.todo[task].pictures.append(medium)

    @rule(task=tasks, medium=media)
    def detach(self, task: str, medium: str) -> None:
        answer = self.ada.call("DELETE", f"/api/tasks/{task}/detach-media/{medium}")
        there = task in self.todo and medium in self.todo[task].pictures
        assert answer.status_code == (204 if there else 404)
        if there:
            self.todo[task].pictures.remove(medium)

    # Media.

    @rule(target=media, content=st.sampled_from([*CONTENTS, BROKEN]), at_once=st.booleans())
    def announce(self, content: bytes, at_once: bool) -> str:
        ticket = self.ada.ticket(content)
        self.held[ticket["mediaId"]] = Medium(content, ticket)
        if at_once:
            self.send(ticket["mediaId"])
        return str(ticket["mediaId"])

    @rule(medium=media)
    def send(self, medium: str) -> None:
        """Perhaps a second time, perhaps after it was given up."""
        held = self.held[medium]
        status = self.product.put(held.ticket, held.content)
        assert status in (200, 412)
        held.sent = held.sent or held.state == "pending"

    @rule(medium=media)
    def cancel(self, medium: str) -> None:
        held = self.held[medium]
        answer = self.ada.call("DELETE", f"/api/media/uploads/{medium}")
        wanted = {"pending": 204, "ready": 409, "rejected": 409}.get(held.state, 404)
        assert answer.status_code == wanted, answer.get_data()
        if wanted == 204:
            held.state = "deleted"

    @rule(medium=media)
    def throw_away(self, medium: str) -> None:
        held = self.held[medium]
        answer = self.ada.call("DELETE", f"/api/media/{medium}")
        assert answer.status_code == (204 if held.is_visible else 404)
        if held.is_visible:
            held.state = "trashed" if held.state == "ready" else "deleted"

    # The platform.

    @rule(twice=st.booleans(), fails=st.integers(0, 40))
    def deliver(self, twice: bool, fails: int) -> None:
        """All that waits, with an outage at one of the calls, after which it comes again."""
        for resource in list(self.product.uploads) * (2 if twice else 1):
            self._outage(fails)
            status = self.product.finalized(resource)
            self.product.watch = lambda name: None
            if status != 204:
                assert status == 503
                assert self.product.finalized(resource) == 204
        for held in self.held.values():
            if held.sent and held.state == "pending":
                held.state = "rejected" if held.content == BROKEN else "ready"
        self.product.uploads = []

    @rule()
    def settle(self) -> None:
        self.deliver(twice=False, fails=0)
        self.product.settle()
        # What nobody can have back is on no task any more; what is in the trash stays.
        for task in self.todo.values():
            task.pictures = [one for one in task.pictures if self.held[one].state != "deleted"]
        assert self.product.differences() == []

    def _outage(self, nth: int) -> None:
        left = nth

        def watch(name: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Unavailable("on request")

        self.product.watch = watch

    # What must hold.

    @invariant()
    def the_list_is_the_models(self) -> None:
        items = self.ada.call("GET", "/api/tasks?limit=100").get_json()["items"]
        seen = {one["id"]: (one["title"], one["status"], one["mediaCount"]) for one in items}
        assert seen == {
            name: (task.title, task.status, len(task.pictures)) for name, task in self.todo.items()
        }

    @invariant()
    def the_gallery_is_the_models(self) -> None:
        items = self.ada.call("GET", "/api/media?limit=100").get_json()["items"]
        seen = {one["id"]: one["state"] for one in items}
        assert seen == {name: held.state for name, held in self.held.items() if held.is_visible}

    @invariant()
    def a_task_shows_its_pictures_in_order(self) -> None:
        for name, task in self.todo.items():
            shown = self.ada.call("GET", f"/api/tasks/{name}/with-media").get_json()["media"]
            wanted = [one for one in task.pictures if self.held[one].is_visible]
            assert [one["id"] for one in shown] == wanted

    @invariant()
    def another_has_nothing_of_it(self) -> None:
        for path in ("/api/tasks", "/api/media"):
            assert self.bob.call("GET", path).get_json()["items"] == []


def play(machine: type[Machine], examples: int, steps: int, *phases: Phase) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            database=None,
            deadline=None,
            phases=phases or (Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_any_doings_leave_what_the_model_says() -> None:
    play(Machine, 40, 40)


@pytest.mark.emulated
def test_any_doings_leave_the_same_in_firestore(firestore: str) -> None:
    class OverFirestore(Machine):
        def make(self) -> Product:
            self.opened = firestore_documents()
            return Product(self.opened.__enter__())

        def teardown(self) -> None:
            self.opened.__exit__(None, None, None)

    play(OverFirestore, 4, 15)


def test_the_machine_sees_a_count_that_drifts() -> None:
    """Or the runs above would prove little: the mutant counts each attaching, new or not."""

    class Mutant(Machine):
        @rule(task=Machine.tasks, medium=Machine.media)
        def attach(self, task: str, medium: str) -> None:
            super().attach(task, medium)
            path = f"tasks/{task}"
            if found := self.product.stored().get(path):
                count = {**found.data, "mediaCount": found.data["mediaCount"] + 1}
                self.product.documents._documents[path] = type(found)(path, count, found.version)

    with pytest.raises(AssertionError):
        play(Mutant, 60, 40, Phase.generate)
