"""Saves a tiny Llama with a byte-level tokenizer, as vLLM and transformers load it."""

from __future__ import annotations

import json
from pathlib import Path

VOCABULARY = 512
CONTEXT = 512
_SIZES = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": CONTEXT,
    # Larger than usual: otherwise the logits are nearly equal, and rounding decides.
    "initializer_range": 0.2,
    "eos_token_id": 1,
    "bos_token_id": None,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def make_tiny_model(folder: Path) -> Path:
    """Save config, weights in float32 and tokenizer into `folder`; return it."""
    import torch
    import transformers

    torch.manual_seed(11)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**_SIZES)).float()
    model.save_pretrained(folder)
    _save_tokenizer(folder)
    return folder


def _save_tokenizer(folder: Path) -> None:
    """Save a tokenizer with one token per byte; what is left of the vocabulary are unused names."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = ["<pad>", "</s>", *alphabet]
    names += [f"<unused-{number}>" for number in range(VOCABULARY - len(names))]
    tokenizer = Tokenizer(models.BPE(vocab={name: number for number, name in enumerate(names)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "chat_template": _TEMPLATE,
        "model_max_length": CONTEXT,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def transformers_tokens(folder: Path, prompt: list[int], num_tokens: int) -> list[int]:
    """Return transformers' greedy continuation of `prompt`."""
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        answer = model.generate(torch.tensor([prompt]), max_new_tokens=num_tokens, do_sample=False)
    tokens: list[int] = answer[0, len(prompt) :].tolist()
    return tokens
