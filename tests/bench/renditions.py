"""Renditions against sharp: CPU, likeness, bytes and memory, interleaved in one run.

`python -m tests.bench.renditions [--rounds N] [--efforts | --memory | --pipeline]`. Three sizes
from 12-megapixel JPEGs; CPU is user and system time of all threads of a long-lived process, each
way taking its turn on each picture so that a noisy neighbour troubles all alike, and the least of
the rounds counts. Likeness is SSIM on luma against a Lanczos resize of the full decode, before
encoding. Memory is the peak of a fresh process. sharp is installed on the first run.
The pipeline is timed without network: a 10 MB photograph from its event to `ready`, with a real
clamd beside it, and documents and objects in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image

from emulators import scanner
from shared.media import renditions
from shared.media.objects import ObjectVersion
from shared.media.scan import Clamd
from tests.bench.cpu import spent
from tests.fixtures import pictures
from tests.fixtures.emulated import free_port
from tests.fixtures.stores import memory_documents
from tests.media.world import MediaWorld

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".cache" / "bench"
HERE = Path(__file__).parent / "sharp"
SIZES = (1280, 640, 320)
OURS, DEFAULT, TUNED, SAME = (
    "ours",
    "sharp default",
    "sharp tuned",
    "sharp tuned, our effort",
)
Plane = NDArray[np.float64]


@dataclass
class Score:
    """Of one way on one picture."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    likeness: float = 0.0
    size: int = 0


def ssim(seen: Plane, wanted: Plane) -> float:
    """Mean structural similarity, 8 x 8 uniform windows (Wang et al. 2004, constants there)."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = _windows(seen), _windows(wanted)
    vx, vy = _windows(seen * seen) - mx * mx, _windows(wanted * wanted) - my * my
    both = _windows(seen * wanted) - mx * my
    score = (2 * mx * my + c1) * (2 * both + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return float(score.mean())


def _windows(plane: Plane, side: int = 8) -> Plane:
    """The mean of every window, by a summed-area table."""
    table = np.pad(plane.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    corners = table[side:, side:] - table[:-side, side:] - table[side:, :-side]
    mean_of_each: Plane = (corners + table[:-side, :-side]) / side**2
    return mean_of_each


def luma(image: Image.Image) -> Plane:
    return np.asarray(image.convert("L"), np.float64)


def references(path: Path) -> list[Plane]:
    with Image.open(path) as image:
        whole = image.convert("RGB")
    fits = [(side, round(whole.height * side / whole.width)) for side in SIZES]
    return [luma(whole.resize(fit, Image.Resampling.LANCZOS)) for fit in fits]


def likeness(contents: list[bytes], wanted: list[Plane]) -> float:
    planes = [luma(Image.open(BytesIO(content))) for content in contents]
    return mean(ssim(*pair) for pair in zip(planes, wanted, strict=True))


def subjects() -> list[Path]:
    """12 megapixels each: calm, grainy as in dim light, progressive, and 4:4:4 at 95."""
    WORK.mkdir(parents=True, exist_ok=True)
    made = {
        "calm": (1, 0, {"quality": 88}),
        "grainy": (2, 9, {"quality": 92}),
        "progressive": (3, 4, {"quality": 88, "progressive": True}),
        "fine": (4, 5, {"quality": 95, "subsampling": 0}),
    }
    for name, (seed, grain, options) in made.items():
        path = WORK / f"{name}.jpg"
        if not path.exists():
            path.write_bytes(pictures.saved(_grainy(seed, grain), "JPEG", **options))
    return [WORK / f"{name}.jpg" for name in made]


def _grainy(seed: int, strength: float) -> Image.Image:
    image = pictures.photo(4000, 3000, seed)
    noise = np.random.default_rng(seed).normal(0, strength, (3000, 4000, 1))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


class Sharp:
    """A long-lived node process that answers a line with a line."""

    def __init__(self) -> None:
        home = WORK / "sharp"
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "package.json", home)
        if not (home / "node_modules" / "sharp").exists():
            command = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
            subprocess.run(command, cwd=home, check=True)
        self._process = subprocess.Popen(
            ["node", str(HERE / "render.mjs"), str(home), str(renditions.EFFORT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, way: str, path: Path) -> tuple[float, float, list[bytes]]:
        assert self._process.stdin
        assert self._process.stdout
        out = WORK / "out"
        self._process.stdin.write(json.dumps({"way": way, "path": str(path), "out": str(out)}))
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        contents = [Path(f"{out}-{side}.webp").read_bytes() for side in SIZES]
        return answer["cpu"], answer["wall"], contents

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def sharp() -> Iterator[Sharp]:
    process = Sharp()
    try:
        yield process
    finally:
        process.close()


def _spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def ours(path: Path) -> tuple[float, float, list[bytes]]:
    before, started = _spent(), time.perf_counter()
    made = renditions.render(path)
    cpu, wall = _spent() - before, time.perf_counter() - started
    return cpu, wall, [rendition.content for rendition in reversed(made.renditions)]


def compare(rounds: int) -> dict[str, dict[str, Score]]:
    """Scores by picture and way; the first round warms up and does not count."""
    scores: dict[str, dict[str, Score]] = {}
    with sharp() as other:
        ways: dict[str, Callable[[Path], tuple[float, float, list[bytes]]]] = {
            OURS: ours,
            **{way: lambda path, way=way: other(way, path) for way in (DEFAULT, TUNED, SAME)},
        }
        for path in subjects():
            wanted, scored = references(path), {way: Score() for way in ways}
            for turn in range(rounds + 1):
                for way, run in ways.items():
                    cpu, wall, contents = run(path)
                    if turn:
                        scored[way].cpu.append(cpu)
                        scored[way].wall.append(wall)
                    else:
                        scored[way].likeness = likeness(contents, wanted)
                        scored[way].size = sum(map(len, contents))
            scores[f"{path.stem} {path.stat().st_size / 1e6:.1f} MB"] = scored
    return scores


def report(scores: dict[str, dict[str, Score]]) -> None:
    print("| picture | way | CPU ms | wall ms | ours / it (CPU) | SSIM | KB |")
    print("|---|---|---|---|---|---|---|")
    for picture, ways in scores.items():
        mine = min(ways[OURS].cpu)
        for way, score in ways.items():
            cpu = min(score.cpu)
            print(
                f"| {picture} | {way} | {cpu * 1000:.0f} | {min(score.wall) * 1000:.0f} "
                f"| {mine / cpu:.2f} | {score.likeness:.4f} | {score.size / 1000:.0f} |"
            )
    for way in (DEFAULT, TUNED, SAME):
        ratio = mean(min(ways[OURS].cpu) / min(ways[way].cpu) for ways in scores.values())
        print(f"CPU, ours / {way}: {ratio:.2f} on average")


def efforts(rounds: int) -> None:
    """The table behind docs/decisions/2026-11-webp-effort.md."""
    chosen, paths = renditions.EFFORT, subjects()
    wanted = {path: references(path) for path in paths}
    print("| effort | CPU ms | SSIM | KB |\n|---|---|---|---|")
    for effort in range(7):
        renditions.EFFORT = effort
        runs = {path: [ours(path) for _ in range(rounds)] for path in paths}
        cpu = mean(min(run[0] for run in made) for made in runs.values())
        alike = mean(likeness(made[0][2], wanted[path]) for path, made in runs.items())
        size = mean(sum(map(len, made[0][2])) for made in runs.values())
        print(f"| {effort} | {cpu * 1000:.0f} | {alike:.4f} | {size / 1000:.0f} |")
    renditions.EFFORT = chosen


# The kernel's own high-water mark of this address space; ru_maxrss counts the parent's too.
_PEAK = """
import re, sys, time
from pathlib import Path
from shared.media.renditions import render
def peak():
    return re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
before, started = peak(), time.perf_counter()
render(sys.argv[1])
print(before, peak(), time.perf_counter() - started)
"""


def memory() -> None:
    print("| picture | MB after import | MB at the peak | s |\n|---|---|---|---|")
    for name, kind, size, options in (
        ("48 MP JPEG", "JPEG", (8000, 6000), {"quality": 90}),
        ("48 MP progressive JPEG", "JPEG", (8000, 6000), {"quality": 90, "progressive": True}),
        (
            "48 MP progressive JPEG 4:4:4",
            "JPEG",
            (8000, 6000),
            {"quality": 90, "progressive": True, "subsampling": 0},
        ),
        ("48 MP PNG", "PNG", (8000, 6000), {"compress_level": 1}),
        ("48 MP TIFF", "TIFF", (8000, 6000), {"compression": "tiff_lzw"}),
        ("48 MP HEIC", "HEIC", (8000, 6000), {"quality": 60}),
        ("32 MP AVIF", "AVIF", (6500, 4900), {"quality": 60, "speed": 10}),
        ("27 MP WebP", "WEBP", (6000, 4500), {"quality": 85, "method": 0}),
        ("GIF of 98 frames, 640 x 480", "GIF", (640, 480), {"frames": 98}),
    ):
        path = WORK / f"{name.replace(' ', '-')}"
        if not path.exists():
            path.write_bytes(_large(kind, size, dict(options)))
        command = [sys.executable, "-c", _PEAK, str(path)]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        *sizes, seconds = done.stdout.split()
        before, peak = (int(value) / 1024 for value in sizes)
        label = f"{name}, {path.stat().st_size / 1e6:.1f} MB"
        print(f"| {label} | {before:.0f} | {peak:.0f} | {float(seconds):.2f} |")
    half, full = (8000 * 6000 * parts * 2 / 1024**2 for parts in (1.5, 3))
    print(
        "Each scan of a progressive JPEG refines the whole picture, so libjpeg keeps two bytes for"
        f" every coefficient, at whatever scale it decodes: {half:.0f} MB of 48 megapixels in"
        f" 4:2:0, {full:.0f} MB in 4:4:4. With the import that alone is above the 150 to hold."
    )


def _large(kind: str, size: tuple[int, int], options: dict[str, Any]) -> bytes:
    if frames := options.pop("frames", 0):
        whole = pictures.photo(*(2 * side for side in size))
        cut = [whole.crop((n, n, n + size[0], n + size[1])) for n in range(frames)]
        return pictures.saved(cut[0], kind, save_all=True, append_images=cut[1:], duration=60)
    image = pictures.photo(2000, 1500).resize(size)
    return (
        pictures.heic(image, **options)
        if kind == "HEIC"
        else pictures.saved(image, kind, **options)
    )


def pipeline(rounds: int) -> None:
    """Each round is another picture by one byte behind its end, or the second would be a twin."""
    photo = pictures.photo(2000, 1500).resize((5400, 4050))
    grain = np.random.default_rng(1).normal(0, 9, (4050, 5400, 1))
    noisy = Image.fromarray((np.asarray(photo) + grain).clip(0, 255).astype(np.uint8))
    content = pictures.saved(noisy, "JPEG", quality=91)
    world, port = MediaWorld(memory_documents()), free_port()
    with tempfile.TemporaryDirectory() as folder, _clamd(port, Path(folder)) as clamd:
        world.pipeline._scanner = Clamd("127.0.0.1", port)
        taken: dict[str, list[float]] = {"scan": [], "whole": [], "our CPU": [], "clamd's CPU": []}
        for number in range(rounds + 1):
            one = content + number.to_bytes(2, "big")
            event = world.put(world.announce(one), one)
            started, idle = time.perf_counter(), spent([clamd])
            world.pipeline._scanner.scan(ObjectVersion("", "", 1), one)
            scanned, before = time.perf_counter(), _spent()
            busy = spent([clamd])
            world.pipeline(event)
            if number:
                taken["scan"].append(scanned - started)
                taken["whole"].append(time.perf_counter() - scanned)
                taken["our CPU"].append(_spent() - before)
                taken["clamd's CPU"].append(busy - idle)
        assert len(world.names("media")) == rounds + 1
    print(f"{len(content) / 1e6:.1f} MB JPEG of {photo.width * photo.height / 1e6:.0f} megapixels")
    for name, times in taken.items():
        ordered = sorted(times)
        p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        print(f"{name:<11} p50 {median(times) * 1000:5.0f} ms   p95 {p95 * 1000:5.0f} ms")


@contextmanager
def _clamd(port: int, folder: Path) -> Iterator[psutil.Popen]:
    if scanner.find() is None:
        print("no clamd here: its stand-in takes no time to speak of")
    process = psutil.Popen(scanner.command(port, folder), stdout=subprocess.DEVNULL)
    try:
        while not asyncio.run(scanner.answers(port)):
            if process.poll() is not None:
                raise SystemExit("the scanner does not start")
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--efforts", action="store_true", help="only compare encoder efforts")
    parser.add_argument("--memory", action="store_true", help="only the peaks")
    parser.add_argument("--pipeline", action="store_true", help="only the time to ready")
    given = parser.parse_args()
    if given.efforts:
        efforts(given.rounds)
        return
    everything = not (given.memory or given.pipeline)
    if everything:
        report(compare(given.rounds))
    if everything or given.memory:
        memory()
    if everything or given.pipeline:
        pipeline(max(20, given.rounds))


if __name__ == "__main__":
    main()
