"""The commands that look after a deployment, on the whole local cloud."""

from __future__ import annotations

import pytest

from shared.ids import new_id
from tests.fixtures import pictures
from tests.fixtures.stack import Person, Stack, eventually

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]


def command(stack: Stack, name: str, *arguments: str) -> tuple[int, str]:
    done = stack.tool(name, *arguments)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_what_lies_about_is_reported_and_a_young_thing_is_left(
    stack: Stack, person: Person
) -> None:
    medium = person.upload(pictures.saved(pictures.photo(90, 60), "JPEG"))
    eventually(lambda: person.medium(medium)["state"], lambda state: state == "ready")
    bucket = stack.storage.bucket(stack.plan.bucket("media"))
    stray = bucket.blob(f"{new_id()}/1700000000000001")
    stray.upload_from_string(b"x", content_type="image/jpeg")
    _, output = command(stack, "reconcile", "--repair")
    assert stray.name not in output, "it may be about to be named"
    assert stray.exists()
    assert medium not in output


def test_nothing_is_outdated_in_a_fresh_cloud(stack: Stack, person: Person) -> None:
    medium = person.upload(pictures.saved(pictures.photo(90, 60), "JPEG"))
    eventually(lambda: person.medium(medium)["state"], lambda state: state == "ready")
    code, output = command(stack, "reprocess")
    assert code == 0
    assert "0 outdated, 0 made anew" in output


def test_thumbnails_that_somebody_deleted_come_back_to_the_byte(
    stack: Stack, person: Person
) -> None:
    medium = person.upload(pictures.saved(pictures.photo(90, 60), "JPEG"))
    eventually(lambda: person.medium(medium)["state"], lambda state: state == "ready")
    bucket = stack.storage.bucket(stack.plan.bucket("renditions"))

    def standing() -> dict[str, str]:
        return {one.name: one.crc32c for one in bucket.list_blobs(prefix=f"{medium}/")}

    before = standing()
    assert len(before) == 3
    for name in before:
        bucket.delete_blob(name)
    # The job of every minute may be first; then there is nothing left to tell of here.
    command(stack, "reconcile", "--repair")
    assert eventually(standing, lambda names: len(names) == 3) == before
