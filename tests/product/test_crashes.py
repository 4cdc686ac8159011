"""Every handler of the product fails once at each call that it makes to the outside, before or
after the call was carried out: its process dies there, or is told of an outage. The same request,
event or job comes twice more, as clients, the platform and the scheduler send it, and all is as
if nothing had been: documents, objects, events, the audit trail.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from infra.declaration import DECLARATION
from shared.documents import Document
from shared.errors import Unavailable
from tests.fixtures.faults import Crash, FailAt
from tests.fixtures.product import Product, Snapshot
from tests.product.operations import OPERATIONS, PICTURE, WRITES, Scene, send

pytestmark = pytest.mark.proof

# More than any handler makes.
_MOST_CALLS = 400
Act = Callable[[Scene], int]
"""Does the handler's work once; the status of its answer."""


@dataclass
class Handler:
    act: Act
    prepare: Callable[[Scene], None] = lambda scene: None
    repeats: tuple[str, ...] = ()


def request(name: str) -> Handler:
    def act(scene: Scene) -> int:
        return send(scene, name, key="the key").status_code

    return Handler(act, repeats=OPERATIONS[name].repeats)


def finalize(content: bytes) -> Handler:
    """The upload that is pending arrives, with these bytes."""

    def prepare(scene: Scene) -> None:
        ticket = scene.ada.ticket(PICTURE, size=len(content))
        upload = ticket["upload"]
        upload["headers"] = {
            name: value for name, value in upload["headers"].items() if name != "x-goog-hash"
        }
        assert scene.product.put(ticket, content) == 200
        scene.arrived = scene.product.uploads.pop()

    return Handler(lambda scene: scene.product.finalized(scene.arrived), prepare)


def push(function: str) -> Handler:
    """Events of the scene that nobody has heard of yet."""

    def prepare(scene: Scene) -> None:
        scene.ada.task(title="Unheard")
        assert scene.product.job("/sweep-outbox") == 204
        scene.message = scene.product.topic.messages[-1]

    return Handler(lambda scene: scene.product.push(function, scene.message), prepare)


def job(path: str) -> Handler:
    """Everything that jobs look for: events that wait, uploads whose time is over, old keys."""

    def prepare(scene: Scene) -> None:
        scene.ada.task(title="Unheard")
        put_back(scene.product, timedelta(days=40))

    return Handler(lambda scene: scene.product.job(path), prepare)


def post() -> Handler:
    """A mail is wanted. A sender that died holds it for five minutes, so each try is later."""

    def prepare(scene: Scene) -> None:
        send(scene, "POST /api/auth/password-reset")
        assert scene.product.job("/sweep-outbox") == 204
        scene.message = scene.product.topic.messages[-1]

    def act(scene: Scene) -> int:
        put_back(scene.product, timedelta(minutes=6))
        return scene.product.push("mail", scene.message)

    return Handler(act, prepare)


def letter() -> Handler:
    """An event that its subscriber never took."""

    def prepare(scene: Scene) -> None:
        scene.ada.task(title="Refused")
        assert scene.product.job("/sweep-outbox") == 204
        data, attributes = scene.product.topic.messages[-1]
        source = {
            "CloudPubSubDeadLetterSourceSubscription": "activity",
            "CloudPubSubDeadLetterSourceDeliveryCount": "10",
        }
        scene.message = data, attributes | source

    return Handler(lambda scene: scene.product.push("deadletters", scene.message), prepare)


def redriven() -> Handler:
    """A finalize event that came too old, or whose letter is replayed, over our own topic."""
    arriving = finalize(PICTURE)

    def act(scene: Scene) -> int:
        attributes = {"eventType": "OBJECT_FINALIZE", "payloadFormat": "JSON_API_V1"}
        message = json.dumps(scene.arrived).encode(), attributes
        return scene.product.push("thumbnails", message)

    return Handler(act, arriving.prepare)


def put_back(product: Product, earlier: timedelta) -> None:
    """As if everything but sessions and users had happened that much earlier."""

    def older(value: Any) -> Any:
        return value - earlier if isinstance(value, datetime) else value

    for path, document in product.stored().items():
        if not path.startswith(("sessions/", "users/", "emails/")):
            data = {name: older(value) for name, value in document.data.items()}
            product.documents._documents[path] = Document(path, data, document.version)
    for name, versions in product.secrets._versions.items():
        aged = [replace(one, created=one.created - earlier) for one in versions]
        product.secrets._versions[name] = aged


HANDLERS: dict[str, Handler] = {
    **{name: request(name) for name in WRITES},
    "finalize a picture": finalize(PICTURE),
    "finalize half a picture": finalize(PICTURE[:-40]),
    **{
        f"an event to {one.function}": push(one.function)
        for one in DECLARATION.subscriptions
        if one.topic == "snaptask-events"
    },
    "an event to mail": post(),
    "an event to thumbnails": redriven(),
    "an event to deadletters": letter(),
    **{f"the job {one.path}": job(one.path) for one in DECLARATION.schedules},
}


def test_whatever_is_subscribed_to_or_triggered_is_here() -> None:
    wanted = {f"an event to {one.function}" for one in DECLARATION.subscriptions}
    assert {name for name in HANDLERS if name.startswith("an event to")} == wanted
    triggered = [one.name for one in DECLARATION.functions if one.trigger]
    assert triggered == ["thumbnails"]


@pytest.fixture(scope="module")
def stage() -> tuple[Scene, Snapshot]:
    scene = Scene(Product())
    return scene, scene.product.snapshot()


def run(scene: Scene, handler: Handler, watch: FailAt) -> tuple[list[str], int]:
    """The state in the end, and the last answer."""
    product = scene.product
    product.watch = watch
    with suppress(Crash):
        assert handler.act(scene) < 500 or isinstance(watch.fault, Unavailable)
    product.watch = lambda name: None
    if isinstance(watch.fault, Crash):
        product.restart()
    handler.act(scene)
    last = handler.act(scene)
    product.settle()
    state = _once(product.state(scene.known), handler.repeats)
    return state + product.differences(), last


def _once(state: list[str], collections: tuple[str, ...]) -> list[str]:
    """With one document for all that a collection may hold more of."""
    many = tuple(f'["{name}/' for name in collections)
    if not many:
        return state
    return sorted({line for line in state if line.startswith(many)}) + [
        line for line in state if not line.startswith(many)
    ]


@pytest.mark.parametrize("fault", [Crash, Unavailable], ids=["killed", "outage"])
@pytest.mark.parametrize("name", HANDLERS)
def test_a_fault_at_any_call_leaves_no_trace(
    stage: tuple[Scene, Snapshot], name: str, fault: type[BaseException]
) -> None:
    scene, before = stage
    handler = HANDLERS[name]
    scene.product.restore(before)
    handler.prepare(scene)
    prepared = scene.product.snapshot()
    calm = FailAt(_MOST_CALLS, Crash())
    golden = run(scene, handler, calm)
    assert scene.product.differences() == []
    assert 0 < len(calm.calls) < _MOST_CALLS
    wrong = {}
    for nth, call in enumerate(calm.calls, 1):
        scene.product.restore(prepared)
        seen = run(scene, handler, FailAt(nth, fault()))
        if seen != golden:
            wrong[f"{nth}: {call}"] = (
                [line for line in seen[0] if line not in golden[0]],
                [line for line in golden[0] if line not in seen[0]],
                (seen[1], golden[1]),
            )
    assert wrong == {}


def test_the_enumeration_sees_an_effect_that_comes_before_its_record(
    stage: tuple[Scene, Snapshot],
) -> None:
    """The mutant counts outside the commit that says why, as naive handlers do."""
    scene, before = stage
    scene.product.restore(before)

    def act(scene: Scene) -> int:
        scene.product.watch("counting")
        path = f"tasks/{scene.task}"
        task = scene.product.stored()[path]
        data = {**task.data, "mediaCount": task.data["mediaCount"] + 1}
        scene.product.documents._documents[path] = Document(path, data, task.version)
        scene.product.watch("after counting")
        return 200

    mutant = Handler(act)
    golden = run(scene, mutant, FailAt(_MOST_CALLS, Crash()))
    scene.product.restore(before)
    assert run(scene, mutant, FailAt(1, Crash())) != golden
