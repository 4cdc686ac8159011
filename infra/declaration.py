"""The one declaration of what Snaptask consists of in the cloud, read by both worlds.

The local cloud (emulators/) and the Pulumi program (infra/) make their buckets, topics,
subscriptions, triggers, schedules and functions from these values, so that they cannot
drift apart. Plain data: imports nothing of ours, nothing of Pulumi.
Sizes are bytes, durations seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

MIB = 1024 * 1024

BucketName = Literal["inbox", "media", "renditions"]


@dataclass(frozen=True)
class Bucket:
    """A private bucket; `browser_methods` are what its CORS rule lets the web origins use."""

    name: BucketName
    env: str
    browser_methods: tuple[str, ...]
    versioning: bool
    soft_delete: int
    delete_after_days: int | None = None


@dataclass(frozen=True)
class Topic:
    name: str


@dataclass(frozen=True)
class Subscription:
    """A push subscription of ours; every one has a retry policy and a dead-letter topic, but for
    the one that takes in the dead letters: it never gives up."""

    name: str
    topic: str
    function: str
    dead_letter_topic: str | None
    ack_deadline: int = 600
    min_backoff: int = 10
    max_backoff: int = 600
    max_attempts: int = 10
    types: tuple[str, ...] = ()
    """Of these events only; none named: of all."""

    @property
    def filter(self) -> str:
        """In Pub/Sub's language. Its emulator ignores filters, so the local deliveries apply it."""
        return " OR ".join(f'attributes.type = "{one}"' for one in self.types)


@dataclass(frozen=True)
class FinalizeTrigger:
    """The platform's own trigger: object finalized in `bucket`, delivered at least once."""

    bucket: BucketName
    retry: bool = True


@dataclass(frozen=True)
class Function:
    """One deployable: its archive is functions/<name>/main.py and what that imports."""

    name: str
    kind: Literal["http", "event"]
    port: int
    """The port on which the local cloud serves it (3001-3003 as in the first Snaptask)."""
    memory_mib: int
    cpu: float
    concurrency: int
    threads: int
    """Two more than `concurrency` where requests may hold them all (shared/http/places.py)."""
    timeout: int
    route: str | None = None
    """The gateway's path prefix; None is not reachable through the gateway."""
    trigger: FinalizeTrigger | None = None
    env: tuple[str, ...] = ()
    """Names out of `environment` that this function reads."""
    max_instances: int = 20
    min_instances: int = 0


@dataclass(frozen=True)
class Schedule:
    """A Cloud Scheduler job: POST `path` to `function` with an OIDC token."""

    name: str
    function: str
    path: str
    cron: str
    local_every: int
    """Seconds between runs in the local cloud, where waiting a minute helps nobody."""


@dataclass(frozen=True)
class Index:
    """A composite index: (field, "ASCENDING" | "DESCENDING" | "CONTAINS") in order."""

    collection: str
    fields: tuple[tuple[str, str], ...]

    @property
    def told(self) -> tuple[tuple[str, str], ...]:
        """Without a last __name__ in the direction of the field before: Firestore adds that
        itself, and Pulumi would find a difference at every run."""
        *head, last = self.fields
        return tuple(head) if head and last == ("__name__", head[-1][1]) else self.fields


@dataclass(frozen=True)
class Secret:
    name: str
    purpose: str
    kind: Literal["ed25519", "random32", "given"]
    """`given` is for the operator to add: nobody can make it up."""
    readers: tuple[str, ...]
    """Functions that list its versions and read them (secretAccessor and viewer on it alone)."""
    managers: tuple[str, ...] = ()
    """Functions that list, add, disable and destroy versions (secretVersionManager on it alone),
    which lets nobody read one."""


@dataclass(frozen=True)
class Declaration:
    buckets: tuple[Bucket, ...]
    topics: tuple[Topic, ...]
    subscriptions: tuple[Subscription, ...]
    functions: tuple[Function, ...]
    schedules: tuple[Schedule, ...]
    indexes: tuple[Index, ...]
    ttl_fields: tuple[tuple[str, str], ...]
    secrets: tuple[Secret, ...]
    cors_headers: tuple[str, ...]
    """Request headers of ours on a signed PUT, and answer headers a page may read."""
    cors_max_age: int = 3600
    function_by_name: dict[str, Function] = field(init=False, compare=False, repr=False)

    @property
    def dead_letter_topics(self) -> list[str]:
        found = {one.dead_letter_topic for one in self.subscriptions if one.dead_letter_topic}
        return sorted(found)

    def __post_init__(self) -> None:
        object.__setattr__(self, "function_by_name", {f.name: f for f in self.functions})


def bucket_name(project: str, name: str) -> str:
    """Bucket names are the world's: the declared one gets the project in front."""
    return f"{project}-{name}"


_COMMON = ("ENVIRONMENT", "GOOGLE_CLOUD_PROJECT", "ALLOWED_ORIGINS")
_TOKENS = ("ISSUER", "JWKS_URL")
_EVENTS = ("PLATFORM_JWKS_URL", "PLATFORM_AUDIENCE", "PLATFORM_CALLER")

# Lists of tasks (docs/decisions/2026-11-task-lists.md): whose, one term or none, one order. Words
# are many, so their index is kept for the two orders in which people search.
_TASK_LISTS = tuple(
    Index("tasks", (*head, (order, direction), ("__name__", direction)))
    for head in (
        (("owner", "ASCENDING"),),
        (("owner", "ASCENDING"), ("tags", "CONTAINS")),
        (("readers", "CONTAINS"),),
    )
    for order in ("createdAt", "updatedAt", "dueKey", "position", "priorityKey", "titleKey")
    for direction in ("ASCENDING", "DESCENDING")
) + tuple(
    Index(
        "tasks",
        (
            ("owner", "ASCENDING"),
            ("words", "CONTAINS"),
            (order, "DESCENDING"),
            ("__name__", "DESCENDING"),
        ),
    )
    for order in ("createdAt", "updatedAt")
)

DECLARATION = Declaration(
    buckets=(
        # What waits here was acknowledged, and nobody could look at it: the decoder or the scanner
        # is out. Two weeks are the longest holidays in which nobody mends that; what is older,
        # nobody is coming for.
        Bucket("inbox", "INBOX_BUCKET", ("PUT", "POST"), False, 0, delete_after_days=14),
        Bucket("media", "MEDIA_BUCKET", ("GET", "HEAD"), True, 7 * 86400),
        # Renditions can be made again from the medium, so they need no second copy.
        Bucket("renditions", "RENDITIONS_BUCKET", ("GET", "HEAD"), False, 0),
    ),
    topics=(Topic("snaptask-events"), Topic("snaptask-redrive"), Topic("snaptask-dead-letters")),
    subscriptions=(
        Subscription("activity", "snaptask-events", "activity", "snaptask-dead-letters"),
        Subscription(
            "mail",
            "snaptask-events",
            "mail",
            "snaptask-dead-letters",
            types=("snaptask.identity.v1.mail-requested",),
        ),
        # Tells the thumbnails function again of an object, in the form of a storage notification:
        # Eventarc's own topic takes no message of ours.
        Subscription("redrive", "snaptask-redrive", "thumbnails", "snaptask-dead-letters"),
        Subscription("dead-letters", "snaptask-dead-letters", "deadletters", None),
    ),
    functions=(
        # argon2id takes 19 MiB a hash and one core: two at a time, the rest are cheap reads.
        Function(
            "auth",
            "http",
            3001,
            512,
            1,
            16,
            18,
            60,
            route="auth",
            env=(
                *_COMMON,
                "ISSUER",
                "SIGNING_KEY_SECRET",
                "TOKEN_HMAC_SECRET",
                "PASSWORD_FLOOR",
                "SIGN_IN_UNVERIFIED",
                "PEOPLE_PER_SOURCE",
                "TRUSTED_PROXIES",
                # Only where people sign in with Google, by the first, or with another issuer.
                "OIDC_CLIENT_ID",
                "OIDC_CLIENT_SECRET",
                "OIDC_NAME",
                "OIDC_SCOPES",
                "OIDC_ISSUER",
                "OIDC_AUTHORIZATION_URL",
                "OIDC_TOKEN_URL",
                "OIDC_JWKS_URL",
            ),
        ),
        Function(
            "tasks",
            "http",
            3002,
            512,
            1,
            16,
            18,
            60,
            route="tasks",
            env=(
                *_COMMON,
                *_TOKENS,
                "SIGNER_EMAIL",
                "RENDITIONS_BUCKET",
                "STORAGE_ENDPOINT",
                "IAM_ENDPOINT",
            ),
        ),
        Function(
            "media",
            "http",
            3003,
            512,
            1,
            16,
            18,
            60,
            route="media",
            env=(
                *_COMMON,
                *_TOKENS,
                "SIGNER_EMAIL",
                "MEDIA_QUOTA",
                "INBOX_BUCKET",
                "MEDIA_BUCKET",
                "RENDITIONS_BUCKET",
                "STORAGE_ENDPOINT",
                "IAM_ENDPOINT",
            ),
        ),
        # One picture at a time: a WebP of 32 megapixels takes 440 MB and all of a core.
        Function(
            "thumbnails",
            "event",
            3004,
            1024,
            1,
            1,
            1,
            300,
            trigger=FinalizeTrigger("inbox"),
            env=(
                *_COMMON,
                *_EVENTS,
                "INBOX_BUCKET",
                "MEDIA_BUCKET",
                "RENDITIONS_BUCKET",
                "STORAGE_ENDPOINT",
                "EVENTS_TOPIC",
                "DEAD_LETTER_TOPIC",
                "SCANNER",
            ),
        ),
        Function("activity", "event", 3005, 512, 1, 8, 8, 60, env=(*_COMMON, *_EVENTS)),
        Function(
            "mail",
            "event",
            3007,
            512,
            1,
            4,
            4,
            120,
            env=(
                *_COMMON,
                *_EVENTS,
                "TOKEN_HMAC_SECRET",
                "APP_URL",
                "MAIL_FROM",
                "SMTP_HOST",
                "SMTP_PORT",
                "SMTP_TLS",
                "SMTP_USER",
                "SMTP_PASSWORD_SECRET",
            ),
        ),
        # As many at a time as it has jobs: else the outbox waits for minutes of reconciling, or
        # for another instance to start.
        Function(
            "maintenance",
            "event",
            3006,
            512,
            1,
            8,
            8,
            300,
            env=(
                *_COMMON,
                *_EVENTS,
                "INBOX_BUCKET",
                "MEDIA_BUCKET",
                "RENDITIONS_BUCKET",
                "STORAGE_ENDPOINT",
                "EVENTS_TOPIC",
                "REDRIVE_TOPIC",
                "SIGNING_KEY_SECRET",
                "TOKEN_HMAC_SECRET",
            ),
        ),
        Function("deadletters", "event", 3008, 512, 1, 8, 8, 60, env=(*_COMMON, *_EVENTS)),
    ),
    schedules=(
        Schedule("outbox-sweep", "maintenance", "/sweep-outbox", "* * * * *", local_every=2),
        # Hourly, because retiring goes on in rounds; most runs list two secrets and end.
        Schedule("rotate-keys", "maintenance", "/rotate-keys", "23 * * * *", local_every=3600),
        Schedule("erase-accounts", "maintenance", "/erase-accounts", "*/5 * * * *", local_every=30),
        Schedule("tend-tasks", "maintenance", "/tend-tasks", "* * * * *", local_every=10),
        # A run goes on where the last one stopped, so this is how often a step is made.
        Schedule("reconcile", "maintenance", "/reconcile", "17 * * * *", local_every=60),
        Schedule("empty-trash", "maintenance", "/empty-trash", "*/5 * * * *", local_every=30),
        Schedule("expire-uploads", "maintenance", "/expire-uploads", "*/5 * * * *", local_every=30),
    ),
    indexes=(
        *_TASK_LISTS,
        Index(
            "media",
            (
                ("owner", "ASCENDING"),
                ("state", "ASCENDING"),
                ("createdAt", "DESCENDING"),
                ("__name__", "DESCENDING"),
            ),
        ),
        *(
            Index(
                "media",
                (
                    ("owner", "ASCENDING"),
                    ("state", "ASCENDING"),
                    (kind, "ASCENDING"),
                    ("createdAt", "DESCENDING"),
                    ("__name__", "DESCENDING"),
                ),
            )
            for kind in ("kind", "contentType")
        ),
        Index(
            "media",
            (("state", "ASCENDING"), ("uploadExpiresAt", "ASCENDING"), ("__name__", "ASCENDING")),
        ),
        Index(
            "attachments",
            (("task", "ASCENDING"), ("createdAt", "ASCENDING"), ("__name__", "ASCENDING")),
        ),
        Index(
            "deadLetters",
            (("state", "ASCENDING"), ("lastAt", "DESCENDING"), ("__name__", "DESCENDING")),
        ),
        Index(
            "comments",
            (("task", "ASCENDING"), ("createdAt", "ASCENDING"), ("__name__", "ASCENDING")),
        ),
        Index(
            "audit",
            (("task", "ASCENDING"), ("at", "DESCENDING"), ("__name__", "DESCENDING")),
        ),
        Index(
            "sessions",
            (
                ("user", "ASCENDING"),
                ("epoch", "ASCENDING"),
                ("expireAt", "DESCENDING"),
                ("__name__", "DESCENDING"),
            ),
        ),
    ),
    ttl_fields=(
        ("sessions", "expireAt"),
        ("rateLimits", "expireAt"),
        ("mails", "expireAt"),
        ("links", "expireAt"),
        ("signInProofs", "expireAt"),
        ("idempotency", "expireAt"),
        ("deliveryErrors", "expireAt"),
        # Only of those that were replayed or dropped; a dead one waits for a person.
        ("deadLetters", "expireAt"),
        ("invitations", "expireAt"),
        ("deletedTasks", "expireAt"),
        # Tombstones only.
        ("media", "expireAt"),
    ),
    secrets=(
        Secret(
            "signing-key",
            "signs access tokens (Ed25519, PKCS#8 PEM)",
            "ed25519",
            readers=("auth",),
            managers=("maintenance",),
        ),
        Secret(
            "token-hmac",
            "binds refresh tokens and links, hashes addresses",
            "random32",
            # Maintenance claims addresses under a new version before an old one goes.
            readers=("auth", "mail", "maintenance"),
            managers=("maintenance",),
        ),
        Secret("smtp-password", "signs in to the mail server", "given", ("mail",)),
        Secret("oidc-client", "makes codes of another issuer into ID tokens", "given", ("auth",)),
    ),
    cors_headers=(
        "content-type",
        "content-length",
        "content-range",
        "range",
        "etag",
        "x-goog-content-length-range",
        "x-goog-hash",
        "x-goog-if-generation-match",
        "x-goog-generation",
        "x-goog-resumable",
        "x-goog-meta-traceparent",
        "location",
    ),
)
