"""`python -m tools.deadletters list|show|replay|drop`: what failed too often, and what to do.

Works on the running local cloud, or on a real project with `--project`. A replay is published to
the topic from which the letter's subscription took it; consumers know an event by its id.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator

from infra.declaration import DECLARATION
from shared.errors import Unavailable
from shared.events.deadletters import DeadLetters, Letter
from shared.events.outbox import Publisher
from tools.cloud import Cloud, NotRunning, add_options, connected

# A consumer that just recovered should not be run over by what it missed.
_PER_SECOND = 5.0
_PAGE = 100
_TOPICS = {one.name: one.topic for one in DECLARATION.subscriptions}


def main(arguments: list[str]) -> int:
    options = _parse(arguments)
    commands: dict[str, Callable[[argparse.Namespace, Cloud], int]] = {
        "list": show_all,
        "show": show,
        "replay": replay,
        "drop": drop,
    }
    try:
        with connected(options) as cloud:
            return commands[options.command](options, cloud)
    except (NotRunning, Unavailable) as error:
        print(error, file=sys.stderr)
        return 1


def show_all(options: argparse.Namespace, cloud: Cloud) -> int:
    count = 0
    for letter in _all(DeadLetters(cloud.documents), options.state):
        count += 1
        error = letter.fields.get("lastError") or "?"
        died = f"{letter.fields['lastAt']:%Y-%m-%d %H:%M:%S} {letter.fields['deaths']}x"
        print(f"{letter.id}  {died}  {letter.source:<12} {letter.fields['type'] or '?'}  {error}")
    print(f"{count} {options.state}")
    return 0


def show(options: argparse.Namespace, cloud: Cloud) -> int:
    letters, missing = _named(options, DeadLetters(cloud.documents))
    for letter in letters:
        data, attributes = letter.message
        known = {name: value for name, value in letter.fields.items() if name not in _INNER}
        text = data.decode(errors="backslashreplace")
        whole = {"id": letter.id, **known, "attributes": attributes, "data": text}
        print(json.dumps(whole, indent=2, default=str, ensure_ascii=False))
    return 1 if missing else 0


def replay(options: argparse.Namespace, cloud: Cloud) -> int:
    kept = DeadLetters(cloud.documents)
    letters, missing = _chosen(options, kept)
    done = replay_all(kept, letters, cloud.publisher, options.per_second)
    print(f"{done} replayed")
    return 1 if missing else 0


def replay_all(
    kept: DeadLetters,
    letters: Iterable[Letter],
    publisher: Callable[[str], Publisher],
    per_second: float,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """How many were published; those of a subscription that is no more are left and told."""
    publishers: dict[str, Publisher] = {}
    done = 0
    for letter in letters:
        topic = _TOPICS.get(letter.source)
        if topic is None:
            print(f"{letter.id}: no subscription {letter.source!r} is declared", file=sys.stderr)
            continue
        if topic not in publishers:
            publishers[topic] = publisher(topic)
        if done:
            pause(1 / per_second)
        done += kept.replay(letter, publishers[topic])
    return done


def drop(options: argparse.Namespace, cloud: Cloud) -> int:
    kept = DeadLetters(cloud.documents)
    letters, missing = _chosen(options, kept)
    print(f"{sum(kept.drop(letter) for letter in letters)} dropped")
    return 1 if missing else 0


_INNER = frozenset({"data", "attributes", "seen", "commitId"})


def _all(kept: DeadLetters, state: str) -> Iterator[Letter]:
    """Page by page; what is replayed meanwhile leaves the pages that follow in order."""
    after = None
    while True:
        page = kept.find(state, _PAGE, after)  # type: ignore[arg-type]
        yield from page
        if len(page) < _PAGE:
            return
        after = (page[-1].fields["lastAt"], page[-1].id)


def _chosen(options: argparse.Namespace, kept: DeadLetters) -> tuple[Iterable[Letter], bool]:
    if options.all:
        # Read to the end before the first is touched, so that one that dies again at once is
        # not met a second time.
        return list(_all(kept, "dead")), False
    return _named(options, kept)


def _named(options: argparse.Namespace, kept: DeadLetters) -> tuple[list[Letter], bool]:
    found = {letter_id: kept.get(letter_id) for letter_id in options.ids}
    missing = [letter_id for letter_id, letter in found.items() if letter is None]
    for letter_id in missing:
        print(f"There is no letter {letter_id}", file=sys.stderr)
    return [letter for letter in found.values() if letter is not None], bool(missing)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.deadletters", description=__doc__)
    add_options(parser)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="the newest first")
    listing.add_argument("--state", choices=("dead", "replayed", "dropped"), default="dead")
    showing = commands.add_parser("show", help="all that is known of some")
    showing.add_argument("ids", nargs="+", type=_letter_id)
    for name, text in (("replay", "publish again"), ("drop", "give up")):
        acting = commands.add_parser(name, help=text)
        acting.add_argument("ids", nargs="*", type=_letter_id)
        acting.add_argument("--all", action="store_true", help="all dead ones")
        if name == "replay":
            acting.add_argument("--per-second", type=_rate, default=_PER_SECOND)
    options = parser.parse_args(arguments)
    if options.command in ("replay", "drop") and bool(options.ids) == options.all:
        parser.error("name letters, or say --all")
    return options


def _letter_id(text: str) -> str:
    if len(text) != 20 or not text.isascii() or not text.isalnum():
        raise argparse.ArgumentTypeError("a letter's id has 20 letters and digits")
    return text


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= 1000:
        raise argparse.ArgumentTypeError("between 0 and 1000")
    return rate


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
