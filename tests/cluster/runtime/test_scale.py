"""Scaled-down models: small, split like the full model, and labeled with what they are."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.catalog.hf_config import model_from_config
from cluster.catalog.model_spec import ModelSpec
from cluster.runtime.config import read_model_config
from cluster.runtime.partition import rank_part
from cluster.runtime.scale import scale_config

LLAMA_70B: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}
SPARSE = LLAMA_70B | {
    "architectures": ["MixtralForCausalLM"],
    "model_type": "mixtral",
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
}
LATENT = LLAMA_70B | {
    "architectures": ["DeepseekV3ForCausalLM"],
    "model_type": "deepseek_v3",
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
    "num_key_value_heads": 64,
}
NESTED = {"architectures": ["Llama4ForConditionalGeneration"], "text_config": SPARSE}
STATE = {
    "architectures": ["MambaForCausalLM"],
    "model_type": "mamba",
    "hidden_size": 4096,
    "num_hidden_layers": 64,
    "vocab_size": 65024,
    "state_size": 16,
}
NAMELESS = {key: value for key, value in LLAMA_70B.items() if key not in ("architectures", "model_type")}


def model(config: dict[str, Any]) -> ModelSpec:
    return model_from_config(config, "a-model", "test")


def test_70b_keeps_its_heads_and_states_its_scale() -> None:
    config, sentence = scale_config(model(LLAMA_70B), tp=4)
    assert (config["num_attention_heads"], config["num_key_value_heads"]) == (64, 8)
    assert config["intermediate_size"] % 4 == 0
    assert sentence == "1/250,000 of the parameters (4 of 80 layers, hidden 64 of 8192)"
    assert model(LLAMA_70B).parameters / model(config).parameters == pytest.approx(250_000, rel=0.02)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (SPARSE, "does not support experts"),
        (LATENT, "does not support latent attention"),
        (NESTED, "does not support experts"),
        (STATE, "does not support this architecture"),
        (NAMELESS, "does not name an architecture"),
    ],
)
def test_an_unsupported_architecture_becomes_a_dense_stand_in(config: dict[str, Any], words: str) -> None:
    scaled, sentence = scale_config(model(config), tp=2)
    assert scaled["architectures"] == ["LlamaForCausalLM"]
    assert "stand-in" in sentence
    assert words in sentence


def test_an_mlp_that_does_not_divide_still_does_not() -> None:
    scaled, _ = scale_config(model(LLAMA_70B | {"intermediate_size": 11008}), tp=3)
    assert scaled["intermediate_size"] % 3


@given(
    st.sampled_from([LLAMA_70B, SPARSE, LATENT, NESTED, STATE]),
    st.integers(1, 8),
    st.integers(1, 6),
    st.sampled_from(["Qwen2ForCausalLM", "Qwen3ForCausalLM", "MistralForCausalLM", "Other"]),
)
def test_every_stand_in_is_small_and_can_be_split(
    config: dict[str, Any], tp: int, pp: int, architecture: str
) -> None:
    scaled, _ = scale_config(model({**config, "architectures": [architecture]}), tp, pp)
    running = read_model_config(scaled)
    assert 4 * model(scaled).parameters < 4 * 2**20
    for stage in range(pp):
        for rank in range(tp):
            rank_part(running, tp=tp, pp=pp, tp_rank=rank, stage=stage)


def test_planning_parts_do_not_import_torch() -> None:
    """Uses a new process, because this one has imported torch."""
    modules = (
        "config, partition, scale, tokenizer, chat_template, generation, scheduler, "
        "weight_source, rank_worker, rendezvous, runtime_stats"
    )
    code = f"import sys\nfrom cluster.runtime import {modules}\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
