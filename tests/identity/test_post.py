"""Mails are sent once as far as that can be known, and none is lost while the server is down."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from shared.documents import DocumentStore
from shared.errors import NotFound, Unavailable
from shared.events.model import Delivered
from shared.identity.mails import MailRequested, MailStore
from shared.mail import Mail, MailRefused
from tests.fixtures.stores import WatchedDocuments, memory_documents
from tests.identity.world import PASSWORD, World


def events(world: World) -> list[Delivered]:
    return [
        Delivered(one.id, MailRequested.type, one.data["data"], None)
        for one in world.documents.query("outbox", limit=100)
        if one.data["type"] == MailRequested.type
    ]


def outcomes(world: World) -> list[str]:
    return [str(event["outcome"]) for event in world.events("mail-handled")]


def wanted(inner: DocumentStore, watch: Callable[[str, int], None]) -> tuple[World, Delivered]:
    """A mail that somebody waits for, and a process that starts behind `watch` to deliver it."""
    world = World(inner)
    world.register()
    (event,) = events(world)
    world.documents = WatchedDocuments(inner, watch)
    world.start()
    return world, event


def test_an_event_that_comes_again_sends_nothing_again(world: World) -> None:
    world.register()
    for _ in range(3):
        for event in events(world):
            world.post_office.deliver(event)
    assert len(world.mailer.mails) == 1
    assert outcomes(world) == ["sent"]
    assert world.documents.query("mails") == []


def test_two_deliveries_at_once_send_one_mail() -> None:
    inside, go = threading.Event(), threading.Event()
    world = World()

    class Slow:
        def send(self, mail: Mail) -> None:
            inside.set()
            assert go.wait(10)
            world.mailer.send(mail)

    world.register()
    (event,) = events(world)
    world.post_office._mailer = Slow()
    first = threading.Thread(target=world.post_office.deliver, args=(event,))
    first.start()
    assert inside.wait(10)
    with pytest.raises(Unavailable):
        world.post_office.deliver(event)
    go.set()
    first.join()
    world.post_office.deliver(event)
    assert len(world.mailer.mails) == 1


def test_a_server_that_is_down_makes_the_event_come_again_and_the_link_stays_the_same(
    world: World,
) -> None:
    world.register()
    (event,) = events(world)
    world.mailer.failure = Unavailable("down")
    for _ in range(3):
        with pytest.raises(Unavailable):
            world.post_office.deliver(event)
        assert len(world.documents.query("mails")) == 1
    world.mailer.failure = None
    world.post_office.deliver(event)
    assert len(world.mailer.mails) == 1
    token = world.token("verify-email")
    assert world.post("/verify-email", token=token, password=PASSWORD).status_code == 204
    assert len(world.documents.query("links")) == 0


def test_a_mail_that_the_server_refuses_for_ever_is_recorded_and_not_tried_again(
    world: World,
) -> None:
    world.register()
    world.mailer.failure = MailRefused("550")
    assert world.deliver_mails() == []
    world.mailer.failure = None
    assert world.deliver_mails() == []
    assert outcomes(world) == ["refused"]


def test_a_mail_for_nobody_is_forgotten_with_its_address(world: World) -> None:
    assert world.post("/password-reset", email="nobody@example.org").status_code == 202
    assert world.deliver_mails() == []
    assert world.documents.query("mails") == []
    assert world.documents.query("links") == []
    (event,) = world.events("mail-handled")
    assert (event["outcome"], event["owner"]) == ("nobody", "")


def test_a_mail_that_waited_for_a_day_is_not_sent_any_more(world: World) -> None:
    world.register()
    world.clock.advance(days=1)
    assert world.deliver_mails() == []


def test_a_claim_whose_reply_was_lost_keeps_no_mail_waiting() -> None:
    """It got through, and its delivery never learned of it."""
    lost = ["after commit"]

    def lose(name: str, _: int) -> None:
        if name in lost:
            lost.remove(name)
            raise Unavailable

    world, event = wanted(memory_documents(), lose)
    with pytest.raises(Unavailable):
        world.post_office.deliver(event)
    assert world.mailer.mails == []
    world.post_office.deliver(event)
    assert len(world.mailer.mails) == 1


def test_a_claim_that_never_arrived_takes_none_from_another_delivery() -> None:
    inner = memory_documents()
    others = []

    def overtake(name: str, _: int) -> None:
        if name == "commit" and not others:
            others.append(MailStore(inner).claim(event.id, world.clock()))
            raise Unavailable

    world, event = wanted(inner, overtake)
    for _ in range(2):
        with pytest.raises(Unavailable):
            world.post_office.deliver(event)
    assert world.mailer.mails == [], "the other one is sending it"
    MailStore(inner).release(others[0])
    world.post_office.deliver(event)
    assert len(world.mailer.mails) == 1


class Killed(BaseException):
    """As a process that ends in the middle."""


@pytest.mark.parametrize("after", range(1, 12))
def test_killed_anywhere_it_sends_the_mail_when_it_is_delivered_again(after: int) -> None:
    calls = [0]

    def watch(name: str, _: int) -> None:
        calls[0] += 1
        if calls[0] == after:
            raise Killed

    inner = memory_documents()
    world, event = wanted(inner, watch)
    try:
        world.post_office.deliver(event)
    except Killed:
        pass
    else:
        assert calls[0] < after, "the kill points end before the work does"
    sent_before = len(world.mailer.mails)
    calls[0] = 1000
    # Its claim, if it died with one, ends first.
    world.clock.advance(minutes=5)
    world.post_office.deliver(event)
    assert 1 <= len(world.mailer.mails) <= 1 + sent_before
    assert len({mail.id for mail in world.mailer.mails}) == 1
    assert len({mail.text for mail in world.mailer.mails}) == 1
    assert inner.query("mails") == []
    assert outcomes(world) == ["sent"]


def test_other_events_and_ids_of_nothing_are_no_mails(world: World) -> None:
    world.register()
    (event,) = events(world)
    world.post_office.deliver(Delivered(event.id, "snaptask.media.v1.ready", b"{}", None))
    world.post_office.deliver(Delivered("a" * 20, MailRequested.type, b"{}", None))
    with pytest.raises(NotFound):
        world.post_office.deliver(Delivered("../users/x", MailRequested.type, b"{}", None))
    assert world.mailer.mails == []


def test_no_letter_has_a_hole_or_an_address_in_it(world: World) -> None:
    tokens: dict[str, Any] = world.signed_in()
    world.post("/password-reset", email="ada@example.org")
    bearer = tokens["accessToken"]
    world.post("/email", bearer=bearer, email="eve@example.org", password=PASSWORD)
    mails = world.deliver_mails()
    world.post(
        "/password", bearer=bearer, currentPassword=PASSWORD, newPassword="staple battery horse"
    )
    mails += world.deliver_mails()
    assert len(mails) == 4
    for mail in mails:
        assert "{" not in mail.text + mail.subject
        assert "@" not in mail.text + mail.subject
        assert max(map(len, mail.text.splitlines())) < 998, "RFC 5322's longest line"
