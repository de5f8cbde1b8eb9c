"""The proof of servers that speak OpenAI's API: a completion of one token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster.engines.adapter import ProofRequest


def completion_proof(served_name: str) -> ProofRequest:
    """Return a request for one token; the end of the text counts as a token as well."""
    body = {"model": served_name, "prompt": "1", "max_tokens": 1, "temperature": 0, "ignore_eos": True}
    return ProofRequest("/v1/completions", body)


def has_completion_token(answer: Mapping[str, Any]) -> bool:
    """Return whether an answer has a choice and counts a generated token; its text may be empty."""
    choices, usage = answer.get("choices"), answer.get("usage")
    if not isinstance(choices, list) or not choices or not isinstance(usage, dict):
        return False
    tokens = usage.get("completion_tokens")
    return isinstance(tokens, int) and not isinstance(tokens, bool) and tokens >= 1
