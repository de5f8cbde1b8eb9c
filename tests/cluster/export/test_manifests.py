"""Manifests hold only fields that exist, and what the plan decided."""

from __future__ import annotations

import copy
import itertools
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from cluster.errors import BadInput
from cluster.export.names import format_names
from tests.cluster.export.cases import (
    CASES,
    cluster_of,
    exported,
    exported_from,
    planned,
    recommended,
    renamed,
)
from tests.cluster.export.strict import check, check_text, documents

MANIFESTS = ("ray-serve", "kuberay", "lws", "compose")
SEVERAL_NODES = {
    "TP in a node, replicas",
    "TP and PP over nodes",
    "attention DP over nodes",
    "two types of GPU",
}


def llm_config(text: str) -> Any:
    """Return the LLM configuration of a Ray Serve export, or of the one inside a RayService."""
    (document,) = documents(text)
    if "spec" in document:
        document = yaml.safe_load(document["spec"]["serveConfigV2"])
    args = document["applications"][0]["args"]
    return args.get("llm_config") or args["llm_configs"][0]


def containers(text: str) -> Iterator[Any]:
    """Yield the containers of all pods in a LeaderWorkerSet's export."""
    for document in documents(text):
        template = document["spec"].get("leaderWorkerTemplate", {})
        for name in ("leaderTemplate", "workerTemplate"):
            if name in template:
                yield template[name]["spec"]["containers"][0]


@pytest.mark.parametrize("format_name", MANIFESTS)
@pytest.mark.parametrize("case", CASES)
def test_every_field_is_one_that_the_schemas_know(case: str, format_name: str) -> None:
    if format_name == "compose" and case in SEVERAL_NODES:
        with pytest.raises(BadInput, match="Compose runs on one node"):
            exported(case, format_name)
    else:
        assert check_text(format_name, exported(case, format_name))


def misspelled(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every field that a schema names (labels and variables may be called anything)."""
    free = ("labels", "selector", "environment", "env_vars", "rayStartParams", "nodeSelector", "services")
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        here = (*path, key)
        if isinstance(node, dict) and not (path and path[-1] in free):
            yield here
        if isinstance(value, dict | list):
            yield from misspelled(value, here)


@pytest.mark.parametrize(
    ("format_name", "name"),
    [("lws", "LeaderWorkerSet"), ("kuberay", "RayService"), ("compose", "compose"), ("ray-serve", "serve")],
)
def test_a_misspelled_field_is_refused_wherever_it_is(format_name: str, name: str) -> None:
    document = documents(exported("one GPU", format_name))[0]
    check(name, document)
    paths = list(misspelled(document))
    assert len(paths) > 15
    for path in paths:
        wrong = copy.deepcopy(document)
        parent = wrong
        for key in path[:-1]:
            parent = parent[key]
        parent[f"{path[-1]}z"] = parent.pop(path[-1])
        with pytest.raises(jsonschema.ValidationError):
            check(name, wrong)


def test_ray_keeps_a_replica_on_one_node_where_the_plan_does() -> None:
    inside = llm_config(exported("TP in a node, replicas", "ray-serve"))
    assert inside["placement_group_config"] == {
        "bundle_per_worker": {"GPU": 1, "CPU": 1},
        "strategy": "STRICT_PACK",
    }
    assert inside["deployment_config"] == {"num_replicas": 2} and inside["accelerator_type"] == "A100"
    over = exported("TP and PP over nodes", "ray-serve")
    assert llm_config(over)["placement_group_config"]["strategy"] == "PACK" and "# PACK lets Ray" in over


def test_ray_serves_attention_ranks_by_its_own_builder() -> None:
    text = exported("attention DP over nodes", "ray-serve")
    assert "import_path: ray.serve.llm:build_dp_openai_app" in text
    config = llm_config(text)
    assert (
        config["engine_kwargs"] | {"data_parallel_size": 32, "enable_expert_parallel": True}
        == (config["engine_kwargs"])
    )
    # Ray refuses a strategy beside the gang that it makes of such replicas.
    assert "strategy" not in config["placement_group_config"]


def test_the_options_that_the_user_set_are_all_carried() -> None:
    kwargs = llm_config(exported("formats and limits", "kuberay"))["engine_kwargs"]
    utilization = kwargs.pop("gpu_memory_utilization")
    assert 0 < utilization <= 1
    assert kwargs == {
        "tensor_parallel_size": 4,
        "load_format": "dummy",
        "dtype": "bfloat16",
        "quantization": "fp8",
        "kv_cache_dtype": "fp8",
        "max_model_len": 4096,
        "max_num_seqs": 32,
        "max_num_batched_tokens": 4096,
        "kv_cache_memory_bytes": 8 * 2**30,
        "enforce_eager": True,
    }


def test_uneven_stages_are_carried_in_every_format() -> None:
    stages = recommended(planned("uneven stages", "vllm")).stages
    layers = ",".join(str(stage.num_layers) for stage in stages)
    assert len(set(layers.split(","))) > 1
    for name in set(format_names()) - {"sglang"}:
        text = exported("uneven stages", name)
        assert "VLLM_PP_LAYER_PARTITION" in text and layers in text, name


def test_ray_without_a_name_for_the_gpus_says_so() -> None:
    text = exported("two types of GPU", "ray-serve")
    assert "accelerator_type" not in text and "# GPU type not named" in text


def test_the_version_that_ray_brings_is_planned_for_or_said() -> None:
    assert planned("one GPU", "ray-serve").engine_version == "0.29.0"
    assert "figures may differ" not in exported("one GPU", "ray-serve")
    assert "the plan is for vllm 0.33.0: its figures may differ" in exported_from(
        planned("one GPU", "vllm"), "ray-serve"
    )


def test_workers_of_a_group_find_their_leader_and_their_rank() -> None:
    leader, worker = containers(exported("TP and PP over nodes", "lws"))
    for container in (leader, worker):
        line = container["command"][2]
        assert '--master-addr "$LWS_LEADER_ADDRESS"' in line and '--node-rank "$LWS_WORKER_INDEX"' in line
        assert container["resources"]["limits"] == {"nvidia.com/gpu": 8}
        assert "--device-ids" not in line and "VLLM_HOST_IP" not in str(container["env"])
    assert "--headless" in worker["command"][2] and "--headless" not in leader["command"][2]
    assert "readinessProbe" in leader and "readinessProbe" not in worker


def words_in_pod(container: Any, folder: Path, **variables: str) -> list[str]:
    """Return what vLLM is started with in a pod: Kubernetes expands the command, then its shell does."""
    program = folder / "vllm"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    expanded = re.sub(
        r"\$(\$|\((\w+)\))", lambda it: "$" if it[1] == "$" else variables[it[2]], container["command"][2]
    )
    env = {"PATH": f"{folder}:{os.environ['PATH']}", **variables}
    command = [*container["command"][:2], expanded]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.splitlines()


def test_attention_ranks_start_where_those_of_the_pods_before_end(tmp_path: Path) -> None:
    _, worker = containers(exported("attention DP over nodes", "lws"))
    words = words_in_pod(worker, tmp_path, LWS_WORKER_INDEX="3", LWS_LEADER_ADDRESS="leader.svc")
    options = dict(itertools.pairwise(words))
    assert options["--data-parallel-start-rank"] == "24" and options["--data-parallel-size-local"] == "8"
    assert options["--data-parallel-address"] == "leader.svc"


def test_a_pod_is_ready_once_it_generates_a_token() -> None:
    (container,) = containers(exported("one GPU", "lws"))
    command = container["readinessProbe"]["exec"]["command"]
    assert command[0] == "curl" and "-sf" in command and command[-1].endswith("/v1/completions")
    assert '"max_tokens": 1' in " ".join(command)


def test_pods_ask_for_a_type_of_gpu_only_where_the_cluster_has_several() -> None:
    assert "nodeSelector" not in exported("one GPU", "lws")
    text = exported("two types of GPU", "lws")
    assert [one["kind"] for one in documents(text)] == ["LeaderWorkerSet", "LeaderWorkerSet", "Service"]
    products = re.findall(r"nvidia.com/gpu.product: (\S+)", text)
    assert sorted(set(products)) == ["NVIDIA-H100-80GB-HBM3", "NVIDIA-H200"]


def test_a_service_of_its_own_name_reaches_the_leaders_of_all_sets() -> None:
    *sets, service = documents(exported("two types of GPU", "lws"))
    names = {one["metadata"]["name"] for one in sets}
    # The controller makes a headless service of each set's name.
    assert service["metadata"]["name"] not in names
    for one in sets:
        labels = one["spec"]["leaderWorkerTemplate"]["workerTemplate"]["metadata"]["labels"]
        assert labels == service["spec"]["selector"]


def test_each_compose_service_has_its_own_gpus_and_port() -> None:
    (document,) = documents(exported("replicas in one node", "compose"))
    first, second = document["services"].values()
    devices = [
        one["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"] for one in (first, second)
    ]
    assert devices == [["0", "1"], ["2", "3"]]
    assert [one["ports"] for one in (first, second)] == [["127.0.0.1:8000:8000"], ["127.0.0.1:8001:8000"]]
    # Inside the container its GPUs are numbered from 0, and all are its own.
    assert "--device-ids" not in first["command"] and first["entrypoint"] == ["vllm", "serve"]


def test_a_model_folder_is_mounted_where_it_is_read() -> None:
    found = planned("one GPU", "vllm")
    assert found.model.origin is not None
    model = replace(
        found.model, name="/models/my model", origin=replace(found.model.origin, folder="/models/my model")
    )
    found = replace(found, model=model)
    (service,) = documents(exported_from(found, "compose"))[0]["services"].values()
    assert {
        "type": "bind",
        "source": "/models/my model",
        "target": "/models/my model",
        "read_only": True,
    } in (service["volumes"])
    text = exported_from(found, "lws")
    check_text("lws", text)
    (container,) = containers(text)
    assert "exec vllm serve '/models/my model' \\\n" in container["command"][2]
    assert {"name": "model", "mountPath": "/models/my model", "readOnly": True} in container["volumeMounts"]


@pytest.mark.parametrize("format_name", MANIFESTS)
@pytest.mark.parametrize(
    "name", ["org/a: b # c", "org/$(HOME)-${PATH}-$$x", "org/'quoted\"'", "org/- yes", "1e3", "org/x\ny"]
)
def test_names_from_outside_stay_what_they_are(name: str, format_name: str, tmp_path: Path) -> None:
    found = renamed(planned("one GPU", "ray-serve" if format_name == "kuberay" else format_name), name)
    if "\n" in name:
        with pytest.raises(BadInput, match="control characters"):
            exported_from(found, format_name)
        return
    document = check_text(format_name, exported_from(found, format_name))[0]
    if format_name == "compose":
        (service,) = document["services"].values()
        assert service["command"][0].replace("$$", "$") == name and "$" not in service["command"][0].replace(
            "$$", ""
        )
    elif format_name == "lws":
        (container,) = containers(exported_from(found, format_name))
        assert words_in_pod(container, tmp_path, HOME="/root")[1] == name
    else:
        assert llm_config(exported_from(found, format_name))["model_loading_config"]["model_source"] == name


@pytest.mark.parametrize("format_name", ["kuberay", "lws", "compose"])
def test_gpus_of_another_vendor_are_refused(format_name: str) -> None:
    from cluster.catalog.models import load_model
    from cluster.planner.plan import plan

    found = plan(cluster_of("1xMI300X"), load_model("meta-llama/Llama-3.1-8B"), CASES["one GPU"].request)
    with pytest.raises(BadInput, match="MI300X"):
        exported_from(found, format_name)
    assert "vllm serve" in exported_from(found, "vllm")


@pytest.mark.parametrize("format_name", ["kuberay", "lws", "compose"])
def test_a_build_for_cpus_gets_no_container_with_gpus(format_name: str) -> None:
    found = replace(planned("one GPU", "vllm"), engine_version="0.32.0+cpu")
    with pytest.raises(BadInput, match=r"vllm 0\.32\.0\+cpu runs on CPUs"):
        exported_from(found, format_name)
    assert "--device-ids" not in exported_from(found, "vllm")
