"""Formats are found by their files, and refuse what they are not given a plan for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cluster.catalog.gpus import all_gpu_types
from cluster.errors import BadInput
from cluster.export import formats, names
from cluster.export.format import ExportFormat, load_format
from cluster.export.make import export, is_planned_for, request_for
from cluster.export.names import format_names
from cluster.export.ray_llm import accelerator_types
from cluster.export.target import resource_name
from cluster.planner.request import PlanRequest
from tests.cluster.export.cases import exported_from, planned, recommended


def test_every_format_is_named_as_its_file() -> None:
    assert format_names() == ("compose", "kuberay", "lws", "ray-serve", "sglang", "vllm")
    for name in format_names():
        found = load_format(name)
        assert found.name == name and found.summary and found.extension


def test_a_stranger_adds_a_format_with_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_name.py").write_text(
        "from cluster.export.format import ExportFormat\n"
        "FORMAT = ExportFormat('only-name', 'the name', 'vllm', 'txt', lambda target: target.name)\n"
    )
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    names.format_names.cache_clear()
    try:
        found = planned("one GPU", "vllm")
        file = export(found, recommended(found), load_format("only-name"))
        assert (file.name, file.text) == ("llama-3-1-8b.only-name.txt", "llama-3-1-8b")
    finally:
        names.format_names.cache_clear()


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match="no export format helm") as caught:
        load_format("helm")
    assert "ray-serve" in caught.value.hint


@pytest.fixture
def brings_a_version() -> ExportFormat:
    return load_format("ray-serve")


def test_a_request_is_for_the_engine_and_version_of_the_format(brings_a_version: ExportFormat) -> None:
    asked = request_for(brings_a_version, PlanRequest(engine="sglang", engine_version="0.5.1", tp=2))
    assert (asked.engine, asked.engine_version, asked.tp) == ("vllm", "0.29.0", 2)
    assert request_for(brings_a_version, PlanRequest(engine_version="0.30.0")).engine_version == "0.30.0"
    assert request_for(load_format("sglang"), PlanRequest(engine_version="0.30.0")).engine_version is None


def test_a_plan_is_for_a_format_if_engine_and_version_are(brings_a_version: ExportFormat) -> None:
    found = planned("one GPU", "vllm")
    assert is_planned_for(load_format("vllm"), found) and not is_planned_for(load_format("sglang"), found)
    assert not is_planned_for(brings_a_version, found)
    assert is_planned_for(brings_a_version, planned("one GPU", "ray-serve"))


def test_a_plan_for_another_engine_is_refused() -> None:
    with pytest.raises(BadInput, match="sglang starts sglang, but the plan is for vllm"):
        exported_from(planned("one GPU", "vllm"), "sglang")


def test_a_layout_that_does_not_fit_is_refused_with_the_reason() -> None:
    found = planned("TP in a node, replicas", "vllm")
    refused = next(one for one in found.candidates if not one.feasible)
    with pytest.raises(BadInput, match="cannot be exported: ") as caught:
        exported_from(found, "vllm", refused)
    assert refused.rejections[0].message in caught.value.message


def test_a_training_plan_is_refused() -> None:
    found = planned("one GPU", "vllm")
    with pytest.raises(BadInput, match="training"):
        exported_from(replace(found, request=replace(found.request, workload="training")), "vllm")


def test_a_mig_slice_is_refused() -> None:
    found = planned("one GPU", "vllm")
    (node,) = found.cluster.nodes
    gpus = tuple(gpu.model_copy(update={"mig_parent_uuid": "GPU-1"}) for gpu in node.gpus)
    cluster = found.cluster.model_copy(update={"nodes": (node.model_copy(update={"gpus": gpus}),)})
    with pytest.raises(BadInput, match="MIG"):
        exported_from(replace(found, cluster=cluster), "vllm")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("meta-llama/Llama-3.1-8B", "llama-3-1-8b"),
        ("/models/My Model/config.json", "my-model"),
        ("org/01-ai", "llm-01-ai"),
        ("org/模型", "llm"),
        ("x" * 100, "x" * 40),
    ],
)
def test_names_are_dns_labels(model: str, name: str) -> None:
    assert resource_name(model) == name


def test_rays_names_are_of_types_in_the_catalog() -> None:
    assert set(accelerator_types()) <= set(all_gpu_types())
