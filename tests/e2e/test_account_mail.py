"""Mails through the whole local cloud: auth wants them, the mail function sends, the sink shows."""

from __future__ import annotations

import re
import secrets
from typing import Any

import httpx
import pytest

from tests.fixtures import http
from tests.fixtures.stack import PASSWORD, Person, Stack, eventually

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]


def mails(stack: Stack, to: str) -> list[dict[str, Any]]:
    """One of each Message-ID: a mail whose end could not be noted is sent again under it."""
    answer = http.get(f"{stack.plan.url('platform')}/_emulator/mails", params={"to": to})
    assert answer.status_code == 200
    return list({one["headers"]["Message-ID"]: one for one in answer.json()["mails"]}.values())


def arrived(stack: Stack, to: str, count: int) -> dict[str, Any]:
    """The last of `count`."""
    return eventually(lambda: mails(stack, to), lambda found: len(found) == count)[-1]


def token(mail: dict[str, Any], kind: str) -> str:
    found = re.search(rf"/#{kind}=(\S+)", mail["text"])
    assert found, mail["text"]
    return found[1]


def test_a_person_confirms_the_address_and_sets_a_new_password(
    stack: Stack, person: Person
) -> None:
    first = arrived(stack, person.email, 1)
    assert first["text"].count(f"{stack.plan.origins[0]}/#verify-email=") == 1
    body = {"token": token(first, "verify-email"), "password": PASSWORD}
    assert person.api.post("/auth/verify-email", json=body).status_code == 204
    assert person.api.get("/auth/me").json()["emailVerified"] is True
    asked = person.api.post("/auth/password-reset", json={"email": person.email})
    assert (asked.status_code, asked.content) == (202, b"")
    second = arrived(stack, person.email, 2)
    new = "staple battery horse"
    body = {"token": token(second, "reset-password"), "password": new}
    assert person.api.post("/auth/password-reset/confirm", json=body).status_code == 204
    # Every session ended: in this function at once.
    assert person.api.get("/auth/me").status_code == 401
    login = {"email": person.email, "password": new}
    assert person.api.post("/auth/login", json=login).status_code == 200
    arrived(stack, person.email, 3)

    def kept() -> list[dict[str, Any]]:
        return [one for one in stack.documents("mails") if one["email"] == person.email]

    assert eventually(kept, lambda found: not found) == []


def test_a_mail_server_that_is_down_delays_a_mail_and_loses_none(stack: Stack) -> None:
    sink = f"{stack.plan.url('platform')}/_emulator/mails"
    order = {"refuse": 451, "times": 2}
    assert http.post(sink, json=order).status_code == 200
    email = f"{secrets.token_hex(6)}@example.com"
    with stack.client() as api:
        body = {"email": email, "password": PASSWORD}
        assert api.post("/auth/register", json=body).status_code == 202
    assert arrived(stack, email, 1)["subject"].startswith("Confirm")


def test_a_guess_too_many_is_told_when_to_come_again_whatever_it_claims(
    stack: Stack, person: Person
) -> None:
    body = {"email": person.email, "password": "wrong horse battery"}
    told: list[httpx.Response] = []
    # Twenty in a window; the window may turn meanwhile.
    while len(told) < 45 and [one.status_code for one in told[-2:]] != [429, 429]:
        claimed = {"X-Forwarded-For": f"192.0.2.{len(told)}"}
        told.append(person.api.post("/auth/login", json=body, headers=claimed))
    assert [one.status_code for one in (told[0], *told[-2:])] == [401, 429, 429]
    assert int(told[-1].headers["Retry-After"]) > 0
