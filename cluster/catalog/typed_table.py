"""TOML tables read into frozen dataclasses: every key known, none missing, every value of its type.

Python's own dataclasses and type hints are enough for that. A pydantic model of the same tables takes longer
to build than a whole plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, NamedTuple, TypeVar, cast, get_args, get_origin, get_type_hints

from cluster.catalog.nearest import nearest_names
from cluster.errors import ClusterviewError

T = TypeVar("T")
Reader = Callable[[Any, str], Any]
"""Takes a value of TOML and its dotted key; returns the value as its type, or raises TableError."""

_NAMES = {
    bool: "true or false",
    int: "a whole number of 0 or more",
    float: "a finite number of 0 or more",
    str: "a string",
}


class TableError(ClusterviewError):
    """A data file of the catalog that cannot be read: which file, which key, and what belongs there."""

    exit_status = 4

    def __init__(self, message: str) -> None:
        super().__init__(
            message, "The file is part of clusterview: fix it there, or install clusterview again"
        )


@contextmanager
def located(where: str) -> Iterator[None]:
    """Put the file, and the part of it that is being read, before what a TableError says."""
    try:
        yield
    except TableError as error:
        raise TableError(f"{where}: {error.message}") from error


class _Field(NamedTuple):
    read: Reader
    required: bool


def read_table(
    kind: type[T], values: object, key: str = "", earlier: tuple[Mapping[str, object], T] | None = None
) -> T:
    """Return a table as the dataclass `kind`; `key` is its dotted name, '' for a whole file.

    Keys without a default are required, and no others are known. A union with None is a table that may be
    left out. Numbers are finite and not negative. `earlier` is another table with what was read from it:
    values that are the same objects in both are not read again. Raises TableError with the dotted key that is
    at fault.
    """
    if not isinstance(values, dict):
        raise TableError(f"{key or 'file'}: expected a table, found {values!r}")
    known = _fields(cast(Hashable, kind))
    for name in values:
        if name not in known:
            raise TableError(f"{_dotted(key, name)}: unknown key{_meant(name, known)}")
    for name, field in known.items():
        if field.required and name not in values:
            raise TableError(f"{_dotted(key, name)}: missing")
    old, result = earlier or ({}, None)
    made = {
        name: getattr(result, name)
        if result is not None and old.get(name) is value
        else known[name].read(value, _dotted(key, name))
        for name, value in values.items()
    }
    try:
        return kind(**made)
    except ValueError as error:
        raise TableError(f"{key or 'table'}: {error}") from error


def _dotted(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)


def _meant(name: str, known: Mapping[str, object]) -> str:
    near = nearest_names(name, known)
    return f" (did you mean {near[0]}?)" if near else f" (known: {', '.join(known)})"


@cache
def _fields(kind: Any) -> dict[str, _Field]:
    hints = get_type_hints(kind)
    return {
        field.name: _Field(
            _reader(hints[field.name]), field.default is MISSING and field.default_factory is MISSING
        )
        for field in fields(kind)
    }


@cache
def _reader(kind: Any) -> Reader:
    """Return what reads a value of the type `kind`: a table, a tuple, a mapping, a choice or one value."""
    origin, inner = get_origin(kind), get_args(kind)
    if type(None) in inner:
        return _reader(next(part for part in inner if part is not type(None)))
    if is_dataclass(kind):
        return lambda value, key: read_table(kind, value, key)  # type: ignore[arg-type]
    if origin is Literal:
        return lambda value, key: _choice(inner, value, key)
    if origin is tuple:
        return lambda value, key: _tuple(inner, value, key)
    if origin is dict:
        return lambda value, key: _mapping(inner, value, key)
    return lambda value, key: _one(kind, value, key)


def _one(kind: type, value: object, key: str) -> object:
    if kind is float and type(value) is int:
        value = float(value)
    good = type(value) is kind and (not isinstance(value, (int, float)) or 0 <= value < math.inf)
    if not good:
        raise TableError(f"{key}: expected {_NAMES[kind]}, found {_shown(value)}")
    return value


def _choice(choices: tuple[Any, ...], value: object, key: str) -> object:
    if not isinstance(value, str) or value not in choices:
        raise TableError(f"{key}: expected one of {', '.join(choices)}, found {_shown(value)}")
    return value


def _tuple(inner: tuple[Any, ...], value: object, key: str) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise TableError(f"{key}: expected a list, found {_shown(value)}")
    if inner[-1] is Ellipsis:
        return tuple(_reader(inner[0])(entry, key) for entry in value)
    if len(value) != len(inner):
        raise TableError(f"{key}: expected a list of {len(inner)}, found {_shown(value)}")
    return tuple(_reader(kind)(entry, key) for kind, entry in zip(inner, value, strict=True))


def _mapping(inner: tuple[Any, ...], values: object, key: str) -> dict[object, object]:
    if not isinstance(values, dict):
        raise TableError(f"{key}: expected a table, found {_shown(values)}")
    read = _reader(inner[1])
    return {
        _name(inner[0], name, _dotted(key, name)): read(value, _dotted(key, name))
        for name, value in values.items()
    }


def _name(kind: type, name: str, key: str) -> str | int:
    """Return the name of an entry; TOML writes whole numbers as names too."""
    if kind is str:
        return name
    if not (name.isascii() and name.isdigit()):
        raise TableError(f"{key}: expected a whole number as the key")
    return int(name)


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
