"""Build the decoder's layers; layers that are alike become one object."""

from __future__ import annotations

from cluster.catalog.hf_config.attention import standard_attention
from cluster.catalog.hf_config.builder import TensorBuilder
from cluster.catalog.hf_config.families import Family
from cluster.catalog.hf_config.feed_forward import FeedForward, dense, sparse
from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.pattern import DENSE, SPARSE
from cluster.catalog.hf_config.scheme import Scheme
from cluster.catalog.model_spec import Attention, AttentionKind, Layer, Tensor

_NO_MIXER = Attention(AttentionKind.NONE)


class LayerFactory:
    """Builds each distinct layer once."""

    def __init__(self, fields: Fields, family: Family, scheme: Scheme) -> None:
        self.fields = fields
        self.family = family
        self.scheme = scheme
        self._built: dict[tuple[object, ...], Layer] = {}
        self._alike: dict[Layer, Layer] = {}

    def layer(self, index: int, mixer: str, feed_forward: str) -> Layer:
        """Return layer `index` of the kinds that pattern.py names."""
        key = (mixer, feed_forward, index if self.scheme.depends_on_layer else -1)
        if key not in self._built:
            layer = self._build(index, mixer, feed_forward)
            self._built[key] = self._alike.setdefault(layer, layer)
        return self._built[key]

    def _build(self, index: int, mixer: str, feed_forward: str) -> Layer:
        builder = TensorBuilder(self.scheme, f"layers.{index}.")
        attention, tensors = self._mixer(builder, mixer)
        part = self._feed_forward(builder, feed_forward)
        return Layer(
            attention,
            (*tensors, *part.tensors, *self._norms(builder)),
            num_experts=part.num_experts,
            experts_per_token=part.experts_per_token,
            shared_experts=part.shared_experts,
            intermediate_size=part.intermediate_size,
        )

    def _mixer(self, builder: TensorBuilder, kind: str) -> tuple[Attention, list[Tensor]]:
        return standard_attention(self.fields, self.family, builder, kind)

    def _feed_forward(self, builder: TensorBuilder, kind: str) -> FeedForward:
        if kind == SPARSE:
            return sparse(self.fields, self.family, builder)
        if kind == DENSE:
            return dense(self.fields, self.family, builder, self.fields.integer(self.family.dense_field))
        return FeedForward()

    def _norms(self, builder: TensorBuilder) -> list[Tensor]:
        hidden = self.fields.integer("hidden_size")
        names = [f"norm_{i}" for i in range(self.family.norms_per_layer)]
        tensors = [tensor for name in names for tensor in builder.norm(name, hidden, self.family.norm)]
        return tensors + [builder.vector(f"scale_{i}", hidden) for i in range(self.family.extra_vectors)]
