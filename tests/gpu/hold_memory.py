"""Holds bytes on GPU 0 through the CUDA driver alone until stdin ends.

Use: python -m tests.gpu.hold_memory BYTES
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable


def main() -> None:
    cuda = ctypes.CDLL("libcuda.so.1")
    device, context, address = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
    steps: tuple[Callable[[], int], ...] = (
        lambda: cuda.cuInit(0),
        lambda: cuda.cuDeviceGet(ctypes.byref(device), 0),
        lambda: cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device),
        lambda: cuda.cuCtxSetCurrent(context),
        lambda: cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(int(sys.argv[1]))),
    )
    for step in steps:
        if code := step():
            sys.exit(f"CUDA error {code}")
    print("held", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
