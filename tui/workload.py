"""The fields of the workload form, and the planner request they make. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from cluster.errors import BadInput
from cluster.planner.request import PlanRequest

_MOST = 10**9


@dataclass(frozen=True, slots=True)
class Field:
    """One line of the form."""

    name: str
    """The request's attribute."""
    label: str
    kind: Literal["count", "milliseconds", "choice"]
    hint: str
    choices: tuple[str, ...] = ()
    required: bool = False


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
        "vllm, sglang, tensorrt-llm, builtin",
        ("vllm", "sglang", "tensorrt-llm", "builtin"),
        True,
    ),
    Field("tp", "tensor parallel", "count", "empty: any"),
    Field("pp", "pipeline parallel", "count", "empty: any"),
    Field("dp", "data parallel", "count", "empty: any"),
    Field("ep", "expert parallel", "count", "empty: any"),
)


def form_values(request: PlanRequest) -> dict[str, str]:
    """Return what the form shows for a request."""
    values = {}
    for field in FIELDS:
        value: Any = getattr(request, field.name)
        if value is not None and field.kind == "milliseconds":
            value = f"{value * 1000:g}"
        values[field.name] = "" if value is None else str(value)
    return values


def request_from_form(values: Mapping[str, str], base: PlanRequest) -> PlanRequest:
    """Return `base` with the form's values; raises BadInput that names the line."""
    changes: dict[str, Any] = {field.name: _value(field, values.get(field.name, "")) for field in FIELDS}
    if changes["engine"] != base.engine:
        changes.update(engine_version=None, engine_asked=True)
    return replace(base, **changes)


def _value(field: Field, typed: str) -> object:
    text = typed.strip().lower()
    if not text:
        if field.required:
            raise BadInput(f"{field.label} is empty", f"Enter {field.hint}")
        return None
    if field.kind == "choice":
        if text not in field.choices:
            raise BadInput(f"{field.label} is '{text}'", f"Choose {', '.join(field.choices)}")
        return text
    try:
        number = float(text.replace(",", "").replace("_", ""))
    except ValueError:
        raise BadInput(f"{field.label} is '{text}'", "Enter a number") from None
    if field.kind == "count" and not (1 <= number <= _MOST and number == int(number)):
        raise BadInput(f"{field.label} is {text}", f"Enter a whole number from 1 to {_MOST:,}")
    if field.kind == "milliseconds" and not 0 < number <= _MOST:
        raise BadInput(f"{field.label} is {text}", "Enter a number of milliseconds above 0")
    return int(number) if field.kind == "count" else number / 1000
