"""Clusters: snapshots with random changes, and specs with typing errors."""

from __future__ import annotations

import json
import random
from pathlib import Path

from cluster.cluster_spec import parse_cluster_spec
from cluster.snapshot import dump_cluster
from tests.fuzz.values import changed, damaged_text

TYPES = ("A100-80GB", "H100", "L4", "T4", "V100-32GB", "RTX-4090", "B200", "GB200", "MI300X", "L40S", "P40")
_SHAPES = (
    "1x{}",
    "2x{}",
    "4x{}",
    "2x2x{}",
    "2x8x{}",
    "1x8x{},2x4xL4",
    "3x1x{}",
    "8x{},1xT4",
    "2x4x{},2x4xL4",
)
_NOISE = (
    "x",
    "X",
    "×",
    "*",
    ",",
    " ",
    "\t",
    "-",
    "0",
    "9",
    "99999",
    "10000000000",
    "\x1b",
    "é",
    "A100",
    "",
    ":",
    "/",
)


def good_spec(rng: random.Random) -> str:
    """Return a valid spec."""
    return rng.choice(_SHAPES).format(rng.choice(TYPES))


def spec(rng: random.Random) -> str:
    """Return a spec that may be invalid."""
    text = list(good_spec(rng))
    for _ in range(rng.choice((0, 0, 1, 2, 3))):
        at = rng.randint(0, len(text))
        text[at : at + rng.randint(0, 2)] = rng.choice(_NOISE) * rng.choice((1, 1, 1, 200))
    return "".join(text).replace("\0", "") or "x"


def write_snapshot(rng: random.Random, folder: Path) -> Path:
    """Write a snapshot, usually with random changes; return its path."""
    body = json.loads(dump_cluster(parse_cluster_spec(good_spec(rng))))
    cluster = body["cluster"]
    cluster["taken_at_s"] = 1.79e9
    cluster["measured_links"] = [
        {"scope": scope, "num_ranks": rng.choice((2, 8)), "latency_s": 2e-5, "bandwidth_bytes_per_s": 3e11}
        for scope in rng.sample(("node", "cross_node"), rng.randint(0, 2))
    ]
    if rng.random() < 0.5:
        kind = cluster["nodes"][0]["gpus"][0]["type"]
        cluster["measured_rates"] = [
            {"gpu_type": kind, "memory_bytes_per_s": 2e12, "flops_per_s": {"bf16": 6e14}}
        ]
    for node in cluster["nodes"]:
        node["network_bytes_per_s"] = rng.choice((None, 5e10, 1.25e7))
    # Most values belong to GPUs. Keep few of them, so that other values are changed as often.
    target = cluster if rng.random() < 0.7 else body
    target_changed = changed(rng, target, 2) if rng.random() < 0.8 else target
    body = {**body, "cluster": target_changed} if target is cluster else target_changed
    path = folder / "cluster.json"
    path.write_bytes(damaged_text(rng, body))
    return path
