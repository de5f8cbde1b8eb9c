"""Where a number is expected, lists, booleans, strings and fractions are refused by field."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.catalog.hf_config import model_from_config
from cluster.catalog.hf_config.fields import ALIASES, Fields
from cluster.errors import BadInput
from tests.cluster.catalog.configs import EVERY, sized


def wrong_kinds(value: int) -> list[Any]:
    """Return what stands for a number without being one."""
    return [
        [value],
        [value, value, value],
        [value, float(value)],
        [1, True],
        [[value]],
        {},
        str(value),
        value + 0.5,
        True,
    ]


def read_fields(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the names under which whole numbers at the top of this config are read."""
    read: set[str] = set()
    checked = Fields.check_integer

    def spy(self: Fields, name: str, value: Any, low: int = 1) -> int:
        # Of several spellings the first that the config has; the same object, not the family's default.
        spelling = next((n for n in (name, *ALIASES.get(name, ())) if n in config), None)
        if spelling is not None and config[spelling] is value:
            read.add(spelling)
        return checked(self, name, value, low)

    with monkeypatch.context() as patched:
        patched.setattr(Fields, "check_integer", spy)
        model_from_config(config, "small", "test")
    return {name for name in read if type(config[name]) is int}


@pytest.mark.parametrize("config", EVERY, ids=lambda config: config["model_type"])
def test_one_number_is_a_number(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    fields = read_fields(config, monkeypatch)
    assert len(fields) >= 4
    for name in fields:
        for value in wrong_kinds(config[name]):
            try:
                model_from_config({**config, name: value}, "small", "test")
            except BadInput:
                continue
            pytest.fail(f"{name} may be {value!r}")


def test_the_line_names_the_field_and_what_it_holds() -> None:
    with pytest.raises(BadInput) as caught:
        model_from_config({**sized("llama"), "hidden_size": [4]}, "small", "config.json")
    assert caught.value.one_line().startswith(
        "config.json: hidden_size is a list of 1. Expected a whole number"
    )


@pytest.mark.parametrize(
    ("model_type", "fields"),
    [
        (
            "hunyuan_v1_moe",
            {"num_experts": 8, "moe_topk": [2] * 4, "num_shared_expert": [1] * 4, "head_dim": 32},
        ),
        (
            "hunyuan_v1_moe",
            {"num_experts": 8, "moe_topk": 2, "moe_intermediate_size": [96] * 4, "head_dim": 32},
        ),
        ("gemma3n_text", {"intermediate_size": [512] * 4, "head_dim": 32, "hidden_size_per_layer_input": 16}),
    ],
)
def test_what_is_stated_once_a_layer_is_read(model_type: str, fields: dict[str, Any]) -> None:
    scalar = {name: value[0] if isinstance(value, list) else value for name, value in fields.items()}
    listed = model_from_config(sized(model_type, **fields), "small", "test")
    assert listed.parameters == model_from_config(sized(model_type, **scalar), "small", "test").parameters


def test_fewer_than_a_layer_each_is_refused() -> None:
    with pytest.raises(BadInput, match="intermediate_size is a list of 3"):
        model_from_config(sized("gemma3n_text", intermediate_size=[512] * 3, head_dim=32), "small", "test")
