"""Mail over real sockets to the local mail sink: taken, refused for now, refused for ever."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from emulators.platform.mailbox import Mailbox, Refusals
from shared import mail as module
from shared.errors import Unavailable
from shared.mail import Mail, MailRefused, Server, SMTPMailer
from tests.fixtures.emulated import free_port

pytestmark = pytest.mark.emulated

SENDER = "snaptask@example.com"
HELLO = Mail("abc123", "ada@example.org", "Grüße ☃", "Hello,\n\n.a line with a dot\nBye.\n")


@contextmanager
def listening(mailbox: Mailbox) -> Iterator[int]:
    """The mailbox on a loop of its own thread; yields its port."""
    started: list[int] = []
    ready, end = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        server = await mailbox.listen("127.0.0.1", 0)
        started.append(server.sockets[0].getsockname()[1])
        ready.set()
        await end.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield started[0]
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()


def mailer(port: int, **options: object) -> SMTPMailer:
    return SMTPMailer(Server("127.0.0.1", port, **options), SENDER)  # type: ignore[arg-type]


def test_a_mail_arrives_as_it_was_written() -> None:
    mailbox = Mailbox()
    with listening(mailbox) as port:
        mailer(port).send(HELLO)
    (kept,) = mailbox.shown()
    assert (kept["from"], kept["to"]) == (SENDER, ["ada@example.org"])
    assert (kept["subject"], kept["text"]) == (HELLO.subject, HELLO.text)
    assert kept["headers"]["Message-ID"] == "<abc123@example.com>"
    assert kept["headers"]["Auto-Submitted"] == "auto-generated"


def test_an_address_beyond_ascii_is_written_to() -> None:
    mailbox = Mailbox()
    with listening(mailbox) as port:
        mailer(port).send(Mail("a", "ünï@example.org", "s", "t"))
    assert mailbox.shown("ünï@example.org")[0]["headers"]["To"] == "ünï@example.org"


def test_nobody_slips_a_header_into_a_mail() -> None:
    mailbox = Mailbox()
    with listening(mailbox) as port:
        for to in ("ada@example.org\r\nBcc: eve@example.org", "=?utf-8?q?=0A?=@example.org"):
            # Tried again it would be a dead letter in the end, made by whoever asked for a mail.
            with pytest.raises(MailRefused):
                mailer(port).send(Mail("a", to, "s", "t"))
        with pytest.raises(ValueError):
            mailer(port).send(Mail("a", "ada@example.org", "s\r\nBcc: eve@example.org", "t"))
        mailer(port).send(
            Mail("a", "ada@example.org", "s", "t\r\n.\r\nMAIL FROM:<x@y.example>\r\n")
        )
    (kept,) = mailbox.shown()
    assert "MAIL FROM" in kept["text"]


@pytest.mark.parametrize(
    ("code", "error"),
    [(421, Unavailable), (450, Unavailable), (451, Unavailable), (550, MailRefused)],
)
def test_what_is_refused_for_now_can_be_tried_again_and_for_ever_not(
    code: int, error: type[Exception]
) -> None:
    mailbox = Mailbox()
    with listening(mailbox) as port:
        mailbox.refusals = Refusals(code, times=1)
        with pytest.raises(error):
            mailer(port).send(HELLO)
        assert mailbox.shown() == []
        mailer(port).send(HELLO)
    assert len(mailbox.shown()) == 1


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(Unavailable):
        mailer(free_port()).send(HELLO)


def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unavailable):
        mailer(silent.getsockname()[1]).send(HELLO)


def test_a_server_without_encryption_gets_no_mail_when_encryption_is_asked_for() -> None:
    mailbox = Mailbox()
    with listening(mailbox) as port, pytest.raises(Unavailable):
        mailer(port, tls=ssl.create_default_context()).send(HELLO)
    assert mailbox.shown() == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    import ipaddress

    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@contextmanager
def secured(certificate: Path) -> Iterator[tuple[Mailbox, int]]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    mailbox = Mailbox(tls=tls, account=("snaptask", "open sesame"))
    with listening(mailbox) as port:
        yield mailbox, port


def test_mail_goes_out_encrypted_and_signed_in(certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    with secured(certificate) as (mailbox, port):
        sent = mailer(port, tls=trusting, user="snaptask", password=lambda: "open sesame")
        sent.send(HELLO)
    (kept,) = mailbox.shown()
    assert kept["encrypted"]


def test_an_unknown_certificate_a_wrong_password_and_no_encryption_send_nothing(
    certificate: Path,
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    asked: list[str] = []

    def password() -> str:
        asked.append("yes")
        return "open sesame"

    with secured(certificate) as (mailbox, port):
        for wrong in (
            mailer(port, tls=ssl.create_default_context(), user="snaptask", password=password),
            mailer(port, tls=trusting, user="snaptask", password=lambda: "guess"),
            mailer(port),
        ):
            with pytest.raises(Unavailable):
                wrong.send(HELLO)
    assert mailbox.shown() == []
    assert asked == [], "the password went to somebody who could not prove who he is"
