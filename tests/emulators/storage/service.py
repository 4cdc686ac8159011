"""A running storage emulator for a test, its key, and requests signed as the product signs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import google.auth.credentials
import httpx
import psutil
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.cloud import storage
from google.oauth2 import service_account

ROOT = Path(__file__).parents[3]
KEY = "key.json"
ORIGIN = "http://app.test:3000"
CORS = [
    {
        "origin": [ORIGIN],
        "method": ["GET", "HEAD", "PUT", "POST", "DELETE"],
        "responseHeader": [
            "content-type",
            "content-range",
            "x-goog-resumable",
            "x-goog-content-length-range",
            "x-goog-if-generation-match",
            "x-goog-generation",
            "range",
            "etag",
            "location",
        ],
        "maxAgeSeconds": 60,
    }
]


def write_key(path: Path, email: str = "signer@test.iam.gserviceaccount.com") -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    content = {
        "type": "service_account",
        "client_email": email,
        "private_key": pem.decode(),
        "private_key_id": "1",
        "token_uri": "http://127.0.0.1:9/token",
    }
    path.write_text(json.dumps(content))
    return path


class Service:
    def __init__(self, process: subprocess.Popen[str], url: str, folder: Path) -> None:
        self.process = process
        self.data = folder / "data"
        self.url = url
        # One kept client: a new one costs as much as a dozen requests.
        self.http = httpx.Client(timeout=30)
        self.client = storage.Client(
            project="test",
            credentials=google.auth.credentials.AnonymousCredentials(),
            client_options={"api_endpoint": url},
        )
        credentials = service_account.Credentials.from_service_account_file(str(folder / KEY))
        self.signer = storage.Client(
            project="test", credentials=credentials, client_options={"api_endpoint": url}
        )

    def bucket(self, name: str, **fields: Any) -> storage.Bucket:
        bucket = self.client.bucket(name)
        bucket.cors = fields.pop("cors", CORS)
        for field, value in fields.items():
            setattr(bucket, field, value)
        return self.client.create_bucket(bucket)

    def sign(
        self,
        bucket: str,
        name: str,
        method: str = "PUT",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> str:
        """A signed URL; the caller's headers stay as they are, though the signer changes its."""
        more.setdefault("expiration", timedelta(minutes=5))
        url = (
            self.signer.bucket(bucket)
            .blob(name)
            .generate_signed_url(
                version="v4",
                method=method,
                headers=dict(headers or {}),
                api_access_endpoint=self.url,
                **more,
            )
        )
        return str(url)

    def objects(self, bucket: str) -> list[tuple[str, str, str]]:
        """Name, generation and metageneration of all that lives in the bucket."""
        answer = self.http.get(f"{self.url}/storage/v1/b/{bucket}/o")
        answer.raise_for_status()
        items = answer.json()["items"]
        return [(item["name"], item["generation"], item["metageneration"]) for item in items]

    def fault(self, **fault: Any) -> None:
        self.http.post(f"{self.url}/_emulator/faults", json=fault).raise_for_status()

    def faults(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.http.get(f"{self.url}/_emulator/faults").json()["faults"]
        return found

    @contextmanager
    def clock(self, seconds: float) -> Iterator[None]:
        """The emulator's clock is that far ahead."""
        self.fault(kind="clock", seconds=seconds)
        try:
            yield
        finally:
            kind = {"content-type": "application/json"}
            self.http.request("DELETE", f"{self.url}/_emulator/faults", headers=kind)

    def rss(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


@contextmanager
def running(
    folder: Path, *arguments: str, anonymous: bool = True, admin: bool = True
) -> Iterator[Service]:
    """The emulator on `folder`; starting it twice on one folder keeps key and data."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / KEY
    if not key.exists():
        write_key(key)
    command = [sys.executable, "-m", "emulators.storage", "--data", str(folder / "data")]
    command += ["--service-account-key", str(key), *arguments]
    command += ["--allow-anonymous"] if anonymous else []
    command += ["--admin"] if admin else []
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("listening "), line
        service = Service(process, line.split()[1], folder)
        yield service
        service.http.close()
        service.client.close()
        service.signer.close()
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()
