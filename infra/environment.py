"""The environment that a function gets in the cloud; the local cloud's is emulators/plan.py.

Imports nothing of Pulumi, so that a test can start every function's settings with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from infra.declaration import DECLARATION, Function, bucket_name
from infra.settings import Settings, SettingsError

# Only the local cloud sets them: here IAM checks who calls a function before it sees him.
LOCAL_ONLY = frozenset({"PLATFORM_JWKS_URL", "PLATFORM_AUDIENCE", "PLATFORM_CALLER"})
TOPICS = {
    "EVENTS_TOPIC": "snaptask-events",
    "REDRIVE_TOPIC": "snaptask-redrive",
    "DEAD_LETTER_TOPIC": "snaptask-dead-letters",
}
# Nobody but the operator knows them.
OPERATORS = frozenset({"MAIL_FROM", "SMTP_HOST", "SCANNER"})
T = TypeVar("T")
# A password alone, without a second factor (NIST SP 800-63B).
_PASSWORD_FLOOR = "15"  # noqa: S105


def account_id(function: str) -> str:
    """Of the function's own service account; the shortest that Google takes has six letters."""
    return f"fn-{function}"


def account_email(function: str, project: str) -> str:
    return f"{account_id(function)}@{project}.iam.gserviceaccount.com"


def environment(
    function: Function, settings: Settings, made: Mapping[str, T] | None = None
) -> dict[str, str | T]:
    """`made` are values that stand only once something else does, in place of the operator's.
    Raises SettingsError when he has to give a value and gave none, or one that is made. A name
    without any value is left out: the function's own default holds, and a test starts its
    settings."""
    made = made or {}
    twice = sorted(made.keys() & settings.environment.keys())
    if twice:
        raise SettingsError(f"snaptask:environment: {', '.join(twice)} is made by the program")
    known: dict[str, str | T] = {**_values(function, settings), **made}
    wanted = [name for name in function.env if name in known and name not in LOCAL_ONLY]
    missing = [name for name in function.env if name in OPERATORS and name not in known]
    if missing:
        raise SettingsError(
            f"{function.name} needs {', '.join(missing)}: set snaptask:environment, a JSON object"
        )
    declared = {name: known[name] for name in wanted}
    return declared | {"THREADS": str(function.threads)}


def _values(function: Function, settings: Settings) -> Mapping[str, str]:
    project = settings.project
    buckets = {one.env: bucket_name(project, one.name) for one in DECLARATION.buckets}
    secrets = {
        f"{one.name.replace('-', '_').upper()}_SECRET": f"projects/{project}/secrets/{one.name}"
        for one in DECLARATION.secrets
    }
    return {
        **buckets,
        **secrets,
        "ENVIRONMENT": "production",
        "GOOGLE_CLOUD_PROJECT": project,
        "ALLOWED_ORIGINS": ",".join(settings.all_origins),
        "ISSUER": f"{settings.base_url}/auth",
        "JWKS_URL": f"{settings.base_url}/auth/.well-known/jwks.json",
        "PASSWORD_FLOOR": _PASSWORD_FLOOR,
        "SIGNER_EMAIL": account_email(function.name, project),
        "STORAGE_ENDPOINT": "https://storage.googleapis.com",
        "IAM_ENDPOINT": "https://iamcredentials.googleapis.com",
        **{env: f"projects/{project}/topics/{topic}" for env, topic in TOPICS.items()},
        **({"APP_URL": settings.all_origins[0]} if settings.all_origins else {}),
        "SMTP_PORT": "587",
        "SMTP_TLS": "starttls",
        "SMTP_USER": "",
        "SIGN_IN_UNVERIFIED": "false",
        "PEOPLE_PER_SOURCE": "20",
        # Cloud Run's own front end, and the load balancer where there is one.
        "TRUSTED_PROXIES": "2" if settings.domain else "1",
        **settings.environment,
    }
