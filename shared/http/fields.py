"""Text fields (a query string, a form) into a model, as strictly as a JSON body.

Text has no types, so each field's text becomes the JSON value its annotation asks for, and
the same strict validation follows; text that is not such a value is left to fail there.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic_core import to_json

from shared.errors import Invalid
from shared.http.model import Model
from shared.http.validation import validate_json

# 15 digits stay exact in every JSON reader, and no number of ours comes near.
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?")
_BOOLEANS = {"true": True, "false": False}


class TextFields:
    """Reads the fields of one model; the names that count are the aliases."""

    def __init__(self, model: type[Model]) -> None:
        self.model = model
        self._lists: set[str] = set()
        self._convert: dict[str, Callable[[str], Any]] = {}
        for name, info in model.model_fields.items():
            alias = info.alias or name
            is_list, leaves = _shape(info.annotation)
            if is_list:
                self._lists.add(alias)
            self._convert[alias] = _converter(leaves)

    def read(self, pairs: Sequence[tuple[str, str]]) -> Model:
        """Raises Invalid for unknown names, repeated single fields and failing values."""
        values: dict[str, Any] = {}
        for name, text in pairs:
            value = self._convert.get(name, str)(text)
            if name in self._lists:
                values.setdefault(name, []).append(value)
            elif name in values:
                raise Invalid(errors=[{"pointer": f"/{name[:64]}", "message": "Given twice"}])
            else:
                values[name] = value
        return validate_json(self.model, to_json(values))


def _shape(annotation: Any) -> tuple[bool, set[Any]]:
    """Whether the field is a list, and the plain types that one of its values may have."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _shape(get_args(annotation)[0])
    if origin in (list, tuple, set, frozenset):
        return True, set().union(*(_shape(a)[1] for a in get_args(annotation) if a is not ...))
    if origin in (Union, types.UnionType):
        shapes = [_shape(a) for a in get_args(annotation) if a is not type(None)]
        return any(s[0] for s in shapes), set().union(*(s[1] for s in shapes))
    return False, {annotation}


def _converter(leaves: set[Any]) -> Callable[[str], Any]:
    if leaves == {bool}:
        return lambda text: _BOOLEANS.get(text, text)
    if leaves == {int}:
        return lambda text: int(text) if _INTEGER.fullmatch(text) else text
    if leaves <= {int, float}:
        return lambda text: float(text) if _NUMBER.fullmatch(text) else text
    return str
