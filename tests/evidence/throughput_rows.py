"""Reads rows of throughput.jsonl: the setup, the measurements, or why a row is left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from cluster.planner.layout import Layout
from cluster.planner.request import EngineName, PlanRequest
from tests.evidence.rows import Row
from tests.evidence.throughput_cases import Question

EAGER_BEYOND_TOKENS = 8192
"""vLLM before 0.5 captured graphs up to this context (max_seq_len_to_capture) and ran longer ones without."""
FIXED_RATE_PEAK = 50
"""Serving rows below this concurrency were sent at a rate; the others all at the start."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of a row; absent figures are None."""

    question: Question
    kind: str
    """'offline', 'batch 1', 'rate' (serving at a rate), 'burst' (serving, all requests at the start),
    'conversations' (a burst whose lengths vary widely) or 'steady' (serving, a fixed number in flight)."""
    throughput_tokens_per_s: float | None = None
    """Output tokens per second."""
    tpot_s: float | None = None
    ttft_s: float | None = None


def read_measured(name: str, row: Row, conversations: Collection[int] = ()) -> Measured | str:
    """Return the measurements of a row, or why it is left out.

    `conversations`: total input tokens that identify rows with conversations of very different lengths.
    """
    reader = _READERS.get(row["kind"])
    measured = reader(name, row) if reader else f"{row['kind']}: no layout stated"
    if isinstance(measured, str) or measured.kind != "burst":
        return measured
    return replace(measured, kind="conversations") if row["total_input_tokens"] in conversations else measured


def _offline(name: str, row: Row) -> Measured | str:
    request = PlanRequest(input_tokens=row["isl"], output_tokens=row["osl"], engine="tensorrt-llm")
    layout = Layout(tp=row["tp"], pp=row["pp"], dp=row["dp"])
    question = Question(name, row["model"], row["dtype"], row["gpu"], "tensorrt-llm", None, layout, request)
    return Measured(question, "offline", throughput_tokens_per_s=float(row["value"]))


def _batch1(name: str, row: Row) -> Measured | str:
    engine, input_tokens = str(row["engine"]).split()[0].lower(), row.get("isl")
    if engine not in ("vllm", "sglang"):
        return f"{row['engine']}: not an engine that is planned for"
    if not isinstance(input_tokens, int) or not isinstance(row.get("tp"), int):
        return "batch 1: lengths or layout not stated"
    version = _version(str(row.get("note", "")))
    outputs = int(row["osl"])
    both = "prompt+generated" in str(row.get("metric", ""))
    rate = float(row["value"]) * (outputs / (input_tokens + outputs) if both else 1.0)
    request = PlanRequest(
        input_tokens=input_tokens,
        output_tokens=outputs,
        concurrency=1,
        objective="latency",
        engine=_engine_name(engine),
        max_model_len=max(32768, input_tokens + outputs),
        enforce_eager=version is not None
        and version < "0.5"
        and input_tokens + outputs > EAGER_BEYOND_TOKENS,
    )
    layout = Layout(tp=row["tp"])
    if engine == "vllm" and version is None:
        version = "0.6.3"
    question = Question(name, row["model"], row["dtype"], row["gpu"], engine, version, layout, request)
    tpot_s = 1.0 / rate if input_tokens < outputs / 100 else None  # longer prompts' time is in the rate
    return Measured(question, "batch 1", throughput_tokens_per_s=rate, tpot_s=tpot_s)


def _serving(name: str, row: Row) -> Measured | str:
    command, hardware = str(row.get("command", "")), str(row.get("hardware") or "")
    if "speculative" in command:
        return "serving: speculative decoding is not modeled"
    gpu = re.search(r"NVIDIA ([AH]\d+) SXM", hardware)
    model = re.search(r"(?:serve|--model-path|--model) (\S+/\S+)", command)
    if gpu is None or model is None or "requests" not in row:
        return "serving: GPU or workload not stated"
    if _plain(str(row["model"])) not in _plain(model[1]):
        return "serving: the command names another model than the row"
    requests = int(row["requests"])
    outputs = max(1, round(row["total_generated_tokens"] / requests))
    served_s = row["mean_ttft_ms"] / 1e3 + outputs * row["mean_tpot_ms"] / 1e3
    at_rate = row["peak_concurrent"] < FIXED_RATE_PEAK
    # For requests sent at a rate, Little's law gives the mean number in flight.
    in_flight = max(1, round(row["output_tok_s"] / outputs * served_s)) if at_rate else requests
    engine = {"vllm": "vllm", "sglang": "sglang"}.get(row["engine"], "tensorrt-llm")
    version = dict(row.get("engine_versions") or {}).get({"vllm": "vLLM", "sglang": "SGLang"}.get(engine, ""))
    dtype = next((kind for kind in ("FP8", "AWQ") if model[1].endswith(f"-{kind}")), "BF16")
    share = re.search(r"--gpu-memory-utilization[ =]([\d.]+)", command)
    request = PlanRequest(
        input_tokens=max(1, round(row["total_input_tokens"] / requests)),
        output_tokens=outputs,
        concurrency=in_flight,
        engine=_engine_name(engine),
        max_model_len=_flag(command, "max[-_]model[-_]len"),
        max_num_batched_tokens=_flag(command, "max[-_]num[-_]batched[-_]tokens|max_num_tokens"),
        gpu_memory_utilization=float(share[1]) if share else None,
    )
    layout = Layout(tp=row.get("tp") or 1, ep=(row.get("tp") or 1) if row.get("ep") else 1)
    question = Question(name, model[1], dtype, gpu[1], engine, version, layout, request)
    return Measured(
        question,
        "rate" if at_rate else "burst",
        throughput_tokens_per_s=None if at_rate else row["output_tok_s"],
        tpot_s=row["mean_tpot_ms"] / 1e3,
        ttft_s=row["mean_ttft_ms"] / 1e3 if at_rate else None,
    )


def _reported(name: str, row: Row) -> Measured | str:
    """Read a row of `clusterview report`, whose load test says what was sent."""
    if "output_tok_s" not in row:
        return "clusterview report: no load test in it"
    requests, most = int(row["requests"]), row.get("max_concurrency_of_load")
    kind = "rate" if "request_rate" in row else "steady" if most and requests >= 2 * most else "burst"
    in_flight = {"rate": round(row["mean_in_flight"]), "steady": most, "burst": requests}[kind]
    request = PlanRequest(
        input_tokens=max(1, round(row["total_input_tokens"] / requests)),
        output_tokens=max(1, round(row["total_generated_tokens"] / requests)),
        concurrency=max(1, in_flight),
        engine=row["engine"],
        max_model_len=row.get("max_model_len"),
        max_num_seqs=row.get("max_num_seqs"),
        max_num_batched_tokens=row.get("max_num_batched_tokens"),
        gpu_memory_utilization=row.get("gpu_memory_utilization"),
    )
    degrees = {axis: row.get(axis, 1) for axis in ("tp", "pp", "dp", "ep")}
    layout = Layout(**degrees, dp_attention=bool(row.get("dp_attention")))
    # The row brings its own config: the model's name alone may mean another one elsewhere.
    model, dtype = f"{row['model']} of {name}", str(row.get("dtype", "")).upper()
    question = Question(name, model, dtype, row["gpu"], row["engine"], row["version"], layout, request)
    return Measured(
        question,
        kind,
        throughput_tokens_per_s=None if kind == "rate" else row["output_tok_s"],
        tpot_s=row["mean_tpot_ms"] / 1e3 if "mean_tpot_ms" in row else None,
        ttft_s=row["mean_ttft_ms"] / 1e3 if kind == "rate" and "mean_ttft_ms" in row else None,
    )


def _flag(command: str, name: str) -> int | None:
    """Return the number that a command passes for an option."""
    found = re.search(rf"--(?:{name})[ =](\d+)", command)
    return int(found[1]) if found else None


def _plain(model: str) -> str:
    return model.rsplit("/", 1)[-1].lower()


def _version(note: str) -> str | None:
    found = re.search(r"vLLM (\d+\.\d+\.\d+)", note)
    return found[1] if found else None


def _engine_name(engine: str) -> EngineName:
    if engine == "sglang":
        return "sglang"
    return "vllm" if engine == "vllm" else "tensorrt-llm"


_READERS: dict[str, Callable[[str, Row], Measured | str]] = {
    "offline_max_throughput": _offline,
    "batch1_generation_speed": _batch1,
    "serving_benchmark": _serving,
    "clusterview_report": _reported,
}
