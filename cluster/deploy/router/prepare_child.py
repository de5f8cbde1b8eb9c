"""The router's handle on one prepare process: starts it, sends it requests with a deadline, and ends it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from array import array
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cluster.deploy.router.answers import AnswerRequest
from cluster.deploy.router.api_errors import ApiError
from cluster.deploy.router.frames import receive_frame, send_frame
from cluster.deploy.router.prepare import PARSING, Kind, Prepared, Settings
from cluster.deploy.router.prepare_process import ID_TYPE
from cluster.deploy.router.replica_pool import SamplingParams
from cluster.deploy.router.router_limits import MIB, PrepareLimits
from cluster.text import clean

_MODULE = "cluster.deploy.router.prepare_process"
_START_S = 60.0
_END_S = 5.0
_PACKAGE_ROOT = Path(__file__).resolve().parents[3]


class PrepareChild:
    """The process and the socket to it. Not thread-safe, except for `kill`."""

    def __init__(self, settings: Settings, limits: PrepareLimits) -> None:
        self._limits, self._ready = limits, False
        self._sock, theirs = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        arguments = json.dumps([asdict(settings), asdict(limits)])
        with theirs:
            self._process = subprocess.Popen(
                # -P: do not import a folder named 'cluster' in the working directory instead of ours.
                [sys.executable, "-P", "-m", _MODULE, str(theirs.fileno()), arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
                start_new_session=True,
            )

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def await_ready(self) -> None:
        """Wait until it accepts requests; ApiError(503) with its last stderr line if it does not start."""
        if self._ready:
            return
        with contextlib.suppress(TimeoutError, OSError, ValueError):
            self._ready = receive_frame(self._sock, time.monotonic() + _START_S) is not None
        if not self._ready:
            reason = self._last_words() or f"no answer within {_START_S:.0f} s"
            message = f"the router's prepare process does not start: {reason}"
            raise ApiError(503, message, code="preparation_failed", retry_after_s=5)

    def ask(self, kind: Kind, body: bytes) -> Prepared:
        """Return what a body asks for; ApiError if invalid. Exceeding the limits ends the process."""
        step, until_s = PARSING, time.monotonic() + self._limits.wall_s
        try:
            self._sock.settimeout(self._limits.wall_s)
            send_frame(self._sock, {"kind": kind}, body)
            while (message := receive_frame(self._sock, until_s)) is not None:
                head, ids = message
                if "step" not in head:
                    return _prepared(head, ids)
                step = str(head["step"])
        except TimeoutError:
            self.end()
            text = f"preparing this request took more than {self._limits.wall_s:g} s; try again later"
            raise ApiError(503, text, code="preparation_timeout", retry_after_s=1) from None
        except (OSError, ValueError):
            # The process has ended or sent garbage; its exit status says why.
            pass
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        self.end()
        raise self._cause(step)

    def _cause(self, step: str) -> ApiError:
        status = self._process.returncode
        if status == -signal.SIGPROF:
            limit = f"more than {self._limits.cpu_s:g} s of CPU time"
        elif status in (-signal.SIGABRT, -signal.SIGSEGV):
            limit = f"more than {self._limits.memory_bytes // MIB} MiB of memory, or crashed"
        else:
            message = f"the process preparing this request ended ({_named(status)}); try again"
            return ApiError(503, message, code="preparation_failed", retry_after_s=1)
        return ApiError(400, f"{step}: this request needed {limit}", code="preparation_limit")

    def _last_words(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read(1024**2).decode("utf-8", "replace").strip().splitlines()
        return clean(lines[-1]) if lines else ""

    def kill(self) -> None:
        """Kill the process without waiting for it."""
        with contextlib.suppress(OSError):
            self._process.kill()

    def end(self) -> None:
        """End the process, reap it and close what belongs to it."""
        self.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        self._sock.close()
        self._stderr.close()


def _named(status: int | None) -> str:
    if status is not None and status < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-status).name
    return f"status {status}"


def _prepared(head: dict[str, Any], ids: bytes) -> Prepared:
    if "error" in head:
        status, message, param, code = head["error"]
        raise ApiError(status, message, param=param, code=code)
    max_tokens, temperature, top_p, seed = head["params"]
    prompt_ids = array(ID_TYPE)
    prompt_ids.frombytes(ids)
    params = SamplingParams(max_tokens, temperature, top_p, seed)
    wanted = AnswerRequest(prompt_ids.tolist(), params, tuple(head["stops"]))
    return Prepared(wanted, head["stream"], head["include_usage"])


def _environment() -> dict[str, str]:
    paths = [str(_PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    # One tokenizer thread, so that CPU time and address space stay predictable.
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TOKENIZERS_PARALLELISM": "false"}
