"""No command has an option that its release does not take, nor a value that it refuses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.engines.adapter import load_adapter
from cluster.engines.launch import Member, ServerLaunch
from tests.cluster.engines.option_table import VERSIONS, faults

_PARALLEL: tuple[dict[str, Any], ...] = (
    {},
    {"tp": 8},
    {"tp": 4, "pp": 2, "layers_per_stage": (20, 12)},
    {"tp": 8, "expert_parallel": True},
    {"tp": 2, "attention_dp": 4, "expert_parallel": True},
    {"tp": 8, "decode_context_parallel": 4},
)
_LIMITS: tuple[dict[str, Any], ...] = (
    {},
    {
        "max_model_len": 8192,
        "max_num_seqs": 64,
        "max_num_batched_tokens": 2048,
        "gpu_memory_utilization": 0.85,
        "enforce_eager": True,
        "dtype": "bfloat16",
        "quantization": "fp8",
        "kv_cache_dtype": "fp8",
        "load_format": "dummy",
        "revision": "main",
    },
    {"dtype": "float16", "kv_cache_dtype": "bfloat16", "load_format": "safetensors"},
    {"kv_cache_memory_bytes": 2**34, "kv_cache_dtype": "float16", "dtype": "float32"},
)


def launches() -> Iterator[ServerLaunch]:
    """Every kind of launch: each form of parallelism with each set of limits, on GPUs and CPUs."""
    for parallel, limits, device in itertools.product(_PARALLEL, _LIMITS, ("cuda", "cpu")):
        yield ServerLaunch(model="/models/m", served_name="m", device=device, **parallel, **limits)


def members(launch: ServerLaunch) -> Iterator[tuple[Member, ...]]:
    """One node, and two where there are several ranks."""
    ranks = launch.tp * launch.pp * launch.attention_dp
    for count in (1, 2) if ranks > 1 else (1,):
        per_node = ranks // count
        yield tuple(
            Member(
                number=number,
                num_members=count,
                address=f"10.0.0.{number + 1}",
                interface="eth0",
                gpu_indices=tuple(range(per_node)),
                http_port=8000,
                master_address="10.0.0.1",
                master_port=29600,
            )
            for number in range(count)
        )


@pytest.mark.parametrize(
    ("engine", "version"), [(e, v) for e, versions in VERSIONS.items() for v in versions]
)
def test_every_command_has_only_options_and_values_that_the_release_takes(engine: str, version: str) -> None:
    adapter, run, found = load_adapter(engine), 0, set()
    for launch in launches():
        for replica in members(launch):
            if adapter.refusal(launch, replica, version):
                continue
            run += 1
            for member in replica:
                typed = adapter.printed_command(launch, member, version).argv
                started = adapter.command(launch, member, version, "python").argv
                found.update(faults(typed, engine, version), faults(started, engine, version))
    assert not found
    assert run > 10


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--no-such-option"], "--no-such-option is unknown"),
        (["--max-num-seqs", "many"], "--max-num-seqs does not take many"),
        (["--max-num-seqs"], "--max-num-seqs takes 1 values, not []"),
        (["--dtype", "bf16"], "--dtype does not take bf16"),
        (["--gpu-memory-utilization", "most"], "--gpu-memory-utilization does not take most"),
    ],
)
def test_the_check_finds_faults(arguments: list[str], fault: str) -> None:
    assert faults(["serve", "m", *arguments], "vllm", "0.32.0") == [fault]
