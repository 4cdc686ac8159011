"""The router as its handlers and its callers see it, directly and behind the framework."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Annotated, Any

import functions_framework
import pytest
from flask import Request, Response
from werkzeug.test import EnvironBuilder, run_wsgi_app

from shared.errors import Conflict, TooManyRequests, Unauthenticated
from shared.http import App, Header, Model, Principal, Reply, Routes, UploadedFile, etag_matches

ORIGIN = "https://app.example"
CAP = 1000


class Draft(Model):
    title: str
    due_at: str | None = None
    weight: int = 1


class Filter(Model):
    limit: int = 20
    label: tuple[str, ...] = ()
    done: bool | None = None
    due_from: str | None = None


class Note(Model):
    text: str


class Seen(Model):
    value: str


class Tokens:
    def authenticate(self, bearer: str) -> Principal:
        if bearer != "good":
            raise Unauthenticated
        return Principal("ada", "s1")


def table() -> Routes:
    routes = Routes(tag="things")

    @routes.get("/")
    def find(query: Filter) -> Seen:
        """Find things."""
        return Seen(value=repr((query.limit, query.label, query.done)))

    @routes.post("/", status=201)
    def create(body: Draft, caller: Principal) -> Reply[Draft]:
        """Create a thing."""
        return Reply(body, etag='"1"', headers={"Location": "/api/things/1"})

    @routes.post("/maybe")
    def maybe(body: Draft | None = None) -> Seen:
        return Seen(value="nothing" if body is None else body.title)

    @routes.post("/upload", max_body=100_000)
    def upload(file: UploadedFile) -> Seen:
        return Seen(value=f"{file.filename}|{file.content_type}|{file.size}")

    @routes.post("/noted", max_body=100_000)
    def noted(file: UploadedFile, form: Note) -> Seen:
        return Seen(value=form.text + file.stream.read().decode())

    @routes.get("/header")
    def header(wait: Annotated[int | None, Header("X-Wait")] = None) -> Seen:
        return Seen(value=str(wait))

    @routes.get("/split")
    def split() -> Reply[Seen]:
        return Reply(Seen(value=""), headers={"X-Name": "a\r\nSet-Cookie: b=c"})

    @routes.get("/busy")
    def busy() -> Seen:
        raise TooManyRequests(retry_after=7)

    @routes.get("/broken")
    def broken() -> Seen:
        raise RuntimeError("the password is hunter2")

    @routes.get("/<thing_id>", errors=(Conflict,))
    def read(thing_id: str) -> Reply[Seen]:
        return Reply(Seen(value=thing_id), etag='"v1"')

    @routes.get("/<thing_id>/download", status=302)
    def download(thing_id: str) -> Reply[None]:
        return Reply(None, headers={"Location": "https://x/y", "Cache-Control": "private"})

    @routes.delete("/<thing_id>")
    def delete(thing_id: str, caller: Principal) -> None:
        """Delete a thing."""

    return routes


APP = App(
    "things",
    table(),
    authenticator=Tokens(),
    allowed_origins=(ORIGIN,),
    max_body=CAP,
    project="p",
)


def call(method: str, path: str, **options: Any) -> Response:
    headers = {"Authorization": "Bearer good", **options.pop("headers", {})}
    environ = EnvironBuilder(path, method=method, headers=headers, **options).get_environ()
    environ["wsgi.input_terminated"] = True
    return APP(Request(environ))


def call_raw(path_info: str, raw: str, method: str = "GET", **environ: Any) -> Response:
    base = EnvironBuilder("/", method=method).get_environ()
    base.update(PATH_INFO=path_info, RAW_URI=raw, REQUEST_URI=raw, **environ)
    return APP(Request(base))


def post_json(body: bytes, path: str = "/", content_type: str = "application/json") -> Response:
    return call("POST", path, data=body, content_type=content_type)


def problem_of(answer: Response) -> dict[str, Any]:
    assert answer.content_type == "application/problem+json"
    document: dict[str, Any] = json.loads(answer.get_data())
    assert document["status"] == answer.status_code
    return document


def test_a_handler_gets_what_its_signature_says() -> None:
    answer = post_json(b'{"title":"x","dueAt":"soon"}')
    assert (answer.status_code, answer.headers["Location"]) == (201, "/api/things/1")
    assert json.loads(answer.get_data()) == {"title": "x", "dueAt": "soon", "weight": 1}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 422),
        (b'{"title":1}', 422),
        (b'{"title":"x","weight":"1"}', 422),
        (b'{"title":"x","due_at":"snake"}', 422),
        (b'{"title":"x","owner":"eve"}', 422),
        (b'{"title":"x","title":"y"}', 400),
        (b'{"title":"x","weight":NaN}', 400),
        (b'{"title":"\xff"}', 400),
        (b'\xef\xbb\xbf{"title":"x"}', 400),
        (b'{"title":"\\ud800"}', 400),
        (b'{"title":"x","weight":' + b"9" * 500 + b"}", 400),
        (b"[" * 900, 400),
    ],
)
def test_a_body_that_is_not_the_model_is_refused(body: bytes, status: int) -> None:
    assert problem_of(post_json(body))["status"] == status


def test_a_refusal_points_at_the_field_and_never_repeats_the_value() -> None:
    answer = post_json(b'{"title":12345678,"a/b":1}')
    pointers = [error["pointer"] for error in problem_of(answer)["errors"]]
    assert pointers == ["/title", "/a~1b"]
    assert b"12345678" not in answer.get_data()


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"],
)
def test_another_media_type_is_415(content_type: str) -> None:
    assert post_json(b'{"title":"x"}', content_type=content_type).status_code == 415


def test_a_charset_that_says_utf8_is_taken() -> None:
    answer = post_json(b'{"title":"x"}', content_type='Application/JSON; charset="UTF-8"')
    assert answer.status_code == 201


def test_a_compressed_body_is_never_inflated() -> None:
    answer = call("POST", "/", json={"title": "x"}, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415


class Untouchable(io.RawIOBase):
    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise AssertionError("the body was read")


class Counting(io.RawIOBase):
    """An endless body that knows how much of it was taken."""

    taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.taken += len(buffer)
        buffer[:] = b" " * len(buffer)
        return len(buffer)


def streamed(stream: Any, **environ: Any) -> Response:
    return call_raw(
        "/",
        "/",
        "POST",
        **{"wsgi.input": stream, "wsgi.input_terminated": True},
        HTTP_AUTHORIZATION="Bearer good",
        CONTENT_TYPE="application/json",
        **environ,
    )


def test_a_declared_length_over_the_cap_is_refused_unread() -> None:
    assert streamed(Untouchable(), CONTENT_LENGTH=str(CAP + 1)).status_code == 413


def test_an_endless_chunked_body_is_read_to_one_byte_over_the_cap() -> None:
    stream = Counting()
    assert streamed(stream, HTTP_TRANSFER_ENCODING="chunked").status_code == 413
    assert stream.taken == CAP + 1


@pytest.mark.parametrize("length", ["500", "-1", "1e3", "٣"])
def test_a_content_length_that_lies_is_400(length: str) -> None:
    stream = io.BytesIO(b'{"title":"x"}')
    assert streamed(stream, CONTENT_LENGTH=length).status_code == 400


def test_a_content_length_below_the_body_cuts_it_off() -> None:
    environ = EnvironBuilder("/", method="POST", json={"title": "x"}).get_environ()
    environ.update(CONTENT_LENGTH="5", HTTP_AUTHORIZATION="Bearer good")
    assert APP(Request(environ)).status_code == 400


def test_nobody_unknown_gets_a_body_read() -> None:
    answer = call_raw("/", "/", "POST", **{"wsgi.input": Untouchable()}, CONTENT_LENGTH="5")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["good", "Basic good", "Bearer a b", "Bearer " + "x" * 5000])
def test_a_bearer_header_of_another_shape_is_401(header: str) -> None:
    assert call("DELETE", "/x", headers={"Authorization": header}).status_code == 401


def test_a_body_that_may_be_left_out_may_be_left_out() -> None:
    assert json.loads(call("POST", "/maybe").get_data()) == {"value": "nothing"}
    assert json.loads(post_json(b'{"title":"x"}', "/maybe").get_data()) == {"value": "x"}


def test_a_list_in_the_query_comes_by_repetition() -> None:
    answer = call("GET", "/?limit=5&label=a&label=%C3%A9&done=true")
    assert json.loads(answer.get_data())["value"] == "(5, ('a', 'é'), True)"


@pytest.mark.parametrize(
    "query",
    [
        "limit=1&limit=2",
        "offset=1",
        "due_from=x",
        "limit=",
        "limit=x",
        "limit=1.0",
        "limit= 1",
        "limit=1_0",
        "limit=%D9%A3",
        "done=yes",
    ],
)
def test_a_query_that_is_not_the_model_is_422(query: str) -> None:
    assert problem_of(call("GET", f"/?{query}"))["errors"]


def test_a_query_that_cannot_be_read_is_400() -> None:
    assert call_raw("/", "/?label=%ff", QUERY_STRING="label=%ff").status_code == 400
    assert call("GET", "/?" + "label=a&" * 100).status_code == 400


def test_a_typed_header_is_checked() -> None:
    assert json.loads(call("GET", "/header", headers={"X-Wait": "3"}).get_data())["value"] == "3"
    answer = call("GET", "/header", headers={"X-Wait": "3; x"})
    assert problem_of(answer)["errors"][0]["pointer"] == "/X-Wait"
    assert call("GET", "/header", headers={"X-Wait": "9" * 100_000}).status_code == 422


@pytest.mark.parametrize(
    ("path_info", "raw"),
    [
        ("/\xff", "/%ff"),
        ("/\xc3", "/%c3"),
        ("/a\x00", "/a%00"),
        ("/a/download", "/a%2Fdownload"),
        ("/a/download", "/a%2fdownload?x"),
        ("/..", "/%2e%2e"),
        ("/a/../download", "/a/../download"),
        ("//a", "//a"),
        ("/a\\b", "/a%5Cb"),
        ("/a\r\nb", "/a%0d%0ab"),
        ("/a/", "/a/"),
        ("a", "a"),
    ],
)
def test_a_path_with_two_readings_is_404(path_info: str, raw: str) -> None:
    assert problem_of(call_raw(path_info, raw))["type"] == "/problems/not-found"


def test_an_empty_path_is_the_root() -> None:
    assert call_raw("", "").status_code == 200


def test_a_known_path_with_another_method_says_what_it_takes() -> None:
    answer = call("PUT", "/x")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "DELETE, GET, HEAD, OPTIONS")
    assert call("BREW", "/x").status_code == 405
    assert call("PUT", "/x/y/z").status_code == 404


@pytest.mark.parametrize(("path", "status"), [("/x", 200), ("/x/y/z", 404), ("/broken", 500)])
def test_head_is_get_without_the_body(path: str, status: int) -> None:
    head, get = call("HEAD", path), call("GET", path)
    assert (head.status_code, head.get_data()) == (status, b"")
    assert abs(int(head.headers["Content-Length"]) - len(get.get_data())) == 0


def test_an_answer_that_may_have_no_body_claims_no_length() -> None:
    """A client that keeps the connection would wait for the body, or read the next answer as it
    (RFC 9110, 8.6)."""
    for answer in (
        call("DELETE", "/x"),
        call("OPTIONS", "/x"),
        call("GET", "/x", headers={"If-None-Match": '"v1"'}),
        call("HEAD", "/x", headers={"If-None-Match": '"v1"'}),
    ):
        assert answer.status_code in (204, 304)
        assert "Content-Length" not in answer.headers
    assert call("PUT", "/x").headers["Content-Length"] != "0"


def test_what_the_client_has_is_not_sent_again() -> None:
    for header in ('"v1"', 'W/"v1"', '"v0", "v1"', "*"):
        answer = call("GET", "/x", headers={"If-None-Match": header})
        assert (answer.status_code, answer.get_data()) == (304, b"")
        assert "Content-Type" not in answer.headers
    assert call("GET", "/x", headers={"If-None-Match": '"v2"'}).status_code == 200


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        ('"v1"', True),
        ('"v0" , "v1"', True),
        ("*", True),
        ('W/"v1"', False),
        ("v1", False),
        ('"v1" junk', False),
        ('"v1', False),
        ("", False),
    ],
)
def test_if_match_compares_strongly(header: str, matches: bool) -> None:
    assert etag_matches(header, '"v1"') is matches
    assert not etag_matches(header, 'W/"v1"') or header == "*"


def test_an_allowed_origin_may_read_and_preflight() -> None:
    answer = call("GET", "/x", headers={"Origin": ORIGIN})
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
    preflight = call(
        "OPTIONS", "/x", headers={"Origin": ORIGIN, "Access-Control-Request-Method": "DELETE"}
    )
    assert preflight.status_code == 204
    assert "DELETE" in preflight.headers["Access-Control-Allow-Methods"]
    assert "If-Match" in preflight.headers["Access-Control-Allow-Headers"]
    assert preflight.headers["Access-Control-Max-Age"] == "3600"


@pytest.mark.parametrize("origin", ["null", "*", "https://app.example.evil", "http://app.example"])
def test_another_origin_gets_no_cors_header_at_all(origin: str) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "DELETE"}
    for method in ("GET", "OPTIONS"):
        answer = call(method, "/x", headers=headers)
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
        assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("origin", ["*", "null", "https://*.example", "https://a.example/"])
def test_an_allow_list_holds_exact_origins_only(origin: str) -> None:
    with pytest.raises(ValueError, match="not an origin"):
        App("things", Routes(tag="t"), allowed_origins=(origin,))


def test_options_for_an_unknown_path_is_404_and_readable_by_the_page() -> None:
    answer = call("OPTIONS", "/x/y/z", headers={"Origin": ORIGIN})
    assert answer.status_code == 404
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize("path", ["/x", "/x/y/z", "/broken", "/health", "/x/download"])
def test_every_answer_carries_the_security_headers(path: str) -> None:
    headers = call("GET", path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Strict-Transport-Security"].startswith("max-age=")
    assert headers["Cache-Control"] == ("private" if path == "/x/download" else "no-store")


def test_a_well_formed_request_id_is_kept_and_another_replaced() -> None:
    kept = call("GET", "/health", headers={"X-Request-Id": "abc-123.DEF"})
    assert kept.headers["X-Request-Id"] == "abc-123.DEF"
    for sent in ("short", "a" * 65, "<script>alert</script>", 'x"x"x"x"x'):
        answer = call("GET", "/health", headers={"X-Request-Id": sent})
        assert answer.headers["X-Request-Id"] != sent


def test_a_reply_cannot_start_another_header() -> None:
    for value in ("a\r\nb", "a\nb", "a\x00", "é"):
        with pytest.raises(ValueError, match="X-Name"):
            Reply(None, headers={"X-Name": value})
    with pytest.raises(ValueError, match="entity tag"):
        Reply(None, etag='"a\r\n"')
    assert call("GET", "/split").status_code == 500


def test_a_domain_error_keeps_its_headers() -> None:
    answer = call("GET", "/busy")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")


def log_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_what_nobody_foresaw_is_logged_whole_and_answered_without_detail(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = call("GET", "/broken", headers={"Traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    assert (answer.status_code, b"hunter2" in answer.get_data()) == (500, False)
    failure, access = log_lines(capsys)
    assert "RuntimeError" in failure["stack_trace"]
    assert failure["logging.googleapis.com/trace"] == f"projects/p/traces/{'a' * 32}"
    assert failure["requestId"] == access["requestId"] == answer.headers["X-Request-Id"]


def test_the_access_line_names_the_template_and_nothing_of_the_user(
    capsys: pytest.CaptureFixture[str],
) -> None:
    call("GET", "/secret-id?token=secret-query", headers={"X-Cloud-Trace-Context": "c" * 32})
    call("secret-method\n", "/secret-path/y/z")
    text = capsys.readouterr().out
    first, second = (json.loads(line) for line in text.splitlines())
    assert (first["method"], first["route"], first["status"]) == ("GET", "/<thing_id>", 200)
    assert (second["method"], second["route"]) == ("OTHER", "unmatched")
    assert "secret" not in text
    assert "good" not in text


def multipart(*parts: bytes, end: bytes = b"--B--\r\n") -> bytes:
    return b"".join(b"--B\r\n" + part + b"\r\n" for part in parts) + end


def part(name: str, data: bytes, filename: str | None = None) -> bytes:
    tail = f'; filename="{filename}"' if filename is not None else ""
    return f'Content-Disposition: form-data; name="{name}"{tail}\r\n\r\n'.encode() + data


def upload(body: bytes, path: str = "/upload", boundary: str = "B") -> Response:
    return post_json(body, path, f"multipart/form-data; boundary={boundary}")


def test_a_file_comes_as_the_client_named_it() -> None:
    answer = upload(multipart(part("file", b"\r\n--" * 9000, "../../é.png")))
    assert json.loads(answer.get_data())["value"] == "../../é.png|application/octet-stream|36000"


def test_text_fields_come_beside_the_file() -> None:
    answer = upload(multipart(part("text", b"note "), part("file", b"data", "f")), "/noted")
    assert json.loads(answer.get_data())["value"] == "note data"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (multipart(), 422),
        (multipart(part("other", b"x", "f")), 422),
        (multipart(part("file", b"no file name")), 422),
        (multipart(part("file", b"x", "f"), part("file", b"y", "f")), 422),
        (multipart(part("file", b"x", "f"), part("extra", b"y")), 422),
        (multipart(part("file", b"x", "f"), end=b""), 400),
        (b"not multipart at all", 400),
        (multipart(b"X-Nothing: 1\r\n\r\ndata"), 400),
        (multipart(b"Content-Disposition: form-data\r\n\r\ndata"), 400),
        (multipart(b"\xff\xfe: x\r\n\r\ndata"), 400),
        (multipart(*[part(f"f{n}", b"", "f") for n in range(20)]), 400),
        (multipart(part("text", b"x" * 20_000)), 413),
        (multipart(part("file", b"x" * 100_000, "f")), 413),
    ],
)
def test_a_form_that_is_not_the_signature_is_refused(body: bytes, status: int) -> None:
    assert problem_of(upload(body))["status"] == status


@pytest.mark.parametrize("boundary", ["", "x" * 71])
def test_a_boundary_outside_the_standard_is_400(boundary: str) -> None:
    assert upload(multipart(part("file", b"x", "f")), boundary=boundary).status_code == 400


def test_a_form_without_a_body_is_400() -> None:
    content_type = "multipart/form-data; boundary=B"
    assert call_raw("/upload", "/upload", "POST", CONTENT_TYPE=content_type).status_code == 400


def test_json_where_a_file_belongs_is_415() -> None:
    assert post_json(b"{}", "/upload").status_code == 415


@pytest.fixture
def framework(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    source = tmp_path / "main.py"
    source.write_text(
        "import functions_framework\n"
        "from test_router import Tokens, table\n"
        "from shared.http import App\n"
        "app = App('things', table(), authenticator=Tokens(), max_body=1000)\n"
        "@functions_framework.http\n"
        "def things(request):\n"
        "    return app(request)\n"
    )
    return functions_framework.create_app("things", str(source), "http")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "", 200),
        ("GET", "/x/y/z", 404),
        ("PUT", "/robots.txt", 405),
        ("GET", "/favicon.ico", 200),
        ("GET", "//", 404),
        ("GET", "//evil.example/..", 404),
        ("GET", "/\xff", 404),
        ("TRACE", "/health", 405),
        ("BREW", "/health", 405),
        ("GET", "/broken", 500),
    ],
)
def test_no_page_of_the_framework_ever_shows(
    framework: Any, method: str, path: str, status: int
) -> None:
    environ = EnvironBuilder("/", method=method).get_environ()
    environ.update(PATH_INFO=path, RAW_URI=path, REQUEST_URI=path)
    body, line, headers = run_wsgi_app(framework, environ)
    text = b"".join(body)
    assert line.startswith(str(status))
    assert headers["Content-Type"] in ("application/json", "application/problem+json")
    assert b"<" not in text or status == 200
    assert headers["X-Request-Id"]


def test_the_framework_does_not_read_a_refused_body_into_memory(framework: Any) -> None:
    stream = Counting()
    environ = EnvironBuilder("/", method="POST").get_environ()
    environ.update({"wsgi.input": stream, "wsgi.input_terminated": True})
    environ.update(HTTP_AUTHORIZATION="Bearer good", CONTENT_TYPE="application/json")
    environ.update(HTTP_TRANSFER_ENCODING="chunked")
    _, line, _ = run_wsgi_app(framework, environ)
    assert line.startswith("413")
    assert stream.taken == CAP + 1
