"""An hour of 64 GPUs: writing it, the size of the file, opening it, jumping into it."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from cluster.recording.cursor import Cursor
from cluster.recording.recording import open_recording
from cluster.recording.state import EMPTY, Restorer
from cluster.recording.writer import RecordingWriter
from tests.benchmarks.timing import median_s
from tests.cluster.recording.scenes import BEGIN_S, Scene, states

NODES, GPUS_PER_NODE, SECONDS = 8, 8, 3600
_TARGET_S = 1.0
_JUMPS = 20


def main() -> None:
    """Print figures of one recording."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hour.cvr"
        writing_s = write(path)
        print(f"recording: {1e3 * writing_s / SECONDS:.1f} ms of a core per second, with the simulation")
        print(
            f"file: {path.stat().st_size / 1e6:.1f} MB for {SECONDS:,} frames of {NODES * GPUS_PER_NODE} GPUs"
        )
        opened_s = median_s(lambda: first_picture(path))
        print(f"open and restore the first state: {1e3 * opened_s:.0f} ms  (target {1e3 * _TARGET_S:.0f} ms)")
        jumps_s = [jump(path, second) for second in range(0, SECONDS, SECONDS // _JUMPS)]
        typical_s, worst_s = statistics.median(jumps_s), max(jumps_s)
        print(f"open and jump anywhere: median {1e3 * typical_s:.0f} ms, worst {1e3 * worst_s:.0f} ms")
        everything_s = median_s(lambda: read_everything(path), runs=1)
        print(f"unpack and apply every frame: {everything_s:.2f} s")


def write(path: Path) -> float:
    """Write the hour; returns the CPU seconds it took."""
    began_s = time.process_time()
    with RecordingWriter(path, "benchmark") as writer:
        for at_s, state in states(SECONDS, Scene(NODES, GPUS_PER_NODE)):
            writer.add(at_s, state)
    return time.process_time() - began_s


def first_picture(path: Path) -> None:
    """Do what a screen waits for: index the file, read the first state, validate it."""
    jump_to(path, BEGIN_S)


def jump(path: Path, second: int) -> float:
    """Return how long it takes to open the file at a second."""
    began_s = time.perf_counter()
    jump_to(path, BEGIN_S + second)
    return time.perf_counter() - began_s


def jump_to(path: Path, at_s: float) -> None:
    """Index the file, go to a time, validate the state there."""
    cursor = Cursor(open_recording(path))
    cursor.seek(at_s)
    assert len(list(Restorer().events(EMPTY, cursor.state))) >= 3


def read_everything(path: Path) -> None:
    """Go through all frames."""
    cursor, frames = Cursor(open_recording(path)), 0
    while cursor.step():
        frames += 1
    assert frames == SECONDS


if __name__ == "__main__":
    sys.exit(main())
