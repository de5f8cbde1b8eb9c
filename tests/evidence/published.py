"""Reads published layouts as questions to the planner: cluster, model, workload, and the layout chosen."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.planner.request import PlanRequest
from tests.evidence.rows import Row, read_key

GPUS_PER_NODE_OF_RACK = 4
"""Rack-scale systems are listed by GPU count; each of their trays holds four."""


@dataclass(frozen=True, slots=True)
class Published:
    """One published layout."""

    title: str
    kind: str
    model: str
    dtype: str
    engine: str
    cluster_spec: str
    request: PlanRequest
    tp: int
    pp: int
    measured_tokens_per_s: float | None = None


class Publications:
    """Reads rows of published_layouts.jsonl, with the lengths and limits that their benchmark defines."""

    def __init__(self, folder: Path) -> None:
        self._known: dict[str, Any] = read_key(folder, "published_workloads.json")

    def read(self, row: Row) -> Published | str:
        """Return the row as a question, or why it cannot be used."""
        readers: dict[str, Callable[[Row], Published | str]] = {
            "mlperf_v5.1": self._mlperf,
            "nim_profile": self._nim,
            "gpustack_recommended": self._gpustack,
            "sglang_deepseek": self._sglang,
        }
        reader = readers.get(row["kind"])
        return reader(row) if reader else f"{row['kind']}: no layout for a stated machine and workload"

    def _mlperf(self, row: Row) -> Published | str:
        model, scenario = row["model"].removesuffix("-interactive"), row["scenario"]
        gpu, lengths = self._gpu(row["system"]), self._known["lengths"].get(model)
        if gpu is None or lengths is None:
            return "MLPerf: system or workload not known"
        gpus = row.get("n_gpus") or 8
        ttft_s, tpot_s = self._known["limits"].get(f"{model} {scenario}", (None, None))
        request = PlanRequest(
            input_tokens=lengths[0],
            output_tokens=lengths[1],
            engine="tensorrt-llm",
            ttft_s=ttft_s,
            tpot_s=tpot_s,
            max_model_len=self._known["max_model_len"].get(model),
        )
        return Published(
            title=f"MLPerf {model} {row['precision']} {scenario} on {gpus}x{gpu}",
            kind=f"MLPerf {scenario}",
            model=model,
            dtype=row["precision"].upper(),
            engine="tensorrt-llm",
            cluster_spec=_spec(gpus, gpu),
            request=request,
            tp=row["tp"],
            pp=row["pp"],
            measured_tokens_per_s=row.get("measured_tokens_per_s") if row.get("n_gpus") else None,
        )

    def _nim(self, row: Row) -> Published | str:
        gpu, latency = self._gpu(row["gpu"]), row["profile"] == "Latency"
        if gpu is None:
            return "NIM: GPU not known"
        dtype = "FP8" if row["precision"] == "8 bit" else "BF16"
        return Published(
            title=f"NIM {row['model']} {dtype} {row['profile']} on 2x{gpu}",
            kind="NIM profiles",
            model=row["model"],
            dtype=dtype,
            engine="tensorrt-llm",
            cluster_spec=f"2x{gpu}",
            request=PlanRequest(engine="tensorrt-llm", objective="latency" if latency else "throughput"),
            tp=row["n_gpus"],
            pp=1,
        )

    def _gpustack(self, row: Row) -> Published | str:
        gpu, command = self._gpu(row["hardware"]), row["command"]
        model = re.search(r"(?:serve|--model-path|--model) (\S+/\S+)", command)
        if gpu is None or model is None or "speculative" in command or not row.get("tp"):
            return "GPUStack: machine not known, or speculative decoding"
        count = re.match(r"(\d+) ", row["hardware"])
        engine = "vllm" if command.startswith("vllm") else "sglang"
        if "trtllm" in command:
            engine = "tensorrt-llm"
        return Published(
            title=f"GPUStack {model[1]} {engine} on {count[1] if count else 1}x{gpu}",
            kind="GPUStack, measured best",
            model=model[1],
            dtype="FP8" if model[1].endswith("-FP8") else "BF16",
            engine=engine,
            cluster_spec=f"{count[1] if count else 1}x{gpu}",
            request=PlanRequest(
                input_tokens=217,
                output_tokens=201,
                engine=engine,
                max_model_len=32768,
            ),
            tp=row["tp"],
            pp=1,
        )

    def _sglang(self, row: Row) -> Published | str:
        machine = re.fullmatch(r"((?:\d+x)?\d+) ?x?(\w+)", row["configuration"].replace(" ", "x"))
        gpu = self._gpu(machine[2]) if machine else None
        if machine is None or gpu is None:
            return "SGLang: machine not known"
        model = row["model"].lower()
        return Published(
            title=f"SGLang {row['model']} on {machine[1]}x{gpu}",
            kind="SGLang's documentation",
            model=model,
            dtype=row["weight_type"],
            engine="sglang",
            cluster_spec=f"{machine[1]}x{gpu}",
            request=PlanRequest(engine="sglang"),
            tp=row["tp"],
            pp=1,
        )

    def _gpu(self, system: str) -> str | None:
        upper = system.upper()
        return next((gpu for part, gpu in self._known["gpus"] if part in upper), None)


def _spec(gpus: int, gpu: str) -> str:
    if gpus <= 8:
        return f"{gpus}x{gpu}"
    return f"{gpus // GPUS_PER_NODE_OF_RACK}x{GPUS_PER_NODE_OF_RACK}x{gpu}"
