"""Layer (b): what the installed SDK itself says of each resource's inputs.

Runs inside the program's virtual environment: `python schema.py` with the recorded resources on
stdin writes the findings to stdout. Names on the wire, required inputs, types and enumerations all
come from the SDK's own classes, so that an upgrade of pulumi_gcp is an upgrade of this check.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import pulumi
import pulumi_gcp

_VALUES = re.compile(
    r"(?:Possible|The possible|Allowed) values(?: are|:)[:\s]*((?:`[^`]+`[,.\s]*(?:or|and)?\s*)+)"
)


@cache
def registered() -> dict[str, tuple[str, str]]:
    """Type token to (module, class), out of the SDK's own registry."""
    source = inspect.getsource(pulumi_gcp)
    listed = json.loads(re.search(r'resource_modules="""(.*?)"""', source, re.DOTALL)[1])  # type: ignore[index]
    return {token: (one["fqn"], name) for one in listed for token, name in one["classes"].items()}


def arguments_of(token: str) -> type | None:
    """The SDK's class of the inputs of a resource type; None for an unknown one."""
    if token not in registered():
        return None
    module, name = registered()[token]
    # Through the package: its submodules are loaded lazily and break when imported by themselves.
    package = getattr(pulumi_gcp, module.rpartition(".")[2])
    return typing.cast(type, getattr(package, f"{name}Args"))


@cache
def shape(
    cls: type,
) -> tuple[dict[str, tuple[str, Any]], frozenset[str], dict[str, frozenset[str]]]:
    """({wire name: (python name, type)}, required wire names, {wire name: enumeration})."""
    names = dict(pulumi._types.input_type_py_to_pulumi_names(cls))
    namespace = {**vars(pulumi.output), **vars(sys.modules[cls.__module__]), "pulumi": pulumi}
    hints = {}
    for name in names:
        getter = inspect.getattr_static(cls, name).fget
        hints[name] = typing.get_type_hints(getter, namespace).get("return")
    parameters = inspect.signature(cls.__init__).parameters.values()  # type: ignore[misc]
    required = frozenset(
        names[one.name]
        for one in parameters
        if one.name in names and one.default is inspect.Parameter.empty
    )
    wire = {names[name]: (name, hint) for name, hint in hints.items()}
    return wire, required, {names[k]: v for k, v in _enumerations(cls).items() if k in names}


def _enumerations(cls: type) -> Iterator[Any]:
    return _documented(inspect.getdoc(cls.__init__) or "")  # type: ignore[misc,return-value]


def _documented(text: str) -> dict[str, frozenset[str]]:
    found = {}
    for part in re.split(r":param ", text)[1:]:
        name = re.match(r".*?(\w+):", part.partition("\n")[0])
        values = _VALUES.search(" ".join(part.split()))
        if name and values:
            listed = frozenset(re.findall(r"`([^`]+)`", values[1]))
            if all(re.fullmatch(r"[A-Z0-9_]+|[a-z-]+", one) for one in listed):
                found[re.findall(r"(\w+):", part.partition("\n")[0])[0]] = listed
    return found


def check(token: str, inputs: Mapping[str, Any]) -> list[str]:
    if not token.startswith("gcp:"):
        return []
    cls = arguments_of(token)
    if cls is None:
        return [f"{token} is no resource of the SDK"]
    return list(_check_object(cls, inputs, ""))


def _check_object(cls: type, value: Mapping[str, Any], path: str) -> Iterator[str]:
    wire, required, enumerations = shape(cls)
    for name in sorted(required - value.keys()):
        yield f"{path}{name} is missing"
    for name, given in value.items():
        if name.startswith("__"):
            continue
        if name not in wire:
            yield f"{path}{name} is no input"
            continue
        yield from _check_type(wire[name][1], given, f"{path}{name}")
        allowed = enumerations.get(name)
        if allowed and isinstance(given, str) and given not in allowed:
            yield f"{path}{name} is {given!r}, not one of {sorted(allowed)}"


def _check_type(hint: Any, given: Any, path: str) -> Iterator[str]:
    options = list(_plain(hint))
    if not options or Any in options or given is None:
        return
    problems: list[str] = []
    for option in options:
        found = list(_check_one(option, given, path))
        if not found:
            return
        problems = problems or found
    yield from problems


def _plain(hint: Any) -> Iterator[Any]:
    """The types that stand behind Input, Optional and Union."""
    origin = typing.get_origin(hint)
    if origin is typing.Union or str(origin) == "<class 'types.UnionType'>":
        for one in typing.get_args(hint):
            yield from _plain(one)
    elif origin is not None and getattr(origin, "__name__", "") in ("Awaitable", "Output"):
        return
    elif hint is not type(None):
        yield hint


def _check_one(hint: Any, given: Any, path: str) -> Iterator[str]:
    origin = typing.get_origin(hint)
    if origin in (list, Sequence) or getattr(origin, "__name__", "") == "Sequence":
        if not isinstance(given, list):
            yield f"{path} is no list"
            return
        for number, one in enumerate(given):
            yield from _check_type(typing.get_args(hint)[0], one, f"{path}[{number}]")
    elif origin in (dict, Mapping) or getattr(origin, "__name__", "") == "Mapping":
        if not isinstance(given, dict):
            yield f"{path} is no mapping"
            return
        for name, one in given.items():
            yield from _check_type(typing.get_args(hint)[1], one, f"{path}.{name}")
    elif isinstance(hint, type) and pulumi._types.is_input_type(hint):
        if not isinstance(given, dict):
            yield f"{path} is no {hint.__name__}"
        else:
            yield from _check_object(hint, given, f"{path}.")
    else:
        yield from _check_scalar(hint, given, path)


def _check_scalar(hint: Any, given: Any, path: str) -> Iterator[str]:
    kinds: dict[Any, tuple[type, ...]] = {
        str: (str,),
        bool: (bool,),
        int: (int, float),
        float: (int, float),
    }
    if hint not in kinds:
        return
    right = isinstance(given, kinds[hint]) and (hint is bool or not isinstance(given, bool))
    if not right or (hint is int and isinstance(given, float) and not given.is_integer()):
        # The engine turns texts that are numbers into numbers; nothing else.
        if (
            hint in (int, float)
            and isinstance(given, str)
            and re.fullmatch(r"-?\d+(\.\d+)?", given)
        ):
            return
        yield f"{path} is {given!r}, no {hint.__name__}"


def findings(resources: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"{one['type']} {one['name']}: {problem}"
        for one in resources
        if one["custom"]
        for problem in check(one["type"], one["inputs"])
    ]


if __name__ == "__main__":
    json.dump(findings(json.load(sys.stdin)), sys.stdout)
