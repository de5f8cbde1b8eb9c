"""Compares the memory model with start-up logs: weights, activations, KV cache tokens and bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from cluster.planner.memory import kv_cache_tokens, replica_memory, with_ranks
from cluster.units import GIB
from tests.evidence.figures import Miss, summary
from tests.evidence.models import EvidenceModels
from tests.evidence.rows import REPORTS, Row, named_rows
from tests.evidence.setups import Setup, read_setup

_PARTS = ("weights_gib_per_gpu", "activation_peak_gib", "non_torch_gib", "kv_cache_gib_per_gpu")


@dataclass(frozen=True, slots=True)
class MemoryAccuracy:
    """Predictions and measurements, by quantity."""

    weights: list[Miss]
    activation: list[Miss]
    tokens: list[Miss]
    room: list[Miss]


def memory_accuracy(folder: Path) -> MemoryAccuracy:
    """Plan every start of the folder's logs whose model and layout are known."""
    models = EvidenceModels(folder)
    found = MemoryAccuracy([], [], [], [])
    for name, row in named_rows(folder, "startup_logs*.jsonl", REPORTS):
        setup = read_setup(row, models, folder)
        if setup is None:
            continue
        found.weights.extend(weights_miss(name, row, setup))
        found.activation.extend(activation_miss(name, row, setup))
        found.tokens.extend(tokens_miss(name, row, setup))
        found.room.extend(room_miss(name, row, setup))
    return found


def section(folder: Path) -> list[str]:
    """Return the lines on memory."""
    found = memory_accuracy(folder)
    return [
        "Memory against start-up logs",
        *summary("weights per GPU", found.weights, "GiB", relative=True),
        *summary("activation peak per GPU", found.activation, "GiB", relative=False),
        *summary("KV tokens from the logged KV bytes", found.tokens, "tokens", relative=True),
        *summary("KV GiB per GPU from scratch", found.room, "GiB", relative=False),
    ]


def weights_miss(name: str, row: Row, setup: Setup) -> list[Miss]:
    """Return the error of the weights, of the first stage as the log shows it."""
    measured = row.get("weights_gib_per_gpu")
    if not measured:
        return []
    memory = replica_memory(setup.replica).ranks[0]
    return [Miss(name, memory.weights_bytes / GIB, measured)]


def activation_miss(name: str, row: Row, setup: Setup) -> list[Miss]:
    """Return the error of the activation peak, of the first stage as the log shows it."""
    measured = row.get("activation_peak_gib")
    if measured is None or not setup.names_gpu:
        return []
    memory = replica_memory(setup.replica).ranks[0]
    return [Miss(name, memory.activation_bytes / GIB, measured)]


def tokens_miss(name: str, row: Row, setup: Setup) -> list[Miss]:
    """Return the error of the tokens that the logged KV bytes hold."""
    measured, logged = row.get("kv_tokens"), row.get("kv_cache_gib_per_gpu")
    if not measured or not logged:
        return []
    replica = setup.replica
    logged_ranks = [
        replace(memory, kv_cache_bytes=int(logged * GIB)) for memory in replica_memory(replica).ranks
    ]
    return [Miss(name, kv_cache_tokens(with_ranks(replica, logged_ranks)), measured)]


def room_miss(name: str, row: Row, setup: Setup) -> list[Miss]:
    """Return the error of the KV room predicted from nothing but the command line."""
    measured = row.get("kv_cache_gib_per_gpu")
    if not measured or measured < 0 or not setup.names_gpu or row.get("room_unknown"):
        return []
    used = replica_memory(setup.at_utilization(utilization_of(row)).replica)
    return [Miss(name, min(rank.kv_cache_bytes for rank in used.ranks) / GIB, measured)]


def utilization_of(row: Row) -> float | None:
    """Return the memory utilization from the sum of the row's parts; None if a part is missing."""
    total = row.get("total_gpu_memory_gib")
    if not total or any(part not in row for part in _PARTS):
        stated: float | None = row.get("gpu_memory_utilization")
        return stated
    return float(round(sum(float(row[part]) for part in _PARTS) / float(total), 2))
