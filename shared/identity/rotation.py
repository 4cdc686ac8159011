"""Keys that renew themselves: publish, wait, sign, retire, forget.

What is to be done follows from the versions of the secret alone, so a run that was cut off is
finished by the next one and a run too many does nothing. Every step waits until all who could
miss the one before have taken part in it:

- published when the newest is as old as `every`;
- signing by itself, once everybody has seen it (keys.ANNOUNCED; keys.KeyRing.current);
- its predecessors disabled when they are `idle` (what they signed has expired) and `ready` says
  that nothing else needs them; that can still be undone by hand;
- destroyed a month after that.
"""

from __future__ import annotations

import logging
import secrets as random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from shared.identity.keys import ANNOUNCED
from shared.identity.sessions import IDLE
from shared.secrets import SecretVersion, SecretVersions

# What goes wrong with a rotation shows within days; a month is time to notice on holiday.
KEPT_DISABLED = timedelta(days=30)
# A process that cannot reach its secrets goes on with the key it has; a day bridges any outage.
_OUTAGE = timedelta(days=1)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Policy:
    """`ready` is asked, with the number of the version that signs now, before those before it
    are disabled; it may do a part of what is missing each time."""

    secret: str
    make: Callable[[], bytes]
    every: timedelta
    idle: timedelta
    ready: Callable[[int], bool] = lambda number: True


def signing_policy(secret: str, every: timedelta = timedelta(days=30)) -> Policy:
    """Access tokens live minutes, so only an outage can keep an old key in use."""
    return Policy(secret, make_signing_key, every, _OUTAGE)


def mac_policy(
    secret: str, ready: Callable[[int], bool], every: timedelta = timedelta(days=90)
) -> Policy:
    """A device that is used at all has exchanged its refresh token within IDLE, and by then has
    one of the newer key; mailed links live shorter. `ready` is AddressClaims.renewed: what a key
    has found addresses by must be found by a newer one before it goes."""
    return Policy(secret, make_mac_key, every, IDLE + _OUTAGE, ready)


class KeyRotation:
    def __init__(
        self,
        versions: SecretVersions,
        policies: Sequence[Policy],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._versions = versions
        self._policies = policies
        self._clock = clock

    def run(self) -> None:
        """All that is due. Raises Unavailable; what was done by then is done."""
        for policy in self._policies:
            history = self._versions.history(policy.secret)
            if self.is_due(policy, history):
                self.publish(policy, history)
            for old in self.retirable(policy, history):
                _log.info("rotation: %s is disabled, nothing needs it any more", old.name)
                self._versions.disable(old)
            for old in self._forgotten(policy, history):
                _log.info("rotation: %s is destroyed", old.name)
                self._versions.destroy(old)

    def is_due(self, policy: Policy, history: Sequence[SecretVersion]) -> bool:
        """A secret none of whose versions is enabled is due: without a key nobody signs in."""
        newest = next(iter(_enabled(history)), None)
        return newest is None or self._clock() - newest.created >= policy.every

    def publish(self, policy: Policy, history: Sequence[SecretVersion]) -> SecretVersion | None:
        """Add a version; None when somebody else did since `history` was read. Numbers are never
        used twice, so whoever does not get the next one came second, and takes his back before
        anything could be signed with it."""
        expected = max((one.number for one in history), default=0) + 1
        added = self._versions.add(policy.secret, policy.make())
        if added.number != expected:
            self._versions.destroy(added)
            return None
        _log.info("rotation: %s is published", added.name)
        return added

    def signing(self, history: Sequence[SecretVersion]) -> SecretVersion | None:
        """The one that everybody has seen and that signs, therefore; None before the first."""
        announced = self._clock() - ANNOUNCED
        return next((one for one in _enabled(history) if one.created <= announced), None)

    def retirable(
        self, policy: Policy, history: Sequence[SecretVersion]
    ) -> Sequence[SecretVersion]:
        """The enabled versions that nothing needs any more."""
        signing = self.signing(history)
        if signing is None or self._clock() - signing.created < ANNOUNCED + policy.idle:
            return ()
        old = [one for one in _enabled(history) if one.number < signing.number]
        return old if old and policy.ready(signing.number) else ()

    def _forgotten(
        self, policy: Policy, history: Sequence[SecretVersion]
    ) -> Iterator[SecretVersion]:
        """Disabled ones that were due to be disabled a month ago, going by the age of the version
        that followed: when one was disabled, the service does not tell."""
        long_ago = self._clock() - (ANNOUNCED + policy.idle + KEPT_DISABLED)
        for one in history:
            later = [next_.created for next_ in history if next_.number > one.number]
            if one.state == "disabled" and later and later[-1] <= long_ago:
                yield one


def make_signing_key() -> bytes:
    """PKCS#8 PEM, as keys.read_signing_key takes it."""
    private = Ed25519PrivateKey.generate()
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def make_mac_key() -> bytes:
    return random.token_bytes(32)


def _enabled(history: Sequence[SecretVersion]) -> list[SecretVersion]:
    return [one for one in history if one.state == "enabled"]
