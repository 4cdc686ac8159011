"""The chaos switch: which deliveries go wrong, decided by the seed and nothing else.

Every decision is a hash of seed, kind, subscription, message id and attempt. So the same seed
makes the same trouble for the same messages, in whatever order and however parallel they come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_RATES = ("duplicate", "reorder", "delay", "lostAck", "failBefore")
# Seconds. A test that waits longer than this for one message waits for nothing.
_LONGEST_DELAY = 60.0


class InvalidChaos(Exception):
    """The switch's body is not one; the message says why."""


@dataclass(frozen=True)
class Trouble:
    """What happens to one attempt to deliver one message."""

    duplicate: bool = False
    """Delivered once more, beside the delivery that counts."""
    reorder: bool = False
    """Held back until a later message was delivered."""
    delay: float = 0.0
    """Seconds that it comes late."""
    lost_ack: bool = False
    """The function does the work, Pub/Sub never hears of it."""
    fail_before: bool = False
    """Never reaches the function."""


@dataclass(frozen=True)
class Chaos:
    """Rates from 0 to 1; the default is no trouble at all."""

    seed: int = 0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0
    lost_ack: float = 0.0
    fail_before: float = 0.0
    delay_seconds: float = 0.05

    def trouble(self, subscription: str, message: str, attempt: int) -> Trouble:
        """`attempt` counts from 1."""

        def strikes(kind: str, rate: float) -> bool:
            text = f"{self.seed}\0{kind}\0{subscription}\0{message}\0{attempt}"
            digest = hashlib.sha256(text.encode()).digest()
            return int.from_bytes(digest[:8]) < rate * 2**64

        return Trouble(
            duplicate=strikes("duplicate", self.duplicate),
            reorder=strikes("reorder", self.reorder),
            delay=self.delay_seconds if strikes("delay", self.delay) else 0.0,
            lost_ack=strikes("lostAck", self.lost_ack),
            fail_before=strikes("failBefore", self.fail_before),
        )

    def shown(self) -> dict[str, Any]:
        return {camel(name): value for name, value in asdict(self).items()}


def parse(body: Mapping[str, Any]) -> Chaos:
    """Raises InvalidChaos, for what is unknown as well as for what is wrong."""
    unknown = set(body) - {*_RATES, "seed", "delaySeconds"}
    if unknown:
        raise InvalidChaos(f"Unknown in the chaos switch: {', '.join(sorted(unknown))}.")
    seed = body.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise InvalidChaos("seed must be a whole number.")
    rates = {name: _number(name, body[name], 1.0) for name in _RATES if name in body}
    return Chaos(
        seed=seed,
        duplicate=rates.get("duplicate", 0.0),
        reorder=rates.get("reorder", 0.0),
        delay=rates.get("delay", 0.0),
        lost_ack=rates.get("lostAck", 0.0),
        fail_before=rates.get("failBefore", 0.0),
        delay_seconds=_number("delaySeconds", body.get("delaySeconds", 0.05), _LONGEST_DELAY),
    )


def _number(name: str, value: Any, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
        raise InvalidChaos(f"{name} must be a number from 0 to {most:g}.")
    return float(value)


def camel(name: str) -> str:
    """A Python name as JSON spells it."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
