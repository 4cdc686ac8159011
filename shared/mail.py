"""Mail: what is sent, and how it leaves by SMTP. Technical: knows no domain.

A mail that the server did not take yet (down, busy, our configuration) is Unavailable: whoever
sends tries again later. One that it never will take is MailRefused. The answer to a mail may be
lost after the server took it; the second try then carries the same Message-ID, by which mailboxes
tell a copy. Source: RFC 5321, section 4.2.1 for the first digit of an answer.
"""

from __future__ import annotations

import logging
import smtplib
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from typing import Literal, Protocol

from shared.errors import Unavailable
from shared.secrets import Secrets

# Seconds for each step. A server takes 0.1-2; greylisting ones let a client wait on purpose.
_PATIENCE = 10.0
_PERMANENT = 500
_log = logging.getLogger(__name__)


class MailRefused(Exception):
    """The server will never take this mail: there is no such mailbox, or no way to write to it."""


@dataclass(frozen=True, slots=True)
class Mail:
    """`id` is the same whenever the mail is sent again; letters and digits."""

    id: str
    to: str
    subject: str
    text: str


class Mailer(Protocol):
    def send(self, mail: Mail) -> None:
        """Returns when the server has taken it. Raises Unavailable, MailRefused."""
        ...


class MemoryMailer:
    """Keeps what was sent; `failure` is raised instead, as a server in trouble would."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.failure: Exception | None = None

    def send(self, mail: Mail) -> None:
        if self.failure is not None:
            raise self.failure
        self.mails.append(mail)


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail goes out. `tls` is the context for STARTTLS, None for a server on this machine;
    `password` is asked for at each connection, so that rotating it is no deployment."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    user: str = ""
    password: Callable[[], str] = str


class ServerSettings(Protocol):
    smtp_host: str
    smtp_port: int
    smtp_tls: Literal["starttls", "none"]
    smtp_user: str
    smtp_password_secret: str


def server_of(settings: ServerSettings, secrets: Secrets) -> Server:
    """The password is the newest version of its secret at the time of each mail."""

    def password() -> str:
        for version in secrets.versions(settings.smtp_password_secret):
            payload = secrets.access(version.name)
            if payload is not None:
                return payload.decode().strip()
        raise Unavailable("The mail server's password is missing")

    tls = ssl.create_default_context() if settings.smtp_tls == "starttls" else None
    return Server(settings.smtp_host, settings.smtp_port, tls, settings.smtp_user, password)


class SMTPMailer:
    """One connection a mail: a function sends few, and a kept one would be stale after a pause."""

    def __init__(self, server: Server, sender: str) -> None:
        self._server = server
        self._sender = sender

    def send(self, mail: Mail) -> None:
        message = self._message(mail)
        try:
            with self._connected() as connection:
                self._hand_over(connection, message, mail.to)
        except smtplib.SMTPRecipientsRefused as refused:
            raise _verdict(min(code for code, _ in refused.recipients.values())) from None
        except smtplib.SMTPDataError as refused:
            raise _verdict(refused.smtp_code) from None
        except (smtplib.SMTPException, OSError) as error:
            _log.warning("mail: %s took nothing (%s)", self._server.host, type(error).__name__)
            raise Unavailable("The mail server does not take mail now") from None

    def _connected(self) -> _Connection:
        # A name of its own: the machine's is asked of a name server, which may take long.
        name = self._sender.rpartition("@")[2]
        server = self._server
        connection = _Connection(server.host, server.port, name, timeout=_PATIENCE)
        try:
            if server.tls is not None:
                # Raises when the server offers none: nothing goes out in the clear instead.
                connection.starttls(context=server.tls)
            if server.user:
                connection.login(server.user, server.password())
        except BaseException:
            connection.close()
            raise
        return connection

    def _hand_over(self, connection: _Connection, message: EmailMessage, to: str) -> None:
        connection.ehlo_or_helo_if_needed()
        if to.isascii():
            connection.sendmail(self._sender, [to], message.as_bytes(policy=SMTP))
        elif connection.has_extn("smtputf8"):
            options = ["SMTPUTF8", "BODY=8BITMIME"]
            content = message.as_bytes(policy=SMTPUTF8)
            connection.sendmail(self._sender, [to], content, mail_options=options)
        else:
            raise MailRefused("The mail server takes ASCII addresses only")

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage(policy=SMTPUTF8)
        message["From"] = self._sender
        try:
            message["To"] = mail.to
        except ValueError:
            raise MailRefused("No header can hold this address") from None
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = f"<{mail.id}@{self._sender.rpartition('@')[2]}>"
        # RFC 3834: nobody's holiday answers come back.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text)
        return message


class _Connection(smtplib.SMTP):
    def __exit__(self, *_: object) -> None:
        """What the server says to a farewell changes nothing about the mail that it took."""
        with suppress(smtplib.SMTPException, OSError):
            self.quit()
        self.close()


def _verdict(code: int) -> Exception:
    if code >= _PERMANENT:
        return MailRefused(f"The mail server answered {code}")
    return Unavailable("The mail server does not take mail now")
