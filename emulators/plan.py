"""What runs where: ports, folders and every function's environment, out of the declaration.

The values that `pulumi up` would give a function in its own project, it gets here for the local
one; a test compares the names with what the functions read.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from infra.declaration import DECLARATION, Function, bucket_name

ROOT = Path(__file__).parents[1]
PROJECT = "snaptask-local"
# One name for this machine everywhere: a signed URL binds the host, letter by letter.
HOST = "127.0.0.1"
# 3000-3003 and 8085 are where the first Snaptask had its parts; 8080 is Firestore's and 3310
# clamd's usual one.
PORTS = {
    "gateway": 3000,
    **{function.name: function.port for function in DECLARATION.functions},
    "storage": 3900,
    "platform": 3901,
    "secrets": 3902,
    "smtp": 3903,
    "scanner": 3310,
    "firestore": 8080,
    "pubsub": 8085,
}
# What Google's console would give to a web client.
OIDC_CLIENT, OIDC_SECRET = "snaptask.apps.example", "the local issuer's secret"
# Below 32768, where Linux begins to number outgoing connections; 400 rows of 20.
_FIRST_FREE, _ROWS, _ROW = 20_000, 400, 20


@dataclass(frozen=True)
class Plan:
    """One local cloud; `data` is the folder that keeps its state."""

    data: Path
    ports: Mapping[str, int]
    project: str = PROJECT

    @classmethod
    def usual(cls, data: Path) -> Self:
        return cls(data, PORTS)

    @classmethod
    def on_free_ports(cls, data: Path) -> Self:
        """For tests, and for a second local cloud beside the first."""
        return cls(data, dict(zip(PORTS, free_ports(len(PORTS)), strict=True)))

    def address(self, name: str) -> str:
        return f"{HOST}:{self.ports[name]}"

    def url(self, name: str) -> str:
        return f"http://{self.address(name)}"

    @property
    def origins(self) -> tuple[str, ...]:
        """Where the app's pages come from: what a browser may call this machine."""
        port = self.ports["gateway"]
        return (f"http://localhost:{port}", f"http://{HOST}:{port}")

    @property
    def issuer(self) -> str:
        """Of people's identities, in Google's place (emulators/platform/issuer.py)."""
        return f"{self.url('platform')}/issuer"

    def bucket(self, name: str) -> str:
        return bucket_name(self.project, name)

    def account(self, name: str) -> str:
        return f"{name}@{self.project}.iam.gserviceaccount.com"

    def secret(self, name: str) -> str:
        return f"projects/{self.project}/secrets/{name}"

    def topic(self, name: str) -> str:
        return f"projects/{self.project}/topics/{name}"

    def environment(self, function: Function) -> dict[str, str]:
        """All that the function's process gets to see."""
        values = self._values(function)
        declared = {name: values[name] for name in function.env}
        return declared | self._runtime(function) | self._instead_of_google(function)

    def _values(self, function: Function) -> dict[str, str]:
        buckets = {bucket.env: self.bucket(bucket.name) for bucket in DECLARATION.buckets}
        return buckets | {
            "ENVIRONMENT": "local",
            "GOOGLE_CLOUD_PROJECT": self.project,
            "ALLOWED_ORIGINS": ",".join(self.origins),
            "ISSUER": f"{self.origins[0]}/api/auth",
            "JWKS_URL": f"{self.url('auth')}/.well-known/jwks.json",
            "SIGNING_KEY_SECRET": self.secret("signing-key"),
            "TOKEN_HMAC_SECRET": self.secret("token-hmac"),
            "PASSWORD_FLOOR": "8",
            "SIGN_IN_UNVERIFIED": "true",
            # All of this machine's people, and all of its tests, come from one address.
            "PEOPLE_PER_SOURCE": "10000",
            "TRUSTED_PROXIES": "1",
            "APP_URL": self.origins[0],
            "MAIL_FROM": "snaptask@example.com",
            "SMTP_HOST": HOST,
            "SMTP_PORT": str(self.ports["smtp"]),
            "SMTP_TLS": "none",
            "SMTP_USER": "",
            "SMTP_PASSWORD_SECRET": self.secret("smtp-password"),
            "OIDC_CLIENT_ID": OIDC_CLIENT,
            "OIDC_CLIENT_SECRET": self.secret("oidc-client"),
            "OIDC_NAME": "Local ID",
            "OIDC_SCOPES": "openid email",
            "OIDC_ISSUER": self.issuer,
            "OIDC_AUTHORIZATION_URL": f"{self.issuer}/authorize",
            "OIDC_TOKEN_URL": f"{self.issuer}/token",
            "OIDC_JWKS_URL": f"{self.issuer}/certs",
            "SIGNER_EMAIL": self.account(function.name),
            "STORAGE_ENDPOINT": self.url("storage"),
            "IAM_ENDPOINT": self.url("platform"),
            "PLATFORM_JWKS_URL": f"{self.url('platform')}/oauth2/v3/certs",
            "PLATFORM_AUDIENCE": self.url(function.name),
            "PLATFORM_CALLER": self.account("platform"),
            "SCANNER": self.address("scanner"),
            "MEDIA_QUOTA": str(5 * 1024**3),
            "EVENTS_TOPIC": self.topic("snaptask-events"),
            "REDRIVE_TOPIC": self.topic("snaptask-redrive"),
            "DEAD_LETTER_TOPIC": self.topic("snaptask-dead-letters"),
        }

    def _runtime(self, function: Function) -> dict[str, str]:
        """What Cloud Run and the buildpack set."""
        return {
            **_inherited(),
            "PORT": str(self.ports[function.name]),
            "K_SERVICE": function.name,
            "FUNCTION_TARGET": function.name,
            "FUNCTION_SIGNATURE_TYPE": "http",
            "THREADS": str(function.threads),
            "CLOUD_RUN_TIMEOUT_SECONDS": str(function.timeout),
            "PYTHONPATH": str(ROOT),
        }

    def _instead_of_google(self, function: Function) -> dict[str, str]:
        return {
            "FIRESTORE_EMULATOR_HOST": self.address("firestore"),
            "PUBSUB_EMULATOR_HOST": self.address("pubsub"),
            "SECRET_MANAGER_EMULATOR_HOST": self.address("secrets"),
            # Each function asks under a path of its own, and so gets its own identity.
            "GCE_METADATA_HOST": f"{self.address('platform')}/as/{function.name}",
            # google-auth looks for the server here before it asks it.
            "GCE_METADATA_IP": f"{self.address('platform')}/as/{function.name}",
        }

    def save(self, pid: int) -> None:
        """For `status` and `logs`, and for a second `up` on the same folder."""
        record = {"pid": pid, **asdict(self), "data": str(self.data)}
        part = self.record.with_suffix(".part")
        part.write_text(json.dumps(record, indent=2) + "\n")
        part.replace(self.record)

    @classmethod
    def running(cls, data: Path) -> tuple[Self, int] | None:
        """The plan and the supervisor's pid of what runs on the folder now."""
        try:
            record = json.loads((data / "running.json").read_text())
            pid = int(record.pop("pid"))
            os.kill(pid, 0)
        except (OSError, ValueError, KeyError):
            return None
        return cls(**{**record, "data": data}), pid

    @property
    def record(self) -> Path:
        return self.data / "running.json"

    def taken_ports(self) -> Iterator[tuple[str, int]]:
        """Ports of ours on which somebody else listens already."""
        for name, port in self.ports.items():
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex((HOST, port)) == 0:
                    yield name, port


def free_ports(count: int) -> list[int]:
    """Ports in a row on which nobody listens. Not the kernel's choice: that comes from the range
    of outgoing connections, one of which may take it before we listen. Rows begin by process id,
    so that two who look at once look elsewhere."""
    for row in range(_ROWS):
        first = _FIRST_FREE + (os.getpid() + row) % _ROWS * _ROW
        ports = list(range(first, first + count))
        if all(map(_is_free, ports)):
            return ports
    raise OSError("no row of free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _inherited() -> dict[str, str]:
    """Nothing of the developer's shell reaches a function but what a process needs to run: his
    own Google credentials least of all."""
    names = ("PATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "SYSTEMROOT")
    return {name: os.environ[name] for name in names if name in os.environ}


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]
