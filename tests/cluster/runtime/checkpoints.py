"""Makes tiny checkpoints with transformers, and transformers' own answers as the reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SIZES: dict[str, Any] = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 101,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "eos_token_id": None,
    "bos_token_id": None,
    "pad_token_id": None,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}


def make_checkpoint(
    folder: Path, architecture: str, *, shard_bytes: int | None = None, **fields: Any
) -> Path:
    """Save a random model of `architecture` ('LlamaForCausalLM', ...) in Hugging Face format."""
    import torch
    import transformers

    torch.manual_seed(7)
    config_class = getattr(transformers, architecture.replace("ForCausalLM", "Config"))
    config = config_class(**{**SIZES, **fields})
    model = getattr(transformers, architecture)(config)
    for name, parameter in model.named_parameters():
        # Initial biases are zero and initial norms one, which would hide mistakes.
        if name.endswith("bias") or "norm" in name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    model.save_pretrained(folder, max_shard_size=shard_bytes or "5GB")
    return folder


def read_config(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return loaded


def reference(
    folder: Path, prompt: tuple[int, ...], prompts: tuple[tuple[int, ...], ...], num_tokens: int
) -> tuple[Any, list[list[int]]]:
    """Return transformers' logits of `prompt` [tokens, vocabulary], and its greedy answers to `prompts`."""
    import torch
    import transformers

    def fresh() -> Any:
        # With dynamic RoPE a model remembers its longest sequence and answers differently afterwards.
        return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    with torch.inference_mode():
        logits = fresh()(torch.tensor([prompt])).logits[0].float().numpy()
        answers = [
            fresh().generate(torch.tensor([ids]), max_new_tokens=num_tokens, do_sample=False)[0, len(ids) :]
            for ids in prompts
        ]
    return logits, [answer.tolist() for answer in answers]
