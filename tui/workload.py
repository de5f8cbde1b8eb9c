"""From the words in a form to a request of the planner. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from cluster.catalog.engine_names import engine_names
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
    Field("input_tokens", "tokens in", "count", "length of a prompt", required=True),
    Field("output_tokens", "tokens out", "count", "length of an answer", required=True),
    Field("concurrency", "requests at a time", "count", "empty: as many as fit"),
    Field("max_model_len", "longest request", "count", "tokens; empty: the model's own"),
    Field("objective", "best means", "choice", "throughput or latency", ("throughput", "latency"), True),
    Field("ttft_s", "first token within", "milliseconds", "ms; empty: no limit"),
    Field("tpot_s", "next tokens within", "milliseconds", "ms each; empty: no limit"),
    Field("workload", "workload", "choice", "inference or training", ("inference", "training"), True),
    Field(
        "engine",
        "engine",
        "choice",
        ", ".join(engine_names()),
        engine_names(),
        True,
    ),
    Field("tp", "tensor parallel", "count", "empty: free"),
    Field("pp", "pipeline parallel", "count", "empty: free"),
    Field("dp", "data parallel", "count", "empty: free"),
    Field("ep", "expert parallel", "count", "empty: free"),
)


def words_of(request: PlanRequest) -> dict[str, str]:
    """Return what the form shows for a request."""
    words = {}
    for field in FIELDS:
        value: Any = getattr(request, field.name)
        if value is not None and field.kind == "milliseconds":
            value = f"{value * 1000:g}"
        words[field.name] = "" if value is None else str(value)
    return words


def request_of(words: Mapping[str, str], base: PlanRequest) -> PlanRequest:
    """Return `base` with the form's values; raises BadInput that names the line."""
    changes: dict[str, Any] = {field.name: _value(field, words.get(field.name, "")) for field in FIELDS}
    if changes["engine"] != base.engine:
        changes.update(engine_version=None, engine_asked=True)
    return replace(base, **changes)


def _value(field: Field, typed: str) -> object:
    text = typed.strip().lower()
    if not text:
        if field.required:
            raise BadInput(f"{field.label} is empty", f"Give {field.hint}")
        return None
    if field.kind == "choice":
        if text not in field.choices:
            raise BadInput(f"{field.label} is '{text}'", f"It is one of {', '.join(field.choices)}")
        return text
    try:
        number = float(text.replace(",", "").replace("_", ""))
    except ValueError:
        raise BadInput(f"{field.label} is '{text}', not a number", f"Give {field.hint}") from None
    if field.kind == "count" and not (1 <= number <= _MOST and number == int(number)):
        raise BadInput(f"{field.label} is {text}", f"It is a whole number from 1 to {_MOST:,}")
    if field.kind == "milliseconds" and not 0 < number <= _MOST:
        raise BadInput(f"{field.label} is {text}", "It is a number of milliseconds above 0")
    return int(number) if field.kind == "count" else number / 1000
