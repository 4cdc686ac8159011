"""The mail sink as the platform serves it: what was sent can be read and trouble ordered."""

from __future__ import annotations

import smtplib
import socket

import pytest

from shared.errors import Unavailable
from shared.mail import Mail, Server, SMTPMailer
from tests.emulators.platform.service import Platform, running

pytestmark = pytest.mark.emulated


def mailer(platform: Platform) -> SMTPMailer:
    host, _, port = platform.mail.partition(":")
    return SMTPMailer(Server(host, int(port)), "snaptask@example.com")


def subjects(platform: Platform, **query: str) -> list[str]:
    answer = platform.http.get("/_emulator/mails", params=query)
    assert answer.status_code == 200
    return [mail["subject"] for mail in answer.json()["mails"]]


@pytest.fixture
def empty(platform: Platform) -> Platform:
    assert platform.http.delete("/_emulator/mails").status_code == 204
    return platform


def test_mails_are_shown_in_order_and_by_address(empty: Platform) -> None:
    for number, to in enumerate(("ada@example.org", "bob@example.org", "ada@example.org")):
        mailer(empty).send(Mail(f"m{number}", to, f"mail {number}", "text"))
    assert subjects(empty) == ["mail 0", "mail 1", "mail 2"]
    assert subjects(empty, to="ada@example.org") == ["mail 0", "mail 2"]
    assert subjects(empty, to="eve@example.org") == []


def test_refusals_are_ordered_and_end(empty: Platform) -> None:
    order = {"refuse": 451, "times": 2}
    assert empty.http.post("/_emulator/mails", json=order).status_code == 200
    for _ in range(2):
        with pytest.raises(Unavailable):
            mailer(empty).send(Mail("m", "ada@example.org", "late", "text"))
    mailer(empty).send(Mail("m", "ada@example.org", "late", "text"))
    assert subjects(empty) == ["late"]


@pytest.mark.parametrize(
    "body", [{}, {"refuse": 200, "times": 1}, {"refuse": "451", "times": 1}, {"refuse": 451}]
)
def test_an_order_that_makes_no_sense_is_refused(platform: Platform, body: object) -> None:
    assert platform.http.post("/_emulator/mails", json=body).status_code == 400


def test_out_of_order_unknown_and_endless_commands_are_survived(empty: Platform) -> None:
    host, _, port = empty.mail.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(b"x" * 100_000)
        while client.recv(4096):
            pass
    with smtplib.SMTP(host, int(port), "test", timeout=10) as client:
        for command in ("RCPT TO:<a@b.example>", "DATA", "FLY", "STARTTLS", "AUTH PLAIN eA=="):
            assert 500 <= client.docmd(command)[0] < 600, command
        client.docmd("EHLO", "test")
        assert client.docmd("MAIL FROM:<a@b.example>")[0] == 250
        assert client.docmd("MAIL FROM:<a@b.example>")[0] == 501
        assert client.docmd("RSET")[0] == 250
        assert client.docmd("DATA")[0] == 503
    with smtplib.SMTP(host, int(port), "test", timeout=10) as client:
        with pytest.raises(smtplib.SMTPDataError):
            client.sendmail("a@b.example", "b@b.example", (b"y" * 900 + b"\r\n") * 1_300)
        client.sendmail("a@b.example", "b@b.example", b"Subject: fits\r\n\r\nall")
    assert subjects(empty) == ["fits"]


def test_without_the_switches_nobody_reads_the_mails(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("closed")
    with running(folder, "127.0.0.1:9", "p", admin=False) as platform:
        assert platform.http.get("/_emulator/mails").status_code == 403
