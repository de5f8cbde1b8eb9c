"""The built-in engine's decode step in one process, compared with transformers' generate."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.timing import paired_ratio
from tests.cluster.runtime.checkpoints import make_checkpoint, read_config

PROMPT = tuple(range(1, 33))
NUM_TOKENS = 96
SIZES: dict[str, dict[str, Any]] = {
    "27 M parameters": {
        "hidden_size": 512,
        "intermediate_size": 1376,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "vocab_size": 8000,
    },
    "0.2 M parameters (a simulated cluster's scale)": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "vocab_size": 320,
    },
}


def main() -> None:
    """Print a ratio for each size (target: at most 1)."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    import torch

    torch.set_num_threads(1)
    for name, size in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = make_checkpoint(
                Path(folder), "LlamaForCausalLM", max_position_embeddings=512, initializer_range=0.02, **size
            )
            with engine_decode(checkpoint) as ours:
                ratio, ours_s, theirs_s = paired_ratio(ours, transformers_decode(checkpoint), runs=5)
        steps = f"{ours_s / NUM_TOKENS * 1e3:.2f} ms / {theirs_s / NUM_TOKENS * 1e3:.2f} ms a token"
        print(f"engine / transformers, {name}: {ratio:.2f}  (target <= 1; {steps})")


@contextmanager
def engine_decode(checkpoint: Path) -> Iterator[Callable[[], object]]:
    """Run a one-rank engine; yields a function that generates once through queue, scheduler and sampler."""
    from cluster.runtime.generation import GenerationRequest
    from cluster.runtime.rank_worker import RankWorker

    source = {"config": read_config(checkpoint), "path": str(checkpoint), "seed": 0}
    engine = RankWorker(
        source,
        tp=1,
        pp=1,
        tp_rank=0,
        stage=0,
        device="cpu",
        dtype="float32",
        max_model_len=256,
        max_num_seqs=4,
    )
    engine.join("", timeout_s=10)
    engine.load(lambda fraction: None)
    engine.warm_up()
    thread = threading.Thread(target=engine.run)
    thread.start()
    try:
        yield lambda: list(engine.submit(GenerationRequest(PROMPT, max_tokens=NUM_TOKENS)))
    finally:
        engine.stop()
        thread.join()


def transformers_decode(checkpoint: Path) -> Callable[[], object]:
    """Return a function that runs transformers' greedy generate on the same prompt and length."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    ids = torch.tensor([PROMPT])

    def generate() -> object:
        with torch.inference_mode():
            return model.generate(ids, max_new_tokens=NUM_TOKENS, do_sample=False)

    return generate


if __name__ == "__main__":
    main()
