"""The schema of an engine's file: a misspelled or missing key and a value of the wrong type fail."""

from __future__ import annotations

import ast
import copy
import tomllib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, make_dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from cluster.catalog.engine_catalog import engine_names, engine_versions, load_engine
from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.engine_profile.by_generation import ByGeneration
from cluster.catalog.engine_profile.file import EngineFile, read_engine_file, read_first_versions
from cluster.catalog.engine_profile.start import MemoryBudget
from cluster.catalog.typed_table import TableError

ROOT = Path(__file__).parents[3]
READERS = ("cluster/planner", "tests/evidence", "cluster/catalog/engine_profile")
ENTRY_NAMES = {"gpu_sizes": ("size", "by_size")}
"""What code calls one entry of a table of tables."""


@cache
def written() -> dict[str, Any]:
    file = resources.files("cluster.catalog") / "engines" / "vllm.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def vllm(*changes: tuple[str, object], **block: object) -> EngineFile:
    """vllm.toml with changes by dotted key (... takes a key away), and with one more version block."""
    data = copy.deepcopy(written())
    for dotted, value in changes:
        *path, last = dotted.split(".")
        table = data
        for key in path:
            table = table[key]
        if value is ...:
            del table[last]
        else:
            table[last] = value
    if block:
        data["versions"].append({"from": "0.30.0", **block})
    return read_engine_file("engines/vllm.toml", data)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        # Misspelled.
        (
            ("activations.logit_copies", 9.57),
            "base: activations.logit_copies: unknown key (did you mean logits_",
        ),
        (("non_torch.all_reduce.bases", 1), "base: non_torch.all_reduce.bases: unknown key"),
        (("activation", {}), "base: activation: unknown key (did you mean activations?)"),
        (("not_yet", {}), "base: not_yet: unknown key"),
        # Missing.
        (("activations.logits_copies", ...), "base: activations.logits_copies: missing"),
        (("activations", ...), "base: activations: missing"),
        (("cache.full_latents.head_dim", ...), "base: cache.full_latents.head_dim: missing"),
        (("latest", ...), "base: latest: missing"),
        # Of the wrong type.
        (("weights.rounds_allocations", 1), "rounds_allocations: expected true or false, found 1"),
        (
            ("cache.block_tokens", True),
            "cache.block_tokens: expected a whole number of 0 or more, found true",
        ),
        (
            ("cache.block_tokens", 16.0),
            "cache.block_tokens: expected a whole number of 0 or more, found 16.0",
        ),
        (("cache.block_tokens", -1), "cache.block_tokens: expected a whole number of 0 or more, found -1"),
        (("activations.mlp_copies", float("nan")), "expected a finite number of 0 or more, found nan"),
        (("activations.mlp_copies", "3"), "expected a finite number of 0 or more, found '3'"),
        (("weights.latent_projections", "none"), "expected one of as_stored, multiplied, copied_in_16_bits"),
        (("weights.latent_projections", ["as_stored"]), "expected one of as_stored"),
        (("kernels.min_capability", [7]), "kernels.min_capability: expected a list of 2, found [7]"),
        (("kernels.min_capability", 70), "kernels.min_capability: expected a list, found 70"),
        (("kernels.refuses_fp16", "all"), "kernels.refuses_fp16: expected a list, found 'all'"),
        (("quantization.compute_dtypes.awq", [16]), "compute_dtypes.awq: expected a string, found 16"),
        (("quantization.compute_dtypes", []), "quantization.compute_dtypes: expected a table, found []"),
        (("cuda_graphs", False), "base: cuda_graphs: expected a table, found False"),
        (
            ("non_torch.context_bytes.by_generation", {"hopper": 1}),
            "hopper: expected a whole number as the key",
        ),
        (("budget.rule", "static_fraction"), "budget: the rule static_fraction and the table 'static' go"),
        (("latest", "new"), "base: latest: expected a version as in '0.11.0', found 'new'"),
        (("versions", {}), "vllm.toml: versions: expected [[versions]] tables"),
    ],
)
def test_a_mistake_is_reported_by_file_and_key(change: tuple[str, object], expected: str) -> None:
    with pytest.raises(TableError) as caught:
        vllm(change)
    assert caught.value.message.startswith("engines/vllm.toml")
    assert expected in caught.value.message
    assert caught.value.exit_status == 4


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"cache": {"block_token": 32}}, "cache.block_token: unknown key (did you mean block_tokens?)"),
        ({"caches": {}}, "caches: unknown key"),
        ({"name": "other"}, "name: unknown key"),
        ({"cache": {"block_tokens": "32"}}, "cache.block_tokens: expected a whole number"),
        ({"cache": 32}, "cache: expected a table, found 32"),
        ({"budget": {"static": {}}}, "budget.static.vision_share: missing"),
        ({"removes": ["cache.full_latents"]}, "removes: there is no table cache.full_latents to remove"),
        ({"removes": ["cache"]}, "cache: missing"),
        ({"removes": ["cache.block_tokens"]}, "removes: there is no table cache.block_tokens to remove"),
    ],
)
def test_a_mistake_in_a_version_fails_whatever_version_is_asked_for(
    block: dict[str, Any], expected: str
) -> None:
    with pytest.raises(TableError) as caught:
        vllm(**block)
    assert caught.value.message.startswith(f"engines/vllm.toml, from 0.30.0: {expected}")


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"from": 0.3}, "versions[0].from: expected a version as in '0.11.0', found 0.3"),
        ({"from": "next"}, "versions[0].from: expected a version as in '0.11.0', found 'next'"),
        ({}, "versions[0].from: expected a version as in '0.11.0', found None"),
        ({"from": "1", "removes": "cache"}, "versions[0].removes: expected a list of tables, found 'cache'"),
    ],
)
def test_a_version_block_says_from_when_it_holds(block: dict[str, Any], expected: str) -> None:
    with pytest.raises(TableError) as caught:
        vllm(("versions", [block]))
    assert caught.value.message == f"engines/vllm.toml: {expected}"


def test_a_first_version_must_be_one() -> None:
    with pytest.raises(TableError, match=r"first\.toml: A: expected a version"):
        read_first_versions("first.toml", {"architectures": {"A": "soon"}, "rope_types": {}})
    with pytest.raises(TableError, match=r"first\.toml: rope_types: missing"):
        read_first_versions("first.toml", {"architectures": {}})


def test_overrides_are_merged_key_by_key_at_every_depth() -> None:
    changed = vllm(non_torch={"context_bytes": {"by_generation": {"12": 5}}}, kernels={"refuses_fp16": ["A"]})
    before, after = changed.at("0.29.0"), changed.at("0.30.0")
    assert before.non_torch.context_bytes.by_generation == {9: 270_000_000}
    assert after.non_torch.context_bytes.by_generation == {9: 270_000_000, 12: 5}
    assert after.non_torch.all_reduce == before.non_torch.all_reduce
    assert after.kernels.refuses_fp16 == ("A",)  # a list is replaced
    assert after.cache is before.cache


def test_an_optional_table_comes_and_goes_with_versions() -> None:
    tables = [load_engine("vllm", version).cache.full_latents for version in ("0.7.0", "0.7.1", "0.33.0")]
    assert [table is None for table in tables] == [False, True, True]
    switchless = [load_engine("vllm", version).non_torch.all_reduce for version in ("0.17.0", "0.18.0")]
    assert [part.without_switch is None for part in switchless if part] == [False, True]


def test_a_value_by_generation_falls_back_to_its_default() -> None:
    value = ByGeneration(default=128, by_generation={9: 64})
    assert [value.at(generation) for generation in (None, 8, 9, 10)] == [128, 128, 64, 128]


def test_a_whole_number_may_stand_for_a_share() -> None:
    copies = vllm(("activations.mlp_copies", 3)).at("0.1").activations.mlp_copies
    assert copies == 3.0
    assert type(copies) is float


@pytest.mark.parametrize("name", engine_names())
def test_every_version_of_every_file_is_a_whole_profile(name: str) -> None:
    for version in engine_versions(name):
        profile = load_engine(name, version)
        assert (profile.name, profile.version) == (name, version)
        assert all(is_dataclass(getattr(profile, field)) for field in ("budget", "cache", "non_torch"))


# Every field of the form is read: through the name of its table, as in `engine.cache.block_tokens`.


def tables_of(kind: Any, owners: tuple[str, ...] = ("engine",)) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Each table type below a profile with the names by which code holds it."""
    yield kind, owners
    for name, hint in get_type_hints(kind).items():
        for part in (hint, *get_args(hint)):
            if is_dataclass(part):
                yield from tables_of(part, (name, *ENTRY_NAMES.get(name, ())))


@cache
def reads() -> frozenset[tuple[str, str]]:
    """(what is asked, attribute) in the code that may read profiles; a method's own `self` is its class."""
    found = set()
    for path in (path for top in READERS for path in (ROOT / top).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {pair for node in ast.walk(tree) if (pair := read_by(node))}
        for owner in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
            found |= {(owner.name, pair[1]) for node in ast.walk(owner) if (pair := read_by(node))}
    return frozenset(found)


def read_by(node: ast.AST) -> tuple[str, str] | None:
    if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load):
        return None
    owner = node.value
    name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
    return name, node.attr


def unread(kind: Any) -> set[str]:
    return {
        f"{table.__name__}.{field.name}"
        for table, owners in tables_of(kind)
        for field in fields(table)
        if not any((owner, field.name) in reads() for owner in (*owners, table.__name__))
    }


def test_every_field_is_read_by_the_planner_or_the_evidence() -> None:
    assert unread(EngineProfile) == set()
    assert len({table for table, _ in tables_of(EngineProfile)}) > 20


def test_a_field_that_nobody_reads_is_found() -> None:
    ghost = make_dataclass("Ghost", [("block_tokens", int), ("rule", str)])
    root = make_dataclass("Root", [("name", str), ("budget", MemoryBudget), ("ghost", ghost | None)])
    assert unread(root) == {"Root.ghost", "Ghost.block_tokens", "Ghost.rule"}


def typed_in_keys(source: str, mappings: set[str]) -> list[str]:
    """Look-ups of a profile's mapping by a name that is written in the code."""
    found = []
    for node in ast.walk(ast.parse(source)):
        owner, key = None, None
        if isinstance(node, ast.Subscript):
            owner, key = node.value, node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            owner, key = node.func.value, node.args[0]
        if isinstance(owner, ast.Attribute) and owner.attr in mappings and isinstance(key, ast.Constant):
            found.append(ast.unparse(node))
    return found


def test_engine_data_is_never_looked_up_by_a_name_in_the_code() -> None:
    """Mappings go by names of methods, architectures and sizes, which come from models, users and GPUs."""
    mappings = {
        name
        for table, _ in tables_of(EngineProfile)
        for name, hint in get_type_hints(table).items()
        if get_origin(hint) is dict
    }
    sources = [path.read_text(encoding="utf-8") for top in READERS for path in (ROOT / top).rglob("*.py")]
    assert [found for source in sources for found in typed_in_keys(source, mappings)] == []
    assert typed_in_keys(
        "q.compute_dtypes.get('awq')\nk.architectures['A']\nq.compute_dtypes.get(a)", mappings
    ) == [
        "q.compute_dtypes.get('awq')",
        "k.architectures['A']",
    ]
