"""Runs in the engines' own environment: what they say of exported commands and configurations.

Reads a JSON list on stdin and prints one of as many texts: empty for an item that the engine takes, else its
error.
Standard library and the engine only. An item: {"check": "vllm" | "sglang" | "ray", "argv" or "config": ...}.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))


@functools.cache
def parser_of(engine: str) -> Any:
    """Return the engine's own parser."""
    from flags import option_parser

    return option_parser(engine)


def check_vllm(item: dict[str, Any]) -> None:
    """Parse the arguments after `vllm serve`, and make the engine's configuration from them."""
    from vllm.engine.arg_utils import AsyncEngineArgs

    model, *options = item["argv"]
    parsed = parser_of("vllm").parse_args(["--model", model, *options])
    AsyncEngineArgs.from_cli_args(parsed).create_engine_config(headless="--headless" in options)


def check_sglang(item: dict[str, Any]) -> None:
    """Parse the arguments of the launcher."""
    parser_of("sglang").parse_args(item["argv"])


def check_ray(item: dict[str, Any]) -> None:
    """Make the configuration, and vLLM's arguments from it."""
    from ray.serve.llm import LLMConfig
    from vllm.engine.arg_utils import AsyncEngineArgs

    engine = LLMConfig(**item["config"]).get_engine_config()
    arguments = engine.get_initialization_kwargs()
    # Without a Ray cluster vLLM cannot ask it for GPUs.
    arguments.pop("distributed_executor_backend")
    arguments.pop("enable_log_requests")
    AsyncEngineArgs(**arguments).create_engine_config()


CHECKS = {"vllm": check_vllm, "sglang": check_sglang, "ray": check_ray}


def verdict(item: dict[str, Any]) -> str:
    """Return '' if the engine takes an item, else what it says."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            CHECKS[item["check"]](item)
    except SystemExit:
        return said.getvalue()[-2000:] or "exit"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[-2000:]
    return ""


if __name__ == "__main__":
    answers = [verdict(item) for item in json.load(sys.stdin)]
    print("\n" + json.dumps(answers))
