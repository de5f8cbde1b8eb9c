"""Runs in the engines' own environment: what they say of exported commands and configurations.

Reads a JSON list on stdin and prints one of as many texts: empty for an item that the engine takes, else its
error.
Standard library and the engine only. An item: {"check": one of CHECKS, "argv" or "config": ...}.
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
    check_vllm_options(item).create_engine_config(headless="--headless" in item["argv"])


def check_vllm_options(item: dict[str, Any]) -> Any:
    """Parse the arguments after `vllm serve`."""
    from vllm.engine.arg_utils import AsyncEngineArgs

    model, *options = item["argv"]
    return AsyncEngineArgs.from_cli_args(parser_of("vllm").parse_args(["--model", model, *options]))


def check_sglang(item: dict[str, Any]) -> None:
    """Parse the arguments of the launcher, and make the server's from them."""
    from sglang.srt.server_args import ServerArgs

    ServerArgs.from_cli_args(parser_of("sglang").parse_args(item["argv"]))


def check_ray(item: dict[str, Any]) -> None:
    """Make Ray's configuration, vLLM's arguments from it, and vLLM's configuration from those."""
    arguments = check_ray_options(item)
    # Without a Ray cluster vLLM cannot ask it for GPUs.
    arguments.distributed_executor_backend = "mp"
    arguments.create_engine_config()


def check_ray_options(item: dict[str, Any]) -> Any:
    """Make Ray's configuration, and vLLM's arguments from it."""
    from ray.serve.llm import LLMConfig
    from vllm.engine.arg_utils import AsyncEngineArgs

    return AsyncEngineArgs(**LLMConfig(**item["config"]).get_engine_config().get_initialization_kwargs())


CHECKS = {
    "vllm": check_vllm,
    "vllm-options": check_vllm_options,
    "sglang": check_sglang,
    "ray": check_ray,
    "ray-options": check_ray_options,
}


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
