"""Codes of another issuer, made into ID tokens (OpenID Connect Core 1.0, section 3.1; RFC 7636).

A page gets no more than a code, which is good once, for about a minute, together with our secret
and with a verifier whose hash the issuer was told before. The secret is read from Secret Manager
when it is needed, and again after some minutes, so that another one needs no deployment.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

from shared.cached import Cached
from shared.deadline import left
from shared.errors import Unauthenticated, Unavailable
from shared.identity.proofs import Proof
from shared.kept_http import KeptHTTP, NoAnswer
from shared.secrets import Secrets

# Where the app's pages expect who comes back from the issuer.
LANDING = "/signed-in"
# Seconds. Google answers in 50-200 ms; what takes longer is an outage to who waits.
_CONNECT, _WHOLE = 1.5, 4.0
# Sign-ins at once are few, and a connection that waits costs nothing.
_KEEP = 2
# Seconds: how soon another secret is in use everywhere, and how often a bad one is read again.
_LIVE, _PAUSE = 300.0, 10.0
_log = logging.getLogger(__name__)


class Codes:
    """`secret` is a resource name; its newest enabled version is the one in use."""

    def __init__(
        self,
        client_id: str,
        authorization_url: str,
        token_url: str,
        scopes: str,
        secrets: Secrets,
        secret: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(token_url)
        self.authorization_url = authorization_url
        self._client_id = client_id
        self._scopes = scopes
        self._path = parts.path or "/"
        self._http = KeptHTTP(f"{parts.scheme}://{parts.netloc}", _KEEP)
        self._secrets = secrets
        self._name = secret
        self._secret = Cached(self._read_secret, live=_LIVE, pause=_PAUSE, clock=clock)
        # What the issuer took no more: another one may be there already.
        self._refused = ""

    def address(self, origin: str, proof: Proof) -> str:
        """Where a page of `origin` sends who wants to sign in."""
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": origin + LANDING,
            "scope": self._scopes,
            "state": proof.state,
            "nonce": proof.nonce,
            "code_challenge": proof.challenge,
            "code_challenge_method": "S256",
            # Who shares a computer must not become the last one who used it without a word.
            "prompt": "select_account",
        }
        return f"{self.authorization_url}?{urlencode(asked)}"

    def id_token(self, code: str, origin: str, proof: Proof) -> str:
        """Raises Unauthenticated for a code that the issuer does not take (any more), and
        Unavailable without its answer; the code may be used up then."""
        secret = self._secret.get(lambda one: one != self._refused)
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": origin + LANDING,
            "client_id": self._client_id,
            "client_secret": secret,
            "code_verifier": proof.verifier,
        }
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        try:
            status, body = self._http.post(
                self._path,
                urlencode(asked).encode(),
                headers,
                connect=left(_CONNECT),
                whole=left(_WHOLE),
            )
        except NoAnswer as error:
            _log.warning("codes: %s", error)
            raise Unavailable("The issuer does not answer; start again") from None
        members = _members(body)
        if members.get("error") == "invalid_client":
            self._refused = secret
        return self._token(status, members)

    def _token(self, status: int, members: dict[str, Any]) -> str:
        token = members.get("id_token")
        if status == 200 and isinstance(token, str):
            return token
        if status in (400, 401) and members.get("error") == "invalid_grant":
            raise Unauthenticated
        # Our client, its secret or its addresses are wrong, or the issuer is out of order: told to
        # who operates this; whoever signs in can do nothing about it.
        _log.error("codes: the issuer answered %d %.80r", status, members.get("error"))
        raise Unavailable("The issuer gives no token now; start again")

    def _read_secret(self) -> str:
        for version in self._secrets.versions(self._name):
            payload = self._secrets.access(version.name)
            if payload is not None:
                return payload.decode("utf-8", "replace").strip()
        raise Unavailable("The client secret has no value")


def _members(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
