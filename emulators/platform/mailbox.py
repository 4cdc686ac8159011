"""The mail sink: an SMTP server that takes every mail and delivers none.

What it took is shown at `/_emulator/mails` of the platform. It speaks what a client of today
needs (RFC 5321, 8BITMIME, SMTPUTF8, SIZE; STARTTLS and AUTH PLAIN when given a certificate or an
account), and can be told to refuse. Mails live in memory, the last thousand.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

# RFC 5321, section 4.5.3.1: 512 octets for a command, but SMTPUTF8 and AUTH make longer ones.
_LINE = 16 * 1024
_LARGEST = 1024 * 1024
_KEPT = 1000
# Seconds of silence, after which a client is taken for gone.
_PATIENCE = 60
_PATH = re.compile(r"(?:FROM|TO):\s*<([^<>\s]*)>(?:\s+(.*))?", re.IGNORECASE)


@dataclass
class Refusals:
    """`code` is the answer to the next `times` recipients; 421 also hangs up."""

    code: int = 0
    times: int = 0

    def take(self) -> int:
        if self.times <= 0:
            return 0
        self.times -= 1
        return self.code


@dataclass
class _Envelope:
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)


class Mailbox:
    """`account` is (user, password) that a client must give; `tls` what STARTTLS leads to, which
    is then required."""

    def __init__(
        self, *, tls: ssl.SSLContext | None = None, account: tuple[str, str] | None = None
    ) -> None:
        self.refusals = Refusals()
        self.tls = tls
        self.account = account
        self._mails: deque[dict[str, Any]] = deque(maxlen=_KEPT)

    def shown(self, to: str | None = None) -> list[dict[str, Any]]:
        """The oldest first; `to` are those for one address."""
        return [mail for mail in self._mails if to is None or to in mail["to"]]

    def clear(self) -> None:
        self._mails.clear()

    async def listen(self, host: str, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._serve, host, port, limit=_LINE)

    def keep(self, envelope: _Envelope, content: bytes, encrypted: bool) -> None:
        message = message_from_bytes(content, EmailMessage, policy=policy.default)
        body = message.get_body(("plain", "html"))
        self._mails.append(
            {
                "from": envelope.sender,
                "to": list(envelope.recipients),
                "subject": str(message["Subject"] or ""),
                "text": body.get_content().replace("\r\n", "\n") if body is not None else "",
                "headers": {name: str(value) for name, value in message.items()},
                "encrypted": encrypted,
                "receivedAt": datetime.now(UTC).isoformat(timespec="milliseconds"),
            }
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = _Conversation(self, reader, writer)
        try:
            await conversation.run()
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass  # A client that hangs up, falls silent or writes endless lines has no more to say.
        finally:
            writer.close()


class _HangUp(Exception):
    """Nothing more is said on this connection."""


class _Conversation:
    def __init__(
        self, mailbox: Mailbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._mailbox = mailbox
        self._reader = reader
        self._writer = writer
        self._envelope = _Envelope()
        self._encrypted = False
        self._signed_in = mailbox.account is None

    async def run(self) -> None:
        await self._say("220 mail sink")
        commands: dict[str, Callable[[str], Any]] = {
            "EHLO": self._ehlo,
            "HELO": lambda _: self._say("250 mail sink"),
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "RSET": self._rset,
            "NOOP": lambda _: self._say("250 OK"),
            "QUIT": self._quit,
        }
        try:
            while True:
                line = (await self._line()).decode("utf-8", "replace").strip()
                name, _, rest = line.partition(" ")
                command = commands.get(name.upper())
                if command is None:
                    await self._say("500 Unknown command")
                else:
                    await command(rest.strip())
        except _HangUp:
            return

    async def _ehlo(self, _: str) -> None:
        offers = ["mail sink", f"SIZE {_LARGEST}", "8BITMIME", "SMTPUTF8"]
        if self._mailbox.tls and not self._encrypted:
            offers.append("STARTTLS")
        if self._mailbox.account:
            offers.append("AUTH PLAIN")
        lines = [f"250-{offer}" for offer in offers[:-1]] + [f"250 {offers[-1]}"]
        await self._say("\r\n".join(lines))

    async def _starttls(self, _: str) -> None:
        if self._mailbox.tls is None or self._encrypted:
            return await self._say("502 Not offered")
        await self._say("220 Go ahead")
        await self._writer.start_tls(self._mailbox.tls)
        self._encrypted = True
        self._envelope = _Envelope()
        return None

    async def _auth(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        if mechanism.upper() != "PLAIN" or self._mailbox.account is None:
            return await self._say("504 Not offered")
        try:
            _, user, password = base64.b64decode(initial, validate=True).decode().split("\0")
        except (ValueError, binascii.Error):
            return await self._say("501 Not understood")
        self._signed_in = (user, password) == self._mailbox.account
        return await self._say("235 Welcome" if self._signed_in else "535 Not you")

    async def _mail(self, rest: str) -> None:
        found = _PATH.fullmatch(rest)
        if self._mailbox.tls and not self._encrypted:
            return await self._say("530 STARTTLS first")
        if not self._signed_in:
            return await self._say("530 AUTH first")
        if found is None or self._envelope.sender is not None:
            return await self._say("501 Not now, or not so")
        self._envelope.sender = found[1]
        return await self._say("250 OK")

    async def _rcpt(self, rest: str) -> None:
        found = _PATH.fullmatch(rest)
        if self._envelope.sender is None or found is None or not found[1]:
            return await self._say("503 Not now, or not so")
        refusal = self._mailbox.refusals.take()
        if refusal:
            await self._say(f"{refusal} Refused as told")
            if refusal == 421:
                raise _HangUp
            return None
        self._envelope.recipients.append(found[1])
        return await self._say("250 OK")

    async def _data(self, _: str) -> None:
        if not self._envelope.recipients:
            return await self._say("503 To whom?")
        await self._say("354 Go ahead")
        content = await self._content()
        if content is None:
            await self._say("552 Too large")
        else:
            self._mailbox.keep(self._envelope, content, self._encrypted)
            await self._say("250 Kept")
        self._envelope = _Envelope()
        return None

    async def _content(self) -> bytes | None:
        """Without the dots that protect lines; None for more than is taken."""
        lines: list[bytes] = []
        size = 0
        while (line := await self._line()) != b".\r\n":
            size += len(line)
            if size <= _LARGEST:
                lines.append(line.removeprefix(b"."))
        return b"".join(lines) if size <= _LARGEST else None

    async def _rset(self, _: str) -> None:
        self._envelope = _Envelope()
        await self._say("250 OK")

    async def _quit(self, _: str) -> None:
        await self._say("221 Bye")
        raise _HangUp

    async def _line(self) -> bytes:
        async with asyncio.timeout(_PATIENCE):
            return await self._reader.readuntil(b"\r\n")

    async def _say(self, text: str) -> None:
        self._writer.write(text.encode() + b"\r\n")
        await self._writer.drain()
