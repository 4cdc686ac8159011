"""Fills a handler's parameters from one request, by closures made at registration."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from pydantic import ValidationError

from shared.errors import Invalid, MalformedRequest, UnsupportedMediaType
from shared.http.incoming import Incoming
from shared.http.json import loads
from shared.http.model import Authenticator, Model, SessionCheck
from shared.http.multipart import Form, read_boundary, read_form
from shared.http.signature import HeaderParameter, Signature
from shared.http.source import source_of
from shared.http.validation import invalid, validate_json

Values = dict[str, Any]
Binder = Callable[[Incoming, Values, ExitStack], None]


def make_binders(
    signature: Signature,
    authenticator: Authenticator | None,
    sessions: SessionCheck | None = None,
    proxies: int = 0,
) -> tuple[Binder, ...]:
    """In the order of the checks: caller, headers, query, body."""
    binders: list[Binder] = []
    if signature.source:
        binders.append(_bind_source(signature.source, proxies))
    if signature.caller:
        if authenticator is None:
            raise TypeError("a route asks for a Principal but the App has no authenticator")
        binders.append(_bind_caller(signature.caller, authenticator, sessions))
    binders += [_bind_header(header) for header in signature.headers]
    binders += [_bind_cookie(parameter, name) for parameter, name in signature.cookies]
    if signature.query:
        name, fields = signature.query
        binders.append(lambda inc, values, _: values.__setitem__(name, fields.read(inc.query())))
    if signature.body:
        binders.append(_bind_json(*signature.body, signature.body_optional))
    elif signature.is_multipart:
        binders.append(_bind_form(signature))
    return tuple(binders)


def _bind_caller(name: str, authenticator: Authenticator, sessions: SessionCheck | None) -> Binder:
    def bind(incoming: Incoming, values: Values, _: ExitStack) -> None:
        caller = authenticator.authenticate(incoming.bearer())
        if sessions is not None:
            sessions.check(caller)
        values[name] = caller

    return bind


def _bind_cookie(parameter: str, name: str) -> Binder:
    def bind(incoming: Incoming, values: Values, _: ExitStack) -> None:
        text = incoming.cookie(name)
        if text is not None:
            values[parameter] = text

    return bind


def _bind_source(name: str, proxies: int) -> Binder:
    def bind(incoming: Incoming, values: Values, _: ExitStack) -> None:
        values[name] = source_of(incoming.environ, proxies)

    return bind


def _bind_header(header: HeaderParameter) -> Binder:
    key, name, adapter, pointer = header.key, header.parameter, header.adapter, f"/{header.name}"

    def bind(incoming: Incoming, values: Values, _: ExitStack) -> None:
        text = incoming.header(key)
        if text is None:
            if header.required:
                raise Invalid(errors=[{"pointer": pointer, "message": "Header required"}])
        elif adapter is None:
            values[name] = text
        else:
            try:
                values[name] = adapter.validate_python(text)
            except ValidationError as error:
                raise invalid(error, pointer) from None

    return bind


def _bind_json(name: str, model: type[Model], optional: bool) -> Binder:
    def bind(incoming: Incoming, values: Values, _: ExitStack) -> None:
        if optional and not incoming.has_body():
            return
        incoming.check_size()
        _check_json_type(incoming)
        body = incoming.read()
        # Only for its refusals: pydantic reads the bytes again, faster and as typed JSON.
        loads(body)
        values[name] = validate_json(model, body)

    return bind


def _check_json_type(incoming: Incoming) -> None:
    content_type = incoming.environ.get("CONTENT_TYPE", "")
    if content_type != "application/json":
        media_type, _, options = content_type.lower().partition(";")
        charset = options.replace(" ", "").replace('"', "")
        if media_type.strip() != "application/json" or charset not in ("", "charset=utf-8"):
            raise UnsupportedMediaType("Send application/json in UTF-8.")
    _check_encoding(incoming)


def _check_encoding(incoming: Incoming) -> None:
    # Nothing here inflates: a compressed body could be a thousand times its capped size.
    if incoming.environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the body without Content-Encoding.")


def _bind_form(signature: Signature) -> Binder:
    def bind(incoming: Incoming, values: Values, resources: ExitStack) -> None:
        incoming.check_size()
        boundary = read_boundary(incoming.environ.get("CONTENT_TYPE"))
        _check_encoding(incoming)
        if not incoming.has_body():
            raise MalformedRequest("The multipart body is empty.")
        form = Form()
        resources.callback(form.close)
        read_form(boundary, incoming.chunks(), form)
        _take_files(signature, form, values)
        if signature.form:
            name, fields = signature.form
            values[name] = fields.read(form.fields)
        elif form.fields:
            raise _unknown(form.fields[0][0])

    return bind


def _take_files(signature: Signature, form: Form, values: Values) -> None:
    for name, required in signature.files:
        # A part without a file name is a text field, however it calls itself.
        uploaded = form.files.pop(name, None)
        if uploaded is None and required:
            raise Invalid(errors=[{"pointer": f"/{name}", "message": "File required"}])
        values[name] = uploaded
    if form.files:
        raise _unknown(next(iter(form.files)))


def _unknown(name: str) -> Invalid:
    message = "No such field"
    return Invalid(errors=[{"pointer": f"/{name[:64]}", "message": message}])
