"""Every event three times, shuffled, with lost acknowledgements, under new delivery ids, and with
outages in between: in the end all is as if each had come once."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from shared.errors import Unavailable
from tests.fixtures import pictures
from tests.fixtures.product import Product, Snapshot
from tests.product.operations import Scene

pytestmark = pytest.mark.proof

COUNT = 8
Delivery = Callable[[], int]


class Play:
    """A busy minute of Ada's, of which no event was delivered yet."""

    def __init__(self) -> None:
        self.scene = scene = Scene(Product())
        ada, product = scene.ada, scene.product
        self.media = []
        for number in range(COUNT):
            content = pictures.saved(pictures.photo(50 + number, 40), "JPEG")
            sent = content[:-30] + b"\0" * 30 if number % 4 == 3 else content
            ticket = ada.ticket(sent)
            assert product.put(ticket, sent) == 200
            self.media.append(str(ticket["mediaId"]))
            ada.made(f"/api/tasks/{scene.task}/attach-media", {"mediaId": self.media[-1]})
        # Given up while its bytes are on their way, and thrown away when it was ready.
        ada.made(f"/api/media/uploads/{self.media[0]}", method="DELETE")
        ada.made(f"/api/media/{scene.free}", method="DELETE")
        ada.made(f"/api/tasks/{scene.task}/detach-media/{self.media[1]}", method="DELETE")
        ada.made(f"/api/tasks/{ada.task()}", method="DELETE")

    @property
    def known(self) -> dict[str, str]:
        return self.scene.known | {one: f"MEDIUM {n}" for n, one in enumerate(self.media)}


@pytest.fixture(scope="module")
def play() -> tuple[Play, Snapshot]:
    made = Play()
    return made, made.scene.product.snapshot()


def calm(play: Play) -> list[str]:
    play.scene.product.settle()
    assert play.scene.product.differences() == []
    return play.scene.product.state(play.known)


def stormy(play: Play, chance: random.Random) -> list[str]:
    """Deliver until everything was acknowledged thrice."""
    product = play.scene.product
    waiting: list[Delivery] = [
        lambda event=event: product.finalized(event) for event in product.uploads for _ in range(3)
    ]
    product.uploads = []
    for _ in range(3):
        waiting.append(lambda: product.job("/sweep-outbox"))
    while waiting:
        chance.shuffle(waiting)
        delivery = waiting.pop()
        _trouble(product, chance)
        status = delivery()
        product.watch = lambda name: None
        assert status in (204, 503)
        # What was not acknowledged comes again, and so does what was when the answer got lost.
        if status == 503 or chance.random() < 0.3:
            waiting.append(delivery)
        news = product.topic.messages[product.told :]
        product.told += len(news)
        waiting += [
            lambda news=one, to=function: product.push(to, news)
            for one in news
            for function in product.subscribers()
            for _ in range(3)
        ]
    return calm(play)


def _trouble(product: Product, chance: random.Random) -> None:
    left = chance.randint(1, 40)

    def watch(name: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Unavailable("on request")

    product.watch = watch


@pytest.mark.parametrize("seed", range(5))
def test_any_order_and_any_number_of_deliveries_ends_the_same(
    play: tuple[Play, Snapshot], seed: int
) -> None:
    played, before = play
    played.scene.product.restore(before)
    wanted = calm(played)
    played.scene.product.restore(before)
    seen = stormy(played, random.Random(seed))
    assert seen == wanted


def test_the_play_has_every_ending(play: tuple[Play, Snapshot]) -> None:
    """Or the comparison above would compare little."""
    played, before = play
    played.scene.product.restore(before)
    state = calm(played)
    states = {
        word
        for word in ("ready", "rejected", "deleted", "trashed")
        if any(f'"state": "{word}"' in line for line in state)
    }
    assert states == {"ready", "rejected", "deleted", "trashed"}
    assert [line for line in state if "inbox" in line.partition(",")[0]] == []
