"""100 concurrent 10 MB uploads: our storage emulator beside PyPI's gcp-storage-emulator.

`python -m tests.bench.storage [--rounds N]`. Ours gets signed PUTs, which it verifies; the other
one does not know signatures and gets the JSON API's simple upload of the same bytes. Both take
turns in one run. Told are uploads that failed, objects that are missing or differ afterwards, the
seconds and the memory at its peak. The other one is installed once into .cache/.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import aiohttp
import google_crc32c
import psutil

from tests.emulators.storage.service import Service, running
from tests.fixtures.emulated import free_port

ROOT = Path(__file__).resolve().parents[2]
OTHER = ROOT / ".cache" / "gcp-storage-emulator"
PINNED = "gcp-storage-emulator==2026.7.19"
COUNT = 100
SIZE = 10_000_000
MEMORY_LIMIT = 250


@dataclass
class Result:
    failed: int
    lost: int
    seconds: float
    megabytes: float


class Peak(threading.Thread):
    """The highest resident memory of a process until `stop`."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._process = psutil.Process(pid)
        self._done = threading.Event()
        self.megabytes = 0.0

    def run(self) -> None:
        while not self._done.wait(0.02):
            self.megabytes = max(self.megabytes, self._process.memory_info().rss / 1e6)

    def stop(self) -> float:
        self._done.set()
        self.join()
        return self.megabytes


async def upload_all(urls: list[tuple[str, str, dict[str, str]]], content: bytes) -> int:
    """Sends the bytes to every (method, url, headers) at once; returns how many failed."""
    timeout = aiohttp.ClientTimeout(total=300)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:

        async def one(method: str, url: str, headers: dict[str, str]) -> bool:
            try:
                body = _pieces(content)
                sent = {**headers, "Content-Length": str(len(content))}
                async with session.request(method, url, data=body, headers=sent) as answer:
                    await answer.read()
                    return answer.status == 200
            except (aiohttp.ClientError, OSError, TimeoutError):
                return False

        return (await asyncio.gather(*(one(*call) for call in urls))).count(False)


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 65536):
        yield content[start : start + 65536]


def measure(pid: int, urls: list[tuple[str, str, dict[str, str]]], content: bytes) -> Result:
    peak = Peak(pid)
    peak.start()
    began = time.perf_counter()
    failed = asyncio.run(upload_all(urls, content))
    return Result(failed, 0, time.perf_counter() - began, peak.stop())


def ours(service: Service, number: int, content: bytes) -> Result:
    bucket = f"round-{number}"
    service.bucket(bucket)
    checksum = base64.b64encode(google_crc32c.Checksum(content).digest()).decode()
    headers = {
        "content-type": "image/jpeg",
        "x-goog-hash": f"crc32c={checksum}",
        "x-goog-content-length-range": f"{SIZE},{SIZE}",
        "x-goog-if-generation-match": "0",
    }
    urls = [("PUT", service.sign(bucket, f"n{n}", headers=headers), headers) for n in range(COUNT)]
    result = measure(service.process.pid, urls, content)
    whole = [blob for blob in service.client.list_blobs(bucket) if blob.crc32c == checksum]
    result.lost = COUNT - len(whole)
    service.client.bucket(bucket).delete_blobs(list(service.client.list_blobs(bucket)))
    return result


def theirs(base: str, pid: int, number: int, content: bytes) -> Result:
    asyncio.run(_create(base, f"round-{number}"))
    url = f"{base}/upload/storage/v1/b/round-{number}/o?uploadType=media&name=n"
    headers = {"Content-Type": "image/jpeg"}
    urls = [("POST", f"{url}{n}", headers) for n in range(COUNT)]
    result = measure(pid, urls, content)
    result.lost = COUNT - asyncio.run(_whole(base, f"round-{number}", len(content)))
    return result


async def _create(base: str, bucket: str) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"{base}/storage/v1/b?project=test"
        async with session.post(url, json={"name": bucket}) as answer:
            answer.raise_for_status()


async def _whole(base: str, bucket: str, size: int) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{base}/storage/v1/b/{bucket}/o") as answer,
    ):
        items = (await answer.json()).get("items", [])
    return sum(int(item["size"]) == size for item in items)


@contextmanager
def other_running(folder: Path) -> Iterator[tuple[str, int]]:
    python = OTHER / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(OTHER)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", PINNED], check=True)
    port = free_port()
    command = [str(OTHER / "bin" / "gcp-storage-emulator"), "start", "--host=127.0.0.1"]
    environment = {**os.environ, "STORAGE_BASE": str(folder), "STORAGE_DIR": "data"}
    process = subprocess.Popen(
        [*command, f"--port={port}"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await(port, process)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait(20)


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("gcp-storage-emulator does not start")


def report(name: str, results: list[Result]) -> float:
    """Returns the megabytes a second that are there afterwards: what was lost does not count."""
    failed, lost = sum(r.failed for r in results), sum(r.lost for r in results)
    seconds, memory = median(r.seconds for r in results), max(r.megabytes for r in results)
    kept = median((COUNT - r.lost) * SIZE / 1e6 / r.seconds for r in results)
    print(f"{name:<22} {failed:>7} {lost:>6} {seconds:>8.2f} {kept:>10.0f} {memory:>8.0f}")
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    content = os.urandom(SIZE)
    mine: list[Result] = []
    other: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        with running(base / "ours") as service, other_running(base / "other") as (url, pid):
            for number in range(rounds):
                mine.append(ours(service, number, content))
                other.append(theirs(url, pid, number, content))
    print(f"{COUNT} x 10 MB at once, {rounds} rounds")
    print(f"{'':<22} {'refused':>7} {'lost':>6} {'seconds':>8} {'kept MB/s':>10} {'peak MB':>8}")
    ratio = report("ours, signed", mine) / report("gcp-storage-emulator", other)
    print(f"kept bytes a second, ours / it: {ratio:.1f}; memory to hold: {MEMORY_LIMIT} MB")
    if any(r.failed or r.lost or r.megabytes > MEMORY_LIMIT for r in mine):
        raise SystemExit("ours refused or lost an upload, or took too much memory")


if __name__ == "__main__":
    main()
