"""Typed, bounded access to a config.json: a bad value is refused with its field, never passed on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.errors import BadInput
from cluster.text import clean

# The same quantity under the names that different model families gave it.
ALIASES: dict[str, tuple[str, ...]] = {
    "hidden_size": ("n_embd", "d_model", "dim", "hidden_dim", "model_dim", "emb_dim"),
    "num_hidden_layers": (
        "n_layer",
        "n_layers",
        "num_layers",
        "num_transformer_layers",
        "layers",
        "decoder_layers",
        "num_decoder_layers",
    ),
    "num_attention_heads": (
        "n_head",
        "n_heads",
        "num_heads",
        "attention_heads",
        "decoder_attention_heads",
        "num_decoder_attention_heads",
    ),
    "num_key_value_heads": ("num_kv_heads", "n_head_kv", "n_kv_heads", "multi_query_group_num", "kv_n_heads"),
    "intermediate_size": (
        "n_inner",
        "ffn_dim",
        "ffn_hidden_size",
        "ffn_embed_dim",
        "inner_hidden_size",
        "block_ff_dim",
        "decoder_ffn_dim",
        "dff",
        "d_ff",
    ),
    "max_position_embeddings": (
        "n_positions",
        "n_ctx",
        "max_seq_len",
        "max_sequence_length",
        "seq_length",
        "model_max_length",
        "context_length",
    ),
    "vocab_size": ("padded_vocab_size", "n_vocab"),
    "head_dim": ("kv_channels", "attention_head_dim", "d_kv"),
    "num_experts": (
        "num_local_experts",
        "n_routed_experts",
        "moe_num_experts",
        "num_routed_experts",
        "num_moe_experts",
        "n_experts",
    ),
    "num_experts_per_tok": (
        "num_experts_per_token",
        "top_k_experts",
        "moe_topk",
        "moe_k",
        "moe_top_k",
        "num_selected_experts",
        "n_activated_experts",
    ),
    "layer_types": ("layers_block_type",),
    "moe_latent_size": ("routed_expert_hidden_size",),
    "moe_intermediate_size": ("expert_ffn_hidden_size", "moe_ffn_hidden_size", "expert_intermediate_size"),
    "n_shared_experts": ("num_shared_experts", "moe_num_shared_experts", "num_shared_expert"),
    "shared_expert_intermediate_size": (
        "moe_shared_expert_intermediate_size",
        "share_expert_dim",
        "shared_intermediate_size",
    ),
    "first_k_dense_replace": ("num_dense_layers", "moe_first_k_dense_replace", "n_dense_layers"),
    "mamba_num_heads": ("mamba_n_heads", "n_mamba_heads", "num_heads"),
    "mamba_head_dim": ("mamba_d_head", "mamba_headdim", "head_dim"),
    "mamba_intermediate_size": ("mamba_d_ssm",),
    "ssm_state_size": ("mamba_d_state", "state_size", "d_state"),
    "n_groups": ("mamba_n_groups", "mamba_ngroups"),
    "conv_kernel": ("mamba_d_conv", "d_conv"),
    "expand": ("mamba_expand",),
    "time_step_rank": ("mamba_dt_rank",),
    "use_conv_bias": ("mamba_conv_bias",),
    "num_nextn_predict_layers": ("mtp_num_hidden_layers", "num_mtp_layers", "mtp_num_layers"),
    "dtype": ("torch_dtype",),
}

# Anything beyond these is a broken file, and would only cause a hang or an overflow later.
_LIMITS = {
    "num_hidden_layers": 4096,
    "num_nextn_predict_layers": 256,
    "max_position_embeddings": 2**40,
    "sliding_window": 2**40,
    "vocab_size": 2**28,
}
_LIMIT = 2**24
# Some models state these once per layer.
_BY_LAYER = frozenset(
    {
        "intermediate_size",
        "moe_intermediate_size",
        "n_shared_experts",
        "num_attention_heads",
        "num_experts",
        "num_experts_per_tok",
        "num_key_value_heads",
        "shared_expert_intermediate_size",
    }
)
# Stated separately for text and images. An expert slot has one of each, so their widths add up.
_BY_MODALITY = frozenset({"num_experts", "moe_layer_start_index"})
_ADDED_BY_MODALITY = frozenset({"moe_intermediate_size"})
# Height and width of an image or of a patch of it.
_BY_SIDE = frozenset({"image_size", "patch_size", "spatial_patch_size"})
_SHOWN_LENGTH = 60
REQUIRED: Any = object()
"""Default of a field that has none: BadInput where it is absent."""


class Fields:
    """A config (or a section of one) with the family's defaults behind it."""

    def __init__(
        self, values: Mapping[str, Any], where: str, defaults: Mapping[str, Any] | None = None
    ) -> None:
        self.values = values
        self.where = where
        self.defaults = defaults or {}

    def raw(self, name: str) -> Any:
        """Return the value under `name` or one of its aliases as it stands; None when absent or null."""
        for source in (self.values, self.defaults):
            spelling = _spelling(source, name)
            if spelling is not None:
                return source[spelling]
        return None

    def has(self, name: str) -> bool:
        return self.raw(name) is not None

    def integer(self, name: str, default: Any = REQUIRED, low: int = 1) -> int:
        """Return a whole number from `low` up to the field's limit; raises BadInput otherwise."""
        value = self.raw(name)
        if value is None:
            return int(self._default(name, default))
        return self.check_integer(name, value, low)

    def check_integer(self, name: str, value: Any, low: int = 1) -> int:
        """Return `value` if it is a whole number within the limits of field `name`.

        A list is accepted only for a field that some models state per layer, modality or side, and only if
        its values are equal.
        """
        if isinstance(value, list):
            value = self._one_number(name, value)
        return self._checked_integer(name, value, low)

    def _checked_integer(self, name: str, value: Any, low: int) -> int:
        high = _LIMITS.get(name, _LIMIT)
        if type(value) is not int or not low <= value <= high:
            raise self.bad(name, value, f"a whole number from {low} to {high}")
        return value

    def _one_number(self, name: str, values: list[Any]) -> Any:
        """Return the number that a list states for every layer or modality; the list where it states none."""
        if len(values) < 2 or any(type(item) is not int for item in values):
            return values
        if len(values) == 2 != self._num_layers() and name in _ADDED_BY_MODALITY:
            return sum(values)
        if any(item != values[0] for item in values):
            return values
        by_layer = name in _BY_LAYER and len(values) >= self._num_layers()
        by_pair = len(values) == 2 and name in (_BY_MODALITY | _BY_SIDE)
        return values[0] if by_layer or by_pair else values

    def _num_layers(self) -> int:
        layers = self.raw("num_hidden_layers")
        return layers if type(layers) is int else 2

    def _default(self, name: str, default: Any) -> Any:
        if default is REQUIRED:
            raise BadInput(f"{self.where} has no {name}", "The config.json of a language model must have it")
        return default

    def number(self, name: str, default: Any, low: float, high: float) -> float:
        """Return a finite number from `low` to `high`; raises BadInput otherwise."""
        value = self.raw(name)
        if value is None:
            return float(self._default(name, default))
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.bad(name, value, f"a number from {low:g} to {high:g}")
        return float(value)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.bad(name, value, "true or false")
        return value

    def text(self, name: str, default: str = "") -> str:
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.bad(name, value, "a string")
        return clean(value)

    def items(self, name: str) -> list[Any] | None:
        """Return a list, its items unchecked; None when absent."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self.bad(name, value, "a list")
        return value

    def integers(self, name: str, low: int = 0) -> list[int] | None:
        """Return a list of whole numbers; None when absent."""
        values = self.items(name)
        return None if values is None else [self._checked_integer(name, value, low) for value in values]

    def token_ids(self, name: str) -> tuple[int, ...]:
        """Return one token id or a list of them as a tuple; () when absent."""
        value = self.raw(name)
        listed = value if isinstance(value, list) else [] if value is None else [value]
        return tuple(self._checked_integer(name, token_id, -1) for token_id in listed)

    def section(self, name: str) -> Fields | None:
        """Return an object inside this one; None when absent."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.bad(name, value, "an object")
        return Fields(value, f"{self.where} {name}")

    def bad(self, name: str, value: Any, expected: str) -> BadInput:
        """Return the error for a value that cannot be used; it names the field as the file spells it."""
        stated = _spelling(self.values, name) or name
        return BadInput(f"{self.where}: {stated} is {_show(value)}", f"Expected {expected}")


def _spelling(source: Mapping[str, Any], name: str) -> str | None:
    """Return the name or alias under which `source` states a field; None where it does not."""
    for spelling in (name, *ALIASES.get(name, ())):
        value = source.get(spelling)
        if value is not None and value != "auto":
            return spelling
    return None


def _show(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**20:
        # repr of a huge integer is slow and, past 4300 digits, an error.
        return f"a number of about {int(value.bit_length() * math.log10(2)) + 1} digits"
    if isinstance(value, str):
        return f"'{clean(value, _SHOWN_LENGTH)}'"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, Sequence):
        return f"a list of {len(value)}"
    return clean(repr(value), _SHOWN_LENGTH)
