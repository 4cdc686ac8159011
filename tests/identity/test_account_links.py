"""Mailed links: who reads the mailbox confirms the address, sets the password, moves the account;
nobody else does, and nobody twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Response

from shared.documents import AlreadyExists, DocumentStore, PreconditionFailed
from tests.fixtures.api import refusal
from tests.fixtures.firestore_proxy import Fault, FirestoreProxy, between
from tests.fixtures.stores import Budget, WatchedDocuments, firestore_documents, memory_documents
from tests.identity.world import HMAC, ORIGIN, PASSWORD, Between, World, at_once, json_of

NEW = "staple battery horse"


def verify(world: World, token: str, password: str = PASSWORD) -> Response:
    return world.post("/verify-email", token=token, password=password)


def reset(world: World, token: str, password: str = NEW) -> Response:
    return world.post("/password-reset/confirm", token=token, password=password)


def reset_token(world: World, email: str = "ada@example.org") -> str:
    assert world.post("/password-reset", email=email).status_code == 202
    return world.token("reset-password")


def me(world: World, tokens: dict[str, Any]) -> dict[str, Any]:
    answer = world.call("GET", "/me", bearer=tokens["accessToken"])
    assert answer.status_code == 200
    return json_of(answer)


def signs_in(world: World, password: str, email: str = "ada@example.org") -> bool:
    return world.post("/login", email=email, password=password).status_code == 200


def is_worthless(answer: Response) -> bool:
    return (answer.status_code, json_of(answer)["errors"][0]["pointer"]) == (422, "/token")


def test_the_link_and_the_password_confirm_the_address_once(world: World) -> None:
    tokens = world.signed_in()
    token = world.token("verify-email")
    assert verify(world, token).status_code == 204
    assert me(world, tokens)["emailVerified"] is True
    assert is_worthless(verify(world, token))
    assert len(world.events("email-verified")) == 1


def test_a_mail_goes_to_the_address_and_its_link_to_where_the_app_is(world: World) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    body = {"email": "Ada@example.org", "password": PASSWORD}
    assert world.call("POST", "/register", body, headers=headers).status_code == 202
    (mail,) = world.deliver_mails()
    assert mail.to == "Ada@example.org"
    assert f"{ORIGIN}/#verify-email=" in mail.text
    assert "evil" not in mail.text
    assert PASSWORD not in mail.text


def test_who_signed_up_with_the_address_of_another_cannot_have_him_confirm_it(
    world: World,
) -> None:
    world.register(password="eve knows this")
    world.register(password=PASSWORD)
    first, second = world.deliver_mails()
    assert {first.to, second.to} == {"ada@example.org"}
    assert verify(world, world.token("verify-email"), PASSWORD).status_code == 401
    # The mailbox alone takes the account over, from whoever made it.
    assert reset(world, reset_token(world)).status_code == 204
    assert not signs_in(world, "eve knows this")
    assert signs_in(world, NEW)


def test_a_confirmed_address_is_told_that_it_has_an_account(world: World) -> None:
    world.register()
    assert verify(world, world.token("verify-email")).status_code == 204
    world.register(password="another password")
    (mail,) = world.deliver_mails()
    assert "already" in mail.subject
    assert "token" not in mail.text
    assert "#verify-email" not in mail.text


def test_where_addresses_must_be_confirmed_nobody_signs_in_before() -> None:
    world = World(unverified=False)
    world.register()
    answer = world.post("/login", email="ada@example.org", password=PASSWORD)
    assert answer.status_code == 403
    wrong = world.post("/login", email="ada@example.org", password="wrong horse")
    unknown = world.post("/login", email="eve@example.org", password="wrong horse")
    assert refusal(wrong) == refusal(unknown)
    assert world.documents.query("sessions") == []
    assert verify(world, world.token("verify-email")).status_code == 204
    world.login()


def test_a_reset_sets_the_password_ends_every_session_and_tells(world: World) -> None:
    phone, laptop = world.signed_in(), world.login()
    world.deliver_mails()
    assert reset(world, reset_token(world)).status_code == 204
    assert not signs_in(world, PASSWORD)
    for tokens in (phone, laptop):
        assert world.refresh(tokens["refreshToken"]).status_code == 401
        assert world.call("GET", "/me", bearer=tokens["accessToken"]).status_code == 401
    assert me(world, world.login(password=NEW))["emailVerified"] is True
    assert "was changed" in world.deliver_mails()[0].subject
    (event,) = world.events("password-changed")
    assert (event["how"], event["session"]) == ("reset", None)


def test_a_link_is_good_once_even_for_many_at_once(world: World) -> None:
    world.register()
    token = reset_token(world)
    passwords = [f"the {number}th password" for number in range(8)]
    answers = at_once(8, lambda number: reset(world, token, passwords[number]))
    assert sorted(answer.status_code for answer in answers) == [204] + [422] * 7
    assert [signs_in(world, one) for one in passwords].count(True) == 1
    assert len(world.events("password-changed")) == 1


def test_a_link_ends_with_its_time(world: World) -> None:
    world.register()
    confirm, token = world.token("verify-email"), reset_token(world)
    world.clock.advance(minutes=59, seconds=59)
    world.documents.get("links/none")
    world.clock.advance(seconds=1)
    assert is_worthless(reset(world, token))
    world.clock.advance(hours=46, minutes=59, seconds=59)
    assert verify(world, confirm).status_code == 204


def test_of_two_links_the_second_is_worthless_once_the_first_was_used(world: World) -> None:
    world.register()
    first, second = reset_token(world), reset_token(world)
    confirm = world.token("verify-email")
    assert first != second
    assert reset(world, first).status_code == 204
    assert is_worthless(reset(world, second, "yet another one"))
    assert is_worthless(verify(world, confirm, NEW))
    assert signs_in(world, NEW)


def test_signing_out_everywhere_takes_the_links_along(world: World) -> None:
    tokens = world.signed_in()
    token = reset_token(world)
    assert world.call("POST", "/logout-all", bearer=tokens["accessToken"]).status_code == 204
    assert is_worthless(reset(world, token))


def test_a_token_of_another_kind_form_or_key_is_worthless_and_costs_nothing() -> None:
    budget = Budget()
    world = World(WatchedDocuments(memory_documents(), budget))
    tokens = world.signed_in()
    confirm, token = world.token("verify-email"), reset_token(world)
    link, key, mac = token.split(".")
    budget.taken()
    for forged in (
        confirm,
        tokens["refreshToken"],
        f"{link}.{key}.{mac[:-1]}{'A' if mac[-1] != 'A' else 'B'}",
        f"{link}.9.{mac}",
        f"{link}.0{key}.{mac}",
        f"{link[:-1]}{'a' if link[-1] != 'a' else 'b'}.{key}.{mac}",
        token + "=",
        f" {token}",
        token.upper(),
        "",
        "..",
        "☃",
    ):
        assert is_worthless(reset(world, forged)), forged
    assert budget.taken() == {}
    assert reset(world, token).status_code == 204


def test_a_copy_of_the_database_holds_no_token(world: World) -> None:
    world.register()
    tokens = [world.token("verify-email"), reset_token(world)]
    names = ("users", "links", "mails", "outbox", "emails", "rateLimits")
    stored = repr([(doc.path, doc.data) for name in names for doc in world.documents.query(name)])
    for token in tokens:
        assert token not in stored
        assert token.rpartition(".")[2] not in stored
    # And, once the mail has left, the address nowhere but with its user.
    assert stored.count("ada@example.org") == 1


def test_a_request_costs_the_same_and_says_the_same_for_an_address_nobody_has() -> None:
    budget = Budget()
    world = World(WatchedDocuments(memory_documents(), budget))
    world.register()
    costs, answers = [], []
    for email in ("ada@example.org", "eve@example.org"):
        budget.taken()
        answers.append(world.post("/password-reset", email=email))
        costs.append(budget.taken())
    assert costs[0] == costs[1] == {"count": 2, "commit": 1}
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].get_data() == answers[1].get_data() == b""
    assert {mail.to for mail in world.deliver_mails()} == {"ada@example.org"}


def test_a_new_password_is_checked_and_a_refused_one_keeps_the_link(world: World) -> None:
    world.register()
    token = reset_token(world)
    for weak in ("1234567", "password", "ada@example.org"):
        answer = reset(world, token, weak)
        assert (answer.status_code, json_of(answer)["errors"][0]["pointer"]) == (422, "/password")
    assert reset(world, token).status_code == 204


def test_an_account_changed_between_is_told_and_the_link_stays() -> None:
    between, documents = Between(), memory_documents()
    world = World(WatchedDocuments(documents, between))
    tokens = world.signed_in()
    token = reset_token(world)

    def rename() -> None:
        answer = world.call("PATCH", "/me", {"name": "Ada"}, bearer=tokens["accessToken"])
        assert answer.status_code == 200

    between.arm(rename)
    assert reset(world, token).status_code == 409
    assert reset(world, token).status_code == 204


def test_a_key_that_rotates_keeps_the_links_of_the_old_one(world: World) -> None:
    world.register()
    token = reset_token(world)
    world.secrets.add(HMAC, b"n" * 32, world.clock.now)
    world.clock.advance(minutes=25)
    assert reset(world, token).status_code == 204


# Another address


def change_email(world: World, tokens: dict[str, Any], email: str, password: str = PASSWORD) -> int:
    answer = world.post("/email", bearer=tokens["accessToken"], email=email, password=password)
    return answer.status_code


def test_an_account_moves_to_another_address_when_its_mail_is_read(world: World) -> None:
    tokens = world.signed_in()
    world.deliver_mails()
    assert change_email(world, tokens, "lovelace@example.org") == 202
    assert me(world, tokens)["email"] == "ada@example.org"
    (mail,) = world.deliver_mails()
    assert mail.to == "lovelace@example.org"
    token = world.token("change-email")
    assert world.post("/email/confirm", token=token).status_code == 204
    assert (me(world, tokens)["email"], me(world, tokens)["emailVerified"]) == (
        "lovelace@example.org",
        True,
    )
    assert world.deliver_mails()[0].to == "ada@example.org"
    assert not signs_in(world, PASSWORD)
    assert signs_in(world, PASSWORD, "lovelace@example.org")
    assert is_worthless(world.post("/email/confirm", token=token))
    # Its old address is free again.
    world.register(password="somebody else's")
    assert signs_in(world, "somebody else's")
    assert len(world.events("email-changed")) == 1


def test_what_lies_in_the_mailbox_that_was_left_opens_nothing(world: World) -> None:
    tokens = world.signed_in()
    in_old_mailbox = reset_token(world)
    to_another = change_email(world, tokens, "third@example.org")
    other = world.token("change-email")
    world.clock.advance(minutes=1)
    assert (to_another, change_email(world, tokens, "lovelace@example.org")) == (202, 202)
    moved = world.token("change-email")
    assert world.post("/email/confirm", token=moved).status_code == 204
    assert is_worthless(reset(world, in_old_mailbox))
    assert is_worthless(world.post("/email/confirm", token=other))
    assert signs_in(world, PASSWORD, "lovelace@example.org")


@pytest.mark.parametrize("how", ["password", "sessions", "account"])
def test_a_slow_mail_lets_nobody_in_who_was_shut_out_since(world: World, how: str) -> None:
    """The link is made when the mail leaves, which an outage may delay by hours."""
    tokens = world.signed_in()
    world.deliver_mails()
    assert change_email(world, tokens, "eve@example.org") == 202
    bearer = tokens["accessToken"]
    if how == "password":
        passwords = {"currentPassword": PASSWORD, "newPassword": NEW}
        assert world.post("/password", bearer=bearer, **passwords).status_code == 204
    elif how == "sessions":
        assert world.post("/logout-all", bearer=bearer).status_code == 204
    else:
        body = {"password": PASSWORD}
        assert world.call("DELETE", "/me", body, bearer=bearer).status_code == 202
    assert "eve@example.org" not in {mail.to for mail in world.deliver_mails()}
    assert world.documents.query("mails") == []


def test_a_mail_asked_for_in_other_letters_goes_to_the_address_as_it_was_proved(
    world: World,
) -> None:
    world.signed_in()
    world.deliver_mails()
    assert world.post("/password-reset", email="ADA@example.org").status_code == 202
    assert world.register("aDa@Example.org").status_code == 202
    assert {mail.to for mail in world.deliver_mails()} == {"ada@example.org"}


@pytest.mark.parametrize("guard", [AlreadyExists, PreconditionFailed])
def test_who_follows_the_link_second_is_told_so_whichever_guard_the_store_tells(
    guard: type[Exception],
) -> None:
    between = Between()
    world = World(WatchedDocuments(memory_documents(), between))
    assert change_email(world, world.signed_in(), "lovelace@example.org") == 202
    token = world.token("change-email")

    def rival() -> None:
        assert world.post("/email/confirm", token=token).status_code == 204
        raise guard("emails")

    between.arm(rival)
    assert is_worthless(world.post("/email/confirm", token=token))


def test_a_taken_address_is_not_taken_over_and_not_told(world: World) -> None:
    world.register("bob@example.org")
    tokens = world.signed_in()
    world.deliver_mails()
    assert change_email(world, tokens, "bob@example.org") == 202
    (mail,) = world.deliver_mails()
    assert mail.to == "bob@example.org"
    assert "#change-email" not in mail.text
    # Taken only after the link was sent.
    assert change_email(world, tokens, "eve@example.org") == 202
    token = world.token("change-email")
    world.register("eve@example.org")
    assert world.post("/email/confirm", token=token).status_code == 409
    assert me(world, tokens)["email"] == "ada@example.org"
    assert signs_in(world, PASSWORD, "eve@example.org")


def test_only_who_knows_the_password_moves_an_account(world: World) -> None:
    tokens = world.signed_in()
    assert change_email(world, tokens, "eve@example.org", "wrong horse") == 422
    assert world.call("POST", "/email", {"email": "e@example.org"}).status_code == 401
    assert not [mail for mail in world.deliver_mails() if "eve" in mail.to]


def test_an_address_in_other_letters_is_moved_to_as_well(world: World) -> None:
    tokens = world.signed_in()
    world.deliver_mails()
    assert change_email(world, tokens, "ADA@example.org") == 202
    # It has an account: this one. Nothing is lost.
    world.deliver_mails()
    assert signs_in(world, PASSWORD)


# The password, by who is signed in


def test_a_changed_password_keeps_this_session_and_ends_the_others(world: World) -> None:
    other, this = world.signed_in(), world.login()
    world.deliver_mails()
    answer = world.post(
        "/password", bearer=this["accessToken"], currentPassword=PASSWORD, newPassword=NEW
    )
    assert answer.status_code == 204
    assert world.refresh(other["refreshToken"]).status_code == 401
    assert world.refresh(this["refreshToken"]).status_code == 200
    assert me(world, this)["email"] == "ada@example.org"
    assert (signs_in(world, PASSWORD), signs_in(world, NEW)) == (False, True)
    assert world.deliver_mails()[0].to == "ada@example.org"
    (event,) = world.events("password-changed")
    assert event["how"] == "changed"
    assert event["session"] == this["refreshToken"].partition(".")[0]


@pytest.mark.parametrize(
    ("current", "new", "pointer"),
    [
        ("wrong horse", NEW, "/currentPassword"),
        (PASSWORD, "short", "/newPassword"),
        (PASSWORD, "password", "/newPassword"),
        (PASSWORD, "", "/newPassword"),
    ],
)
def test_a_password_that_does_not_do_changes_nothing(
    world: World, current: str, new: str, pointer: str
) -> None:
    other, this = world.signed_in(), world.login()
    answer = world.post(
        "/password", bearer=this["accessToken"], currentPassword=current, newPassword=new
    )
    assert (answer.status_code, json_of(answer)["errors"][0]["pointer"]) == (422, pointer)
    assert world.refresh(other["refreshToken"]).status_code == 200
    assert signs_in(world, PASSWORD)


def test_a_sign_in_with_the_old_password_under_way_opens_nothing() -> None:
    between, documents = Between(), memory_documents()
    world = World(WatchedDocuments(documents, between))
    tokens = world.signed_in()

    def change() -> None:
        answer = world.post(
            "/password", bearer=tokens["accessToken"], currentPassword=PASSWORD, newPassword=NEW
        )
        assert answer.status_code == 204

    between.arm(change)
    late = world.login()
    assert world.call("GET", "/me", bearer=late["accessToken"]).status_code == 401
    assert world.refresh(late["refreshToken"]).status_code == 401


# The name


@pytest.mark.parametrize("name", ["Ada", "Ada  King", "☃ ünï", "x" * 80, ""])
def test_a_name_is_kept_as_given(world: World, name: str) -> None:
    tokens = world.signed_in()
    answer = world.call("PATCH", "/me", {"name": f" {name} "}, bearer=tokens["accessToken"])
    if len(name) > 78:
        answer = world.call("PATCH", "/me", {"name": name}, bearer=tokens["accessToken"])
    assert (answer.status_code, json_of(answer)["name"]) == (200, name)
    assert me(world, tokens)["name"] == name


def test_a_name_that_is_none_or_an_empty_change_changes_nothing(world: World) -> None:
    tokens = world.signed_in()
    world.call("PATCH", "/me", {"name": "Ada"}, bearer=tokens["accessToken"])
    for body in ({"name": "x" * 81}, {"name": "a\nb"}, {"name": 1}, {"email": "e@example.org"}):
        assert world.call("PATCH", "/me", body, bearer=tokens["accessToken"]).status_code == 422
    for same in ({}, {"name": "Ada"}, {"name": None}):
        assert world.call("PATCH", "/me", same, bearer=tokens["accessToken"]).status_code == 200
    assert me(world, tokens)["name"] == "Ada"
    assert len(world.events("changed")) == 1


def test_many_changes_at_once_all_come_through(world: World) -> None:
    tokens = world.signed_in()
    answers = at_once(
        4,
        lambda n: world.call("PATCH", "/me", {"name": f"n{n}"}, bearer=tokens["accessToken"]),
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len(world.events("changed")) == 4


# Replies that get lost


@pytest.fixture
def proxy(firestore: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FirestoreProxy]:
    with between(firestore) as made:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", made.address)
        yield made


@pytest.mark.emulated
@pytest.mark.parametrize("fault", ["refuse", "lose", "abort"])
def test_a_reset_takes_effect_once_when_replies_get_lost(
    proxy: FirestoreProxy, fault: Fault
) -> None:
    with firestore_documents() as documents:
        world = World(documents)
        tokens = world.signed_in()
        token = reset_token(world)
        # The first is the limit's count.
        proxy.order("Commit", "none", fault)
        assert reset(world, token).status_code == 204
        assert is_worthless(reset(world, token))
        proxy.order("Commit", "none", "none", fault)
        assert signs_in(world, NEW)
        assert world.refresh(tokens["refreshToken"]).status_code == 401
        assert len(world.events("password-changed")) == 1


def test_every_event_is_one_the_audit_takes(world: World, documents: DocumentStore) -> None:
    tokens = world.signed_in()
    assert verify(world, world.token("verify-email")).status_code == 204
    world.call("PATCH", "/me", {"name": "Ada"}, bearer=tokens["accessToken"])
    assert reset(world, reset_token(world)).status_code == 204
    world.deliver_mails()
    stored = documents.query("outbox", limit=100)
    assert {"changed", "email-verified", "mail-handled", "password-changed"} <= {
        str(one.data["type"]).rpartition(".")[2] for one in stored
    }
    for one in stored:
        told = json.loads(one.data["data"])
        assert isinstance(told["owner"], str)
        assert b"@" not in one.data["data"]
