"""Who may do what, on which single resource, and why: the one list of all grants.

Each component takes the grants on what it makes from here, a test compares this list with what the
program registers, and docs/grants.md is this list as a table (`python -m infra.grants`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from infra.declaration import DECLARATION, Declaration, Function
from infra.environment import TOPICS, account_id

Kind = Literal["project", "bucket", "secret", "topic", "subscription", "service", "job", "account"]
DATABASE = "(default)"


@dataclass(frozen=True)
class Grant:
    """`who` is the id of an account of ours, or `agent:<service>` for one of Google's own. With
    a `setting` it is made only where that is set."""

    who: str
    role: str
    kind: Kind
    on: str
    why: str
    condition: str = ""
    setting: str = ""


# What a function does with a bucket. A signed URL can do what its signer can, no more.
_BUCKETS: dict[tuple[str, str], tuple[str, str]] = {
    ("media", "inbox"): ("roles/storage.objectCreator", "signs the PUT of an upload"),
    ("media", "media"): ("roles/storage.objectViewer", "signs downloads"),
    ("media", "renditions"): ("roles/storage.objectViewer", "signs thumbnails"),
    ("tasks", "renditions"): ("roles/storage.objectViewer", "signs thumbnails on tasks"),
    ("tasks", "media"): ("roles/storage.objectViewer", "signs downloads through a shared task"),
    ("thumbnails", "inbox"): ("roles/storage.objectUser", "reads an upload, deletes it when done"),
    ("thumbnails", "media"): ("roles/storage.objectUser", "promotes, and takes back"),
    ("thumbnails", "renditions"): ("roles/storage.objectUser", "writes renditions"),
    ("maintenance", "inbox"): ("roles/storage.objectUser", "sweeps what nobody came for"),
    ("maintenance", "media"): ("roles/storage.objectUser", "erases what was deleted"),
    ("maintenance", "renditions"): ("roles/storage.objectUser", "erases what was deleted"),
}
_PUBLISHES = {
    "snaptask-events": "publishes what happened",
    "snaptask-redrive": "drives an upload again that stands without an end",
    "snaptask-dead-letters": "puts away an event that grows too old: a trigger has no dead letter",
}
_SCANNER: tuple[tuple[str, str, Kind, str, str], ...] = (
    ("scanner", "roles/storage.objectViewer", "bucket", "inbox", "reads what it is asked about"),
    ("scanner", "roles/storage.objectViewer", "bucket", "signatures", "takes signatures"),
    ("mirror", "roles/storage.objectUser", "bucket", "signatures", "keeps the mirror of ClamAV's"),
    (account_id("thumbnails"), "roles/run.invoker", "service", "scanner", "asks for a verdict"),
    ("scheduler", "roles/run.invoker", "job", "signatures", "says that it is time"),
)
_CONDITION = 'resource.name == "projects/{project}/databases/(default)"'


def grants(declared: Declaration = DECLARATION) -> tuple[Grant, ...]:
    return (
        *_of_google(declared),
        *(one for function in declared.functions for one in _of_function(function, declared)),
        *_of_callers(declared),
        *_of_scanner(),
        *_of_visitors(),
    )


def grants_on(kind: Kind, name: str) -> list[Grant]:
    return [one for one in grants() if (one.kind, one.on) == (kind, name)]


def _of_google(declared: Declaration) -> Iterator[Grant]:
    yield Grant(
        "builder",
        "roles/cloudbuild.builds.builder",
        "project",
        "",
        "builds the functions' images; the default account may do far more",
    )
    yield Grant(
        "agent:eventarc",
        "roles/eventarc.serviceAgent",
        "project",
        "",
        "makes and feeds the triggers",
    )
    yield Grant(
        "agent:storage",
        "roles/pubsub.publisher",
        "project",
        "",
        "tells of finalized objects; Eventarc makes the topic, so it has no name to grant on",
    )
    for topic in declared.dead_letter_topics:
        why = "puts dead letters there; without it they silently do not happen"
        yield Grant("agent:pubsub", "roles/pubsub.publisher", "topic", topic, why)
    for one in declared.subscriptions:
        if one.dead_letter_topic is None:
            continue
        why = "acknowledges what became a dead letter"
        yield Grant("agent:pubsub", "roles/pubsub.subscriber", "subscription", one.name, why)


def _of_function(function: Function, declared: Declaration) -> Iterator[Grant]:
    who = account_id(function.name)
    yield Grant(
        who,
        "roles/datastore.user",
        "project",
        "",
        "reads and writes documents; IAM knows no smaller thing than a database",
        _CONDITION,
    )
    for bucket in declared.buckets:
        if bucket.env in function.env:
            role, why = _BUCKETS[function.name, bucket.name]
            yield Grant(who, role, "bucket", bucket.name, why)
    for secret in declared.secrets:
        if function.name in secret.readers:
            # Versions are listed, so that a rotation needs no deployment.
            for role in ("roles/secretmanager.secretAccessor", "roles/secretmanager.viewer"):
                yield Grant(who, role, "secret", secret.name, secret.purpose)
        if function.name in secret.managers:
            role = "roles/secretmanager.secretVersionManager"
            yield Grant(who, role, "secret", secret.name, "rotates it; may not read it by this")
    for env, topic in TOPICS.items():
        if env in function.env:
            yield Grant(who, "roles/pubsub.publisher", "topic", topic, _PUBLISHES[topic])
    if "SIGNER_EMAIL" in function.env:
        why = "signs URLs as itself through signBlob; there is no key file"
        yield Grant(who, "roles/iam.serviceAccountTokenCreator", "account", who, why)


def _of_callers(declared: Declaration) -> Iterator[Grant]:
    invoker = "roles/run.invoker"
    for function in declared.functions:
        if function.trigger:
            why = "receives events for the trigger"
            yield Grant("trigger", "roles/eventarc.eventReceiver", "project", "", why)
            why = "delivers finalized objects"
            yield Grant("trigger", invoker, "service", function.name, why)
    for one in sorted({one.function for one in declared.subscriptions}):
        yield Grant("pusher", invoker, "service", one, "delivers messages of our topics")
    for one in sorted({one.function for one in declared.schedules}):
        yield Grant("scheduler", invoker, "service", one, "says that it is time")
    for function in declared.functions:
        if function.kind == "http":
            why = "anybody; the function itself asks who it is (only with publicInvocation)"
            yield Grant("allUsers", invoker, "service", function.name, why)


def _of_visitors() -> Iterator[Grant]:
    why = "loads the app's files by their names; there is no list of them (with domain and flag)"
    role = "roles/storage.legacyObjectReader"
    yield Grant("allUsers", role, "bucket", "web", why, setting="domain")


def _of_scanner() -> Iterator[Grant]:
    for who, role, kind, on, why in _SCANNER:
        told = f"{why} (only with scannerImage)"
        yield Grant(who, role, kind, on, told, setting="scannerImage")


def table() -> str:
    """The list in Markdown."""
    head = (
        "# Who may do what\n\nWritten by `python -m infra.grants`, from the list that the program"
        " makes the grants from; a test compares.\nAccounts are `<name>@<project>.iam.gservice"
        "account.com`; agents are Google's own accounts in the project.\n\n"
        "| who | role | on | why |\n|---|---|---|---|\n"
    )
    rows = []
    for one in grants():
        on = f"{one.kind} {one.on}".strip() + (" (only its database)" if one.condition else "")
        rows.append(f"| {one.who} | {one.role} | {on} | {one.why} |\n")
    return head + "".join(rows)


if __name__ == "__main__":
    print(table(), end="")
