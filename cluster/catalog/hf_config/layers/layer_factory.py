"""Build the decoder's layers; layers that are alike become one object."""

from __future__ import annotations

from cluster.catalog.hf_config.families import Family
from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.layer_kinds import DENSE, FULL, NO_MIXER, RECURRENT, SPARSE
from cluster.catalog.hf_config.layer_plans import LayerPlan
from cluster.catalog.hf_config.layers.attention import standard_attention
from cluster.catalog.hf_config.layers.compressed import compressed_attention
from cluster.catalog.hf_config.layers.extras import extra_tensors
from cluster.catalog.hf_config.layers.feed_forward import FeedForward, dense, dense_width, sparse
from cluster.catalog.hf_config.layers.latent import latent_attention
from cluster.catalog.hf_config.layers.recurrent import MIXERS
from cluster.catalog.hf_config.layers.shared_block import block_width, shared_attention
from cluster.catalog.hf_config.layers.tensor_builder import TensorBuilder
from cluster.catalog.hf_config.quantization.scheme import Scheme
from cluster.catalog.model_spec import Attention, AttentionKind, Layer, Split, Tensor

Mixer = tuple[Attention, list[Tensor]]


class LayerFactory:
    """Builds each distinct layer once."""

    def __init__(self, fields: Fields, family: Family, scheme: Scheme) -> None:
        self.fields = fields
        self.family = family
        self.scheme = scheme
        self.hidden = fields.integer("hidden_size")
        self._built: dict[tuple[LayerPlan, int], Layer] = {}
        self._alike: dict[Layer, Layer] = {}

    def layer(self, index: int, plan: LayerPlan) -> Layer:
        """Return layer `index`, built by `plan`."""
        key = (plan, index if self.scheme.depends_on_layer else -1)
        if key not in self._built:
            layer = self._build(TensorBuilder(self.scheme, f"layers.{index}."), plan)
            self._built[key] = self._alike.setdefault(layer, layer)
        return self._built[key]

    def _build(self, builder: TensorBuilder, plan: LayerPlan) -> Layer:
        attention, tensors = self._mixer(builder, plan)
        part = self._feed_forward(builder, plan)
        extras = extra_tensors(self.fields, builder, self.family.layer_extras)
        return Layer(
            attention,
            (*tensors, *part.tensors, *self._norms(builder, plan), *extras),
            num_experts=part.num_experts,
            experts_per_token=part.experts_per_token,
            shared_experts=part.shared_experts,
            intermediate_size=part.intermediate_size,
        )

    def _mixer(self, builder: TensorBuilder, plan: LayerPlan) -> Mixer:
        if plan.mixer == NO_MIXER:
            linear = builder.linear("self_attn.linear_attn", self.hidden, self.hidden, Split.REPLICATED)
            return Attention(AttentionKind.NONE), linear if plan.linear_mixer else []
        if plan.mixer == RECURRENT:
            return self._recurrent(builder)
        if self.family.shared_block:
            attention, tensors = shared_attention(
                self.fields, self.family, builder, owns=not plan.shares_block
            )
        else:
            attention, tensors = self._attending(builder, plan)
        tensors += extra_tensors(self.fields, builder, self.family.attention_extras)
        if not self.family.parallel_state and not self.family.shared_block:
            return attention, tensors
        state, beside = self._recurrent(builder)
        return _joined(attention, state), tensors + beside

    def _attending(self, builder: TensorBuilder, plan: LayerPlan) -> Mixer:
        if self.family.attention == "compressed":
            return compressed_attention(self.fields, self.family, builder, plan.ratio)
        is_latent = self.family.attention == "latent" or not self.family.known
        if is_latent and self.fields.has("kv_lora_rank"):
            return latent_attention(self.fields, self.family, builder, indexed=plan.indexed)
        return standard_attention(
            self.fields,
            self.family,
            builder,
            plan.mixer,
            heads=plan.heads,
            kv_heads=plan.kv_heads,
            kv_shared=plan.kv_shared,
            indexed=plan.indexed,
        )

    def _recurrent(self, builder: TensorBuilder) -> Mixer:
        mixer = self.family.recurrent or _guess_mixer(self.fields)
        return MIXERS[mixer](self.fields, self.family, builder)

    def _feed_forward(self, builder: TensorBuilder, plan: LayerPlan) -> FeedForward:
        if plan.feed_forward == SPARSE:
            return sparse(self.fields, self.family, builder)
        if plan.feed_forward == DENSE:
            return dense(
                self.fields, self.family, builder, plan.width or dense_width(self.fields, self.family)
            )
        if self.family.shared_block and plan.mixer == FULL:
            return FeedForward(intermediate_size=block_width(self.fields))
        return FeedForward()

    def _norms(self, builder: TensorBuilder, plan: LayerPlan) -> list[Tensor]:
        count = self.family.norms_per_layer
        if plan.feed_forward not in (DENSE, SPARSE) or (plan.mixer == NO_MIXER and not plan.linear_mixer):
            count = (count + 1) // 2
        return [t for i in range(count) for t in builder.norm(f"norm_{i}", self.hidden, self.family.norm)]


def _guess_mixer(fields: Fields) -> str:
    """Name the recurrent mixer of an unknown family by the fields it states."""
    signs = {"linear_num_value_heads": "gated_delta", "linear_attn_config": "kimi_delta"}
    signs |= {
        "linear_num_heads": "kimi_delta",
        "mamba_num_heads": "mamba2",
        "ssm_state_size": "mamba1",
        "conv_L_cache": "short_convolution",
    }
    # Without a sign: linear attention over the heads that every config states.
    return next((mixer for name, mixer in signs.items() if fields.has(name)), "lightning")


def _joined(attention: Attention, state: Attention) -> Attention:
    """Return attention that also keeps the state of a mixer beside it."""
    return Attention(
        attention.kind,
        num_heads=attention.num_heads,
        num_kv_heads=attention.num_kv_heads,
        head_dim=attention.head_dim,
        v_head_dim=attention.v_head_dim,
        window=attention.window,
        state_elements=state.state_elements,
        conv_elements=state.conv_elements,
        state_dtype_bytes=state.state_dtype_bytes,
        conv_dtype_bytes=state.conv_dtype_bytes,
    )
