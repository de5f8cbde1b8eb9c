"""Every command that can be made is one that the engines' own parsers and configurations take.

vLLM: CLUSTERVIEW_VLLM_PYTHON names an interpreter that has it. SGLang's wheel needs a GPU to run, its
parser does not: CLUSTERVIEW_SGLANG_PYTHONPATH names the folders that hold its unpacked wheel, and orjson,
IPython, traitlets and msgspec, beside the packages of that interpreter.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.engines.adapter import load_adapter
from cluster.engines.launch import ServerLaunch
from tests.cluster.engines.test_options import launches, members

HERE = Path(__file__).parent
VERSIONS = {"vllm": "0.32.0", "sglang": "0.5.23"}
"""Releases that the tables of options were read from with the engines' own parsers."""
_COMMON = {
    "num_hidden_layers": 32,
    "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
    "vocab_size": 32000,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
}
_DENSE = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 64,
    "num_key_value_heads": 2,
    "head_dim": 64,
}
_MIXTURE = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_attention_heads": 32,
    "num_key_value_heads": 16,
    "head_dim": 128,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "norm_topk_prob": True,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, str]:
    """Folders with a config.json: of a mixture of experts (True), of a dense model (False)."""
    folder = tmp_path_factory.mktemp("configs")
    for name, config in (("dense", _DENSE), ("mixture", _MIXTURE)):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps({**_COMMON, **config}))
    return {False: str(folder / "dense"), True: str(folder / "mixture")}


@pytest.mark.parametrize("engine", sorted(VERSIONS))
def test_the_engine_itself_takes_every_command_line(engine: str, models: dict[bool, str]) -> None:
    lines = list(_command_lines(engine, models))
    assert len(lines) > 90
    faults = _check(engine, lines)
    assert len(faults) == len(lines)
    assert [(fault, line) for fault, line in zip(faults, lines, strict=True) if fault] == []


def test_the_check_itself_finds_faults(models: dict[bool, str]) -> None:
    lines = [
        [models[False], "--no-such-option"],
        [models[False], "--tensor-parallel-size", "3"],
        [models[False], "--max-model-len", "1000000"],
        [models[False], "--max-model-len", "1024"],
    ]
    unknown, heads, length, fine = _check("vllm", lines)
    assert "unrecognized arguments: --no-such-option" in unknown
    assert "must be divisible by tensor parallel size" in heads
    assert "max_model_len" in length
    assert fine == ""


def _command_lines(engine: str, models: dict[bool, str]) -> Iterator[list[str]]:
    adapter, version = load_adapter(engine), VERSIONS[engine]
    program = {"vllm": 2, "sglang": 3}[engine]
    for launch in launches():
        named = launch.model_copy(update={"model": models[_is_mixture(launch)]})
        for replica in members(named):
            if not adapter.refusal(named, replica, version):
                for member in replica:
                    yield list(adapter.printed_command(named, member, version).argv[program:])


def _is_mixture(launch: ServerLaunch) -> bool:
    return launch.expert_parallel or launch.attention_dp > 1


def _check(engine: str, lines: list[list[str]]) -> list[str]:
    """Return the engine's own fault with each command line, '' for none."""
    python = os.environ.get("CLUSTERVIEW_VLLM_PYTHON")
    if not python:
        pytest.skip("CLUSTERVIEW_VLLM_PYTHON names no interpreter that has vLLM")
    env: dict[str, Any] = {"PATH": os.defpath, "HOME": os.environ.get("HOME", "/"), "HF_HUB_OFFLINE": "1"}
    env |= {"VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    if engine == "sglang":
        if not (folders := os.environ.get("CLUSTERVIEW_SGLANG_PYTHONPATH")):
            pytest.skip("CLUSTERVIEW_SGLANG_PYTHONPATH names no folder that holds SGLang")
        env["PYTHONPATH"] = folders
    command = [python, str(HERE / "check_commands.py"), engine]
    ran = subprocess.run(
        command, input=json.dumps(lines), capture_output=True, text=True, env=env, timeout=280, check=False
    )
    assert ran.returncode == 0, ran.stderr
    answers: list[str] = json.loads(ran.stdout.strip().splitlines()[-1])
    return answers
