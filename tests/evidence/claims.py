"""Published claims that a model runs on a stated machine, with or without a workload."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster.catalog.gpus import find_gpu
from cluster.planner.request import EngineName, PlanRequest
from tests.evidence.published import Publications
from tests.evidence.rows import Row, read_key

LENGTH = 4096
"""Sequence length in tokens for rows that do not state one."""

ENGINES: tuple[EngineName, ...] = ("vllm", "sglang", "tensorrt-llm")

_NAMES = r"[A-Z]+\d+(?:/[A-Z]+\d+)*"
_COUNTED = re.compile(rf"(\d+)\s?[x×]\s?({_NAMES})(?![\w-])")
_SINGLE = re.compile(rf"\bsingle ({_NAMES})(?![\w-])")
_DEGREE = re.compile(rf"\bTP=?(\d) on (?:NVIDIA )?({_NAMES})(?![\w-])")
_SIZED = re.compile(r"\b(?:single|one) (?:GPU with >=)?(\d+) ?GB\+?")


@dataclass(frozen=True, slots=True)
class Claim:
    """A model that is said to run on a machine."""

    title: str
    model: str
    base: str
    """The model it is a variant of; its own name if it is not a variant."""
    dtype: str
    cluster_spec: str
    requests: tuple[PlanRequest, ...]
    """One per engine that the row may mean."""


class Claims:
    """Reads rows of published_layouts.jsonl as claims."""

    def __init__(self, folder: Path) -> None:
        self._publications = Publications(folder)
        self._known: dict[str, Any] = read_key(folder, "published_machines.json")

    def read(self, row: Row) -> list[Claim]:
        """Return what a row claims to run; [] if it names no machine."""
        readers: dict[str, Callable[[Row], Iterator[Claim]]] = {
            "vllm_recipe_variants": self._recipe,
            "meta": self._stated,
            "openai": self._stated,
            "anyscale": self._two_nodes,
        }
        return list(readers.get(row["kind"], self._chosen)(row))

    def _chosen(self, row: Row) -> Iterator[Claim]:
        """A layout that was run, whatever it was tuned for."""
        published = self._publications.read(row)
        if isinstance(published, str):
            return
        request = replace(published.request, tp=published.tp, pp=published.pp, ttft_s=None, tpot_s=None)
        name, spec = published.model, published.cluster_spec
        layout = f"TP={published.tp}" + (f" PP={published.pp}" if published.pp > 1 else "")
        title = f"{published.kind}: {name} {published.dtype} {layout} on {spec}"
        yield Claim(title, name, name, published.dtype, spec, (request,))

    def _recipe(self, row: Row) -> Iterator[Claim]:
        for variant in row["variants"].values():
            name, arguments = variant["model_id"] or row["model"], variant["extra_args"] or []
            request = PlanRequest(
                engine="vllm",
                tp=int(_after(arguments, "--tensor-parallel-size") or 0) or None,
                max_model_len=LENGTH,
                kv_cache_dtype="fp8" if _after(arguments, "--kv-cache-dtype") == "fp8" else None,
                gpu_memory_utilization=float(_after(arguments, "--gpu-memory-utilization") or 0) or None,
                max_num_seqs=int(_after(arguments, "--max-num-seqs") or 0) or None,
            )
            needs = variant["vram_minimum_gb"] * 1e9
            for gpus, kind, stated in self._machines(variant["description"], needs):
                asked = replace(request, tp=gpus) if stated else request
                if asked.tp is not None and asked.tp > gpus:
                    continue
                title = f"vLLM recipes: {name} on {gpus}x{kind}"
                yield Claim(title, name, row["model"], variant["precision"], f"{gpus}x{kind}", (asked,))

    def _machines(self, description: str, needs_bytes: float) -> Iterator[tuple[int, str, bool]]:
        """Yield (GPUs, type, whether that TP is stated) for each alternative."""
        found = [(int(match[1]), match[2], False) for match in _COUNTED.finditer(description)]
        found += [(1, match[1], False) for match in _SINGLE.finditer(description)]
        found += [(int(match[1]), match[2], True) for match in _DEGREE.finditer(description)]
        for gpus, names, stated in dict.fromkeys(found):
            for name in names.split("/"):
                if name in self._known["gpus"]:
                    yield gpus, self._kind(name, gpus, needs_bytes), stated
        for match in _SIZED.finditer(description):
            if match[1] in self._known["of_memory_gb"]:
                yield 1, self._known["of_memory_gb"][match[1]], False

    def _kind(self, name: str, gpus: int, needs_bytes: float = 0.0) -> str:
        sizes: list[str] = self._known["gpus"][name]
        roomy = (kind for kind in sizes if gpus * find_gpu(kind).memory_bytes >= needs_bytes)
        return next(roomy, sizes[-1])

    def _stated(self, row: Row) -> Iterator[Claim]:
        """What a model's publisher claims, for any engine."""
        size, name = re.fullmatch(r"(\d+)GB", row["gpu"]), row["gpu"].split()[0]
        if size is None and name not in self._known["gpus"]:
            return
        kind = self._known["of_memory_gb"].get(size[1]) if size else self._kind(name, row["n_gpus"])
        requests = tuple(PlanRequest(engine=engine, max_model_len=LENGTH) for engine in ENGINES)
        title = f"{row['kind']}: {row['model']} {row['precision']} on {row['n_gpus']}x{kind}"
        dtype = row["precision"].split()[0]
        yield Claim(title, row["model"], row["model"], dtype, f"{row['n_gpus']}x{kind}", requests)

    def _two_nodes(self, row: Row) -> Iterator[Claim]:
        length = re.search(r"max_model_len=(\d+)", row["note"])
        request = PlanRequest(engine="vllm", max_model_len=int(length[1]) if length else LENGTH)
        title = f"{row['kind']}: {row['model']} on 2x8xH100"
        yield Claim(title, row["model"], row["model"], "FP8", "2x8xH100", (request,))


def _after(arguments: list[str], flag: str) -> str | None:
    return arguments[arguments.index(flag) + 1] if flag in arguments else None
