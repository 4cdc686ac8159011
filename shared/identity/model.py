"""Who somebody is: what the API takes and gives, what the store keeps, what is published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field

from shared.events.model import Event
from shared.http import Model
from shared.identity.addresses import LONGEST, checked_address

# Code points. Longer than any passphrase, and short enough that hashing costs the same for all.
LONGEST_PASSWORD = 256
# Ours have about 70 characters.
_LONGEST_REFRESH_TOKEN = 200

Address = Annotated[str, Field(max_length=LONGEST), AfterValidator(checked_address)]
Password = Annotated[str, Field(min_length=1, max_length=LONGEST_PASSWORD, repr=False)]
RefreshToken = Annotated[str, Field(max_length=_LONGEST_REFRESH_TOKEN, repr=False)]


class Credentials(Model):
    """`email` and `password`; how long a new password must be is told when it is too short."""

    email: Address
    password: Password


class Registration(Model):
    """The same whether the address was new or not."""

    email: str


class RefreshRequest(Model):
    refresh_token: RefreshToken


class TokenPair(Model):
    """`expiresIn` is the access token's life in seconds; the refresh token is used once."""

    access_token: str = Field(repr=False)
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 -- A word, no secret.
    expires_in: int
    refresh_token: str = Field(repr=False)


class UserView(Model):
    id: str
    email: str
    created_at: datetime


class JWK(Model):
    """A public key (RFC 8037)."""

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    use: Literal["sig"] = "sig"
    alg: Literal["EdDSA"] = "EdDSA"
    kid: str
    x: str


class KeySet(Model):
    keys: tuple[JWK, ...]


@dataclass(frozen=True, slots=True)
class User:
    """A stored user; `version` is the store's, for a write that must meet this very state."""

    id: str
    fields: Mapping[str, Any]
    version: Any

    @property
    def password_hash(self) -> str:
        return str(self.fields["passwordHash"])

    def view(self) -> UserView:
        return UserView(id=self.id, email=self.fields["email"], created_at=self.fields["createdAt"])


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in on one device. `counter` is that of the only refresh token which is good now,
    `rotated_at` when it became so."""

    id: str
    user: str
    counter: int
    rotated_at: datetime
    created_at: datetime
    expires_at: datetime
    revoked: bool
    version: Any

    @classmethod
    def from_document(cls, identifier: str, data: Mapping[str, Any], version: Any) -> Self:
        return cls(
            identifier,
            str(data["user"]),
            int(data["counter"]),
            data["rotatedAt"],
            data["createdAt"],
            data["expireAt"],
            data["revokedAt"] is not None,
            version,
        )

    def is_alive(self, now: datetime) -> bool:
        # The TTL policy removes a document up to a day late.
        return not self.revoked and now < self.expires_at


class UserRegistered(Event):
    """The user exists; the address is in the store, not in the event."""

    type: ClassVar[str] = "snaptask.identity.v1.registered"
