"""The process that prepares requests: `python -m cluster.deploy.router.prepare_process FD SETTINGS`.

It limits itself: exceeding the CPU time ends the process, exceeding the memory fails the request.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import signal
import socket
import sys
from array import array
from collections.abc import Callable
from typing import Any

from cluster.deploy.router.api_errors import ApiError
from cluster.deploy.router.frames import receive_frame, send_frame
from cluster.deploy.router.prepare import Prepared, Settings, prepare
from cluster.deploy.router.router_limits import MIB, PrepareLimits
from cluster.deploy.router.router_tokenizer import RouterTokenizer
from cluster.deploy.router.tokenizer_protocols import Encoder
from cluster.errors import BadInput

ID_TYPE = "I"


def main(fd: int, settings: Settings, limits: PrepareLimits) -> None:
    """Answer requests on the socket `fd` until it is closed by the router."""
    # The default action of SIGPROF ends the process even inside a C extension.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    os.nice(limits.niceness)
    tokenizer = RouterTokenizer(settings.path, settings.vocab_size)
    # Import now, so that the first chat is not charged for it.
    with contextlib.suppress(ImportError):
        importlib.import_module("jinja2.sandbox")
    _limit_memory(limits.memory_bytes)
    with socket.socket(fileno=fd) as sock:
        send_frame(sock, {"ready": True})
        while (message := receive_frame(sock)) is not None:
            head, body = message
            signal.setitimer(signal.ITIMER_PROF, limits.cpu_s)
            answer, ids = _answer(head["kind"], body, settings, tokenizer, _teller(sock), limits)
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            send_frame(sock, answer, ids)


def _teller(sock: socket.socket) -> Callable[[str], None]:
    return lambda step: send_frame(sock, {"step": step})


def _answer(
    kind: Any,
    body: bytes,
    settings: Settings,
    tokenizer: Encoder,
    enter: Callable[[str], None],
    limits: PrepareLimits,
) -> tuple[dict[str, Any], bytes]:
    try:
        prepared = prepare(kind, body, settings, tokenizer, enter)
        return _fields(prepared), array(ID_TYPE, prepared.answer_request.prompt_ids).tobytes()
    except ApiError as error:
        failed = error
    except BadInput as error:
        failed = ApiError(400, error.one_line())
    except MemoryError:
        failed = ApiError(
            400, f"preparing this request needs more than {limits.memory_bytes // MIB} MiB of memory"
        )
    except Exception as error:
        # A template or tokenizer may raise anything; that fails this request only.
        failed = ApiError(500, f"the router failed: {type(error).__name__}")
    return {"error": [failed.status, failed.message, failed.param, failed.code]}, b""


def _fields(prepared: Prepared) -> dict[str, Any]:
    wanted = prepared.answer_request
    params = wanted.params
    return {
        "params": [params.max_tokens, params.temperature, params.top_p, params.seed],
        "stops": wanted.stops,
        "stream": prepared.stream,
        "include_usage": prepared.include_usage,
    }


def _limit_memory(more_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError):
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - no file on a disk
            used_bytes = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used_bytes + more_bytes, used_bytes + more_bytes))


if __name__ == "__main__":
    _settings, _limits = json.loads(sys.argv[2])
    main(int(sys.argv[1]), Settings(**_settings), PrepareLimits(**_limits))
