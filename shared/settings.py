"""Settings: a frozen model per function, filled once from the environment in its main.py.

A field `jwks_url` is read from JWKS_URL. Everything that is missing or wrong is told at once,
because a function that starts with half its settings fails at night. An emulator's address in
production is fatal: it would send real data to whoever listens there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

# Each of them turns a check off or a real service away.
_LOCAL_ONLY = (
    "FIRESTORE_EMULATOR_HOST",
    "PUBSUB_EMULATOR_HOST",
    "SECRET_MANAGER_EMULATOR_HOST",
    "STORAGE_EMULATOR_HOST",
    "GCE_METADATA_HOST",
    "PLATFORM_JWKS_URL",
    "PLATFORM_CALLER",
)


class SettingsError(Exception):
    """The environment cannot be started with; the message lists everything that is wrong."""


def _listed(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Listed = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Text = Annotated[str, Field(min_length=1)]


class Settings(BaseModel):
    """What every function reads."""

    # Deferred: of all these models a function builds one.
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    environment: Literal["local", "production"]
    google_cloud_project: Text
    allowed_origins: Listed = ()

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Raises SettingsError."""
        values = {
            name: environ[name.upper()] for name in cls.model_fields if name.upper() in environ
        }
        wrong = []
        try:
            settings = cls.model_validate(values)
            wrong += settings._contradictions()
        except ValidationError as error:
            for one in error.errors(include_url=False, include_input=False):
                wrong.append(f"{str(one['loc'][0]).upper()}: {one['msg']}")
        if environ.get("ENVIRONMENT") == "production":
            wrong += [
                f"{name}: is for the local cloud" for name in _LOCAL_ONLY if environ.get(name)
            ]
        if wrong:
            raise SettingsError(f"{cls.__name__}: " + "; ".join(wrong))
        return settings

    def _contradictions(self) -> list[str]:
        """What is wrong although each value alone is right."""
        return []


class _Tokens(Settings):
    issuer: Text
    jwks_url: Text


class AuthSettings(Settings):
    """The secrets are resource names, `projects/P/secrets/S`."""

    issuer: Text
    signing_key_secret: Text
    token_hmac_secret: Text
    # NIST SP 800-63B: 8 where another factor may follow; 15 for a password alone (production).
    password_floor: Annotated[int, Field(ge=8, le=64)] = 8


class TasksSettings(_Tokens):
    signer_email: Text
    renditions_bucket: Text
    storage_endpoint: Text = "https://storage.googleapis.com"
    iam_endpoint: Text = "https://iamcredentials.googleapis.com"


class MediaSettings(TasksSettings):
    inbox_bucket: Text
    media_bucket: Text


class EventSettings(Settings):
    """Without a caller the function relies on IAM, as it does in the cloud."""

    platform_jwks_url: str = ""
    platform_audience: str = ""
    platform_caller: str = ""

    def _contradictions(self) -> list[str]:
        needed = ("platform_jwks_url", "platform_audience") if self.platform_caller else ()
        return [
            f"{name.upper()}: is needed to verify PLATFORM_CALLER"
            for name in needed
            if not getattr(self, name)
        ]


class _Publishing(EventSettings):
    events_topic: Text


class MaintenanceSettings(_Publishing):
    signing_key_secret: Text
    token_hmac_secret: Text


class ThumbnailsSettings(_Publishing):
    inbox_bucket: Text
    media_bucket: Text
    renditions_bucket: Text
    storage_endpoint: Text = "https://storage.googleapis.com"
    # Of clamd, "host:port". There is no default: to run without one has to be decided ("off").
    scanner: Annotated[str, Field(pattern=r"^(off|[A-Za-z0-9.-]+:[0-9]{1,5})$")]
