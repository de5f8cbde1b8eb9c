"""The engines themselves take what is exported, and refuse what is spoiled. Needs their environments.

CLUSTERVIEW_VLLM_PYTHON is an interpreter with vLLM, CLUSTERVIEW_RAY_LLM_PYTHON one with ray[serve] as well
(by default the same), CLUSTERVIEW_SGLANG_PYTHONPATH the folders that add SGLang to the first.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import BadInput
from tests.cluster.export.cases import CASES, exported, planned
from tests.cluster.export.test_manifests import llm_config
from tests.cluster.export.test_shell_text import lines_of

PROGRAM = Path(__file__).with_name("check_exports.py")
QUIET = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "HF_HUB_OFFLINE": "1",
}
OPTIONS_ONLY = {"uneven stages"}
"""Models whose classes vLLM only loads with torchvision, which its build for CPUs cannot have."""


@pytest.fixture
def python() -> str:
    """The interpreter that has vLLM."""
    return value_of("CLUSTERVIEW_VLLM_PYTHON")


@pytest.fixture
def ray_python(python: str) -> str:
    """The interpreter that has vLLM and ray[serve]."""
    return os.environ.get("CLUSTERVIEW_RAY_LLM_PYTHON", python)


def value_of(variable: str) -> str:
    """Return a variable; skip without it."""
    if not os.environ.get(variable):
        pytest.skip(f"{variable} is not set")
    return os.environ[variable]


def verdicts(python: str, items: list[dict[str, Any]], **variables: str) -> list[str]:
    """Return what the engine says of each item: '' if it takes it."""
    done = subprocess.run(
        [python, str(PROGRAM)],
        input=json.dumps(items),
        capture_output=True,
        text=True,
        env={**os.environ, **QUIET, **variables},
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers: list[str] = json.loads(done.stdout.splitlines()[-1])
    return answers


def model_folder(case: str, engine: str, folder: Path) -> str:
    """Write the model's config.json, which is all that a configuration is made from."""
    origin = planned(case, engine).model.origin
    assert origin is not None
    path = folder / case.replace(" ", "-")
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(dict(origin.config)))
    return str(path)


def commands(case: str, engine: str) -> list[list[str]]:
    """Return the words of each exported line without its variables; none if the engine cannot be told."""
    try:
        lines = lines_of(exported(case, engine))
    except BadInput:
        return []
    words = (shlex.split(line) for line in lines)
    return [line[next(i for i, word in enumerate(line) if "=" not in word) :] for line in words]


def test_vllm_takes_every_line(python: str, tmp_path: Path) -> None:
    items = {}
    for case in CASES:
        folder = model_folder(case, "vllm", tmp_path)
        check = "vllm-options" if case in OPTIONS_ONLY else "vllm"
        for number, (_, _, _, *options) in enumerate(commands(case, "vllm")):
            items[f"{case}, line {number}"] = {"check": check, "argv": [folder, *options]}
    found = dict(zip(items, verdicts(python, list(items.values())), strict=True))
    assert len(found) > len(CASES) and {name: said for name, said in found.items() if said} == {}


def test_vllm_refuses_a_spoiled_line(python: str, tmp_path: Path) -> None:
    folder = model_folder("one GPU", "vllm", tmp_path)
    ((_, _, _, *options),) = commands("one GPU", "vllm")
    spoiled = [
        [folder, *options, "--max-model-lenz", "4"],
        [folder, *options, "--tensor-parallel-size", "3"],
        [folder, *options, "--kv-cache-dtype", "fp9"],
    ]
    assert all(verdicts(python, [{"check": "vllm", "argv": argv} for argv in spoiled]))


def test_ray_serve_llm_takes_every_configuration(ray_python: str, tmp_path: Path) -> None:
    items = {}
    for case in CASES:
        config = llm_config(exported(case, "ray-serve"))
        config["model_loading_config"]["model_source"] = model_folder(case, "ray-serve", tmp_path)
        items[case] = {"check": "ray-options" if case in OPTIONS_ONLY else "ray", "config": config}
    found = dict(zip(items, verdicts(ray_python, list(items.values())), strict=True))
    assert {name: said for name, said in found.items() if said} == {}
    wrong = items["one GPU"]["config"]
    spoiled = [
        {**wrong, "engine_kwargs": {"tensor_paralel_size": 2}},
        {**wrong, "accelerator_type": "H1000"},
        {**wrong, "placement_group_configz": {}},
    ]
    assert all(verdicts(ray_python, [{"check": "ray", "config": config} for config in spoiled]))


def test_sglang_takes_every_line(python: str, tmp_path: Path) -> None:
    path, items = value_of("CLUSTERVIEW_SGLANG_PYTHONPATH"), list[dict[str, Any]]()
    for case in CASES:
        for _, _, _, option, _, *others in commands(case, "sglang"):
            assert option == "--model-path"
            folder = model_folder(case, "sglang", tmp_path)
            items.append({"check": "sglang", "argv": [option, folder, *others]})
    assert len(items) > len(CASES) and not any(verdicts(python, items, PYTHONPATH=path))
    spoiled = {"check": "sglang", "argv": [*items[0]["argv"], "--tp-sizez", "4"]}
    assert all(verdicts(python, [spoiled], PYTHONPATH=path))
