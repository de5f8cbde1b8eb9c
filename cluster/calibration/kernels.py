"""The measured kernels, on one torch device: memory rates, matrix products, all-reduces.

They work in any process that has torch, on a GPU or on the CPU. Rates are medians of several rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist

_GIB = 1024**3
_ROUNDS = 5
_ROUND_S = 0.06
_FEW_ROWS = 16
"""Of a product that streams weights, as in decoding."""

_WIDE = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_FIRST_CAPABILITY = {"bf16": (8, 0), "fp8": (8, 9), "int8": (7, 5)}


def seconds_per_call(call: Callable[[], Any], device: torch.device) -> float:
    """Return the median time of a call, of rounds long enough for the clock."""
    call()
    _settle(device)
    once_s = max(_timed(call, 1, device), 1e-7)
    count = max(1, min(1000, round(_ROUND_S / once_s)))
    return statistics.median(_timed(call, count, device) / count for _ in range(_ROUNDS))


def _timed(call: Callable[[], Any], count: int, device: torch.device) -> float:
    _settle(device)
    began_s = time.perf_counter()
    for _ in range(count):
        call()
    _settle(device)
    return time.perf_counter() - began_s


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def memory_rates(device: torch.device) -> dict[str, float]:
    """Return bytes/s: 'copy' (read plus written), 'read', and 'weights' (into a product of few rows)."""
    size = _buffer_bytes(device)
    source = torch.ones(size // 4, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    copy_s = seconds_per_call(lambda: target.copy_(source), device)
    read_s = seconds_per_call(source.sum, device)
    return {"copy": 2 * size / copy_s, "read": size / read_s, "weights": _weights_rate(device, size)}


def _buffer_bytes(device: torch.device) -> int:
    """Return a size that no cache holds: 1 GiB, less on a small GPU; 64 MiB on a CPU."""
    if device.type != "cuda":
        return _GIB // 16
    free, _ = torch.cuda.mem_get_info(device)
    return int(min(_GIB, free // 8)) // 4096 * 4096


def _weights_rate(device: torch.device, size: int) -> float:
    """Return bytes/s of weights streamed into a product of 16 rows, each matrix used once in turn."""
    dtype = torch.float32 if device.type != "cuda" else torch.float16
    wide = 8192 if device.type == "cuda" else 1024
    one = wide * wide * torch.finfo(dtype).bits // 8
    matrices = [torch.ones(wide, wide, dtype=dtype, device=device) for _ in range(max(2, size // one))]
    rows = torch.ones(_FEW_ROWS, wide, dtype=dtype, device=device)

    def stream() -> None:
        for matrix in matrices:
            torch.mm(rows, matrix)

    return float(one * len(matrices) / seconds_per_call(stream, device))


def product_rates(device: torch.device, dtypes: Sequence[str]) -> tuple[dict[str, float], dict[str, str]]:
    """Return operations/s of large matrix products by dtype, and why others were not measured."""
    rates: dict[str, float] = {}
    absent: dict[str, str] = {}
    size = 8192 if device.type == "cuda" else 512
    for dtype in dtypes:
        if device.type == "cuda" and torch.cuda.get_device_capability(device) < _FIRST_CAPABILITY.get(
            dtype, (0, 0)
        ):
            absent[dtype] = "not supported by this GPU"
            continue
        try:
            product = _product(dtype, size, device)
            rates[dtype] = 2.0 * size**3 / seconds_per_call(product, device)
        except (RuntimeError, AttributeError, TypeError, NotImplementedError, KeyError) as error:
            absent[dtype] = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return rates, absent


def _product(dtype: str, size: int, device: torch.device) -> Callable[[], Any]:
    if dtype == "fp8":
        return _fp8_product(size, device)
    if dtype == "int8":
        left = torch.ones(size, size, dtype=torch.int8, device=device)
        return lambda: torch._int_mm(left, left)
    # Not ones: a GPU clocks higher, and draws less, on operands without entropy.
    left = torch.randn(size, size, device=device).to(_WIDE[dtype])
    right = torch.randn(size, size, device=device).to(_WIDE[dtype])
    out = torch.empty(size, size, dtype=_WIDE[dtype], device=device)
    return lambda: torch.mm(left, right, out=out)


def _fp8_product(size: int, device: torch.device) -> Callable[[], Any]:
    left = torch.randn(size, size, device=device).to(torch.float8_e4m3fn)
    # The second operand has to be stored by columns.
    right = torch.randn(size, size, device=device).to(torch.float8_e4m3fn).t()
    one = torch.ones((), dtype=torch.float32, device=device)
    return lambda: torch._scaled_mm(left, right, scale_a=one, scale_b=one, out_dtype=torch.bfloat16)


def all_reduce_seconds(device: torch.device, message_bytes: int) -> float:
    """Return the time of one all-reduce over the current process group, back to back as in a forward pass."""
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    message = torch.zeros(message_bytes // torch.finfo(dtype).bits * 8, dtype=dtype, device=device)
    count = _reduce_count(device, message_bytes)
    for _ in range(3):
        dist.all_reduce(message)
    rounds = []
    for _ in range(3):
        dist.barrier()
        rounds.append(_timed(lambda: dist.all_reduce(message), count, device) / count)
    return statistics.median(rounds)


def _reduce_count(device: torch.device, message_bytes: int) -> int:
    if device.type == "cuda":
        return 100 if message_bytes <= 1024**2 else 20 if message_bytes <= 16 * 1024**2 else 5
    return 10 if message_bytes <= 256 * 1024 else 3
