"""The scan service's container as processes: its start, its signatures, its end; and the mirror's
job with the real freshclam, over signatures of our own."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from emulators import scanner as local
from services.scanner import mirror, start
from shared.errors import Unavailable
from shared.media.objects import ObjectVersion
from shared.media.outline import Rejected
from shared.media.scan_client import ScanService
from tests.emulators.storage.service import Service, running
from tests.fixtures import venvs
from tests.fixtures.emulated import free_port
from tests.fixtures.processes import Process, Unchecked, metadata_server, serves, until
from tests.fixtures.sources import ROOT
from tests.services import test_image as image

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.skipif(
        local.find() is None or shutil.which("freshclam") is None,
        reason="no clamd on this machine; `python -m tools.scanner` installs it on Debian",
    ),
]
EICAR = local.EICAR
FORMS = ROOT / "services" / "scanner"


def by_content(name: str, content: bytes) -> bytes:
    """A signature of our own: any kind of file (0), anywhere in it (*)."""
    return f"{name}:0:*:{content.hex()}\n".encode()


@dataclass
class World:
    storage: Service
    environment: dict[str, str]
    inbox: str
    mirror: str
    folder: Path

    def put(self, bucket: str, name: str, content: bytes) -> ObjectVersion:
        blob = self.storage.client.bucket(bucket).blob(name)
        blob.upload_from_string(content)
        return ObjectVersion(bucket, name, int(blob.generation))

    def mirrored(self) -> dict[str, bytes]:
        blobs = self.storage.client.list_blobs(self.mirror)
        return {blob.name: blob.download_as_bytes() for blob in blobs}

    @contextmanager
    def container(
        self,
        *options: str,
        starts: bool = True,
        python: str = sys.executable,
        app: Path = ROOT,
    ) -> Iterator[Container]:
        port, clamd_port = free_port(), free_port()
        url = f"http://127.0.0.1:{port}"
        client = ScanService(url, Unchecked())
        command = [python, "-m", "services.scanner.start", f"--port={port}"]
        process = Process(
            [*command, f"--clamd-port={clamd_port}", "--every=0.2", *options],
            self.environment,
            self.folder / f"{secrets.token_hex(4)}.log",
            lambda: serves(url) if starts else True,
            app,
        )
        try:
            yield Container(process, client, url)
        finally:
            client._http.close()
            process.end()

    def mirror_now(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "services.scanner.mirror", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


@dataclass
class Container:
    process: Process
    client: ScanService
    url: str

    def verdict(self, upload: ObjectVersion, content: bytes) -> str:
        try:
            self.client.scan(upload, content)
        except Rejected as rejection:
            return rejection.reason
        except Unavailable:
            return "down"
        return "clean"

    def part(self, name: str) -> psutil.Process:
        (found, *_) = [one for one in self.process.tree() if name in " ".join(one.cmdline())]
        return found

    def ended(self) -> int:
        return self.process.process.wait(60)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("container")) as service:
        yield service


@pytest.fixture
def world(storage: Service, tmp_path: Path) -> Iterator[World]:
    inbox, mirror = (f"{kind}-{secrets.token_hex(4)}" for kind in ("inbox", "signatures"))
    for name in (inbox, mirror):
        storage.bucket(name)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with metadata_server() as metadata:
        environment = {
            "PATH": f"{os.environ['PATH']}:/usr/sbin",
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(temporary),
            "THREADS": "6",
            "ENVIRONMENT": "local",
            "GOOGLE_CLOUD_PROJECT": "test",
            "INBOX_BUCKET": inbox,
            "SIGNATURES_BUCKET": mirror,
            "NEEDED_SIGNATURES": "main.ndb",
            "STORAGE_ENDPOINT": storage.url,
            "GCE_METADATA_HOST": metadata.host,
        }
        yield World(storage, environment, inbox, mirror, tmp_path)


def test_it_serves_once_it_can_scan_and_not_before(world: World) -> None:
    """Without what is needed a clamd would start too, and pass everything."""
    world.put(world.mirror, "other.ndb", by_content("Test.Other", b"something else"))
    upload = world.put(world.inbox, "uploads/a", EICAR)
    with world.container(starts=False) as container:
        until(lambda: "no signatures of main" in container.process.log)
        assert not serves(container.url)
        assert container.verdict(upload, EICAR) == "down"
        world.put(world.mirror, "main.ndb", by_content("Test.Eicar", EICAR))
        until(lambda: serves(container.url), lambda: container.process.log)
        assert container.verdict(upload, EICAR) == "infected"


def test_what_the_image_installs_and_copies_is_enough(world: World) -> None:
    """Its environment by pip as the Dockerfile has it, and its /app with nothing else in it."""
    app = world.folder / "app"
    for sources, target in image.copies():
        for source in sources:
            copied_into(app, ROOT / source, target)
    installed = {path.name: path.read_bytes() for path in app.glob("*.txt")}
    assert installed.keys() == {"requirements.txt", "constraints.txt"}
    installed["requirements.txt"] += b"-c constraints.txt\n"
    python = venvs.python_of(installed)
    world.environment |= {
        "PYTHONPATH": str(app),
        "PATH": f"{python.parent}:{world.environment['PATH']}",
    }
    world.put(world.mirror, "main.ndb", by_content("Test.Eicar", EICAR))
    upload = world.put(world.inbox, "uploads/a", EICAR)
    with world.container(python=str(python), app=app) as container:
        assert container.verdict(upload, EICAR) == "infected"
        assert str(app) in " ".join(container.part("functions_framework").cmdline())


def copied_into(app: Path, source: Path, target: str) -> None:
    """As COPY has it: a folder becomes the target, a file goes into it."""
    if source.is_dir():
        shutil.copytree(source, app / target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        app.mkdir(exist_ok=True)
        shutil.copy(source, app / target)


def test_new_signatures_are_taken_while_it_serves(world: World) -> None:
    world.put(world.mirror, "main.ndb", by_content("Test.Eicar", EICAR))
    evil = b"this is evil since today"
    old, new = world.put(world.inbox, "a", EICAR), world.put(world.inbox, "b", evil)
    with world.container() as container:
        assert container.verdict(new, evil) == "clean"
        world.put(world.mirror, "own.ndb", by_content("Test.Today", evil))
        until(lambda: container.verdict(new, evil) == "infected", lambda: container.process.log)
        # A mirror that was emptied takes nothing away.
        for name in ("main.ndb", "own.ndb"):
            world.storage.client.bucket(world.mirror).blob(name).delete()
        until(lambda: "no signatures of main" in container.process.log)
        assert container.verdict(old, EICAR) == "infected"
        assert container.verdict(new, evil) == "infected"


def test_an_instance_that_could_not_load_new_ones_scans_nothing_and_ends(world: World) -> None:
    """clamd lets the old ones go first, and says PONG with none."""
    world.put(world.mirror, "main.ndb", by_content("Test.Eicar", EICAR))
    upload = world.put(world.inbox, "a", EICAR)
    with world.container() as container:
        assert container.verdict(upload, EICAR) == "infected"
        world.put(world.mirror, "own.ndb", b"this is no signature\n")
        until(lambda: container.verdict(upload, EICAR) == "down")
        assert container.ended() == 1
        assert "clamd cannot scan" in container.process.log
    world.storage.client.bucket(world.mirror).blob("own.ndb").delete()
    with world.container() as container:
        assert container.verdict(upload, EICAR) == "infected"


def test_clamd_is_told_of_new_signatures_until_it_heard(tmp_path: Path) -> None:
    changes = [True, *[False] * 100]
    signatures: Any = SimpleNamespace(fetch=changes.pop, tell_age=lambda: None)
    changes.reverse()
    said: list[bytes] = []

    async def clamd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        word = (await reader.readuntil(b"\0"))[1:-1]
        said.append(word)
        # The first time it has no ear for it; two looks after the second the test is over.
        answers = {b"RELOAD": b"RELOADING\0" if said.count(word) > 1 else b""}
        ends = said.count(b"INSTREAM") == 4
        writer.write(answers.get(word, b"it is over\0" if ends else b"stream: OK\0"))
        writer.close()

    async def tended() -> None:
        server = await asyncio.start_server(clamd, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            given = Namespace(port=0, clamd_port=port, every=0.001, silent=60.0)
            await start.Container(signatures, tmp_path, given)._tend()

    asyncio.run(tended())
    assert said == [b"INSTREAM", b"RELOAD", b"INSTREAM", b"RELOAD", b"INSTREAM", b"INSTREAM"]


def test_signatures_of_nobody_knows_when_are_told_of(world: World) -> None:
    world.put(world.mirror, "main.ndb", by_content("Test.Eicar", EICAR))
    with world.container() as container:
        until(lambda: '"signal": "signatures.old"' in container.process.log)


@pytest.mark.parametrize(
    "part", ["signatures.conf", "functions_framework"], ids=["clamd", "service"]
)
def test_when_a_part_is_killed_the_instance_ends_and_leaves_nothing(
    world: World, part: str
) -> None:
    world.put(world.mirror, "main.ndb", by_content("Test.Eicar", EICAR))
    with world.container() as container:
        tree = container.process.tree()
        assert len(tree) >= 4
        container.part(part).send_signal(signal.SIGKILL)
        assert container.ended() == 1
        until(lambda: not any(map(lives, tree)))
    assert list((world.folder / "temporary").iterdir()) == []


def test_when_clamd_hangs_the_instance_ends(world: World) -> None:
    world.put(world.mirror, "main.ndb", by_content("Test.Eicar", EICAR))
    with world.container("--silent=2") as container:
        tree = container.process.tree()
        container.part("signatures.conf").suspend()
        assert container.ended() == 1
        until(lambda: not any(map(lives, tree)))


def test_told_to_end_it_ends_with_all_that_it_started(world: World) -> None:
    world.put(world.mirror, "main.ndb", by_content("Test.Eicar", EICAR))
    with world.container() as container:
        tree = container.process.tree()
        container.process.process.terminate()
        assert container.ended() == 0
        until(lambda: not any(map(lives, tree)))


def test_told_to_end_while_it_waits_for_signatures_it_ends(world: World) -> None:
    with world.container(starts=False) as container:
        until(lambda: "no signatures of main" in container.process.log)
        container.process.process.terminate()
        assert container.ended() == 0


def test_signatures_that_clamd_cannot_load_are_no_start(world: World) -> None:
    world.put(world.mirror, "main.ndb", by_content("Test.Eicar", EICAR))
    world.put(world.mirror, "daily.cvd", b"ClamAV-VDB:this is none".ljust(2000))
    with world.container(starts=False) as container:
        assert container.ended() == 1
        assert not serves(container.url)


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# The job


def freshclam_of(world: World, *urls: str) -> list[str]:
    """Our configuration, but for whose files it fetches; nothing here may reach ClamAV's."""
    text = (FORMS / "freshclam.conf").read_text()
    assert "DatabaseOwner clamav" in text
    own = [f"DatabaseCustomURL {url}" for url in urls]
    path = world.folder / "freshclam.conf"
    path.write_text(text.replace("DatabaseOwner clamav", "DatabaseOwner root") + "\n".join(own))
    return [f"--config-file={path}", "--update-db=custom"]


def published(world: World, name: str, content: bytes) -> str:
    """Where freshclam finds the file."""
    path = world.folder / "publisher" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return f"file://{path}"


def test_the_job_fills_the_mirror_and_an_instance_starts_from_it(world: World) -> None:
    url = published(world, "main.ndb", by_content("Test.Eicar", EICAR))
    done = world.mirror_now(*freshclam_of(world, url))
    assert done.returncode == 0, done.stdout + done.stderr
    assert world.mirrored() == {"main.ndb": by_content("Test.Eicar", EICAR)}
    upload = world.put(world.inbox, "uploads/a", EICAR)
    with world.container() as container:
        assert container.verdict(upload, EICAR) == "infected"


def test_the_job_run_again_writes_only_what_is_new(world: World) -> None:
    first = published(world, "main.ndb", by_content("Test.Eicar", EICAR))
    assert world.mirror_now(*freshclam_of(world, first)).returncode == 0
    before = generations(world)
    # freshclam takes a file again only when it is newer, to the second.
    second = published(world, "own.ndb", by_content("Test.Other", b"something else"))
    assert world.mirror_now(*freshclam_of(world, first, second)).returncode == 0
    after = generations(world)
    assert set(after) == {"main.ndb", "own.ndb"}
    assert after["main.ndb"] == before["main.ndb"]


def generations(world: World) -> dict[str, int]:
    blobs = world.storage.client.list_blobs(world.mirror)
    return {blob.name: int(blob.generation) for blob in blobs}


def test_what_is_out_of_reach_or_broken_leaves_the_mirror_and_fails_the_job(world: World) -> None:
    good = by_content("Test.Eicar", EICAR)
    world.put(world.mirror, "main.ndb", good)
    away = f"http://127.0.0.1:{free_port()}/daily.ndb"
    done = world.mirror_now(*freshclam_of(world, away))
    assert done.returncode != 0
    assert world.mirrored() == {"main.ndb": good}
    broken = published(world, "daily.ndb", b"this is no signature\n")
    done = world.mirror_now(*freshclam_of(world, broken))
    assert done.returncode != 0, done.stdout
    assert world.mirrored() == {"main.ndb": good}


def test_what_a_job_kept_that_became_too_slow_is_published(world: World) -> None:
    """Else the next one begins with nothing, and becomes too slow as well."""
    slow = world.folder / "bin" / "freshclam"
    slow.parent.mkdir()
    slow.write_text(
        "#!/bin/sh\n"
        'for one in "$@"; do case $one in --datadir=*) cd "${one#--datadir=}";; esac; done\n'
        "echo kept > main.ndb; echo half > daily.cvd.tmp; exec sleep 600\n"
    )
    slow.chmod(0o755)
    world.environment["PATH"] = f"{slow.parent}:{world.environment['PATH']}"
    done = world.mirror_now("--patience=3")
    assert done.returncode == mirror.TOO_SLOW, done.stderr
    assert world.mirrored() == {"main.ndb": b"kept\n"}


def test_the_job_without_its_bucket_asks_nobody(world: World) -> None:
    environment = {**world.environment, "SIGNATURES_BUCKET": "no-such-bucket"}
    world.environment = environment
    url = published(world, "main.ndb", by_content("Test.Eicar", EICAR))
    done = world.mirror_now("--wait=0", *freshclam_of(world, url))
    assert done.returncode != 0
    assert "freshclam ended" not in done.stderr


def test_the_job_waits_for_its_first_grants(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mirror:
        refusals = 2

        def fetch(self) -> bool:
            self.refusals -= 1
            if self.refusals >= 0:
                raise Unavailable("403")
            return True

    monkeypatch.setattr(mirror, "_AGAIN", 0.01)
    late: Any = Mirror()
    mirror.fetch(late, 60)
    assert late.refusals == -1
    late.refusals = 10_000
    with pytest.raises(Unavailable):
        mirror.fetch(late, 0.05)
