"""Who somebody is: what the API takes and gives, what the store keeps, what is published."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from shared.events.model import Event
from shared.http import Model
from shared.identity.addresses import LONGEST, checked_address
from shared.identity.session_model import epoch_of

# Code points. Longer than any passphrase, and short enough that hashing costs the same for all.
LONGEST_PASSWORD = 256
# Ours have about 70 characters.
_LONGEST_REFRESH_TOKEN = 200
_LONGEST_NAME = 80
# Google's have about 1,200 and 80.
_LONGEST_ID_TOKEN, _LONGEST_CODE = 8192, 2048


def checked_name(value: str) -> str:
    """Trimmed, NFC; empty is none. Raises ValueError for what would not stay on its line."""
    name = unicodedata.normalize("NFC", value.strip())
    if not name.isprintable():
        raise ValueError("has characters that cannot be shown")
    return name


# In the place of a hash, of an account that only another issuer's word opens.
NO_PASSWORD = ""

Address = Annotated[str, Field(max_length=LONGEST), AfterValidator(checked_address)]
Password = Annotated[str, Field(min_length=1, max_length=LONGEST_PASSWORD, repr=False)]
LinkToken = Annotated[str, Field(max_length=_LONGEST_REFRESH_TOKEN, repr=False)]
Name = Annotated[str, Field(max_length=_LONGEST_NAME), AfterValidator(checked_name)]
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


class AccessToken(Model):
    """What a page gets, whose refresh token is in a cookie; `expiresIn` is in seconds."""

    access_token: str = Field(repr=False)
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 -- A word, no secret.
    expires_in: int


class ProviderView(Model):
    """Another issuer of identities; nothing here is secret."""

    name: str
    issuer: str
    client_id: str
    authorization_url: str


class ProviderList(Model):
    items: tuple[ProviderView, ...]


class SignInStart(Model):
    """What is needed to ask the issuer. A page goes to `authorizationUrl` and is come back to with
    this `state`; who is no page asks by means of his own for an ID token with the `nonce`.
    `expiresIn` is in seconds."""

    issuer: str
    client_id: str
    nonce: str
    state: str
    authorization_url: str | None
    proof: str = Field(repr=False)
    expires_in: int


class IssuersWord(Model):
    """What the issuer gave, one of the two: its ID token, or to a page the code for one. And the
    proof that this was begun by who finishes it."""

    id_token: Annotated[str | None, Field(max_length=_LONGEST_ID_TOKEN, repr=False)] = None
    code: Annotated[str | None, Field(min_length=1, max_length=_LONGEST_CODE, repr=False)] = None
    proof: Annotated[str, Field(max_length=_LONGEST_REFRESH_TOKEN, repr=False)]

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.id_token is None) == (self.code is None):
            raise ValueError("give either idToken or code")
        return self


class IdentityView(Model):
    """Somebody at another issuer, by whose word the caller may sign in; `email` is his address
    there, as it was when he was linked, if the issuer vouched for it."""

    id: str
    issuer: str
    email: str | None
    linked_at: datetime


class WaysIn(Model):
    """All the ways in which the caller can sign in."""

    has_password: bool
    items: tuple[IdentityView, ...]


class SessionView(Model):
    """`lastUsedAt` is when it was last refreshed, which a client in use does every few minutes;
    `device` is what its client called itself, shortened; `current` is the one that asks."""

    id: str
    created_at: datetime
    last_used_at: datetime
    device: str | None
    current: bool


class SessionList(Model):
    items: tuple[SessionView, ...]


class AddressGiven(Model):
    email: Address


class Verification(Model):
    """The token of the mailed link, and the password of the account: whoever signs up with the
    address of somebody else cannot have him confirm an account that he did not make."""

    token: LinkToken
    password: Password


class NewPassword(Model):
    """The token of the mailed link, and the password from now on."""

    token: LinkToken
    password: Password


class LinkFollowed(Model):
    token: LinkToken


class PasswordChange(Model):
    current_password: Password
    new_password: Password


class EmailChange(Model):
    email: Address
    password: Password


class Confirmation(Model):
    """The password, said again for what cannot be undone."""

    password: Password


class UserChange(Model):
    """What is left out stays."""

    name: Name | None = None


class ExportView(Model):
    """Everything stored about the caller, by collection. A document without `complete` at its
    end was cut off."""

    exported_at: datetime
    user: dict[str, Any]
    collections: dict[str, tuple[dict[str, Any], ...]]
    complete: Literal[True]


class UserView(Model):
    id: str
    email: str
    email_verified: bool
    name: str
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

    @property
    def has_password(self) -> bool:
        return self.password_hash != NO_PASSWORD

    @property
    def epoch(self) -> int:
        return epoch_of(self.fields)

    @property
    def moves(self) -> int:
        """How often the account went to another address."""
        return int(self.fields.get("moves", 0))

    @property
    def state(self) -> str:
        """Another one after every change of who may do what with the account."""
        return f"{self.epoch}.{self.moves}"

    @property
    def email(self) -> str:
        return str(self.fields["email"])

    @property
    def is_verified(self) -> bool:
        return self.fields.get("verifiedAt") is not None

    @property
    def is_erasing(self) -> bool:
        return "erasingAt" in self.fields

    def view(self) -> UserView:
        return UserView(
            id=self.id,
            email=self.email,
            email_verified=self.is_verified,
            name=str(self.fields.get("name", "")),
            created_at=self.fields["createdAt"],
        )


class UserRegistered(Event):
    """The user exists; the address is in the store, not in the event."""

    type: ClassVar[str] = "snaptask.identity.v1.registered"


class UserChanged(Event):
    """The user calls himself otherwise."""

    type: ClassVar[str] = "snaptask.identity.v1.changed"


class EmailVerified(Event):
    """The address is the user's: the link in its mail was opened by him."""

    type: ClassVar[str] = "snaptask.identity.v1.email-verified"


class EmailChanged(Event):
    """The user has another address, which is his as the link in its mail proves."""

    type: ClassVar[str] = "snaptask.identity.v1.email-changed"


class PasswordChanged(Event):
    """The old password is worthless, and so is every session but the one named, if any."""

    type: ClassVar[str] = "snaptask.identity.v1.password-changed"
    how: Literal["changed", "reset"]
    session: str | None


class ErasureRequested(Event):
    """Nobody signs in to the account any more; what it owns is being erased."""

    type: ClassVar[str] = "snaptask.identity.v1.erasure-requested"


class AccountErased(Event):
    """Nothing of the account is left but this record and the tombstone under its id."""

    type: ClassVar[str] = "snaptask.identity.v1.account-erased"
