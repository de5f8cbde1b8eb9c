"""The fields of the workload form, and the planner request they make. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from cluster.catalog.engine_names import engine_names
from cluster.cli.options import KV_CACHE_DTYPES
from cluster.errors import BadInput
from cluster.planner.fixes.fix import Options
from cluster.planner.request import PlanRequest

_MOST = 10**9
_FLAGS = ("yes", "no")
_DEFAULTS = PlanRequest()


@dataclass(frozen=True, slots=True)
class Field:
    """One line of the form."""

    name: str
    """The request's attribute."""
    label: str
    kind: Literal["count", "milliseconds", "share", "choice", "flag", "text"]
    hint: str
    choices: tuple[str, ...] = ()
    required: bool = False
    most: int = _MOST
    """Of a count."""


FIELDS = (
    Field("input_tokens", "input tokens", "count", "prompt length", required=True),
    Field("output_tokens", "output tokens", "count", "answer length", required=True),
    Field("concurrency", "concurrency", "count", "empty: as many as fit"),
    Field("max_model_len", "max model length", "count", "tokens; empty: the model's limit"),
    Field("objective", "optimize for", "choice", "throughput or latency", ("throughput", "latency"), True),
    Field("ttft_s", "TTFT limit", "milliseconds", "ms; empty: no limit"),
    Field("tpot_s", "TPOT limit", "milliseconds", "ms; empty: no limit"),
    Field("workload", "workload", "choice", "inference or training", ("inference", "training"), True),
    Field(
        "engine",
        "engine",
        "choice",
        ", ".join(engine_names()),
        engine_names(),
        True,
    ),
    Field("tp", "tensor parallel", "count", "empty: any"),
    Field("pp", "pipeline parallel", "count", "empty: any"),
    Field("dp", "data parallel", "count", "empty: any"),
    Field("ep", "expert parallel", "count", "empty: any"),
    Field("decode_context_parallel", "context parallel", "count", "1: off", required=True),
    Field("gpu_memory_utilization", "GPU memory share", "share", "0 to 1; empty: engine default"),
    Field("max_num_seqs", "max sequences", "count", "empty: engine default"),
    Field("max_num_batched_tokens", "max batched tokens", "count", "empty: engine default"),
    Field("dtype", "dtype", "choice", "bf16, fp16, fp32; empty: the model's", ("bf16", "fp16", "fp32")),
    Field(
        "kv_cache_dtype", "KV cache dtype", "choice", "fp8, bf16, fp16; empty: same as dtype", KV_CACHE_DTYPES
    ),
    Field("kv_cache_memory_bytes", "KV cache", "count", "bytes per GPU; empty: what remains", most=2**44),
    Field("enforce_eager", "eager mode", "flag", "yes (no CUDA graphs) or no", _FLAGS, True),
    Field("engine_version", "engine version", "text", "empty: the newest"),
)

OPTIONS = (
    "dtype",
    "quantization",
    "kv_cache_dtype",
    "kv_cache_memory_bytes",
    "decode_context_parallel",
    "gpu_memory_utilization",
    "max_num_seqs",
    "max_num_batched_tokens",
    "enforce_eager",
)
"""Attributes of a request that the summary writes as options where they are not the defaults. The engine and
its version are always written."""


def options_set(request: PlanRequest) -> Options:
    """Return the options of the engine that differ from the defaults."""
    pairs = ((name, getattr(request, name)) for name in OPTIONS)
    return tuple((name, value) for name, value in pairs if value != getattr(_DEFAULTS, name))


def form_values(request: PlanRequest) -> dict[str, str]:
    """Return what the form shows for a request."""
    values = {}
    for field in FIELDS:
        value: Any = getattr(request, field.name)
        if value is not None and field.kind == "milliseconds":
            value = f"{value * 1000:g}"
        if field.kind == "flag":
            value = "yes" if value else "no"
        values[field.name] = "" if value is None else str(value)
    return values


def request_from_form(values: Mapping[str, str], base: PlanRequest) -> PlanRequest:
    """Return `base` with the form's values; raises BadInput that names the line."""
    changes: dict[str, Any] = {field.name: _value(field, values.get(field.name, "")) for field in FIELDS}
    if changes["engine"] != base.engine:
        changes["engine_asked"] = True
        if changes["engine_version"] == base.engine_version:
            changes["engine_version"] = None  # it was a version of the other engine
    return replace(base, **changes)


def _value(field: Field, typed: str) -> object:
    text = typed.strip().lower()
    if not text:
        if field.required:
            raise BadInput(f"{field.label} is empty", f"Enter {field.hint}")
        return None
    if field.choices:
        if text not in field.choices:
            raise BadInput(f"{field.label} is '{text}'", f"Choose {', '.join(field.choices)}")
        return text == "yes" if field.kind == "flag" else text
    if field.kind == "text":
        return text
    return _number(field, text)


def _number(field: Field, text: str) -> float:
    try:
        number = float(text.replace(",", "").replace("_", ""))
    except ValueError:
        raise BadInput(f"{field.label} is '{text}'", "Enter a number") from None
    if field.kind == "count" and not (1 <= number <= field.most and number == int(number)):
        raise BadInput(f"{field.label} is {text}", f"Enter a whole number from 1 to {field.most:,}")
    if field.kind == "share" and not 0 < number <= 1:
        raise BadInput(f"{field.label} is {text}", "Enter a fraction above 0, at most 1, such as 0.9")
    if field.kind == "milliseconds" and not 0 < number <= _MOST:
        raise BadInput(f"{field.label} is {text}", "Enter a number of milliseconds above 0")
    if field.kind == "count":
        return int(number)
    return number / 1000 if field.kind == "milliseconds" else number
