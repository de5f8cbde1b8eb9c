"""Rotary position embedding (RoPE): frequencies for each kind of scaling, tables, and the rotation."""

from __future__ import annotations

import math

import torch

from cluster.runtime.rope_config import RopeConfig


class RotaryTables:
    """Cosines and sines for every position up to `max_len`, in the model's dtype.

    With `dynamic` scaling they depend on the current sequence length and are computed on demand.
    """

    def __init__(
        self, config: RopeConfig, head_dim: int, max_len: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._config = config
        self._head_dim = head_dim
        self._options = {"device": device, "dtype": dtype}
        self._tables = self._rows(torch.arange(max_len), inverse_frequencies(config, head_dim))

    def rows(self, positions: torch.Tensor, lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (cos, signed sin), each [num_positions, 1, head_dim]; `lengths` as in `stretched_rows`."""
        if self._config.kind == "dynamic" and max(lengths) > self._config.max_position:
            return self.stretched_rows(positions.cpu(), lengths)
        cos, sin = self._tables
        return cos[positions], sin[positions]

    def stretched_rows(
        self, positions: torch.Tensor, lengths: list[int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute rows for `dynamic`; `lengths` has one entry for all positions, or one per position."""
        lengths = lengths if len(lengths) == len(positions) else lengths * len(positions)
        frequencies = {
            length: inverse_frequencies(self._config, self._head_dim, length) for length in {*lengths}
        }
        return self._rows(positions, torch.stack([frequencies[length] for length in lengths]))

    def _rows(self, positions: torch.Tensor, frequencies: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        angles = positions.float().unsqueeze(1) * frequencies
        scale = attention_scale(self._config)
        cos, sin = angles.cos() * scale, angles.sin() * scale
        # The sign of the rotation is folded into the table; see `rotate`.
        cos, signed_sin = torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1)
        return cos.unsqueeze(1).to(**self._options), signed_sin.unsqueeze(1).to(**self._options)


def rotate(heads: torch.Tensor, cos: torch.Tensor, signed_sin: torch.Tensor) -> torch.Tensor:
    """Rotate [tokens, heads, head_dim] by tables of [tokens, 1, head_dim] (halves are the pairs)."""
    swapped = torch.roll(heads, heads.shape[-1] // 2, dims=-1)
    return torch.addcmul(heads * cos, swapped, signed_sin)


def inverse_frequencies(config: RopeConfig, head_dim: int, length: int = 0) -> torch.Tensor:
    """Return the head_dim/2 angular frequencies; `length` is used by `dynamic` scaling only."""
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
    plain = 1.0 / (config.theta**exponents)
    match config.kind:
        case "linear":
            return plain / config.factor
        case "dynamic":
            return 1.0 / (_dynamic_theta(config, head_dim, length) ** exponents)
        case "llama3":
            return _llama3(config, plain)
        case "yarn":
            return _yarn(config, plain, head_dim)
    return plain


def attention_scale(config: RopeConfig) -> float:
    """Return the factor on cosines and sines: 1 except for YaRN (arXiv 2309.00071, section 3.4)."""
    if config.kind != "yarn":
        return 1.0
    if config.attention_factor is not None:
        return config.attention_factor
    if config.mscale and config.mscale_all_dim:
        return _yarn_scale(config.factor, config.mscale) / _yarn_scale(config.factor, config.mscale_all_dim)
    return _yarn_scale(config.factor, 1.0)


def _yarn_scale(factor: float, mscale: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * mscale * math.log(factor) + 1.0


def _dynamic_theta(config: RopeConfig, head_dim: int, length: int) -> float:
    """Return the NTK-aware base for a sequence of `length`; it grows beyond the trained length."""
    ratio = max(length, config.max_position) / config.max_position
    return float(config.theta * (config.factor * ratio - (config.factor - 1)) ** (head_dim / (head_dim - 2)))


def _llama3(config: RopeConfig, plain: torch.Tensor) -> torch.Tensor:
    """Divide low frequencies by `factor`, keep high ones, and blend those in between (Llama 3.1)."""
    turns = config.original_max_position * plain / (2 * math.pi)
    span = config.high_freq_factor - config.low_freq_factor
    keep = ((turns - config.low_freq_factor) / span).clamp(0, 1)
    return keep * plain + (1 - keep) * plain / config.factor


def _yarn(config: RopeConfig, plain: torch.Tensor, head_dim: int) -> torch.Tensor:
    """Blend original and slowed frequencies between beta_fast and beta_slow turns (arXiv 2309.00071, 3.2)."""
    low, high = (_dimension_of(config, head_dim, turns) for turns in (config.beta_fast, config.beta_slow))
    if config.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, head_dim - 1)
    ramp = (torch.arange(head_dim // 2, dtype=torch.float32) - low) / (max(high - low, 0) or 0.001)
    slowed = ramp.clamp(0, 1)
    return slowed * plain / config.factor + (1 - slowed) * plain


def _dimension_of(config: RopeConfig, head_dim: int, turns: float) -> float:
    """Return the (fractional) dimension that makes `turns` full turns within the trained length."""
    return (
        head_dim
        * math.log(config.original_max_position / (turns * 2 * math.pi))
        / (2 * math.log(config.theta))
    )
