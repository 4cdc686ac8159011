"""A function starts with all of its settings, right, or says everything that is wrong."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.settings import (
    AuthSettings,
    EventSettings,
    MailSettings,
    MaintenanceSettings,
    MediaSettings,
    ScannerSettings,
    Settings,
    SettingsError,
    TasksSettings,
    ThumbnailsSettings,
)

BASE = {"ENVIRONMENT": "local", "GOOGLE_CLOUD_PROJECT": "p"}
WHOLE = {
    **BASE,
    "ALLOWED_ORIGINS": " https://a.example , ,http://localhost:3000",
    "ISSUER": "https://i.example",
    "JWKS_URL": "https://i.example/jwks",
    "SIGNER_EMAIL": "tasks@p.iam.gserviceaccount.com",
    "RENDITIONS_BUCKET": "renditions",
    "INBOX_BUCKET": "inbox",
    "MEDIA_BUCKET": "media",
    "EVENTS_TOPIC": "projects/p/topics/t",
    "REDRIVE_TOPIC": "projects/p/topics/r",
    "DEAD_LETTER_TOPIC": "projects/p/topics/d",
    "SIGNING_KEY_SECRET": "projects/p/secrets/a",
    "TOKEN_HMAC_SECRET": "projects/p/secrets/b",
    "OIDC_CLIENT_SECRET": "projects/p/secrets/c",
    "SCANNER": "10.0.0.3:3310",
    "CLAMD": "127.0.0.1:3310",
    "APP_URL": "https://app.example",
    "MAIL_FROM": "snaptask@example.com",
    "SMTP_HOST": "smtp.example",
}
MODELS: list[type[Settings]] = [
    AuthSettings,
    EventSettings,
    MailSettings,
    MaintenanceSettings,
    MediaSettings,
    ScannerSettings,
    TasksSettings,
    ThumbnailsSettings,
]


@pytest.mark.parametrize("model", MODELS)
def test_a_whole_environment_is_read(model: type[Settings]) -> None:
    settings = model.read(WHOLE | {"UNRELATED": "x", "PATH": "/bin"})
    assert settings.environment == "local"
    assert settings.allowed_origins == ("https://a.example", "http://localhost:3000")
    for name in model.model_fields:
        if name.upper() in WHOLE and name != "allowed_origins":
            assert getattr(settings, name) == WHOLE[name.upper()]


@pytest.mark.parametrize("model", MODELS)
def test_everything_that_is_missing_is_told_at_once(model: type[Settings]) -> None:
    required = {name.upper() for name, field in model.model_fields.items() if field.is_required()}
    with pytest.raises(SettingsError) as told:
        model.read({})
    assert model.__name__ in str(told.value)
    assert all(f"{name}: " in str(told.value) for name in required)
    with pytest.raises(SettingsError) as told:
        model.read(dict.fromkeys(required, ""))
    assert all(f"{name}: " in str(told.value) for name in required)


@pytest.mark.parametrize("environment", ["", "Production", "prod", "production ", "staging"])
def test_an_unknown_environment_is_fatal(environment: str) -> None:
    with pytest.raises(SettingsError, match="ENVIRONMENT"):
        Settings.read(BASE | {"ENVIRONMENT": environment})


LOCAL = [
    "FIRESTORE_EMULATOR_HOST",
    "PUBSUB_EMULATOR_HOST",
    "SECRET_MANAGER_EMULATOR_HOST",
    "STORAGE_EMULATOR_HOST",
    "GCE_METADATA_HOST",
    "PLATFORM_JWKS_URL",
    "PLATFORM_CALLER",
]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", LOCAL)
def test_an_emulator_in_production_is_fatal(model: type[Settings], name: str) -> None:
    production = WHOLE | {"ENVIRONMENT": "production"}
    model.read(production | {name: ""})
    with pytest.raises(SettingsError, match=f"{name}: is for the local cloud"):
        model.read(production | {name: "127.0.0.1:8080"})


def test_emulators_and_gaps_are_told_together() -> None:
    with pytest.raises(SettingsError) as told:
        MediaSettings.read({"ENVIRONMENT": "production"} | dict.fromkeys(LOCAL, "x"))
    for name in [*LOCAL, "GOOGLE_CLOUD_PROJECT", "ISSUER", "INBOX_BUCKET"]:
        assert f"{name}: " in str(told.value)


def test_the_error_holds_no_value() -> None:
    with pytest.raises(SettingsError) as told:
        Settings.read(BASE | {"ENVIRONMENT": "hunter2"})
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("floor", ["7", "65", "x", "", "8.5"])
def test_a_password_floor_out_of_bounds_is_fatal(floor: str) -> None:
    with pytest.raises(SettingsError, match="PASSWORD_FLOOR"):
        AuthSettings.read(WHOLE | {"PASSWORD_FLOOR": floor})
    assert AuthSettings.read(WHOLE | {"PASSWORD_FLOOR": "15"}).password_floor == 15


@pytest.mark.parametrize("missing", ["PLATFORM_JWKS_URL", "PLATFORM_AUDIENCE"])
def test_a_caller_that_could_never_be_verified_is_fatal(missing: str) -> None:
    """The function would start, and refuse every delivery at run time."""
    platform = {
        "PLATFORM_JWKS_URL": "http://127.0.0.1:1/certs",
        "PLATFORM_AUDIENCE": "http://127.0.0.1:3004",
        "PLATFORM_CALLER": "platform@p.iam.gserviceaccount.com",
    }
    EventSettings.read(BASE | platform)
    with pytest.raises(SettingsError, match=missing):
        EventSettings.read(BASE | platform | {missing: ""})


def test_settings_do_not_change() -> None:
    settings = Settings.read(BASE)
    with pytest.raises(ValidationError):
        settings.environment = "production"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"SMTP_TLS": "none"}, "SMTP_TLS"),
        ({"SMTP_TLS": "ssl"}, "SMTP_TLS"),
        ({"APP_URL": "http://app.example"}, "APP_URL"),
        ({"APP_URL": "https://app.example/"}, "APP_URL"),
        ({"APP_URL": "https://app.example/#x"}, "APP_URL"),
        ({"APP_URL": "javascript:alert(1)"}, "APP_URL"),
        ({"MAIL_FROM": "nobody"}, "MAIL_FROM"),
        ({"MAIL_FROM": "a@b.example\r\nBcc: c@d.example"}, "MAIL_FROM"),
        ({"SMTP_USER": "snaptask"}, "SMTP_PASSWORD_SECRET"),
        ({"SMTP_PORT": "0"}, "SMTP_PORT"),
    ],
)
def test_mail_that_could_be_read_or_forged_on_its_way_is_fatal(
    change: dict[str, str], named: str
) -> None:
    production = WHOLE | {"ENVIRONMENT": "production"}
    assert MailSettings.read(production).smtp_port == 587
    with pytest.raises(SettingsError, match=named):
        MailSettings.read(production | change)


def test_by_default_an_account_is_good_only_once_its_address_is_confirmed() -> None:
    settings = AuthSettings.read(WHOLE)
    assert settings.sign_in_unverified is False
    assert settings.people_per_source == 20
    for name in ("PEOPLE_PER_SOURCE", "TRUSTED_PROXIES"):
        with pytest.raises(SettingsError, match=name):
            AuthSettings.read(WHOLE | {name: "-1"})


@pytest.mark.parametrize(
    "scanner",
    ["off", "clamd.internal:3310", "https://scanner-abc.a.run.app", "https://scanner.example:8443"],
)
def test_a_scanner_is_a_clamd_a_service_or_decided_against(scanner: str) -> None:
    production = WHOLE | {"ENVIRONMENT": "production", "SCANNER": scanner}
    assert ThumbnailsSettings.read(production).scanner == scanner


@pytest.mark.parametrize(
    "scanner",
    [
        "",
        "OFF",
        "on",
        "clamd",
        "clamd:",
        "http://10.0.0.3:8080",
        "https://scanner.example/",
        "https://scanner.example/path",
        "https://user@scanner.example",
        "https://",
        "ftp://scanner.example",
        "https://scanner.example\n",
        "off\n",
    ],
)
def test_what_is_no_scanner_or_would_show_its_token_is_fatal(scanner: str) -> None:
    with pytest.raises(SettingsError, match="SCANNER"):
        ThumbnailsSettings.read(WHOLE | {"ENVIRONMENT": "production", "SCANNER": scanner})


def test_at_a_desk_a_scan_service_may_be_asked_in_the_clear() -> None:
    asked = "http://127.0.0.1:8080"
    assert ThumbnailsSettings.read(WHOLE | {"SCANNER": asked}).scanner == asked


def test_google_needs_a_client_and_its_secret_and_nothing_else() -> None:
    assert AuthSettings.read(WHOLE).oidc_client_id == ""
    google = WHOLE | {"ENVIRONMENT": "production", "OIDC_CLIENT_ID": "7.apps.example"}
    settings = AuthSettings.read(google)
    assert (settings.oidc_name, settings.oidc_issuer) == ("Google", "https://accounts.google.com")
    with pytest.raises(SettingsError, match="OIDC_CLIENT_SECRET: is needed"):
        AuthSettings.read(google | {"OIDC_CLIENT_SECRET": ""})


ANOTHER = {
    "OIDC_CLIENT_ID": "snaptask",
    "OIDC_NAME": "Our Company",
    "OIDC_ISSUER": "https://id.example",
    "OIDC_AUTHORIZATION_URL": "https://id.example/authorize",
    "OIDC_TOKEN_URL": "https://id.example/token",
    "OIDC_JWKS_URL": "https://id.example/certs",
}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        # A code for one issuer, or a token of it, must not be given to, or taken from, another.
        ({"OIDC_AUTHORIZATION_URL": None}, "OIDC_AUTHORIZATION_URL: is Google's"),
        ({"OIDC_TOKEN_URL": None}, "OIDC_TOKEN_URL: is Google's"),
        ({"OIDC_JWKS_URL": None}, "OIDC_JWKS_URL: is Google's"),
        ({"OIDC_TOKEN_URL": "http://id.example/token"}, "OIDC_TOKEN_URL: must be https"),
        ({"OIDC_JWKS_URL": "http://id.example/certs"}, "OIDC_JWKS_URL: must be https"),
        ({"OIDC_AUTHORIZATION_URL": "javascript:alert(1)"}, "OIDC_AUTHORIZATION_URL: "),
        ({"OIDC_AUTHORIZATION_URL": "https://id.example/?x=1"}, "OIDC_AUTHORIZATION_URL: "),
        ({"OIDC_SCOPES": "email"}, "OIDC_SCOPES: "),
        ({"OIDC_NAME": ""}, "OIDC_NAME: "),
        ({"OIDC_NAME": "x" * 41}, "OIDC_NAME: "),
    ],
)
def test_an_issuer_that_is_only_half_another_is_fatal(
    change: dict[str, str | None], told: str
) -> None:
    production = WHOLE | ANOTHER | {"ENVIRONMENT": "production"}
    assert AuthSettings.read(production).oidc_name == "Our Company"
    changed = {name: value for name, value in (production | change).items() if value is not None}
    with pytest.raises(SettingsError, match=told):
        AuthSettings.read(changed)
