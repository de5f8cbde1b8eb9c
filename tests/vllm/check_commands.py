"""Runs in an engine's environment: does its own parser, and its configuration, take these command lines?

Reads a JSON list of argument lists from standard input, and writes a JSON list of the faults, '' for none.
Usage: PYTHON tests/vllm/check_commands.py vllm|sglang
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from flags import option_parser


def main() -> None:
    """Check all command lines of standard input with one parser."""
    check = {"vllm": _vllm_check, "sglang": _sglang_check}[sys.argv[1]]()
    answers = [_fault(check, arguments) for arguments in json.load(sys.stdin)]
    print(json.dumps(answers))


def _fault(check: Callable[[list[str]], object], arguments: list[str]) -> str:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            check(arguments)
    except SystemExit:
        return said.getvalue().strip().splitlines()[-1]
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _vllm_check() -> Callable[[list[str]], object]:
    from vllm import AsyncEngineArgs

    parser = option_parser("vllm")

    def check(arguments: list[str]) -> object:
        """Everything that `vllm serve` does before it starts a process."""
        asked = parser.parse_args(arguments)
        asked.model = asked.model_tag
        return AsyncEngineArgs.from_cli_args(asked).create_engine_config(headless=asked.headless)

    return check


def _sglang_check() -> Callable[[list[str]], object]:
    from sglang.srt.server_args import ServerArgs

    parser = option_parser("sglang")
    return lambda arguments: ServerArgs.from_cli_args(parser.parse_args(arguments))


if __name__ == "__main__":
    main()
