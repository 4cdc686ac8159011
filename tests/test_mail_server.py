"""What the mailer is told of its server, out of settings and a secret."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest

from shared.errors import Unavailable
from shared.mail import server_of
from shared.secrets import MemorySecrets
from shared.settings import MailSettings

SECRET = "projects/p/secrets/smtp-password"
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def settings(**changes: str) -> MailSettings:
    return MailSettings.read(
        {
            "ENVIRONMENT": "production",
            "GOOGLE_CLOUD_PROJECT": "p",
            "TOKEN_HMAC_SECRET": "projects/p/secrets/b",
            "APP_URL": "https://app.example",
            "MAIL_FROM": "snaptask@example.com",
            "SMTP_HOST": "smtp.example",
            "SMTP_USER": "snaptask",
            "SMTP_PASSWORD_SECRET": SECRET,
        }
        | changes
    )


def test_the_password_is_the_newest_version_at_the_time_of_each_mail() -> None:
    secrets = MemorySecrets()
    server = server_of(settings(), secrets)
    with pytest.raises(Unavailable):
        server.password()
    secrets.add(SECRET, b"first\n", NOON)
    assert server.password() == "first"
    second = secrets.add(SECRET, b"second", NOON)
    assert server.password() == "second"
    secrets.disable(second)
    assert server.password() == "first"


def test_in_production_the_server_must_prove_who_it_is() -> None:
    server = server_of(settings(), MemorySecrets())
    assert server.tls is not None
    assert server.tls.verify_mode is ssl.CERT_REQUIRED
    assert server.tls.check_hostname
    local = settings(ENVIRONMENT="local", SMTP_TLS="none", SMTP_USER="")
    assert server_of(local, MemorySecrets()).tls is None
