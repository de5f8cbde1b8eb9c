"""Turns rows of throughput.jsonl into questions to the planner, and answers them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.gpus import find_gpu
from cluster.catalog.hf_config import model_from_config
from cluster.catalog.model_spec import ModelSpec
from cluster.catalog.models import load_model
from cluster.errors import ClusterviewError
from cluster.planner.cost import estimate
from cluster.planner.cost.band import layout_class
from cluster.planner.layout import Layout
from cluster.planner.memory import kv_cache_tokens, replica_memory
from cluster.planner.replica import RankGpu, ReplicaLinks, TpLink
from cluster.planner.request import PlanRequest
from cluster.planner.result import Estimate
from cluster.planner.traffic import Lengths, traffic_of
from tests.evidence.rows import OWN_FOLDER, Row, read_key, read_rows
from tests.evidence.setups import even_replica

DRIVER_BYTES = 600_000_000
"""Memory in use on an idle GPU before an engine starts."""


@dataclass(frozen=True, slots=True)
class Question:
    """One measured setup in the planner's terms."""

    name: str
    model: str
    dtype: str
    gpu: str
    engine: str
    version: str | None
    layout: Layout
    request: PlanRequest


@dataclass(frozen=True, slots=True)
class Answer:
    """The planner's answer to a question."""

    question: Question
    group: str
    """'dense', 'experts' or 'pipelined'."""
    estimate: Estimate
    feasible: bool
    """Whether weights and one request fit."""


class Planner:
    """Answers questions, caching models and their memory."""

    def __init__(self, folder: Path) -> None:
        self.aliases: dict[str, Any] = read_key(folder, "throughput_models.json")
        self._configs = {
            row["model"]: row["config"]
            for source in (OWN_FOLDER, folder)
            for row in read_rows(source, "model_configs.jsonl")
        }
        self.conversations: tuple[int, ...] = tuple(self.aliases.get("conversation_input_tokens", ()))
        self._models: dict[tuple[str, str, str], ModelSpec | None] = {}

    def learn(self, name: str, config: Row) -> None:
        """Take in the config of a model that a row brings with it."""
        self._configs[name] = config

    def model(self, name: str, engine: str, dtype: str) -> ModelSpec | None:
        """Return the model as a checkpoint of that dtype describes it; None if unknown."""
        key = (name, engine, dtype)
        if key not in self._models:
            self._models[key] = self._read(*key)
        return self._models[key]

    def _read(self, name: str, engine: str, dtype: str) -> ModelSpec | None:
        known: dict[str, str] = self.aliases["models"]
        alias = known.get(f"{name} {dtype}") or known.get(name, name)
        config = self._configs.get(alias)
        blocks: dict[str, Row] = self.aliases["quantizations"]
        if config is not None:
            config = {**config, **self.aliases.get("patches", {}).get(name, {})}
        block = blocks.get(f"{engine} {dtype}") or blocks.get(dtype)
        try:
            if config is None:
                return load_model(alias, quantization=dtype.lower() if block else None)
            stored = "quantization_config" in config or "hf_quant_config" in config
            return model_from_config(
                config if block is None or stored else {**config, "quantization_config": block},
                name,
                "evidence",
            )
        except ClusterviewError:
            return None

    def answer(self, question: Question) -> Answer | None:
        """Return the planner's answer; None if the model or the GPU is unknown."""
        model = self.model(question.model, question.engine, question.dtype)
        try:
            gpu = find_gpu(self.aliases["gpus"].get(question.gpu, question.gpu))
        except ClusterviewError:
            return None
        if model is None:
            return None
        engine = load_engine(question.engine, question.version)
        layout, request = question.layout, question.request
        on_gpu = RankGpu(gpu.memory_bytes, gpu.memory_bytes - DRIVER_BYTES, gpu)
        one = replace(layout, dp=layout.dp // layout.num_replicas)
        link: TpLink = "none" if layout.tp == 1 else "nvlink" if gpu.nvlink_bytes_per_s else "pcie"
        replica = replace(even_replica(model, one, on_gpu, request, engine), links=ReplicaLinks(link))
        memory = replica_memory(replica)
        traffic = traffic_of(request, Lengths(request.input_tokens, request.output_tokens))
        return Answer(
            question=question,
            group=layout_class(model, layout),
            estimate=estimate(memory, traffic, layout.num_replicas),
            feasible=kv_cache_tokens(memory) >= traffic.lengths.total,
        )
