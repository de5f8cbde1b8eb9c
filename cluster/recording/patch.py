"""Differences between two JSON values, and applying them. Pure.

A patch is merged key by key; the elements of a list of objects are patched by their position, '0', '1' ...
What a patch cannot say by merging, a key that is gone, is listed as a path beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Path = tuple[str, ...]


def difference(old: Any, new: Any, gone: list[Path], path: Path = ()) -> Any:
    """Return what to merge into `old` to get `new`; paths to remove before that are added to `gone`."""
    if isinstance(old, dict) and isinstance(new, dict):
        gone.extend((*path, key) for key in old if key not in new)
        return {
            key: difference(old[key], value, gone, (*path, key)) if key in old else value
            for key, value in new.items()
            if key not in old or old[key] != value
        }
    if _are_alike_lists(old, new):
        return {
            str(number): difference(before, after, gone, (*path, str(number)))
            for number, (before, after) in enumerate(zip(old, new, strict=True))
            if before != after
        }
    if isinstance(old, list) and isinstance(new, dict):
        # Merged into a list it would be taken for a patch of the elements.
        gone.append(path)
    return new


def merged(old: Any, patch: Any) -> Any:
    """Return `old` with the patch merged in; what the patch does not name is shared with `old`.

    Raises ValueError or IndexError for a patch that belongs to another value.
    """
    if not isinstance(patch, dict):
        return patch
    if isinstance(old, list):
        elements = list(old)
        for number, change in patch.items():
            elements[_position(number)] = merged(elements[_position(number)], change)
        return elements
    if isinstance(old, dict):
        changed = {key: merged(old[key], change) if key in old else change for key, change in patch.items()}
        return {**old, **changed}
    return patch


def without(value: Any, path: Sequence[str]) -> Any:
    """Return the value without what is at the path. Raises as `merged` does, or KeyError."""
    first, rest = path[0], path[1:]
    if isinstance(value, list):
        position = _position(first)
        return [*value[:position], without(value[position], rest), *value[position + 1 :]]
    if not isinstance(value, dict):
        raise ValueError("a path leads through a value that has no parts")
    if not rest:
        return {key: part for key, part in value.items() if key != first}
    return {**value, first: without(value[first], rest)}


def _are_alike_lists(old: Any, new: Any) -> bool:
    return (
        isinstance(old, list)
        and isinstance(new, list)
        and len(old) == len(new)
        and all(isinstance(part, dict) for part in (*old, *new))
    )


def _position(number: str) -> int:
    position = int(number)
    if position < 0:
        raise IndexError("a negative position")
    return position
