"""How a fake server dies at its start: the last lines that vLLM prints, and its exit status."""

from __future__ import annotations

import sys
from typing import NoReturn

from fake_server.log import Printer, say

_OOM = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 896.00 MiB. GPU 0 has a total capacity of "
    "79.11 GiB of which 512.00 MiB is free. Including non-PyTorch memory, this process has 78.60 GiB in use."
)
_FAILED = (
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): "
    "{'EngineCore': 1}"
)


def die(kind: str, model: str) -> NoReturn:
    """Print the end of a start that failed, and exit."""
    if kind == "import":
        _traceback("ImportError: libcudart.so.13: cannot open shared object file: No such file or directory")
    elif kind == "unsupported":
        _traceback(
            "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n  Value "
            "error, Model architectures ['StrangeForCausalLM'] are not supported for now. "
            "Supported architectures: dict_keys(['LlamaForCausalLM', 'Qwen3ForCausalLM'])"
        )
    elif kind == "port":
        say("OSError: [Errno 98] Address already in use")
    else:
        cause = _OOM if kind == "oom" else "RuntimeError: made to fail while loading"
        out = Printer("EngineCore")
        out.error("core.py", "EngineCore failed to start.")
        out.error("core.py", f'Traceback (most recent call last):\n  File "core.py", line 1, in run\n{cause}')
        _traceback(_FAILED)
    sys.exit(1)


def _traceback(last: str) -> None:
    say(
        'Traceback (most recent call last):\n  File "/opt/engine/bin/vllm", line 8, in <module>\n'
        "    sys.exit(main())"
    )
    say(last)
