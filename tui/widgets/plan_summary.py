"""The model and the request that a plan answers, and the recommended layout in one line."""

from __future__ import annotations

from rich.text import Text

from cluster.catalog.model_spec import ModelSpec
from cluster.deploy.engine_in_use import EngineInUse
from cluster.planner.request import PlanRequest
from cluster.planner.result import Plan
from cluster.units import count_of, format_bytes, format_count
from tui.format import throughput_band
from tui.glyphs import ARROW, CROSS, DOT
from tui.styles import Look
from tui.widgets.text_panel import TextPanel


class PlanSummary(TextPanel):
    """Two lines: what was asked, and the answer."""

    def __init__(self, waiting: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self._plan: Plan | None = None
        self._engine: EngineInUse | None = None
        self._waiting, self._as_if_stopped = waiting, ""
        self._moved = 0

    def show(
        self,
        plan: Plan | None,
        waiting: str = "",
        as_if_stopped: str = "",
        engine: EngineInUse | None = None,
    ) -> None:
        """Show a plan, or what is waited for.

        `as_if_stopped` names deployments that the plan takes for stopped; `engine` is the one that would run
        it, None where nothing can be deployed.
        """
        self._plan, self._waiting, self._as_if_stopped = plan, waiting, as_if_stopped
        self._engine = engine
        self._moved = 0
        self.changed()

    def show_moved(self, gpus: int) -> None:
        """Say that the plan is old: the free memory of some GPUs is not what it was."""
        if gpus != self._moved:
            self._moved = gpus
            self.changed()

    def draw(self, look: Look) -> Text:
        plan = self._plan
        if plan is None:
            return Text(self._waiting, look.muted)
        text = Text()
        text.append(plan.model.name, look.title)
        if self._as_if_stopped:
            text.append(f"  as if {self._as_if_stopped} were stopped", look.warning)
        if self._moved:
            text.append(f"  memory moved on {count_of(self._moved, 'GPU')}: r replans", look.warning)
        engine = engine_line(plan, self._engine) if plan.request.workload == "inference" else ""
        if not self.roomy:
            # In the order of what must not be cut off where there is little room.
            text.no_wrap, text.overflow = True, "ellipsis"
            parts = (engine, model_in_words(plan.model), request_in_words(plan.request))
            text.append("".join(f"  {part}" for part in parts if part), look.muted)
            return text
        text.append(f"  {model_in_words(plan.model)}\n", look.muted)
        text.append(
            f" {DOT} ".join(part for part in (request_in_words(plan.request), engine) if part), look.muted
        )
        return text


def engine_line(plan: Plan, engine: EngineInUse | None) -> str:
    """Say which engine a plan is for and which runs it: 'for vllm 0.14.0, runs on builtin 0.1.0'."""
    planned = f"for {plan.engine_name} {plan.engine_version}"
    if engine is None:
        return planned
    return f"for {engine.runs}" if engine.is_as_planned else f"{planned}, runs on {engine.runs}"


def answer_line(plan: Plan, look: Look) -> Text:
    """Draw the recommendation: 'Recommended → TP=4, DP=2  1,930 tok/s (1,500–2,400)'."""
    best = plan.recommended
    if best is None:
        line = Text(f"{CROSS} Nothing fits", look.bad)
        if plan.advice:
            line.append(f"  {plan.advice[0]}", look.plain)
        return line
    line = Text(f"{ARROW} ", look.good)
    line.append(best.label, look.strong)
    if best.estimate is not None:
        line.append(f"  {throughput_band(best.estimate.throughput_tokens_per_s)}", look.plain)
    return line


def model_in_words(model: ModelSpec) -> str:
    """Say a model's size: '70.6 B, bf16, 131.4 GiB'."""
    parts = [format_count(model.parameters) if model.parameters else ""]
    if model.active_parameters and model.active_parameters < model.parameters * 0.95:
        parts.append(f"{format_count(model.active_parameters)} active")
    parts.append(model.quantization.method if model.quantization else model.dtype)
    parts.append(format_bytes(model.weights_bytes) if model.weights_bytes else "")
    return ", ".join(part for part in parts if part)


def request_in_words(request: PlanRequest) -> str:
    """Say a request: '1,024 tokens in, 512 out · as many requests as fit · throughput'."""
    if request.workload == "training":
        return "training"
    many = (
        "as many requests as fit"
        if request.concurrency is None
        else f"{count_of(request.concurrency, 'request')} at a time"
    )
    pins = [
        f"{name}={value}"
        for name, value in (("TP", request.tp), ("PP", request.pp), ("DP", request.dp), ("EP", request.ep))
        if value is not None
    ]
    length = [f"length {request.max_model_len:,}"] if request.max_model_len else []
    parts = [
        f"{request.input_tokens:,} tokens in, {request.output_tokens:,} out",
        many,
        f"for {request.objective}",
    ]
    return f" {DOT} ".join([*parts, *length, *([f"pinned {' '.join(pins)}"] if pins else [])])
