"""Runs the ranks of one replica as plain processes with torch.distributed; its leader measures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster.deploy.spec import DeploymentSpec, RankPlace
from cluster.probe.local import read_cluster

LIMIT_S = 200.0
_MARK = "RESULT "
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class RequestShape:
    """What the leader sends itself: first one request, then `concurrency` at once."""

    input_tokens: int
    output_tokens: int
    concurrency: int


@dataclass(frozen=True)
class Measured:
    """Of one replica. Memory is what NVML shows more than before, on the fullest GPU."""

    load_s: float
    ttft_s: float
    tpot_s: float
    tokens_per_s: float
    memory_bytes: int | None
    tensor_bytes: int
    all_reduce_share: float | None


def run_ranks(spec: DeploymentSpec, shape: RequestShape) -> Measured:
    """Start a process per rank of replica 0, wait for the leader's result, end all."""
    places = [place for place in spec.ranks if place.replica == 0]
    before = _used_bytes(places) if spec.device == "cuda" else {}
    where = f"tcp://127.0.0.1:{_free_port()}"
    common = {
        "source": spec.model.model_dump(),
        "tp": spec.layout.tp,
        "pp": spec.layout.pp,
        "device": spec.device,
        "dtype": spec.dtype,
        "max_model_len": spec.max_model_len,
        "max_num_seqs": spec.max_num_seqs,
        "where": where,
        "shape": asdict(shape),
    }
    children = [_start(place, common) for place in places]
    lines: dict[str, Any] = {}
    watcher = threading.Thread(target=_read_leader, args=(children[0], lines), daemon=True)
    watcher.start()
    try:
        memory = _memory_once_loaded(places, before, lines, children)
        watcher.join(LIMIT_S)
    finally:
        for child in children:
            child.kill()
            child.wait()
    if "result" not in lines:
        raise RuntimeError(f"the leader ended without a result: {lines.get('last', 'no output')}")
    return Measured(memory_bytes=memory, **lines["result"])


def _start(place: RankPlace, common: dict[str, Any]) -> subprocess.Popen[str]:
    order = {**common, "tp_rank": place.rank, "stage": place.stage, "layers": place.layers}
    env = {**os.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    if common["device"] == "cuda":
        env["CUDA_VISIBLE_DEVICES"] = place.gpu_uuid
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.gpu.alone.rank"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
        cwd=ROOT,
    )
    assert child.stdin is not None
    child.stdin.write(json.dumps(order) + "\n")
    child.stdin.flush()
    return child


def _read_leader(leader: subprocess.Popen[str], lines: dict[str, Any]) -> None:
    assert leader.stdout is not None
    for line in leader.stdout:
        if line.startswith(_MARK):
            lines["result"] = json.loads(line.removeprefix(_MARK))
        elif line.strip() == "loaded":
            lines["loaded"] = True
        else:
            lines["last"] = line.strip()
    lines["ended"] = True


def _memory_once_loaded(
    places: list[RankPlace],
    before: dict[str, int],
    lines: dict[str, Any],
    children: list[subprocess.Popen[str]],
) -> int | None:
    """Return the most that a GPU holds more than before, read while the replica serves; None on a CPU."""
    ends_s = time.monotonic() + LIMIT_S
    most = None
    while "result" not in lines and "ended" not in lines and time.monotonic() < ends_s:
        if before and "loaded" in lines:
            now = _used_bytes(places)
            risen = max(now[uuid] - before[uuid] for uuid in before)
            most = risen if most is None else max(most, risen)
        if any(child.poll() not in (None, 0) for child in children):
            break
        time.sleep(0.5)
    return most


def _used_bytes(places: list[RankPlace]) -> dict[str, int]:
    """Return what NVML says is used on the GPUs of these ranks."""
    wanted = {place.gpu_uuid for place in places}
    gpus = [gpu for gpu in read_cluster().nodes[0].gpus if gpu.uuid in wanted]
    return {gpu.uuid: (gpu.memory_total_bytes or 0) - (gpu.memory_free_bytes or 0) for gpu in gpus}


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
