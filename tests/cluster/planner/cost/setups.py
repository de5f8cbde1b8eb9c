"""Short ways to ask for an estimate."""

from __future__ import annotations

from typing import Any

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.gpus import find_gpu
from cluster.catalog.models import load_model
from cluster.inventory import MeasuredLink
from cluster.planner import cost
from cluster.planner.layout import Layout
from cluster.planner.request import PlanRequest
from cluster.planner.result import Estimate
from tests.evidence.setups import even_stages

LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
LLAMA_70B = "meta-llama/Llama-3.1-70B-Instruct"
QWEN_MOE = "Qwen/Qwen3-30B-A3B"


def ask(
    model_name: str = LLAMA_70B,
    layout: Layout | None = None,
    gpu_type: str = "H100",
    topology: cost.Topology | None = None,
    kv_tokens: int = 400_000,
    links: tuple[MeasuredLink, ...] = (),
    **options: Any,
) -> Estimate:
    """Estimate a layout with even stages; options are PlanRequest's."""
    layout = layout or Layout(tp=4)
    model = load_model(model_name)
    request = PlanRequest(**options)
    engine = load_engine(request.engine, request.engine_version)
    stages = even_stages(model.num_layers, layout.pp)
    topology = topology or cost.Topology(tp_link="none" if layout.tp == 1 else "nvlink")
    gpu = find_gpu(gpu_type)
    return cost.estimate(model, layout, stages, gpu, topology, engine, request, kv_tokens, links)


def rate(**options: Any) -> float:
    """Estimate throughput in tokens/s."""
    return ask(**options).throughput_tokens_per_s.value
