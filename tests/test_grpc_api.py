"""Bare messages, bounded tries and channels that know whose they are."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest

from shared import grpc_api
from shared.errors import Unavailable
from shared.grpc_api import Tries, make_channel, messages, streamed, unary
from tests.fixtures.emulated import free_port

LOADED = """
import sys
{first}
from shared.grpc_api import messages
document = messages("google.cloud.firestore_v1", "document")
{last}
"""
FULL = "import google.cloud.firestore; from google.cloud.firestore_v1 import types"


def interpreter(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("", "print('google.cloud.firestore_v1.client' in sys.modules)"),
        ("", f"{FULL}; print(types.Document is not document.Document)"),
        (FULL, "print(types.Document is not document.Document)"),
    ],
    ids=["alone", "before the library", "after the library"],
)
def test_messages_come_without_the_client_and_are_the_librarys_own(first: str, last: str) -> None:
    assert interpreter(LOADED.format(first=first, last=last)).strip() == "False"


def test_a_package_that_is_not_there_is_told_and_leaves_nothing() -> None:
    with pytest.raises(ModuleNotFoundError):
        messages("google.cloud.nothing_v1", "document")
    assert not [name for name in sys.modules if "nothing_v1" in name]


# Tries


class Failure(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


class Clock:
    """Sleeping and working move it; nothing waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(grpc_api.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(grpc_api.time, "sleep", self.pass_by)

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


def test_tries_end_with_the_budget_however_long_each_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for work in (0.0, 0.3, 1.0):
        clock = Clock(monkeypatch)
        given = []
        for left in Tries(2.5, 1.0):
            given.append(left)
            clock.pass_by(min(work, left))
        assert clock.now == pytest.approx(2.5)
        assert 2 <= len(given) < 20
        assert max(given) <= 1.0


def test_a_first_try_is_always_given(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    assert next(iter(Tries(2.5, 1.0))) == 1.0


def test_only_what_may_pass_is_tried_again() -> None:
    tries = Tries(1, 1)
    for code in grpc.StatusCode:
        failure = Failure(code)
        if code in grpc_api._TRANSIENT:
            tries.note(failure)
        else:
            with pytest.raises(Failure):
                tries.note(failure)
    assert tries.ambiguous
    for code in ("PERMISSION_DENIED", "UNAUTHENTICATED", "INVALID_ARGUMENT", "NOT_FOUND"):
        assert grpc.StatusCode[code] not in grpc_api._TRANSIENT


# Channels


class Tokens:
    def __init__(self, fail: bool) -> None:
        self.fail = fail

    def token(self) -> str:
        if self.fail:
            raise Unavailable
        return "secret"


@pytest.mark.parametrize("fail", [False, True])
def test_a_call_carries_the_accounts_token_or_a_failure(fail: bool) -> None:
    given: list[tuple[object, object]] = []
    grpc_api._Authorization(Tokens(fail))(None, lambda *answer: given.append(answer))
    ((metadata, error),) = given
    if fail:
        assert isinstance(error, Unavailable)
        assert metadata == ()
    else:
        assert (metadata, error) == ((("authorization", "Bearer secret"),), None)


def test_an_emulator_is_spoken_to_without_any_token(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_tokens() -> None:
        raise AssertionError("an emulator asks for no token")

    monkeypatch.setattr(grpc_api, "MetadataTokens", no_tokens)
    monkeypatch.setenv("SOME_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    channel = make_channel("real.googleapis.com:443", "SOME_EMULATOR_HOST")
    document = messages("google.cloud.firestore_v1", "document").Document.pb()
    with pytest.raises(grpc.RpcError) as failed:
        unary(channel, "/a.B/C", document)(document(), timeout=0.5)
    assert failed.value.code() in grpc_api._TRANSIENT
    channel.close()


class Echo(grpc.GenericRpcHandler):
    """Answers every call with its request twice; notes the threads of this process meanwhile."""

    def __init__(self) -> None:
        self.threads: list[set[str]] = []

    def service(self, details: object) -> grpc.RpcMethodHandler:
        return grpc.unary_stream_rpc_method_handler(self._answer)

    def _answer(self, request: bytes, context: object) -> Iterator[bytes]:
        self.threads.append({thread.name for thread in threading.enumerate()})
        return iter([request, request])


@contextmanager
def serving(handler: Echo) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2), handlers=[handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait(10)


@pytest.mark.emulated
def test_a_streamed_answer_needs_no_thread_but_the_callers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """gRPC's own thread forgets calls to a server that goes away; see the channel's options."""
    document = messages("google.cloud.firestore_v1", "document").Document.pb()
    handler = Echo()
    with serving(handler) as address:
        monkeypatch.setenv("SOME_EMULATOR_HOST", address)
        before = {thread.name for thread in threading.enumerate()}
        channel = make_channel("real.googleapis.com:443", "SOME_EMULATOR_HOST")
        answers = list(streamed(channel, "/a.B/C", document)(document(name="one"), timeout=10))
        channel.close()
    assert [answer.name for answer in answers] == ["one", "one"]
    (during,) = handler.threads
    assert {name for name in during - before if "ThreadPoolExecutor" not in name} == set()
