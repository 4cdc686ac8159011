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
URL = Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")]


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
    # Whether an account is good before its address is confirmed.
    sign_in_unverified: bool = False
    # How many people may come from one address: an office, a school, a test machine.
    people_per_source: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    # In front of the function (shared/http/source.py): 1 on Cloud Run, 2 behind a load balancer.
    trusted_proxies: Annotated[int, Field(ge=0, le=5)] = 1
    # Signing in by another issuer's word is off without a client id. The rest is Google's, as its
    # discovery document has it (https://accounts.google.com/.well-known/openid-configuration).
    oidc_client_id: str = ""
    oidc_client_secret: str = ""
    oidc_name: Annotated[str, Field(pattern=r"^[\w.-]+( [\w.-]+)*$", max_length=40)] = "Google"
    oidc_scopes: Annotated[str, Field(pattern=r"^openid( [!#-\[\]-~]+)*$")] = "openid email"
    oidc_issuer: Text = "https://accounts.google.com"
    oidc_authorization_url: URL = "https://accounts.google.com/o/oauth2/v2/auth"
    oidc_token_url: URL = "https://oauth2.googleapis.com/token"  # noqa: S105 -- An address.
    oidc_jwks_url: URL = "https://www.googleapis.com/oauth2/v3/certs"

    def _contradictions(self) -> list[str]:
        if not self.oidc_client_id:
            return []
        missing = [] if self.oidc_client_secret else ["OIDC_CLIENT_SECRET: is needed"]
        return missing + [
            f"{name.upper()}: {wrong}"
            for name in ("oidc_authorization_url", "oidc_token_url", "oidc_jwks_url")
            if (wrong := self._wrong_address(name))
        ]

    def _wrong_address(self, name: str) -> str:
        fields, value = type(self).model_fields, getattr(self, name)
        foreign = self.oidc_issuer != fields["oidc_issuer"].default
        if foreign and value == fields[name].default:
            return "is Google's; give that of OIDC_ISSUER"
        # Keys and codes that went in the clear could be anybody's.
        if self.environment == "production" and not value.startswith("https:"):
            return "must be https"
        return ""


class TasksSettings(_Tokens):
    signer_email: Text
    renditions_bucket: Text
    storage_endpoint: Text = "https://storage.googleapis.com"
    iam_endpoint: Text = "https://iamcredentials.googleapis.com"


class MediaSettings(TasksSettings):
    inbox_bucket: Text
    media_bucket: Text
    # Bytes for each owner; about a thousand photographs of 5 MB.
    media_quota: Annotated[int, Field(ge=1)] = 5 * 1024**3


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


class MailSettings(EventSettings):
    """Without a user the server takes mail from anybody who may reach it."""

    token_hmac_secret: Text
    app_url: Annotated[str, Field(pattern=r"^https?://[^/\s#?]+$")]
    mail_from: Annotated[str, Field(pattern=r"^[^@\s<>]+@[^@\s<>]+$")]
    smtp_host: Text
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 587
    smtp_tls: Literal["starttls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password_secret: str = ""

    def _contradictions(self) -> list[str]:
        wrong = super()._contradictions()
        if self.environment == "production" and self.smtp_tls == "none":
            wrong.append("SMTP_TLS: mail leaves a production environment encrypted")
        if self.environment == "production" and not self.app_url.startswith("https:"):
            wrong.append("APP_URL: links in mails are https")
        if self.smtp_user and not self.smtp_password_secret:
            wrong.append("SMTP_PASSWORD_SECRET: is needed with SMTP_USER")
        return wrong


class _Objects(EventSettings):
    events_topic: Text
    inbox_bucket: Text
    media_bucket: Text
    renditions_bucket: Text
    storage_endpoint: Text = "https://storage.googleapis.com"


class MaintenanceSettings(_Objects):
    redrive_topic: Text
    signing_key_secret: Text
    token_hmac_secret: Text


_CLAMD = r"[A-Za-z0-9.-]+:[0-9]{1,5}"


class ThumbnailsSettings(_Objects):
    dead_letter_topic: Text
    # "host:port" of a clamd, or the origin of a scan service (services/scanner). There is no
    # default: to run without one has to be decided ("off").
    scanner: Annotated[
        str, Field(pattern=rf"^(off|{_CLAMD}|https?://[A-Za-z0-9.-]+(:[0-9]{{1,5}})?)$")
    ]

    def _contradictions(self) -> list[str]:
        wrong = super()._contradictions()
        # With the request goes a token that is good for the service for an hour.
        if self.environment == "production" and self.scanner.startswith("http:"):
            wrong.append("SCANNER: a scan service is asked by https")
        return wrong


class ScannerSettings(Settings):
    """Of the scan service, which is no function but a container with a clamd in it."""

    clamd: Annotated[str, Field(pattern=rf"^{_CLAMD}$")]
    inbox_bucket: Text
    storage_endpoint: Text = "https://storage.googleapis.com"


class SignatureSettings(Settings):
    """Of what starts that container, and of the job that keeps its signatures up to date."""

    signatures_bucket: Text
    # Without them clamd would start as well, and say OK to nearly everything.
    needed_signatures: Listed = ("main", "daily")
    storage_endpoint: Text = "https://storage.googleapis.com"
