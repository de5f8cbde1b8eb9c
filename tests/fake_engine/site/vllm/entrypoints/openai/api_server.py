"""`python -m vllm.entrypoints.openai.api_server`: the server without the program `vllm`."""

from __future__ import annotations

import sys

from vllm.options import parse
from vllm.server import serve

if __name__ == "__main__":
    serve(parse(sys.argv[1:], "api_server.py"))
