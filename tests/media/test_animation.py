"""An animation moves in its renditions as long as that is cheap, and else shows its first frame."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from shared.media import animation
from shared.media.renditions import Rejected, Rendered, check, render
from tests.fixtures import pictures

KINDS = ["GIF", "WEBP", "AVIF"]


def frames(count: int, size: tuple[int, int] = (64, 48)) -> list[Image.Image]:
    return [Image.new("RGB", size, (40 * n % 256, 99, 200 - n)) for n in range(count)]


def saved(images: list[Image.Image], kind: str, **options: object) -> bytes:
    more = {"save_all": True, "append_images": images[1:], "duration": 100} | options
    return pictures.saved(images[0], kind, **more)


def made(content: bytes, sizes: tuple[int, ...] = (32, 320)) -> Rendered:
    return render(BytesIO(content), sizes)


def moving(content: bytes) -> list[bool]:
    return [rendition.animated for rendition in made(content).renditions]


def opened(content: bytes) -> tuple[int, list[int], int]:
    """How many frames, how long each is shown, and how often it is played."""
    with Image.open(BytesIO(content)) as image:
        durations = []
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            image.load()
            durations.append(image.info["duration"])
        return len(durations), durations, image.info["loop"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_animation_moves_in_every_size(kind: str) -> None:
    rendered = made(saved(frames(4), kind, duration=[100, 40, 250, 80], loop=0))
    for rendition, size in zip(rendered.renditions, [(32, 24), (64, 48)], strict=True):
        assert rendition.animated
        assert (rendition.width, rendition.height) == size
        with Image.open(BytesIO(rendition.content)) as image:
            assert (image.format, image.size) == ("WEBP", size)
        assert opened(rendition.content) == (4, [100, 40, 250, 80], 0)


def test_every_frame_is_that_frame() -> None:
    images = frames(5)
    content = made(saved(images, "WEBP", lossless=True)).renditions[1].content
    with Image.open(BytesIO(content)) as image:
        for number, wanted in enumerate(images):
            image.seek(number)
            seen = image.convert("RGB").getpixel((30, 20))
            pairs = zip(seen, wanted.getpixel((0, 0)), strict=True)  # type: ignore[arg-type]
            assert max(abs(a - b) for a, b in pairs) < 9


def test_a_frame_too_short_to_be_seen_is_shown_as_browsers_show_it() -> None:
    content = saved(frames(3), "GIF", duration=[10, 20, 0])
    assert opened(made(content).renditions[0].content)[1] == [100, 20, 100]


def test_a_gif_that_does_not_say_is_played_once() -> None:
    assert opened(made(saved(frames(3), "GIF")).renditions[0].content)[2] == 1
    assert opened(made(saved(frames(3), "GIF", loop=3)).renditions[0].content)[2] == 3


def test_a_clear_background_stays_clear() -> None:
    images = []
    for n in range(3):
        image = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
        image.paste((200, 30, 30, 255), (n * 10, 0, n * 10 + 20, 48))
        images.append(image)
    content = made(saved(images, "GIF", disposal=2)).renditions[1].content
    with Image.open(BytesIO(content)) as image:
        image.seek(2)
        last = image.convert("RGBA")
    assert last.getpixel((5, 20))[3] == 0  # type: ignore[index]
    assert last.getpixel((30, 20))[0] > 180  # type: ignore[index]


@pytest.mark.parametrize("kind", KINDS)
def test_beyond_the_budget_the_first_frame_is_shown(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = saved(frames(6), kind)
    assert moving(content) == [True, True]
    for name, value, wanted in [
        ("MOST_FRAMES", 5, [False, False]),
        ("MOST_PIXELS", 6 * 64 * 48 - 1, [False, False]),
        ("MOST_BYTES", 20, [False, False]),
        ("MOST_ENCODED_PIXELS", 6 * 64 * 48 - 1, [True, False]),
        ("MOST_ENCODED_PIXELS", 6 * 32 * 24 - 1, [False, False]),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(animation, name, value)
            rendered = made(content)
            assert [one.animated for one in rendered.renditions] == wanted, name
            with Image.open(BytesIO(rendered.renditions[1].content)) as image:
                assert getattr(image, "n_frames", 1) == (6 if wanted[1] else 1)
                first = image.convert("RGB").getpixel((9, 9))
                assert abs(first[1] - 99) < 12  # type: ignore[index]
    at_the_limit = {
        "MOST_FRAMES": 6,
        "MOST_PIXELS": 6 * 64 * 48,
        "MOST_ENCODED_PIXELS": 6 * 64 * 48,
    }
    for name, value in at_the_limit.items():
        monkeypatch.setattr(animation, name, value)
    assert moving(content) == [True, True]


def test_what_viewers_would_choke_on_is_refused() -> None:
    content = bytearray(saved(frames(3), "GIF"))
    # The canvas is two bytes each at 6; the frames stay as they are.
    content[6:10] = (20_000).to_bytes(2, "little") + (2_400).to_bytes(2, "little")
    assert check(bytes(content)).frames == 3
    many = bytes(content[:-1]) + content[content.index(b"\x2c") : -1] * 9 + b"\x3b"
    with pytest.raises(Rejected, match="too-many-pixels"):
        check(many)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bytes_in_give_the_same_bytes_out(kind: str) -> None:
    content = saved(frames(5), kind)
    assert made(content) == made(content)


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_an_animation_cut_short_is_truncated(kind: str) -> None:
    content = saved([pictures.photo(64, 48, seed) for seed in range(4)], kind)
    for part in range(1, 20):
        with pytest.raises(Rejected, match="truncated"):
            made(content[: len(content) * part // 20])


@pytest.mark.parametrize("kind", KINDS)
def test_secrets_of_an_animation_stay_in_it(kind: str) -> None:
    exif = Image.Exif()
    exif[0x013B] = "Secret Owner"
    options = {"GIF": {"comment": b"Secret"}, "WEBP": {"exif": exif}, "AVIF": {"exif": exif}}
    content = saved(frames(3), kind, **options[kind])
    assert b"Secret" in content
    for rendition in made(content).renditions:
        assert rendition.animated
        assert b"Secret" not in rendition.content
        assert b"EXIF" not in rendition.content
