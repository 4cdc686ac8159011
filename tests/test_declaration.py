"""The declaration is whole: what it names exists, what the product needs is in it, and no more."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest

from infra.declaration import DECLARATION, Function
from shared.documents import MemoryDocuments, Order, Where
from shared.documents import indexes as guard
from shared.events.deadletters import DeadLetters
from shared.events.outbox import MemoryPublisher, Outbox
from shared.identity.session_store import SessionStore
from shared.ids import new_id
from shared.media.store import MediaStore
from shared.settings import Settings
from shared.tasks.carrying import Carrying
from shared.tasks.erasure import TaskErasure
from shared.tasks.remains import TaskCare
from tests.fixtures.api import ADA
from tests.fixtures.sources import ROOT, functions, tree
from tests.fixtures.stores import INDEXES
from tests.tasks.test_lists import SORTS
from tests.tasks.world import World

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
FUNCTIONS = {one.name: one for one in DECLARATION.functions}
TOPICS = {topic.name for topic in DECLARATION.topics}


def main_of(name: str) -> ast.Module:
    return tree(ROOT / "functions" / name / "main.py")


def calls(name: str, function: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(main_of(name))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == function
    ]


def settings_of(name: str) -> type[Settings]:
    (read,) = [
        node.func.value.id
        for node in ast.walk(main_of(name))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "read"
        and isinstance(node.func.value, ast.Name)
    ]
    model: type[Settings] = getattr(importlib.import_module("shared.settings"), read)
    return model


def test_every_function_is_declared_and_every_declared_one_exists() -> None:
    assert sorted(FUNCTIONS) == functions()
    assert len(FUNCTIONS) == len(DECLARATION.functions)


@pytest.mark.parametrize("function", DECLARATION.functions, ids=lambda one: one.name)
def test_a_function_is_given_exactly_what_its_settings_read(function: Function) -> None:
    read = {name.upper() for name in settings_of(function.name).model_fields}
    assert set(function.env) == read
    assert len(function.env) == len(read)


def test_ports_routes_and_limits_make_sense() -> None:
    ports = [one.port for one in DECLARATION.functions]
    routes = [one.route for one in DECLARATION.functions if one.route]
    assert len(set(ports)) == len(ports)
    assert len(set(routes)) == len(routes)
    for function in DECLARATION.functions:
        assert (function.kind == "http") == (function.route is not None), function.name
        # Below one processor Cloud Run takes one request at a time; above, threads serve them.
        assert function.concurrency == 1 or function.cpu >= 1, function.name
        assert function.threads >= function.concurrency, function.name


def test_triggers_name_declared_buckets_and_come_again() -> None:
    buckets = {bucket.name for bucket in DECLARATION.buckets}
    triggered = [one for one in DECLARATION.functions if one.trigger]
    assert [one.name for one in triggered] == ["thumbnails"]
    for function in triggered:
        assert function.trigger is not None
        assert function.kind == "event"
        assert function.trigger.bucket in buckets
        assert function.trigger.retry


def test_every_subscription_leads_somewhere_and_dead_letters() -> None:
    names = [one.name for one in DECLARATION.subscriptions]
    assert len(set(names)) == len(names)
    for one in DECLARATION.subscriptions:
        assert FUNCTIONS[one.function].kind == "event"
        assert one.topic in TOPICS
        dead = {other.dead_letter_topic for other in DECLARATION.subscriptions}
        if one.topic in dead:
            assert one.dead_letter_topic is None, "a dead letter would come round again"
        else:
            assert one.dead_letter_topic in TOPICS
        # Pub/Sub's own bounds, from its page "Subscription properties".
        assert 10 <= one.ack_deadline <= 600
        assert 0 <= one.min_backoff <= one.max_backoff <= 600
        assert 5 <= one.max_attempts <= 100
        assert one.ack_deadline >= FUNCTIONS[one.function].timeout


def test_every_event_function_is_called_by_something() -> None:
    called = {one.function for one in DECLARATION.subscriptions}
    called |= {one.function for one in DECLARATION.schedules}
    called |= {one.name for one in DECLARATION.functions if one.trigger}
    assert called == {one.name for one in DECLARATION.functions if one.kind == "event"}


def test_the_schedules_are_the_jobs_of_their_function() -> None:
    for name in {one.function for one in DECLARATION.schedules}:
        (receiver,) = calls(name, "Receiver")
        jobs = next(keyword.value for keyword in receiver.keywords if keyword.arg == "jobs")
        paths = set(ast.literal_eval(ast.unparse(ast.List(elts=jobs.keys))))  # type: ignore[attr-defined]
        scheduled = [one.path for one in DECLARATION.schedules if one.function == name]
        assert sorted(scheduled) == sorted(paths)
    for one in DECLARATION.schedules:
        assert len(one.cron.split()) == 5
        assert one.local_every > 0


def test_the_names_of_buckets_reach_who_uses_them() -> None:
    used = {name for function in DECLARATION.functions for name in function.env}
    assert {bucket.env for bucket in DECLARATION.buckets} == {
        name for name in used if name.endswith("_BUCKET")
    }


def test_secrets_are_read_by_functions_that_are_told_their_names() -> None:
    for secret in DECLARATION.secrets:
        env = f"{secret.name.replace('-', '_').upper()}_SECRET"
        told = {one.name for one in DECLARATION.functions if env in one.env}
        assert set(secret.readers) | set(secret.managers) == told
        assert secret.readers
        # What only the operator can make, nothing of ours renews.
        assert bool(secret.managers) == (secret.kind != "given")


def test_a_browser_may_send_what_a_signed_upload_asks_for() -> None:
    source = ast.unparse(tree(ROOT / "shared/media/tickets.py"))
    headers = {
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and (node.value.startswith("x-goog-") or node.value == "content-type")
    }
    assert len(headers) >= 5
    assert headers <= set(DECLARATION.cors_headers)
    inbox = next(bucket for bucket in DECLARATION.buckets if bucket.name == "inbox")
    assert "PUT" in inbox.browser_methods
    assert "GET" not in inbox.browser_methods


class Noted(MemoryDocuments):
    """Remembers which declared index served each query, or that none was needed."""

    def __init__(self) -> None:
        super().__init__(INDEXES)
        self.used: set[Any] = set()

    def query(
        self,
        collection: str,
        *,
        where: Sequence[Where] = (),
        order: Sequence[Order] = (),
        start_after: Sequence[Any] | None = None,
        limit: int = 100,
        fields: Sequence[str] = (),
    ) -> Any:
        for index in INDEXES:
            rest = [one for one in INDEXES if one != index]
            try:
                guard.check_query(collection, where, order, rest)
            except guard.MissingIndex:
                self.used.add(index)
        return super().query(
            collection,
            where=where,
            order=order,
            start_after=start_after,
            limit=limit,
            fields=fields,
        )


def test_the_declared_indexes_are_those_the_queries_need() -> None:
    """A missing one fails in production only; a needless one is paid with every write."""
    documents = Noted()
    tasks, media = World(documents), MediaStore(documents)
    for after in (None, (NOON, new_id())):
        for kind in (None, "image", "image/jpeg"):
            media.find("ada", None, kind, after, 20)
            media.find("ada", "ready", kind, after, 20)
    task = tasks.task()
    for sort, direction in product(SORTS, ("asc", "desc")):
        for more in ("", "&status=open", "&q=milk", "&scope=all", "&dueFrom=2026-01-01T00:00:00Z"):
            tasks.api.read(f"/?sort={sort}&direction={direction}{more}")
    for path in ("with-media", "comments", "activity", "members", "invitations"):
        tasks.api.read(f"/{task}/{path}")
    TaskErasure(documents).erase_owner(ADA)
    TaskCare(documents).run()
    Carrying(documents).counts([new_id()])
    media.overdue(NOON, 200)
    media.of_owner("ada", 200)
    for field in ("eraseAt", "heldUntil", "leftoverAt"):
        media.due(field, NOON, 200)
    SessionStore(documents).of_user("ada", 0, NOON, 100)
    Outbox(documents, MemoryPublisher()).sweep()
    DeadLetters(documents).find("dead", 100)
    assert documents.used == set(INDEXES)


def test_no_query_is_made_outside_the_stores_above() -> None:
    asking = {
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "shared").rglob("*.py"))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and node.attr in ("query", "number")
        and ast.unparse(node.value) == "self._documents"
    }
    assert asking == {
        "shared/events/deadletters.py",
        "shared/activity/history.py",
        "shared/events/stuck.py",
        "shared/media/reconcile.py",
        "shared/tasks/reconcile.py",
        "shared/events/outbox.py",
        "shared/identity/claims.py",
        "shared/identity/erasure.py",
        "shared/identity/export.py",
        "shared/identity/identities.py",
        "shared/identity/session_store.py",
        "shared/media/store.py",
        "shared/tasks/carrying.py",
        "shared/tasks/comments.py",
        "shared/tasks/remains.py",
        "shared/tasks/sharing.py",
        "shared/tasks/store.py",
    }


# Where a document is told when it may go, and the collection that it is of.
EXPIRING = {
    "shared/events/deadletters.py DeadLetters._end": "deadLetters",
    "shared/events/failures.py _noted": "deliveryErrors",
    "shared/identity/attempts.py Attempts._known": "rateLimits",
    "shared/identity/mails.py wanted": "mails",
    "shared/identity/proofs.py Proofs.use": "signInProofs",
    "shared/identity/session_store.py SessionStore.create": "sessions",
    "shared/identity/session_store.py SessionStore.revoke": "sessions",
    "shared/identity/session_store.py SessionStore.rotate": "sessions",
    "shared/identity/store.py IdentityStore.make_link": "links",
    "shared/limits.py Limiter.reserve": "rateLimits",
    "shared/media/store.py _bury": "media",
    "shared/tasks/sharing.py Sharing.invite": "invitations",
    "shared/tasks/store.py Once.write": "idempotency",
    "shared/tasks/store.py TaskStore.delete": "deletedTasks",
}


def expiring() -> set[str]:
    """Each function that writes the field: a key of a document, or one that is added to it."""
    found = set()
    for path in sorted((ROOT / "shared").rglob("*.py")):
        for name, body in named(tree(path), ""):
            for node in ast.walk(body):
                keys = node.keys if isinstance(node, ast.Dict) else []
                if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                    keys = [node.slice]
                if any(isinstance(key, ast.Constant) and key.value == "expireAt" for key in keys):
                    found.add(f"{path.relative_to(ROOT)} {name}")
    return found


def named(node: ast.AST, within: str) -> Iterator[tuple[str, ast.AST]]:
    for one in ast.iter_child_nodes(node):
        if isinstance(one, ast.ClassDef):
            yield from named(one, f"{within}{one.name}.")
        elif isinstance(one, ast.FunctionDef):
            yield f"{within}{one.name}", one


def test_whatever_is_told_when_it_may_go_goes_by_a_declared_policy() -> None:
    """Without one it stays for ever, and nobody sees it; one of a field that is written nowhere
    is a promise that nothing keeps."""
    assert expiring() == set(EXPIRING)
    assert {(one, "expireAt") for one in EXPIRING.values()} == set(DECLARATION.ttl_fields)


def test_no_job_waits_for_another() -> None:
    """A job may take minutes, and mails and events wait for the sweep of the outbox."""
    for function in DECLARATION.functions:
        jobs = [one for one in DECLARATION.schedules if one.function == function.name]
        assert function.concurrency >= len(jobs), function.name


@pytest.mark.parametrize("name", functions())
def test_a_function_that_knows_its_callers_asks_after_their_sessions(name: str) -> None:
    """A token outlives its session by minutes; without the question so would every write."""
    for app in calls(name, "App"):
        given = {keyword.arg for keyword in app.keywords}
        assert {"authenticator", "sessions"} <= given
