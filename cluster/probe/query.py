"""Every NVML call goes through `NvmlQuery.ask`, which turns every error into a readable reason.

There are four kinds of failure. A metric that this GPU or driver never has is not asked for again; one that
is missing now is asked for next time; a lost GPU ends the reading of that GPU only; a lost driver ends the
reading of the node. Codes are those of `nvmlReturn_t`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from cluster.probe.lines import LeftOut
from cluster.probe.slow_calls import Key, SlowCalls

_NEVER = {
    3: "not supported by this GPU",
    13: "this driver is too old to report it",
    25: "this driver expects another version of the call",
    26: "this driver no longer reports it",
}
_PERMANENT = frozenset(_NEVER.values())
TIMED_OUT = "the driver timed out"
NO_RECORD = "the driver has no record of it"
_NOT_NOW = {
    0: NO_RECORD,
    2: "the driver rejected the query",
    4: "no permission to read it",
    6: NO_RECORD,
    7: "the data grew while it was read",
    10: TIMED_OUT,
    17: "the operating system refused it",
    19: "the GPU is busy",
    20: "the driver is out of memory",
    21: "no data yet",
    27: "the driver is not ready",
    999: "unknown driver error (a container may have lost its access to the GPUs: restart it)",
}
_GPU_GONE = {
    15: "the GPU is lost (fell off the bus); see the kernel log for its Xid",
    16: "the GPU must be reset",
    28: "the GPU is no longer there",
}
NO_LIBRARY = "no NVIDIA driver library (libnvidia-ml.so.1)"
NO_GPUS = "NVML reports no GPU"
_NODE_GONE = {
    1: "NVML is not initialized",
    9: "the NVIDIA driver is not loaded (try: nvidia-smi, modprobe nvidia)",
    12: NO_LIBRARY,
    18: "the driver library and the kernel module differ in version; reboot or reload the module",
}

OPENING = "nvmlInit"
"""The call that opens NVML; it may rightly take half a minute."""
AMDGPU_FILES = "amdgpu-sysfs"
"""Noted as the call while the files of the amdgpu driver are read, which can hang while a GPU is reset."""

REQUIRED = frozenset(
    {OPENING, "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID", AMDGPU_FILES}
)
"""Calls without which nothing can be said about the node, or about a GPU."""

_DRIVER_FAILURES = tuple(reason for code, reason in _NODE_GONE.items() if code != 12)


def is_driver_failure(error: str) -> bool:
    """Whether a node's error says that its driver is there and cannot be used, until somebody repairs it."""
    return f"{OPENING}:" in error or any(reason in error for reason in _DRIVER_FAILURES)


PLACEHOLDER = "the driver returned a placeholder value"
_PLACEHOLDERS_FROM = 2**63 - 16
_UINT_PLACEHOLDER = 0xFFFFFFFF

Mark = Callable[[int | None, str], None]
"""Called before each NVML call with GPU (None: the node) and function, so that a hang can be named."""


class GpuGone(Exception):
    """This GPU cannot be read any more; the message says why."""


class NvmlGone(Exception):
    """NVML itself cannot be used on this node; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A value, or None and the reason for it."""

    value: Any
    reason: str | None = None


def reason_for(code: int) -> str:
    """Explain an error that NVML returned for one figure among several."""
    known = _NEVER.get(code) or _NOT_NOW.get(code) or _GPU_GONE.get(code)
    return known or f"driver error {code}"


def is_permanent(reason: str) -> bool:
    """Whether it is no use to ask again as long as the driver stays the same."""
    return reason in _PERMANENT


def is_placeholder(value: int) -> bool:
    """Whether a number is one of NVML's 'no value' placeholders: all ones, or near 2^63."""
    return value >= _PLACEHOLDERS_FROM or value == _UINT_PLACEHOLDER


class NvmlQuery:
    """Asks NVML through a binding module; remembers what a GPU never answers."""

    def __init__(
        self, module: ModuleType, mark: Mark | None = None, left_out: Iterable[LeftOut] = ()
    ) -> None:
        self.module = module
        self._mark = mark or (lambda gpu_index, function: None)
        self._never: dict[Key, str] = {}
        self._left_out = {(call.gpu_index, call.function): call.reason for call in left_out}
        self._rest = SlowCalls()

    def ask(self, gpu_index: int | None, function: str, *args: Any) -> Answer:
        """Call `function` of the binding; raise GpuGone or NvmlGone when nothing more can be asked."""
        # Most calls have a handle alone, and all of them are made every second.
        told = tuple(arg for arg in args if _tells_questions_apart(arg)) if len(args) > 1 else ()
        key = (gpu_index, function, told)
        reason = self._never.get(key) or self._is_left_out(gpu_index, function) or self._rest.reason(key)
        return Answer(None, reason) if reason else self._call(key, function, args)

    def _is_left_out(self, gpu_index: int | None, function: str) -> str | None:
        if not self._left_out:
            return None
        return self._left_out.get((None, function)) or self._left_out.get((gpu_index, function))

    def _call(self, key: Key, function: str, args: tuple[Any, ...]) -> Answer:
        call = getattr(self.module, function, None)
        if call is None:
            return Answer(None, "this NVML binding is too old to report it")
        began_s = time.monotonic()
        self._mark(key[0], function)
        try:
            # Unwrapped: the binding's decorators fail on names that are not UTF-8 and rename errors.
            return _checked(getattr(call, "__wrapped__", call)(*args))
        except self.module.NVMLError as error:
            return self._failed(key, int(error.value))
        finally:
            self._rest.took(key, began_s)

    def forget(self) -> None:
        """Ask everything again: a GPU may have been cut into slices, or made whole, since."""
        self._never.clear()

    def _failed(self, key: Key, code: int) -> Answer:
        if code in _GPU_GONE:
            raise GpuGone(_GPU_GONE[code])
        if code in _NODE_GONE:
            raise NvmlGone(_NODE_GONE[code])
        if code in _NEVER:
            self._never[key] = _NEVER[code]
            return Answer(None, _NEVER[code])
        return Answer(None, _NOT_NOW.get(code, f"driver error {code}"))

    def require(self, gpu_index: int | None, function: str, *args: Any) -> Any:
        """Like `ask`, for calls we cannot continue without: raises GpuGone, or NvmlGone for a node."""
        answer = self._call((gpu_index, function, ()), function, args)
        if answer.reason is None:
            return answer.value
        raise (NvmlGone if gpu_index is None else GpuGone)(f"{function}: {answer.reason}")


def _tells_questions_apart(argument: Any) -> bool:
    """Whether an argument is a part of what is asked: numbers and fields are; handles and times are not."""
    return isinstance(argument, tuple) or (isinstance(argument, int) and argument <= _UINT_PLACEHOLDER)


def _checked(value: Any) -> Answer:
    if isinstance(value, bytes):
        return Answer(value.decode("utf-8", "replace"))
    if isinstance(value, int) and is_placeholder(value):
        return Answer(None, PLACEHOLDER)
    return Answer(value)
