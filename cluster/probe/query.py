"""Every NVML call goes through `NvmlQuery.ask`, which turns every error into a readable reason.

There are four kinds of failure. A metric that this GPU or driver never has is not asked for again; one that
is missing now is asked for next time; a lost GPU ends the reading of that GPU only; a lost driver ends the
reading of the node. Codes are those of `nvmlReturn_t`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

_NEVER = {
    3: "not supported by this GPU",
    13: "this driver is too old to report it",
    25: "this driver expects another version of the call",
    26: "this driver no longer reports it",
}
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
    return reason in _NEVER.values()


def is_placeholder(value: int) -> bool:
    """Whether a number is one of NVML's 'no value' placeholders: all ones, or near 2^63."""
    return value >= _PLACEHOLDERS_FROM or value == _UINT_PLACEHOLDER


class NvmlQuery:
    """Asks NVML through a binding module; remembers what a GPU never answers."""

    def __init__(self, module: ModuleType, mark: Mark | None = None) -> None:
        self.module = module
        self._mark = mark or (lambda gpu_index, function: None)
        self._never: dict[tuple[object, ...], str] = {}

    def ask(self, gpu_index: int | None, function: str, *args: Any) -> Answer:
        """Call `function` of the binding; raise GpuGone or NvmlGone when nothing more can be asked."""
        key = (gpu_index, function, *(arg for arg in args if _tells_questions_apart(arg)))
        if key in self._never:
            return Answer(None, self._never[key])
        call = getattr(self.module, function, None)
        if call is None:
            return Answer(None, "this NVML binding is too old to report it")
        self._mark(gpu_index, function)
        try:
            # Unwrapped: the binding's decorators fail on names that are not UTF-8 and rename errors.
            return _checked(getattr(call, "__wrapped__", call)(*args))
        except self.module.NVMLError as error:
            return self._failed(key, int(error.value))

    def forget(self) -> None:
        """Ask everything again: a GPU may have been cut into slices, or made whole, since."""
        self._never.clear()

    def _failed(self, key: tuple[object, ...], code: int) -> Answer:
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
        answer = self.ask(gpu_index, function, *args)
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
