"""HTTP of the metadata server, IAM Credentials and Google's certificate endpoints.

Every function sees a metadata server of its own at `/as/NAME`: its process gets
`GCE_METADATA_HOST=HOST:PORT/as/NAME` (and GCE_METADATA_IP the same), from which google-auth
builds its URLs by plain concatenation. So on one port each function is somebody else.
Source: Google's "Access VM metadata", "Service Account Credentials API".
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from emulators.platform.identity import (
    TOKEN_LIFE,
    Identity,
    InvalidAccessToken,
    UnknownAccount,
    encoded,
    unique_id,
)

_SCOPES = (
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/userinfo.email",
)
_FLAVOR = {"Metadata-Flavor": "Google", "Server": "Metadata Server for Serverless"}
_ACCOUNT = "/as/{function}/computeMetadata/v1/instance/service-accounts"
_IAM = "/v1/projects/-/serviceAccounts/{email}"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class MetadataServer:
    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def routes(self) -> list[web.RouteDef]:
        own = "/as/{function}/computeMetadata/v1"
        table: dict[str, Callable[[web.Request, str], web.Response]] = {
            # google-auth asks the bare address whether a metadata server is there at all.
            "/as/{function}": lambda request, email: web.Response(text="computeMetadata/\n"),
            "/as/{function}/": lambda request, email: web.Response(text="computeMetadata/\n"),
            f"{own}/project/project-id": self._project,
            f"{own}/universe/universe-domain": lambda request, email: web.Response(
                text="googleapis.com"
            ),
            f"{_ACCOUNT}/": self._accounts,
            f"{_ACCOUNT}/{{account}}/": self._account,
            f"{_ACCOUNT}/{{account}}/email": lambda request, email: web.Response(text=email),
            f"{_ACCOUNT}/{{account}}/scopes": lambda request, email: web.Response(
                text="\n".join(_SCOPES)
            ),
            f"{_ACCOUNT}/{{account}}/token": self._token,
            f"{_ACCOUNT}/{{account}}/identity": self._id_token,
        }
        return [web.get(path, self._guarded(handler)) for path, handler in table.items()]

    def _guarded(self, handler: Callable[[web.Request, str], web.Response]) -> Handler:
        """Only for callers that know what they ask: a page or a tricked fetcher cannot set the
        header, and a proxy adds the one that is refused."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            if (
                request.headers.get("Metadata-Flavor") != "Google"
                or "X-Forwarded-For" in request.headers
            ):
                answer = web.Response(status=403, text="Missing Metadata-Flavor:Google header.\n")
            else:
                answer = self._answer(request, handler)
            answer.headers.update(_FLAVOR)
            return answer

        return guarded

    def _answer(
        self, request: web.Request, handler: Callable[[web.Request, str], web.Response]
    ) -> web.Response:
        try:
            email = self._identity.email_of(request.match_info["function"])
        except UnknownAccount:
            return web.Response(status=404, text="Not Found\n")
        if request.match_info.get("account", "default") not in ("default", email):
            return web.Response(status=404, text="Not Found\n")
        return handler(request, email)

    def _project(self, request: web.Request, email: str) -> web.Response:
        return web.Response(text=self._identity.project)

    def _accounts(self, request: web.Request, email: str) -> web.Response:
        if request.query.get("recursive", "").lower() == "true":
            return web.json_response({name: _account(email) for name in ("default", email)})
        return web.Response(text=f"default/\n{email}/\n")

    def _account(self, request: web.Request, email: str) -> web.Response:
        if request.query.get("recursive", "").lower() == "true":
            return web.json_response(_account(email))
        return web.Response(text="aliases\nemail\nidentity\nscopes\ntoken\n")

    def _token(self, request: web.Request, email: str) -> web.Response:
        token = self._identity.access_token(email)
        body = {"access_token": token, "expires_in": TOKEN_LIFE, "token_type": "Bearer"}
        return web.json_response(body)

    def _id_token(self, request: web.Request, email: str) -> web.Response:
        audience = request.query.get("audience", "")
        if not audience:
            return web.Response(status=400, text="non-empty audience parameter required\n")
        return web.Response(text=self._identity.id_token(email, audience))


def _account(email: str) -> dict[str, Any]:
    return {"aliases": ["default"], "email": email, "scopes": list(_SCOPES)}


class Refused(Exception):
    """Becomes an error in the JSON shape of Google's APIs."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    def answer(self) -> web.Response:
        error = {"code": self.status, "message": str(self), "status": self.reason}
        headers = {}
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="https://accounts.google.com/"'
        return web.json_response({"error": error}, status=self.status, headers=headers)


class IAMCredentials:
    """signBlob and generateIdToken: a function signs in its own name and in no other."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(f"{_IAM}:signBlob", self._as_self(self._sign_blob)),
            web.post(f"{_IAM}:generateIdToken", self._as_self(self._generate_id_token)),
        ]

    def _as_self(
        self, handler: Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
    ) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                email = self._permitted(request)
                return web.json_response(await handler(email, await _json(request)))
            except Refused as refused:
                return refused.answer()

        return guarded

    def _permitted(self, request: web.Request) -> str:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise InvalidAccessToken
            holder = self._identity.holder(token.strip())
        except InvalidAccessToken:
            raise Refused(
                401,
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials. Expected OAuth 2 access token, "
                "login cookie or other valid authentication credential.",
            ) from None
        email = request.match_info["email"]
        if email not in (holder, unique_id(holder)):
            raise Refused(
                403,
                "PERMISSION_DENIED",
                "Permission 'iam.serviceAccounts.signBlob' denied on resource (or it may not "
                "exist).",
            )
        return holder

    async def _sign_blob(self, email: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            content = base64.b64decode(body["payload"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error):
            raise _invalid("Invalid value at 'payload' (TYPE_BYTES)") from None
        key = await asyncio.to_thread(self._identity.key, email)
        return {"keyId": key.id, "signedBlob": encoded(key.sign(content))}

    async def _generate_id_token(self, email: str, body: dict[str, Any]) -> dict[str, Any]:
        audience = body.get("audience")
        if not isinstance(audience, str) or not audience:
            raise _invalid("The audience must be set.")
        return {"token": self._identity.id_token(email, audience)}


def _invalid(message: str) -> Refused:
    return Refused(400, "INVALID_ARGUMENT", message)


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise _invalid("Invalid JSON payload received.") from None
    if not isinstance(body, dict):
        raise _invalid("Invalid JSON payload received.")
    return body


class Certificates:
    """The public halves: of service accounts, and of the issuer of ID tokens."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/service_accounts/v1/metadata/x509/{email}", self._x509),
            web.get("/service_accounts/v1/jwk/{email}", self._jwk),
            web.get("/oauth2/v3/certs", self._issuer),
        ]

    async def _x509(self, request: web.Request) -> web.Response:
        try:
            key = await asyncio.to_thread(self._identity.key, request.match_info["email"])
        except UnknownAccount:
            return Refused(404, "NOT_FOUND", "Service account not found.").answer()
        return web.json_response({key.id: key.certificate})

    async def _jwk(self, request: web.Request) -> web.Response:
        try:
            key = await asyncio.to_thread(self._identity.key, request.match_info["email"])
        except UnknownAccount:
            return Refused(404, "NOT_FOUND", "Service account not found.").answer()
        return web.json_response({"keys": [key.jwk()]})

    async def _issuer(self, request: web.Request) -> web.Response:
        return web.json_response({"keys": self._identity.issuer_keys()})
