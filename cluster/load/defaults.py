"""What a load test sends where nothing else is asked for; the lengths are those of `vllm bench serve`."""

from __future__ import annotations

NUM_PROMPTS = 100
BURSTINESS = 1.0
INPUT_TOKENS = 1024
OUTPUT_TOKENS = 128
