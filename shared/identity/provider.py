"""One issuer besides us, and what it takes to believe that somebody is who it says.

Whatever is done on its word begins and ends here: `start` says what to ask the issuer, `prove`
reads what it gave. What follows from that is said by who asked (sign_in.py, identities.py).
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.errors import Forbidden
from shared.http import Source
from shared.identity.attempts import Attempts
from shared.identity.codes import Codes
from shared.identity.id_tokens import IDTokens, Proved
from shared.identity.model import IssuersWord, SignInStart
from shared.identity.proofs import LIFETIME, Proof, Proofs


class Provider:
    """`origins` are those of our own pages: to them alone the issuer sends people back."""

    def __init__(
        self,
        tokens: IDTokens,
        codes: Codes,
        proofs: Proofs,
        attempts: Attempts,
        origins: Iterable[str],
    ) -> None:
        self._tokens = tokens
        self._codes = codes
        self._proofs = proofs
        self._attempts = attempts
        self._origins = frozenset(origins)

    def start(self, origin: str | None, bound: str = "") -> SignInStart:
        proof = self._proofs.make(bound)
        is_ours = origin in self._origins
        return SignInStart(
            issuer=self._tokens.issuer,
            client_id=self._tokens.client_id,
            nonce=proof.nonce,
            state=proof.state,
            authorization_url=self._codes.address(origin, proof) if origin and is_ours else None,
            proof=proof.text,
            expires_in=int(LIFETIME.total_seconds()),
        )

    def prove(
        self, given: IssuersWord, origin: str | None, source: Source, bound: str = ""
    ) -> tuple[Proved, Proof]:
        """Raises Unauthenticated for what proves nothing, Unavailable when the issuer is out of
        reach, TooManyRequests, and Forbidden for a code that is not from a page of ours."""
        proof = self._proofs.read(given.proof, bound)
        id_token = given.id_token
        if id_token is None:
            id_token = self._exchanged(given.code or "", origin, source, proof)
        return self._tokens.verify(id_token, proof.nonce), proof

    def use(self, proof: Proof) -> None:
        """Raises Unauthenticated when it was used before."""
        self._proofs.use(proof)

    def _exchanged(self, code: str, origin: str | None, source: Source, proof: Proof) -> str:
        if origin is None or origin not in self._origins:
            raise Forbidden("Only our own pages may bring a code")
        # Anybody may begin, and make up codes with which we would call the issuer.
        self._attempts.redeem(source)
        return self._codes.id_token(code, origin, proof)
