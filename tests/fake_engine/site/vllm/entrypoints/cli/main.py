"""The program `vllm`: of its commands, the fake has `serve`."""

from __future__ import annotations

import importlib.metadata
import sys

from vllm.options import parse
from vllm.server import serve


def main() -> None:
    """Run a command."""
    arguments = sys.argv[1:]
    if arguments[:1] in (["-v"], ["--version"]):
        print(importlib.metadata.version("vllm"))
        return
    if arguments[:1] != ["serve"]:
        sys.exit(f"vllm: error: argument subparser: invalid choice: {' '.join(arguments[:1])!r}")
    serve(parse(arguments[1:], "vllm serve"))


if __name__ == "__main__":
    main()
