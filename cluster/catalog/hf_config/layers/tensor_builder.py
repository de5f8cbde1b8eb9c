"""Build the tensors of one layer: shapes from the architecture, formats from the scheme."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.catalog.hf_config.quantization.scheme import Scheme
from cluster.catalog.model_spec import Split, Tensor


@dataclass(frozen=True)
class TensorBuilder:
    """Names tensors under one prefix ('layers.3.') and asks the scheme for each one's format."""

    scheme: Scheme
    prefix: str = ""

    def linear(
        self,
        name: str,
        out_features: int,
        in_features: int,
        split: Split,
        *,
        bias: bool = False,
        plain: bool = False,
    ) -> list[Tensor]:
        """Return a linear module's weight, and its bias where it has one; `plain`: never quantized."""
        stored = self.scheme.base if plain else self.scheme.format_of(self.prefix + name)
        tensors = [Tensor(name, out_features, in_features, split, stored)]
        if bias:
            tensors.append(self.vector(f"{name}.bias", out_features, bias_split(split)))
        return tensors

    def experts(
        self,
        name: str,
        out_features: int,
        in_features: int,
        split: Split,
        *,
        count: int,
        active: float,
        bias: bool = False,
    ) -> list[Tensor]:
        """Return the same matrix of `count` experts, of which a token uses `active`."""
        stored = self.scheme.format_of(self.prefix + name, is_expert=True)
        tensors = [Tensor(name, out_features, in_features, split, stored, count, True, active)]
        if bias:
            tensors.append(
                Tensor(
                    f"{name}.bias", out_features, 1, bias_split(split), self.scheme.base, count, True, active
                )
            )
        return tensors

    def vector(self, name: str, size: int, split: Split = Split.REPLICATED) -> Tensor:
        """Return a vector in the plain dtype: a norm, a bias, a gate."""
        return Tensor(name, size, 1, split, self.scheme.base)

    def norm(self, name: str, size: int, kind: str, split: Split = Split.REPLICATED) -> list[Tensor]:
        """Return a norm's weight ('rms', 'layer'), with its bias ('layer_bias'), or nothing ('none')."""
        if kind == "none" or not size:
            return []
        tensors = [self.vector(name, size, split)]
        return [*tensors, self.vector(f"{name}.bias", size, split)] if kind == "layer_bias" else tensors


def bias_split(split: Split) -> Split:
    """Return how a bias [out_features] is divided when its weight is divided by `split`."""
    return Split.REPLICATED if split in (Split.ROW, Split.HEADS_IN, Split.REPLICATED) else split
