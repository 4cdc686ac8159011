"""Tokens, signatures and certificates: as Google's libraries see them, and as a forger does."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from emulators.platform.identity import (
    TOKEN_LIFE,
    Identity,
    InvalidAccessToken,
    UnknownAccount,
    account,
)
from shared.errors import Unauthenticated
from shared.events.sender import PlatformSender
from tests.emulators.platform.conftest import PROJECT
from tests.emulators.platform.service import ROOT, Platform, command, running

MEDIA, TASKS = account("media", PROJECT), account("tasks", PROJECT)
FUNCTION = "http://127.0.0.1:3005"


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def identity(tmp_path: Path, clock: Clock) -> Identity:
    return Identity(tmp_path / "identity", PROJECT, ["media", "tasks"], clock)


# Without a network


def test_an_access_token_names_its_holder_for_an_hour(identity: Identity, clock: Clock) -> None:
    token = identity.access_token(MEDIA)
    assert "media" not in token
    assert identity.holder(token) == MEDIA
    clock.now += TOKEN_LIFE - 1
    assert identity.holder(token) == MEDIA
    clock.now += 2
    with pytest.raises(InvalidAccessToken):
        identity.holder(token)


def test_tokens_and_keys_outlive_a_restart(identity: Identity, tmp_path: Path) -> None:
    token, key = identity.access_token(MEDIA), identity.key(MEDIA)
    again = Identity(tmp_path / "identity", PROJECT, ["media", "tasks"], identity._clock)
    assert again.holder(token) == MEDIA
    assert (again.key(MEDIA).id, again.key(MEDIA).certificate) == (key.id, key.certificate)
    assert again.issuer_keys() == identity.issuer_keys()


def test_every_changed_character_makes_an_access_token_invalid(identity: Identity) -> None:
    token = identity.access_token(MEDIA)
    # The last one carries bits that base64 does not use.
    for place in range(len(token) - 1):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(InvalidAccessToken):
            identity.holder(changed)


@pytest.mark.parametrize("token", ["", "ya29.c.", "ya29.c.é", "ya29.c.====", "x" * 10_000])
def test_nonsense_is_no_access_token(identity: Identity, token: str) -> None:
    with pytest.raises(InvalidAccessToken):
        identity.holder(token)


def test_another_platforms_tokens_are_foreign(identity: Identity, tmp_path: Path) -> None:
    other = Identity(tmp_path / "other", PROJECT, ["media"], identity._clock)
    with pytest.raises(InvalidAccessToken):
        identity.holder(other.access_token(MEDIA))


@pytest.mark.parametrize("email", ["nobody@x", "../../etc/passwd", "", account("auth", PROJECT)])
def test_an_unknown_account_gets_no_key(identity: Identity, tmp_path: Path, email: str) -> None:
    with pytest.raises(UnknownAccount):
        identity.key(email)
    assert len(list((tmp_path / "identity").iterdir())) == 2


def test_an_id_token_is_handed_out_again_only_while_fresh(identity: Identity, clock: Clock) -> None:
    first = identity.id_token(MEDIA, FUNCTION)
    assert identity.id_token(MEDIA, FUNCTION) == first
    assert identity.id_token(MEDIA, FUNCTION + "/") != first
    clock.now += TOKEN_LIFE - 200
    later = jwt.decode(identity.id_token(MEDIA, FUNCTION), options={"verify_signature": False})
    assert later["exp"] == clock.now + TOKEN_LIFE


def test_only_the_owner_reads_what_is_kept(identity: Identity, tmp_path: Path) -> None:
    identity.key(MEDIA)
    files = [path for path in (tmp_path / "identity").iterdir() if path.is_file()]
    assert len(files) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


# Over HTTP

emulated = pytest.mark.emulated


def sign(platform: Platform, email: str, token: str, payload: Any = "aGk=") -> httpx.Response:
    return platform.http.post(
        f"/v1/projects/-/serviceAccounts/{email}:signBlob",
        json={"payload": payload},
        headers={"Authorization": f"Bearer {token}"},
    )


@emulated
def test_googles_library_finds_itself_on_google(platform: Platform) -> None:
    """In a process of its own, because google-auth reads the environment when it is imported."""
    program = """
import json, sys
import google.auth
from google.auth import compute_engine
from google.auth.compute_engine import _metadata
from google.auth.transport.requests import Request
from shared.media.signing import IAMBlobSigner
request = Request()
assert _metadata.ping(request)
credentials, project = google.auth.default()
credentials.refresh(request)
ids = compute_engine.IDTokenCredentials(request, "aud", use_metadata_identity_endpoint=True)
ids.refresh(request)
signer = IAMBlobSigner(credentials.service_account_email, sys.argv[1])
signature = signer.sign(b"content").hex()
print(json.dumps([project, credentials.service_account_email, credentials.universe_domain,
                  credentials.token, ids.token, signature, credentials.valid]))
"""
    environment = {**platform.metadata("media"), "PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", program, platform.url],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    project, email, universe, token, id_token, signature, valid = json.loads(done.stdout)
    assert (project, email, universe, valid) == (PROJECT, MEDIA, "googleapis.com", True)
    assert sign(platform, MEDIA, token).status_code == 200
    assert jwt.decode(id_token, options={"verify_signature": False})["email"] == MEDIA
    assert verified(platform, MEDIA, bytes.fromhex(signature), b"content")


def verified(platform: Platform, email: str, signature: bytes, content: bytes) -> bool:
    answer = platform.http.get(f"/service_accounts/v1/metadata/x509/{email}")
    for pem in answer.json().values():
        key = x509.load_pem_x509_certificate(pem.encode()).public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        try:
            key.verify(signature, content, PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            continue
        return True
    return False


@emulated
def test_a_function_signs_as_itself_and_as_no_one_else(platform: Platform) -> None:
    token = platform.token("media")
    answer = sign(platform, MEDIA, token)
    signature = base64.b64decode(answer.json()["signedBlob"])
    assert verified(platform, MEDIA, signature, b"hi")
    assert not verified(platform, TASKS, signature, b"hi")
    assert (
        answer.json()["keyId"]
        in platform.http.get(f"/service_accounts/v1/metadata/x509/{MEDIA}").json()
    )
    for other in (TASKS, account("platform", PROJECT), "nobody@example.com", "-"):
        refused = sign(platform, other, token)
        assert refused.status_code == 403
        assert refused.json()["error"]["status"] == "PERMISSION_DENIED"
        assert refused.json()["error"]["code"] == 403


@emulated
@pytest.mark.parametrize("header", [None, "Bearer", "Bearer x", "Basic dTpw", "Bearer ya29.c.AA"])
def test_signing_without_a_token_of_ours_is_401(platform: Platform, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    path = f"/v1/projects/-/serviceAccounts/{MEDIA}"
    for call in ("signBlob", "generateIdToken"):
        answer = platform.http.post(f"{path}:{call}", json={"payload": "aGk="}, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["status"] == "UNAUTHENTICATED"
        assert "www-authenticate" in answer.headers


@emulated
@pytest.mark.parametrize("payload", ["not base64!", None, 7, {"a": 1}])
def test_a_payload_that_is_no_base64_is_400(platform: Platform, payload: Any) -> None:
    answer = sign(platform, MEDIA, platform.token("media"), payload)
    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"


@emulated
@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000, b"\xff"])
def test_a_body_that_is_no_object_is_400(platform: Platform, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {platform.token('media')}"}
    path = f"/v1/projects/-/serviceAccounts/{MEDIA}:signBlob"
    assert platform.http.post(path, content=body, headers=headers).status_code == 400


@emulated
def test_an_id_token_is_made_by_iam_for_ones_own_account(platform: Platform) -> None:
    headers = {"Authorization": f"Bearer {platform.token('media')}"}
    path = "/v1/projects/-/serviceAccounts/{}:generateIdToken"
    body = {"audience": "aud", "includeEmail": True}
    answer = platform.http.post(path.format(MEDIA), json=body, headers=headers)
    claims = jwt.decode(answer.json()["token"], options={"verify_signature": False})
    assert (claims["aud"], claims["email"]) == ("aud", MEDIA)
    refused = platform.http.post(path.format(TASKS), json=body, headers=headers)
    assert refused.status_code == 403
    assert platform.http.post(path.format(MEDIA), json={}, headers=headers).status_code == 400


@emulated
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Metadata-Flavor": "google"},
        {"Metadata-Flavor": "Google", "X-Forwarded-For": "1.1.1.1"},
    ],
)
@pytest.mark.parametrize("what", ["token", "email", "identity?audience=a", "?recursive=true"])
def test_metadata_is_refused_to_who_does_not_ask_for_it(
    platform: Platform, headers: dict[str, str], what: str
) -> None:
    path = f"/as/media/computeMetadata/v1/instance/service-accounts/default/{what}"
    answer = platform.http.get(path, headers=headers)
    assert answer.status_code == 403
    assert answer.headers["metadata-flavor"] == "Google"
    assert "ya29" not in answer.text


@emulated
def test_metadata_tells_each_function_who_it_is(platform: Platform) -> None:
    def read(function: str, path: str) -> httpx.Response:
        return platform.http.get(
            f"/as/{function}/computeMetadata/v1/{path}", headers={"Metadata-Flavor": "Google"}
        )

    accounts = "instance/service-accounts"
    for name in ("media", "tasks"):
        email = account(name, PROJECT)
        assert read(name, f"{accounts}/default/email").text == email
        assert read(name, f"{accounts}/{email}/email").text == email
        assert read(name, f"{accounts}/?recursive=true").json()["default"]["email"] == email
    assert read("media", "project/project-id").text == PROJECT
    assert read("media", f"{accounts}/{TASKS}/token").status_code == 404
    assert read("nobody", f"{accounts}/default/token").status_code == 404
    assert read("platform", f"{accounts}/default/token").status_code == 404
    assert read("media", f"{accounts}/default/identity").status_code == 400
    token = read("media", f"{accounts}/default/token").json()
    assert (token["expires_in"], token["token_type"]) == (TOKEN_LIFE, "Bearer")


@emulated
def test_only_known_accounts_have_certificates(platform: Platform) -> None:
    kinds = ("metadata/x509", "jwk")
    for kind in kinds:
        assert platform.http.get(f"/service_accounts/v1/{kind}/{MEDIA}").status_code == 200
        for email in ("nobody@example.com", "..%2f..%2fsecrets.json", "x" * 300):
            path = f"/service_accounts/v1/{kind}/{email}"
            assert platform.http.get(path).status_code == 404


# What functions verify


@pytest.fixture
def sender(platform: Platform) -> PlatformSender:
    caller = account("platform", PROJECT)
    return PlatformSender(f"{platform.url}/oauth2/v3/certs", FUNCTION, caller)


def id_token(platform: Platform, function: str, audience: str) -> str:
    answer = platform.http.get(
        f"/as/{function}/computeMetadata/v1/instance/service-accounts/default/identity",
        params={"audience": audience},
        headers={"Metadata-Flavor": "Google"},
    )
    return answer.text


@emulated
def test_a_functions_own_token_is_not_the_platforms(
    platform: Platform, sender: PlatformSender
) -> None:
    with pytest.raises(Unauthenticated):
        sender.check(id_token(platform, "media", FUNCTION))


@emulated
def test_a_token_signed_with_another_key_is_refused(
    platform: Platform, sender: PlatformSender, tmp_path: Path
) -> None:
    forger = Identity(tmp_path, PROJECT, [])
    forged = forger.id_token(forger.caller, FUNCTION)
    kid = platform.http.get("/oauth2/v3/certs").json()["keys"][0]["kid"]
    claims = jwt.decode(forged, options={"verify_signature": False})
    renamed = jwt.encode(claims, forger._issuer.private, "RS256", headers={"kid": kid})
    for token in (forged, renamed):
        with pytest.raises(Unauthenticated):
            sender.check(token)


@emulated
def test_the_platforms_token_is_for_one_audience_and_one_hour(tmp_path: Path) -> None:
    clock = Clock()
    with running(tmp_path / "data", "127.0.0.1:9", PROJECT) as platform:
        caller = account("platform", PROJECT)
        keys = f"{platform.url}/oauth2/v3/certs"
        senders = [PlatformSender(keys, audience, caller) for audience in (FUNCTION, "http://b")]
        # The process' own key, with a clock of the test's.
        issuer = Identity(tmp_path / "data" / "identity", PROJECT, [], clock)
        clock.now = json_time(platform)
        good = issuer.id_token(caller, FUNCTION)
        senders[0].check(good)
        with pytest.raises(Unauthenticated):
            senders[1].check(good)
        clock.now -= 2 * TOKEN_LIFE
        expired = issuer._new_id_token(caller, FUNCTION, int(clock.now))
        with pytest.raises(Unauthenticated):
            senders[0].check(expired)


def json_time(platform: Platform) -> float:
    """The platform's idea of now."""
    claims = jwt.decode(id_token(platform, "media", "a"), options={"verify_signature": False})
    return float(claims["iat"])


# The process


@emulated
def test_a_second_platform_on_one_folder_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, "127.0.0.1:9", PROJECT) as platform:
        second = subprocess.run(
            command(tmp_path, "127.0.0.1:9", PROJECT),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert second.returncode == 1
        assert "in use" in second.stderr
        assert platform.http.get("/_emulator/health").status_code == 200


@emulated
@pytest.mark.parametrize("option", ["--port", "--secrets-port"])
def test_a_taken_port_is_said_and_ends_the_process(tmp_path: Path, option: str) -> None:
    with running(tmp_path / "a", "127.0.0.1:9", PROJECT) as platform:
        address = platform.url if option == "--port" else platform.secrets
        port = address.rpartition(":")[2]
        second = subprocess.run(
            command(tmp_path / "b", "127.0.0.1:9", PROJECT, option, port),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert second.returncode == 1
        assert "Traceback" not in second.stderr
        assert port in second.stderr


@emulated
def test_tokens_survive_a_kill_and_two_platforms_do_not_mix(tmp_path: Path) -> None:
    with running(tmp_path / "a", "127.0.0.1:9", PROJECT) as first:
        token = first.token("media")
        blob = sign(first, MEDIA, token).json()
        first.kill()
    with (
        running(tmp_path / "a", "127.0.0.1:9", PROJECT) as again,
        running(tmp_path / "b", "127.0.0.1:9", PROJECT) as other,
    ):
        assert sign(again, MEDIA, token).json() == blob
        assert sign(other, MEDIA, token).status_code == 401


@emulated
def test_the_switches_need_admin_and_health_does_not(tmp_path: Path) -> None:
    with running(tmp_path, "127.0.0.1:9", PROJECT, admin=False) as platform:
        assert platform.http.get("/_emulator/health").status_code == 200
        for path in ("deliveries", "chaos", "scheduler"):
            assert platform.http.get(f"/_emulator/{path}").status_code == 403
        assert platform.http.post("/_emulator/chaos", json={}).status_code == 403
