"""The screen on a real 160 x 48 terminal: bytes written when nothing changes, and for an arrow key.

An arrow moves in the list of layouts, or on the map. The last case has fresh readings of 10,000 GPUs at 1 Hz.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from tests.tui.terminal import Terminal

SIZE = (160, 48)
_PLANNER = ("-m", "tui", "--model", "llama-3.1-70b", "--cluster")
CASES = {
    "1x8xH100": (*_PLANNER, "1x8xH100"),
    "1250x8xH100": (*_PLANNER, "1250x8xH100"),
    "1250x8, readings at 1 Hz": ("-m", "tests.tui.live_screen", "1250"),
}
_LIST, _MAP = (b"\x1b[B", b"\x1b[A"), (b"\x1b[C", b"\x1b[B", b"\x1b[D", b"\x1b[A")
_STATIC_S = 5.0
_PRESSES = 100
_QUIET_S = 0.25
"""The redraw for a key counts as complete after this long without output."""
_TARGET_BYTES, _TARGET_S = 6_000, 0.050


def main() -> None:
    """Print bytes per second of a static screen, and bytes and latency of an arrow key, for each case."""
    for name, command in CASES.items():
        with Terminal(command, SIZE, COLORTERM="truecolor") as terminal:
            terminal.read_until(b"tok/s", 120.0)
            terminal.read_while_busy(1.5, 10.0)
            static = static_bytes(terminal, _STATIC_S)
            in_list = press_all(terminal, _LIST)
            press(terminal, b"g")
            on_map = press_all(terminal, _MAP)
            terminal.send(b"q")
            terminal.wait()
        print(f"{name}, nothing changes: {static / _STATIC_S:,.0f} bytes/s  (target 0)")
        print(f"{name}, arrow in the list: {_describe_presses(in_list)}")
        print(f"{name}, arrow on the map: {_describe_presses(on_map)}")


def press_all(terminal: Terminal, keys: Sequence[bytes]) -> list[tuple[int, float]]:
    """Press keys in turn; return bytes and seconds of each."""
    return [press(terminal, keys[number % len(keys)]) for number in range(_PRESSES)]


def static_bytes(terminal: Terminal, seconds: float) -> int:
    """Count the bytes written in `seconds` without a key press."""
    before = len(terminal.output)
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        terminal.read_for(left_s)
    return len(terminal.output) - before


def press(terminal: Terminal, key: bytes) -> tuple[int, float]:
    """Press a key; return the bytes written for it and the seconds until the last one."""
    before, started_s = len(terminal.output), time.perf_counter()
    terminal.send(key)
    last_s = started_s
    while terminal.read_for(_QUIET_S):
        last_s = time.perf_counter()
    return len(terminal.output) - before, last_s - started_s


def _describe_presses(presses: Sequence[tuple[int, float]]) -> str:
    sizes = sorted(size for size, _ in presses)
    times_s = sorted(seconds for _, seconds in presses)
    late_s = times_s[min(len(times_s) - 1, int(len(times_s) * 0.99))]
    return (
        f"{statistics.median(sizes):,.0f} bytes, at most {sizes[-1]:,}  (target {_TARGET_BYTES:,}); "
        f"last byte after {statistics.median(times_s) * 1e3:.0f} ms, 99th percentile {late_s * 1e3:.0f} ms  "
        f"(target {_TARGET_S * 1e3:.0f} ms)"
    )


if __name__ == "__main__":
    main()
