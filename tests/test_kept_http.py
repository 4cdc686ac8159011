"""Kept connections: each answer is its request's, whole and in time, or it is none."""

from __future__ import annotations

import datetime
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from socket import create_server, socket

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.kept_http import KeptHTTP, NoAnswer
from tests.fixtures.emulated import free_port

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Talk = Callable[[socket], None]
"""What the server does with one connection, before it is closed."""


class Server:
    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.connections = 0
        self.requests: list[bytes] = []
        self.ended = threading.Event()

    def takes(self, stream: socket) -> bool:
        """Reads one request whole; False when the client closed instead."""
        got = b""
        while b"\r\n\r\n" not in got:
            if not (piece := stream.recv(65536)):
                return False
            got += piece
        head, _, body = got.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += stream.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return True


@contextmanager
def serving(talk: Callable[[Server, socket], None]) -> Iterator[Server]:
    with create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(32) as threads:
        server = Server(listener.getsockname()[1])

        def one(stream: socket) -> None:
            with stream:
                # A client that keeps its connection must not keep the test from ending.
                stream.settimeout(5)
                try:
                    talk(server, stream)
                except OSError:
                    return

        def accept() -> None:
            while True:
                stream, _ = listener.accept()
                if server.ended.is_set():
                    stream.close()
                    return
                server.connections += 1
                threads.submit(one, stream)

        accepting = threads.submit(accept)
        try:
            yield server
        finally:
            server.ended.set()
            with socket() as knock:
                knock.connect(("127.0.0.1", server.port))
            accepting.result(5)


def answering(*answers: bytes) -> Callable[[Server, socket], None]:
    """To each request of a connection the next answer, and then it is closed."""

    def talk(server: Server, stream: socket) -> None:
        for answer in answers:
            if not server.takes(stream):
                return
            stream.sendall(answer)

    return talk


@contextmanager
def calling(url: str, keep: int = 8) -> Iterator[Callable[..., tuple[int, bytes]]]:
    kept = KeptHTTP(url, keep)

    def call(body: bytes = b"x", whole: float = 5.0, **headers: str) -> tuple[int, bytes]:
        return kept.post("/p", body, headers, connect=5.0, whole=whole)

    try:
        yield call
    finally:
        kept.close()


def test_many_requests_go_over_one_connection_as_they_were_written() -> None:
    with serving(answering(OK, OK, OK)) as server, calling(server.url) as call:
        assert [call(b'{"a":1}', Name="value") for _ in range(3)] == [(200, b"ok")] * 3
    assert server.connections == 1
    host = server.url.removeprefix("http://").encode()
    wanted = b"POST /p HTTP/1.1\r\nHost: %b\r\nName: value\r\nContent-Length: 7\r\n\r\n" % host
    assert server.requests == [wanted + b'{"a":1}'] * 3


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (b"HTTP/1.1 503 Try again\r\ncontent-length:4\r\n\r\nlate", (503, b"late")),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", (200, b"")),
        (b"HTTP/1.1 204 None\r\n\r\n", (204, b"")),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
            (200, b"abc0123456789"),
        ),
    ],
)
def test_an_answer_is_read_whole_however_it_is_cut_on_the_way(
    answer: bytes, wanted: tuple[int, bytes]
) -> None:
    def talk(server: Server, stream: socket) -> None:
        server.takes(stream)
        for byte in answer:
            stream.sendall(bytes([byte]))
        server.takes(stream)
        stream.sendall(OK)

    with serving(talk) as server, calling(server.url) as call:
        assert call() == wanted
        assert call() == (200, b"ok")
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"8\r\n12345678\r\n" * 9_000,
        b"SSH-2.0-OpenSSH\r\n",
    ],
)
def test_what_is_no_whole_answer_is_none_and_ends_its_connection(answer: bytes) -> None:
    def talk(server: Server, stream: socket) -> None:
        server.takes(stream)
        stream.sendall(answer if server.connections == 1 else OK)

    with serving(talk) as server, calling(server.url) as call:
        with pytest.raises(NoAnswer):
            call()
        assert len(server.requests) == 1
        assert call() == (200, b"ok")
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        OK + OK,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_the_next_answer_is_never_what_was_left_of_the_last(answer: bytes) -> None:
    with serving(answering(answer, OK)) as server, calling(server.url) as call:
        assert call() == call() == (200, b"ok")
    assert server.connections == 2


def test_what_arrives_between_two_requests_answers_neither() -> None:
    sent = threading.Event()

    def talk(server: Server, stream: socket) -> None:
        server.takes(stream)
        stream.sendall(OK)
        if server.connections == 1:
            stream.sendall(b"HTTP/1.1 500 Planted\r\nContent-Length: 0\r\n\r\n")
            sent.set()

    with serving(talk) as server, calling(server.url) as call:
        assert call() == (200, b"ok")
        assert sent.wait(5)
        assert call() == (200, b"ok")


def test_a_connection_closed_while_it_was_idle_costs_no_request() -> None:
    closed = threading.Event()

    def talk(server: Server, stream: socket) -> None:
        server.takes(stream)
        stream.sendall(OK)
        stream.close()
        closed.set()

    with serving(talk) as server, calling(server.url) as call:
        for _ in range(3):
            assert call() == (200, b"ok")
            assert closed.wait(5)
            closed.clear()
    assert len(server.requests) == 3


def test_the_whole_time_is_bounded_for_an_answer_that_drips_too() -> None:
    def talk(server: Server, stream: socket) -> None:
        server.takes(stream)
        stream.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not server.ended.wait(0.02):
            stream.sendall(b"y")

    expected = pytest.raises(NoAnswer, match="time")
    with serving(talk) as server, calling(server.url) as call, expected:
        call(whole=0.2)


def test_a_host_that_is_not_there_or_hangs_is_told() -> None:
    with calling(f"http://127.0.0.1:{free_port()}") as call, pytest.raises(NoAnswer):
        call()

    def hang(server: Server, _: socket) -> None:
        server.ended.wait(5)

    expected = pytest.raises(NoAnswer)
    with serving(hang) as server, calling(server.url) as call, expected:
        call(whole=0.1)


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\n", "ü", "\x00"])
def test_a_header_cannot_start_another_one(value: str) -> None:
    refused = pytest.raises(ValueError, match="control or non-ASCII")
    with serving(answering(OK)) as server, calling(server.url) as call, refused:
        call(Authorization=value)
    assert server.connections == 0


def test_parallel_callers_get_their_own_answers_and_few_connections_are_kept() -> None:
    together = threading.Barrier(6)

    def echo(server: Server, stream: socket) -> None:
        # Its own list, so that what one thread reads is not another's.
        own = Server(server.port)
        together.wait(5)
        while own.takes(stream):
            body = own.requests[-1].rpartition(b"\r\n\r\n")[2]
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    with serving(echo) as server, calling(server.url, keep=2) as call:
        bodies = [str(number).encode() * 50 for number in range(6)]
        with ThreadPoolExecutor(6) as threads:
            answers = list(threads.map(call, bodies))
        assert answers == [(200, body) for body in bodies]
        assert server.connections == 6
        assert call(b"again") == call(b"again") == (200, b"again")
        assert server.connections == 6


def certificate(folder: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.mark.parametrize(
    ("name", "trusted", "passes"),
    [("localhost", True, True), ("localhost", False, False), ("other.test", True, False)],
)
def test_only_the_host_itself_is_spoken_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, trusted: bool, passes: bool
) -> None:
    pem = certificate(tmp_path, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))

    def talk(server: Server, stream: socket) -> None:
        with context.wrap_socket(stream, server_side=True) as secret:
            answering(OK, OK)(server, secret)

    with serving(talk) as server, calling(f"https://localhost:{server.port}") as call:
        if passes:
            assert call() == call() == (200, b"ok")
            assert server.connections == 1
        else:
            with pytest.raises(NoAnswer, match="certificate verify failed"):
                call()
            assert server.requests == []


def test_an_address_that_is_none_is_refused_at_once() -> None:
    for origin in ("localhost:80", "ftp://host", "https://"):
        with pytest.raises(ValueError, match="not an origin"):
            KeptHTTP(origin, 1)
