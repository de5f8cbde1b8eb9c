"""Multi-token-prediction layers: in the checkpoint, loaded only when an engine speculates with them."""

from __future__ import annotations

from dataclasses import replace

from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.layer_kinds import FULL, NO_MIXER
from cluster.catalog.hf_config.layer_plans import LayerPlan
from cluster.catalog.hf_config.layers.layer_factory import LayerFactory
from cluster.catalog.hf_config.layers.tensor_builder import TensorBuilder
from cluster.catalog.model_spec import Layer, Split


def draft_layers(fields: Fields, factory: LayerFactory, plans: list[LayerPlan]) -> tuple[Layer, ...]:
    """Return the draft layers: layers like the last attending one, each with a map [hidden, 2 hidden]."""
    count = fields.integer("num_nextn_predict_layers", 0, low=0)
    if not count:
        return ()
    attending = [plan for plan in plans if plan.mixer not in (NO_MIXER,) and plan.mixer == FULL]
    plan = attending[-1] if attending else plans[-1]
    if plan.feed_forward == "none":
        # Hybrids keep their MLPs in layers of their own; a model of state layers alone has none.
        own = (p.feed_forward for p in reversed(plans) if p.mixer == NO_MIXER)
        plan = replace(plan, feed_forward=next(own, "none"))
    layer = factory.layer(len(plans), replace(plan, indexed=plan.indexed, kv_shared=False, width=None))
    hidden = fields.integer("hidden_size")
    builder = TensorBuilder(factory.scheme, f"layers.{len(plans)}.")
    joining = (
        *builder.linear("eh_proj", hidden, 2 * hidden, Split.REPLICATED),
        *(builder.vector(name, hidden) for name in ("enorm", "hnorm", "shared_head.norm")),
    )
    return (replace(layer, tensors=(*layer.tensors, *joining)),) * count
