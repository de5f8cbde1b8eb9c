"""Layouts that the tests export: real plans, one for each way of dividing a model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from cluster.catalog.models import load_model
from cluster.cluster_spec import parse_cluster_spec
from cluster.export.format import load_format
from cluster.export.make import export, request_for
from cluster.inventory import Cluster
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Plan


@dataclass(frozen=True)
class Case:
    """A plan to export."""

    cluster: str
    model: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def request(self) -> PlanRequest:
        return PlanRequest(**self.options)


CASES = {
    "one GPU": Case("1xH100", "meta-llama/Llama-3.1-8B", {"max_model_len": 8192}),
    "TP in a node, replicas": Case("2x4xA100-80GB", "meta-llama/Llama-3.1-70B", {"max_model_len": 8192}),
    "replicas in one node": Case("1x4xH100", "meta-llama/Llama-3.1-8B", {"dp": 2, "tp": 2}),
    "TP and PP over nodes": Case("2x8xH100", "meta-llama/Llama-3.1-405B", {"tp": 8, "pp": 2}),
    "experts": Case("1x8xH100", "mistralai/Mixtral-8x7B-Instruct-v0.1", {"tp": 8, "ep": 8}),
    "attention DP in a node": Case("1x8xH200", "deepseek-ai/DeepSeek-R1", {"dp": 8, "ep": 8}),
    "attention DP over nodes": Case("4x8xH200", "deepseek-ai/DeepSeek-R1", {"dp": 32, "ep": 32}),
    "uneven stages": Case("1x3xL40S", "google/gemma-3-27b-it", {"tp": 1, "pp": 3, "max_model_len": 4096}),
    "two types of GPU": Case("1x8xH100,1x8xH200", "meta-llama/Llama-3.1-70B", {"tp": 4}),
    "formats and limits": Case(
        "1x4xH100",
        "meta-llama/Llama-3.1-70B",
        {
            "tp": 4,
            "max_model_len": 4096,
            "max_num_seqs": 32,
            "max_num_batched_tokens": 4096,
            "kv_cache_memory_bytes": 8 * 2**30,
            "kv_cache_dtype": "fp8",
            "quantization": "fp8",
            "dtype": "bf16",
            "enforce_eager": True,
            "load_format": "dummy",
        },
    ),
}


@cache
def planned(name: str, format_name: str) -> Plan:
    """Return the plan of a case, as the format asks for it."""
    case = CASES[name]
    model = load_model(case.model, case.request.dtype, case.request.quantization)
    return plan(cluster_of(case.cluster), model, request_for(load_format(format_name), case.request))


def cluster_of(spec: str) -> Cluster:
    """Return the cluster of a spec."""
    return parse_cluster_spec(spec, "spec")


def recommended(found: Plan) -> Candidate:
    """Return the plan's recommendation, which must be there."""
    assert found.recommended is not None, found.advice
    return found.recommended


def exported(name: str, format_name: str) -> str:
    """Return a case's text in a format."""
    found = planned(name, format_name)
    return export(found, recommended(found), load_format(format_name)).text


def exported_from(found: Plan, format_name: str, candidate: Candidate | None = None) -> str:
    """Return the text of a plan that a test has changed."""
    return export(found, candidate or recommended(found), load_format(format_name)).text


def renamed(found: Plan, model_name: str) -> Plan:
    """Return a plan of a model with another name, as a hub or a folder could have it."""
    assert found.model.origin is not None
    origin = replace(found.model.origin, hub_id=model_name, folder=None)
    return replace(found, model=replace(found.model, name=model_name, origin=origin))
