"""Any two JSON values: the patch between them leads from one to the other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from cluster.recording.patch import Path, difference, merged, without

VALUES = some.recursive(
    some.none() | some.booleans() | some.integers(-9, 9) | some.text("ab0-", max_size=2),
    lambda parts: (
        some.lists(parts, max_size=3) | some.dictionaries(some.text("ab0-", max_size=2), parts, max_size=3)
    ),
    max_leaves=12,
)
OBJECTS = some.dictionaries(some.text("ab0-", max_size=2), VALUES, max_size=4)


def led(old: Any, new: Any) -> Any:
    """Go from old to new by way of a patch as text."""
    gone: list[Path] = []
    patch, paths = json.loads(json.dumps([difference(old, new, gone), gone]))
    for path in paths:
        old = without(old, path)
    return merged(old, patch)


@given(OBJECTS, OBJECTS)
def test_a_patch_leads_from_any_object_to_any_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    before = json.dumps(old)
    assert led(old, new) == new
    assert json.dumps(old) == before, "the old value is left as it is"


def test_only_what_changed_is_in_a_patch() -> None:
    old = {"gpus": [{"uuid": "a", "power": 1, "absent": {"fan": "none"}}, {"uuid": "b", "power": 2}]}
    new = {"gpus": [{"uuid": "a", "power": 1, "absent": {}}, {"uuid": "b", "power": None}]}
    gone: list[Path] = []
    assert difference(old, new, gone) == {"gpus": {"0": {"absent": {}}, "1": {"power": None}}}
    assert gone == [("gpus", "0", "absent", "fan")]


def test_what_is_alike_is_shared() -> None:
    old = {"a": {"x": 1}, "b": {"y": 1}}
    new = merged(old, {"b": {"y": 2}})
    assert new == {"a": {"x": 1}, "b": {"y": 2}} and new["a"] is old["a"]


@pytest.mark.parametrize("patch", [{"a": {"9": 1}}, {"a": {"-1": 1}}, {"a": {"x": 1}}])
def test_a_patch_for_another_value_is_refused(patch: Any) -> None:
    with pytest.raises((ValueError, IndexError)):
        merged({"a": [{"b": 1}]}, patch)
