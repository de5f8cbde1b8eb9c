"""Small configs of many families, for tests that compare or break them."""

from __future__ import annotations

from typing import Any

SIZES: dict[str, Any] = {
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 512,
    "vocab_size": 1000,
    "max_position_embeddings": 128,
}
_GPT = {"n_embd": 256, "n_layer": 4, "n_head": 8, "n_positions": 128, "vocab_size": 1000}
_MOE = {"moe_intermediate_size": 96, "num_experts_per_tok": 2}
_LATENT = {
    "q_lora_rank": 64,
    "kv_lora_rank": 32,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
    "num_key_value_heads": 8,
}
_ROUTED = {"n_routed_experts": 8, "n_shared_experts": 1, "first_k_dense_replace": 1, **_MOE}
_DELTA = {
    "linear_num_key_heads": 4,
    "linear_num_value_heads": 8,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "head_dim": 32,
}
_INDEX = {"index_n_heads": 4, "index_head_dim": 16}
_MAMBA2 = {"mamba_n_heads": 8, "mamba_d_head": 64, "mamba_d_state": 16, "mamba_n_groups": 1}
_HYBRID = {
    "hybrid_override_pattern": "M-M*E",
    "num_hidden_layers": 5,
    "head_dim": 32,
    "mamba_num_heads": 8,
    "mamba_head_dim": 32,
    "ssm_state_size": 16,
    "n_groups": 2,
    "n_routed_experts": 8,
    "n_shared_experts": 1,
    "moe_shared_expert_intermediate_size": 80,
    **_MOE,
}
_PER_LAYER_INPUT = {"head_dim": 32, "hidden_size_per_layer_input": 16, "vocab_size_per_layer_input": 900}
_ROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}


def sized(model_type: str, *without: str, **fields: Any) -> dict[str, Any]:
    """Return a small config of `model_type` with `fields`, and without some of the common ones."""
    merged = {**SIZES, "model_type": model_type, "pad_token_id": 0, **fields}
    return {name: value for name, value in merged.items() if name not in without}


_NO_HEADS = ("num_attention_heads", "num_key_value_heads", "intermediate_size")

DENSE = [
    *(sized(kind) for kind in ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text")),
    *(sized(kind) for kind in ("cohere", "olmo", "olmo2", "olmo3", "granite", "starcoder2", "stablelm")),
    *(sized(kind) for kind in ("phi", "phi3", "seed_oss", "smollm3", "exaone4", "apertus", "arcee")),
    *(sized(kind) for kind in ("internlm3", "nemotron", "ernie4_5", "ministral3", "jais2")),
    sized("llama", attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
    sized("cohere2", head_dim=32),
    sized("glm", head_dim=32),
    sized("glm4", head_dim=32),
    sized("hunyuan_v1_dense", head_dim=32, **_ROPE),
    sized("minicpm3", **_LATENT),
    sized("gpt_neox", "num_key_value_heads"),
    sized("opt", "num_key_value_heads", "intermediate_size", ffn_dim=512, word_embed_proj_dim=256),
    sized("bloom", "num_key_value_heads", "intermediate_size", "num_hidden_layers", n_layer=4),
    sized("falcon", "num_key_value_heads", "intermediate_size"),
    *({"model_type": kind, "pad_token_id": 0, **_GPT} for kind in ("gpt2", "gptj", "gpt_bigcode")),
    sized("gemma3n_text", num_hidden_layers=10, num_kv_shared_layers=5, laurel_rank=8, **_PER_LAYER_INPUT),
    sized("gemma4_text", num_hidden_layers=6, global_head_dim=64, **_PER_LAYER_INPUT),
    sized(
        "gemma4_text",
        num_hidden_layers=12,
        num_kv_shared_layers=6,
        use_double_wide_mlp=True,
        global_head_dim=64,
        **_PER_LAYER_INPUT,
    ),
]
SPARSE = [
    sized("mixtral", num_local_experts=8),
    sized("qwen2_moe", num_experts=8, shared_expert_intermediate_size=64, **_MOE),
    sized("qwen3_moe", num_experts=8, **_MOE),
    sized("qwen3_moe", num_experts=8, decoder_sparse_step=2, mlp_only_layers=[3], **_MOE),
    sized("olmoe", num_experts=8),
    sized("granitemoe", num_local_experts=8),
    sized("phimoe", num_local_experts=8, attention_bias=True, lm_head_bias=True),
    sized("deepseek_v2", **_LATENT, **_ROUTED),
    sized("deepseek_v2", **{**_LATENT, "q_lora_rank": None}, **_ROUTED),
    sized("deepseek_v3", **_LATENT, **_ROUTED),
    sized("deepseek_v32", **_LATENT, **_ROUTED, **_INDEX),
    sized("glm_moe_dsa", **_LATENT, **_ROUTED, **_INDEX),
    sized("glm_moe_dsa", index_topk_freq=2, **_LATENT, **_ROUTED, **_INDEX),
    sized("glm4_moe", use_qk_norm=True, attention_bias=True, head_dim=32, **_ROUTED),
    sized("glm4_moe_lite", **_LATENT, **_ROUTED),
    sized(
        "llama4_text",
        num_local_experts=8,
        interleave_moe_layer_step=2,
        intermediate_size_mlp=300,
        head_dim=32,
    ),
    sized("gpt_oss", num_local_experts=8, head_dim=32),
    sized("dots1", **_ROUTED),
    sized("minimax", num_local_experts=8, head_dim=32),
    sized("minimax_m2", num_local_experts=8, head_dim=32),
    sized("hy_v3", num_experts=8, num_shared_experts=1, first_k_dense_replace=1, head_dim=32, **_MOE),
    sized("exaone_moe", num_experts=8, num_shared_experts=1, first_k_dense_replace=1, **_MOE),
    sized("afmoe", num_experts=8, num_shared_experts=1, num_dense_layers=1, head_dim=32, **_MOE),
    sized("laguna", num_experts=8, head_dim=32, **_MOE),
    sized(
        "deepseek_v4",
        "intermediate_size",
        n_routed_experts=8,
        n_shared_experts=1,
        head_dim=32,
        q_lora_rank=64,
        o_groups=4,
        o_lora_rank=16,
        num_key_value_heads=1,
        compress_ratios=[128, 128, 4, 128],
        **_INDEX,
        **_MOE,
    ),
    sized(
        "gemma4_text",
        num_hidden_layers=6,
        head_dim=32,
        global_head_dim=64,
        hidden_size_per_layer_input=0,
        enable_moe_block=True,
        num_experts=8,
        top_k_experts=2,
        moe_intermediate_size=96,
        attention_k_eq_v=True,
        num_global_key_value_heads=1,
    ),
]
STATEFUL = [
    sized("qwen3_next", num_experts=8, shared_expert_intermediate_size=96, **_DELTA, **_MOE),
    sized("qwen3_5_text", **_DELTA),
    sized("qwen3_5_moe_text", num_experts=8, shared_expert_intermediate_size=96, **_DELTA, **_MOE),
    sized("nemotron_h", **_HYBRID),
    sized("nemotron_h", moe_latent_size=64, **_HYBRID),
    sized("bamba", attn_layer_indices=[1, 3], **_MAMBA2),
    sized("falcon_h1", mamba_n_heads=8, mamba_d_head=16, mamba_d_state=16, mamba_d_ssm=128, head_dim=32),
    sized("jamba", num_experts=4, num_experts_per_tok=2, attn_layer_period=4, attn_layer_offset=2),
    sized("lfm2", layer_types=["conv", "full_attention"] * 2, block_auto_adjust_ff_dim=False),
    sized(
        "granitemoehybrid",
        num_local_experts=8,
        shared_intermediate_size=64,
        layer_types=["mamba", "attention"] * 2,
        mamba_expand=2,
        **_MAMBA2,
    ),
    sized("mamba", *_NO_HEADS),
    sized("falcon_mamba", *_NO_HEADS),
    sized("mamba2", *_NO_HEADS, num_heads=8, head_dim=64, state_size=16, n_groups=2),
    sized(
        "kimi_linear",
        num_experts=8,
        num_shared_experts=1,
        num_experts_per_token=2,
        moe_intermediate_size=96,
        first_k_dense_replace=1,
        linear_attn_config={
            "kda_layers": [1, 2, 3],
            "full_attn_layers": [4],
            "num_heads": 8,
            "head_dim": 32,
            "short_conv_kernel_size": 4,
        },
        **{**_LATENT, "q_lora_rank": None},
    ),
]
_NO_WIDTH = ("num_key_value_heads", "intermediate_size")
# Widths that the config leaves to its class, windows of 0, blocks that layers share.
OLDER = [
    sized(
        "gpt_neo", *_NO_WIDTH, "num_hidden_layers", num_layers=4, attention_types=[[["global", "local"], 2]]
    ),
    {"model_type": "codegen", "pad_token_id": 0, "rotary_dim": 16, **_GPT},
    {"model_type": "openai-gpt", "pad_token_id": 0, **_GPT},
    {"model_type": "ctrl", "pad_token_id": 0, "dff": 512, **_GPT},
    sized("gpt_neox_japanese", *_NO_WIDTH),
    sized("xglm", *_NO_WIDTH, "num_hidden_layers", ffn_dim=512, num_layers=4, attention_heads=8, d_model=256),
    sized("rwkv", *_NO_HEADS),
    sized("qwen2_moe", num_experts=8, sliding_window=0, shared_expert_intermediate_size=64, **_MOE),
    sized("lfm2", layer_types=["conv", "full_attention"] * 2),
    sized("lfm2", "intermediate_size", layer_types=["conv"] * 4, block_ff_dim=999, block_multiple_of=96),
    sized("zamba", layers_block_type=["mamba", "hybrid"] * 2, attention_head_dim=64, mamba_dt_rank=16),
    sized(
        "zamba2",
        num_hidden_layers=6,
        layers_block_type=["mamba", "hybrid"] * 3,
        num_mem_blocks=2,
        num_key_value_heads=8,
        use_shared_attention_adapter=True,
        adapter_rank=16,
        mamba_d_state=16,
        mamba_headdim=64,
        n_mamba_heads=8,
    ),
]
EVERY = [*DENSE, *SPARSE, *STATEFUL, *OLDER]
