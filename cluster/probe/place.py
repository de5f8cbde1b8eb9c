"""Where a probe process is: the NVML call that it began last."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.probe.query import OPENING, REQUIRED

MARK_LENGTH = 96
_WITHOUT_PERSISTENCE = "slow without nvidia-persistenced"


@dataclass(frozen=True, slots=True)
class Place:
    """The NVML call a probe was last in; GPU and function are None between calls."""

    gpu_index: int | None = None
    function: str | None = None
    began_s: float | None = None
    """When the call began, on the monotonic clock of the machine; None before the first."""

    @property
    def is_required(self) -> bool:
        """Whether nothing can be read without this call: it is never left out."""
        return self.function in REQUIRED

    def describe(self) -> str:
        """Name the call and its GPU."""
        if self.function is None:
            return "the probe"
        return self.function if self.gpu_index is None else f"{self.function} on GPU {self.gpu_index}"

    def describe_waiting(self) -> str:
        """Name the call, and why it may take long."""
        slow_start = self.gpu_index is None and self.function == OPENING
        return f"{self.describe()} ({_WITHOUT_PERSISTENCE})" if slow_start else self.describe()


def mark_bytes(gpu_index: int | None, function: str, now_s: float) -> bytes:
    """Return what a probe process notes before a call, always of the same length."""
    text = f"{'' if gpu_index is None else gpu_index} {function} {now_s:.3f}"
    return text.encode()[:MARK_LENGTH].ljust(MARK_LENGTH)


def place_from(mark: bytes) -> Place:
    """Read a note of `mark_bytes`; one that was never written is before the first call."""
    index, function, began = [*mark.decode().rstrip("\0 ").split(" "), "", "", ""][:3]
    return Place(int(index) if index else None, function or None, float(began) if began else None)
