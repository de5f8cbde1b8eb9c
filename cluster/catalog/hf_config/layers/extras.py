"""Tensors that only some families have, described in data: sizes are products of config fields and numbers.

{ name = "laurel.linear_left", out = ["laurel_rank"], in = ["hidden_size"], when = "laurel_rank" }
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.layers.tensor_builder import TensorBuilder
from cluster.catalog.model_spec import Split, Tensor


def extra_tensors(
    fields: Fields, builder: TensorBuilder, described: Iterable[Mapping[str, Any]]
) -> list[Tensor]:
    """Return the described tensors; one whose `when` field is absent, false or 0 is left out."""
    tensors: list[Tensor] = []
    for item in described:
        if "when" in item and not _is_set(fields, item["when"]):
            continue
        out_features = product(fields, item["out"]) + item.get("out_plus", 0)
        in_features = product(fields, item.get("in", [1]))
        split = Split(item.get("split", "replicated"))
        count = product(fields, item.get("times", [1]))
        plain = not item.get("linear", False)
        for _ in range(min(count, 4096)):
            tensors += builder.linear(
                item["name"], out_features, in_features, split, bias=item.get("bias", False), plain=plain
            )
    return tensors


def _is_set(fields: Fields, name: str) -> bool:
    value = fields.raw(name)
    return value if isinstance(value, bool) else fields.integer(name, 0, low=0) > 0


def product(fields: Fields, terms: Iterable[str | int]) -> int:
    """Multiply whole numbers and the values of config fields."""
    result = 1
    for term in terms:
        result *= term if isinstance(term, int) else fields.integer(term, low=0)
    return result
